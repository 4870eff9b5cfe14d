//! Logs that services write: every hour or every day a file of each machine. An index reads it within a day or two; then it
//! lies there, unless something went wrong and somebody reads a whole range of days, or a report wants the last month.
//!
//! That archived logs are kept for long, for years in some trades, and searched so seldom that slow searches are put up with,
//! is the reason for Rodrigues, Luo and Yuan, "CLP: efficient and scalable search on compressed text logs", OSDI 2021; that
//! most questions are about the last day is in Pelkonen et al., "Gorilla", VLDB 2015. Rates of incidents and reports, sizes and
//! retentions are this generator's own choice.

use std::fmt::Write as _;

use crate::traces::calendar::{Calendar, DAY, HOUR};
use crate::traces::classes::{Workload, dated, write_date};
use crate::traces::draft::Draft;
use crate::traces::random::Stream;

const SIZES: (u64, u64) = (1 << 10, 1 << 30);

/// Logs that were there when this one begins are as old as this, at most.
const HISTORY_DAYS: i64 = 180;

/// Of those that nothing deletes, so many days are seen again.
const SEEN_DAYS: i64 = 25;

/// So many files each day, and a service writes hourly ones.
const HOURLY_MIN: f64 = 48.0;

/// The oldest logs that an incident leads to.
const INCIDENT_AGE_MAX_DAYS: f64 = 120.0;

/// A service.
#[derive(Debug)]
pub struct ServiceLogs {
    calendar: Calendar,
    size_median: f64,
    size_sigma: f64,
    indexed_share: f64,
    /// Whether something besides the index reads new files.
    second_reader_share: f64,
    incidents_a_year: f64,
    /// Of the last month's files, read by a report.
    reported_share: f64,
    retention_days: Option<i64>,
}

impl ServiceLogs {
    pub fn draw(calendar: Calendar, stream: &mut Stream) -> Self {
        let (reports, keeps) = (stream.chance(0.5), stream.chance(0.5));
        Self {
            calendar,
            size_median: stream.log_between(2e5, 8e7),
            size_sigma: stream.between(0.4, 1.0),
            indexed_share: stream.between(0.9, 1.0),
            second_reader_share: stream.between(0.0, 0.4),
            incidents_a_year: stream.log_between(3.0, 14.0),
            reported_share: if reports { stream.between(0.1, 1.0) } else { 0.0 },
            retention_days: if keeps { None } else { Some(stream.pick(&[30, 60, 90, 180])) },
        }
    }

    /// All files, and the lives of each day.
    fn files(&self, draft: &mut Draft, a_day: f64, stream: &mut Stream) -> Vec<(u32, u32)> {
        let hours = if a_day >= HOURLY_MIN { 1 } else { 24 };
        let machines = (a_day * hours as f64 / 24.0).round().max(1.0);
        let share = (a_day * hours as f64 / 24.0 / machines).min(1.0);
        let mut days = Vec::new();
        for day in -HISTORY_DAYS..draft.calendar.days {
            let first = draft.lives.len() as u32;
            for hour in (0..24).step_by(hours) {
                for machine in 0..machines as u64 {
                    if stream.chance(share) {
                        let name = dated(day, (hour << 24) | machine);
                        self.file(
                            draft,
                            name,
                            (day * 24 + (hour as i64) + hours as i64) * HOUR,
                            stream,
                        );
                    }
                }
            }
            days.push((first, draft.lives.len() as u32));
        }
        days
    }

    /// A file of the hours that end now.
    fn file(&self, draft: &mut Draft, name: u64, end_s: i64, stream: &mut Stream) {
        let hour = end_s.rem_euclid(DAY) / HOUR;
        // Nights are quiet.
        let load = if (7..=22).contains(&hour) { 1.0 } else { 0.4 };
        let size = stream.size(self.size_median * load, self.size_sigma, SIZES);
        let born_s = end_s + stream.below(300) as i64;
        let life = draft.put(name, born_s, size);
        if let Some(days) = self.retention_days {
            draft
                .delete(life, (born_s.div_euclid(DAY) + days + 1) * DAY + stream.below(900) as i64);
        }
        if stream.chance(self.indexed_share) {
            draft.read(life, born_s + stream.log_between(60.0, 1.6 * DAY as f64) as i64);
        }
        if stream.chance(self.second_reader_share) {
            draft.read(life, born_s + stream.log_between(HOUR as f64, 3.0 * DAY as f64) as i64);
        }
    }

    fn incidents(&self, draft: &mut Draft, days: &[(u32, u32)], stream: &mut Stream) {
        let all = draft.calendar.days;
        for _ in 0..stream.poisson(self.incidents_a_year * all as f64 / 365.0) {
            // Something breaks on any day, at any time.
            let at_s = stream.below((all * DAY) as u64) as i64;
            let age = stream.log_between(0.3, INCIDENT_AGE_MAX_DAYS);
            let last = (at_s - (age * DAY as f64) as i64).div_euclid(DAY) + HISTORY_DAYS;
            let first = last - stream.whole(0, 6) as i64;
            let share = stream.between(0.3, 1.0);
            for place in first..=last {
                let Some(lives) = usize::try_from(place).ok().and_then(|place| days.get(place))
                else {
                    continue;
                };
                for life in lives.0..lives.1 {
                    for _ in 0..if stream.chance(share) { stream.whole(1, 3) } else { 0 } {
                        draft.read(life, at_s + stream.below(2 * DAY as u64) as i64);
                    }
                }
            }
        }
    }

    /// On the first days of a month, about the last one.
    fn reports(&self, draft: &mut Draft, days: &[(u32, u32)], stream: &mut Stream) {
        if self.reported_share == 0.0 {
            return;
        }
        let calendar = draft.calendar;
        for day in (0..calendar.days).filter(|day| calendar.date(*day).day == 1) {
            let at_s = calendar.office(day + stream.below(3) as i64, stream);
            let length = i64::from(calendar.date(day - 1).day);
            let from = (day - length + HISTORY_DAYS).max(0) as usize;
            for lives in &days[from..(day + HISTORY_DAYS) as usize] {
                for life in lives.0..lives.1 {
                    if stream.chance(self.reported_share) {
                        draft.read(life, at_s + stream.below(4 * HOUR as u64) as i64);
                    }
                }
            }
        }
    }
}

impl Workload for ServiceLogs {
    fn fill(&self, draft: &mut Draft, objects: u64, stream: &mut Stream) {
        let seen_days = self.retention_days.map_or(SEEN_DAYS, |days| days.min(HISTORY_DAYS));
        let a_day = objects as f64 / (draft.calendar.days + seen_days) as f64;
        let days = self.files(draft, a_day, stream);
        self.incidents(draft, &days, stream);
        self.reports(draft, &days, stream);
    }

    fn key(&self, name: u64, out: &mut String) {
        out.push_str("requests/");
        write_date(self.calendar, name >> 32, '/', out);
        let (hour, machine) = ((name >> 24) & 0xff, name & 0xff_ffff);
        // Writing into a string does not fail.
        let _ = write!(out, "/{hour:02}/machine-{machine:04}.log.gz");
    }
}
