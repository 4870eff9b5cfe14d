//! `[gc]` of the configuration file: how long bytes outlive their use, and how fast they may go. What runs is
//! `settings::Garbage`.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer};

use crate::error::Error;
use crate::settings::Garbage;

/// `[gc]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gc {
    #[serde(default, deserialize_with = "duration")]
    pub upload_grace: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    pub drain: Option<Duration>,
    #[serde(default, deserialize_with = "durations")]
    pub resweep: Option<Vec<Duration>>,
    pub deletes_per_second: Option<u32>,
    pub brake_percent: Option<u32>,
    #[serde(default, deserialize_with = "size")]
    pub brake_floor: Option<ByteSize>,
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

fn durations<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Duration>>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let parsed: Result<Vec<Duration>, String> =
        texts.iter().map(|text| parse_duration(text)).collect();
    parsed.map(Some).map_err(serde::de::Error::custom)
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| {
        format!("`{text}` is not a time such as \"15m\", \"24h\" or \"7d\": {error}")
    })
}

pub(super) fn size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ByteSize>, D::Error> {
    let text = String::deserialize(from)?;
    let parsed = text.parse().map_err(|error| {
        format!("`{text}` is not a size such as \"64GiB\", \"500MB\" or \"0B\": {error}")
    });
    parsed.map(Some).map_err(serde::de::Error::custom)
}

impl Gc {
    /// With every default filled in.
    pub fn settle(self) -> Result<Garbage, Error> {
        let defaults = Garbage::default();
        let resweep_ms = match self.resweep {
            Some(times) => times.into_iter().map(millis).collect(),
            None => defaults.resweep_ms,
        };
        let floor = self.brake_floor.map(|size| size.as_u64());
        let garbage = Garbage {
            upload_grace_ms: self.upload_grace.map_or(defaults.upload_grace_ms, millis),
            drain_ms: self.drain.map_or(defaults.drain_ms, millis),
            resweep_ms,
            deletes_per_second: self.deletes_per_second.unwrap_or(defaults.deletes_per_second),
            brake_percent: self.brake_percent.unwrap_or(defaults.brake_percent),
            brake_floor_bytes: floor.unwrap_or(defaults.brake_floor_bytes),
        };
        check(&garbage)?;
        Ok(garbage)
    }
}

/// Refuses what a file may say and no node can do.
fn check(garbage: &Garbage) -> Result<(), Error> {
    let fail = |key: &str, why: String| Err(Error::Setting { key: key.to_owned(), why });
    if !garbage.resweep_ms.is_sorted() {
        let why = "must ascend: each time counts from the close of the epoch";
        return fail("gc.resweep", why.to_owned());
    }
    if garbage.deletes_per_second == 0 {
        return fail("gc.deletes_per_second", "must be more than zero".to_owned());
    }
    if garbage.brake_percent > 100 {
        let percent = garbage.brake_percent;
        let rule = "a share of a backend's live bytes, from 0 to 100; 100 takes the brake off";
        return fail("gc.brake_percent", format!("{percent} is not {rule}"));
    }
    Ok(())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::config::Config;

    #[test]
    fn times_are_written_as_people_write_them() {
        let config =
            Config::parse("[gc]\nupload_grace = \"90s\"\nresweep = [\"1h\", \"7d\"]").unwrap();
        let garbage = config.gc.settle().unwrap();
        assert_eq!(garbage.upload_grace_ms, 90_000);
        assert_eq!(garbage.resweep_ms, [3_600_000, 7 * 24 * 3_600_000]);
        assert_eq!(garbage.drain_ms, Garbage::default().drain_ms);
        let error = Config::parse("[gc]\ndrain = \"soon\"").unwrap_err();
        assert!(error.contains("such as \"15m\""), "{error}");
        let empty = Config::parse("[gc]\nresweep = []").unwrap();
        assert!(empty.gc.settle().unwrap().resweep_ms.is_empty());
        let falling = Config::parse("[gc]\nresweep = [\"2h\", \"1h\"]").unwrap();
        assert!(falling.gc.settle().is_err());
    }

    #[test]
    fn the_brake_is_a_share_and_a_size() {
        let settle = |text: &str| Config::parse(&format!("[gc]\n{text}")).unwrap().gc.settle();
        let brake = |text: &str| {
            let garbage = settle(text).unwrap();
            (garbage.brake_percent, garbage.brake_floor_bytes)
        };
        assert_eq!(brake(""), (50, 64 << 30));
        assert_eq!(brake("brake_percent = 0\nbrake_floor = \"0B\""), (0, 0));
        assert_eq!(brake("brake_percent = 100\nbrake_floor = \"500MB\""), (100, 500_000_000));
        let error = settle("brake_percent = 101").unwrap_err().to_string();
        assert!(error.contains("gc.brake_percent: 101") && error.contains("0 to 100"), "{error}");
        let error = Config::parse("[gc]\nbrake_floor = \"much\"").unwrap_err();
        assert!(error.contains("line 2: `much`") && error.contains("\"64GiB\""), "{error}");
    }
}
