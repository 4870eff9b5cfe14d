//! `[repair]` of the configuration file: how fast copies are moved. What runs is `settings::Repair`.

use bytesize::ByteSize;
use serde::Deserialize;

use super::gc;
use crate::error::Error;
use crate::settings::Repair;

/// `[repair]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepairSection {
    #[serde(default, deserialize_with = "gc::size")]
    pub bytes_per_second: Option<ByteSize>,
}

impl RepairSection {
    /// With every default filled in.
    pub fn settle(self) -> Result<Repair, Error> {
        let bytes_per_second = match self.bytes_per_second.map(|size| size.as_u64()) {
            Some(0) => {
                return Err(Error::Setting {
                    key: "repair.bytes_per_second".to_owned(),
                    why: "must be more than zero: copies that are lost would never be made again"
                        .to_owned(),
                });
            }
            Some(bytes) => bytes,
            None => Repair::default().bytes_per_second,
        };
        Ok(Repair { bytes_per_second })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use crate::config::Config;
    use crate::settings::Repair;

    #[test]
    fn a_rate_is_a_size_and_never_zero() {
        let settle = |text: &str| Config::parse(text).unwrap().repair.settle();
        assert_eq!(settle("").unwrap(), Repair::default());
        let slow = settle("[repair]\nbytes_per_second = \"1MiB\"").unwrap();
        assert_eq!(slow.bytes_per_second, 1 << 20);
        let error = settle("[repair]\nbytes_per_second = \"0B\"").unwrap_err().to_string();
        assert!(error.contains("repair.bytes_per_second"), "{error}");
    }
}
