//! What devices send: many small objects, read within minutes by whatever watches the stream, and seldom later.
//!
//! That almost all questions are about the last day is what Pelkonen et al. saw of Facebook's measurements ("Gorilla: a fast,
//! scalable, in-memory time series database", VLDB 2015), which therefore kept 26 hours of them at hand. How often devices
//! send, how large the objects are (200 bytes to 64 KB), which devices somebody has on a dashboard and how long a site keeps
//! its objects is this generator's own choice.

use std::fmt::Write as _;

use crate::traces::calendar::{Calendar, DAY, HOUR};
use crate::traces::classes::{Workload, dated, write_date};
use crate::traces::draft::Draft;
use crate::traces::random::Stream;

const SIZES: (u64, u64) = (200, 64 << 10);

/// A dashboard shows so many days.
const DASHBOARD_DAYS: i64 = 7;

/// Without a retention, only so much of what came before the log is seen in it.
const SEEN_DAYS: i64 = 7;

/// How many objects a device sends in a day, at most: one every five minutes.
const SENT_MAX: u64 = 288;

/// A site.
#[derive(Debug)]
pub struct Iot {
    calendar: Calendar,
    size_median: f64,
    size_sigma: f64,
    /// Of each device, in a day.
    sent: u64,
    /// Of what is sent, read by the job that watches.
    streamed_share: f64,
    /// Read once more by a nightly job.
    is_batched: bool,
    /// Of all devices, looked at on workdays.
    watched_share: f64,
    retention_days: Option<i64>,
}

impl Iot {
    pub fn draw(calendar: Calendar, stream: &mut Stream) -> Self {
        let keeps = stream.chance(0.4);
        Self {
            calendar,
            size_median: stream.log_between(400.0, 2e4),
            size_sigma: stream.between(0.2, 0.8),
            sent: stream.log_between(4.0, SENT_MAX as f64) as u64,
            streamed_share: stream.between(0.9, 1.0),
            is_batched: stream.chance(0.5),
            watched_share: stream.between(0.0, 0.05),
            retention_days: if keeps { None } else { Some(stream.pick(&[7, 14, 30, 90])) },
        }
    }

    /// One object, and what reads it within a day or two.
    fn sent(&self, draft: &mut Draft, name: u64, born_s: i64, stream: &mut Stream) -> u32 {
        let life = draft.put(name, born_s, stream.size(self.size_median, self.size_sigma, SIZES));
        if let Some(days) = self.retention_days {
            // Retention is looked at once a day.
            draft
                .delete(life, (born_s.div_euclid(DAY) + days + 1) * DAY + stream.below(600) as i64);
        }
        if stream.chance(self.streamed_share) {
            draft.read(life, born_s + stream.log_between(2.0, 900.0) as i64);
        }
        if self.is_batched {
            let night_s = (born_s.div_euclid(DAY) + 1) * DAY + HOUR;
            draft.read(life, night_s + stream.below(HOUR as u64) as i64);
        }
        life
    }
}

impl Workload for Iot {
    fn fill(&self, draft: &mut Draft, objects: u64, stream: &mut Stream) {
        let days = draft.calendar.days;
        let old_days = self.retention_days.unwrap_or(SEEN_DAYS);
        let a_day = objects as f64 / (days + old_days) as f64;
        let sent = self.sent.min(a_day as u64).max(1);
        let devices = (a_day / sent as f64).round().max(1.0);
        // A site that is too small for one object a day sends now and then.
        let share = (a_day / (devices * sent as f64)).min(1.0);
        for device in 0..devices as u64 {
            let is_watched = stream.chance(self.watched_share);
            let shift_s = stream.below(DAY as u64 / sent) as i64;
            for day in -old_days..days {
                let first = draft.lives.len() as u32;
                for number in 0..sent {
                    let at_s = day * DAY + shift_s + (number * DAY as u64 / sent) as i64;
                    if stream.chance(share) {
                        let name = dated(day, (device << 16) | number);
                        self.sent(draft, name, at_s + stream.below(20) as i64, stream);
                    }
                }
                let last = draft.lives.len() as u32;
                let looked_at = (day..day + DASHBOARD_DAYS)
                    .filter(|day| is_watched && self.calendar.is_workday(*day));
                for day in looked_at {
                    let at_s = self.calendar.office(day, stream);
                    (first..last)
                        .for_each(|life| draft.read(life, at_s + i64::from(life - first) / 8));
                }
            }
        }
    }

    fn key(&self, name: u64, out: &mut String) {
        let (day, number) = (name >> 32, name & 0xffff_ffff);
        // Writing into a string does not fail.
        let _ = write!(out, "telemetry/device-{:05}/", number >> 16);
        write_date(self.calendar, day, '-', out);
        let _ = write!(out, "/{:05}.json", number & 0xffff);
    }
}
