//! Tables of a data lake: a partition for each day. Dashboards read the last days of it on every workday, reports reach
//! further back each week, month and quarter, and analysts wherever they like, mostly not far. Small files of a day are made
//! into large ones soon. What tells which files there are is read by everything, and written all the time.
//!
//! Chen, Alspaugh and Katz, "Interactive analytical processing in big data systems: a cross-industry study of MapReduce
//! workloads", VLDB 2012, found that few files get most accesses, that data is used again within hours more than at any other
//! time, and that the patterns of seven clusters have little in common: so windows, rates and compactions are drawn widely, and
//! they are this generator's own choice.

use std::fmt::Write as _;

use crate::traces::calendar::{Calendar, DAY, HOUR};
use crate::traces::classes::{Workload, dated, write_date};
use crate::traces::draft::{Draft, NEVER};
use crate::traces::random::Stream;

const SIZES: (u64, u64) = (16 << 10, 2 << 30);

/// Partitions that are older were never there.
const HISTORY_DAYS: i64 = 400;

/// Of those, so many are seen again.
const SEEN_AGAIN: f64 = 0.6;

/// A table with fewer files each day is not compacted.
const COMPACTED_MIN: f64 = 3.0;

/// The name of the object that tells which files there are; those of days are larger.
const METADATA: u64 = 1;

/// In a file's name: it is one of the large ones.
const LARGE: u64 = 1 << 24;

/// A table.
#[derive(Debug)]
pub struct Lake {
    calendar: Calendar,
    part_bytes: f64,
    /// Small files that become a large one.
    merged: u64,
    merged_after_days: i64,
    /// What a dashboard shows, and how often it is opened on a day.
    dashboard_days: i64,
    dashboards: f64,
    works_on_weekends: bool,
    weekly_days: i64,
    has_monthly: bool,
    has_quarterly: bool,
    analyses_a_day: f64,
    /// Of a file, read by a question: the columns that it is about.
    columns_share: f64,
    commits_a_day: f64,
    rewrites_a_year: f64,
    retention_days: Option<i64>,
}

/// Lives of a day's files.
type Partitions = Vec<Vec<u32>>;

impl Lake {
    pub fn draw(calendar: Calendar, stream: &mut Stream) -> Self {
        let keeps = stream.chance(0.65);
        Self {
            calendar,
            part_bytes: stream.log_between(5e5, 2e7),
            merged: stream.whole(4, 16),
            merged_after_days: stream.whole(1, 3) as i64,
            dashboard_days: stream.pick(&[2, 7, 7, 14, 28, 31]),
            dashboards: stream.between(0.7, 2.5),
            works_on_weekends: stream.chance(0.3),
            weekly_days: stream.pick(&[0, 14, 28, 56]),
            has_monthly: stream.chance(0.7),
            has_quarterly: stream.chance(0.5),
            analyses_a_day: stream.log_between(0.05, 1.0),
            columns_share: stream.between(0.1, 0.8),
            commits_a_day: stream.log_between(0.5, 6.0),
            rewrites_a_year: stream.between(0.0, 4.0),
            retention_days: if keeps { None } else { Some(stream.pick(&[90, 180, 365])) },
        }
    }

    /// All files, by days.
    fn partitions(&self, draft: &mut Draft, a_day: f64, stream: &mut Stream) -> Partitions {
        let is_merged = a_day >= COMPACTED_MIN;
        let small = if is_merged { a_day / (1.0 + 1.0 / self.merged as f64) } else { a_day };
        let mut all = Vec::new();
        for day in -HISTORY_DAYS..draft.calendar.days {
            // Weekends bring less.
            let wanted = small * if draft.calendar.is_workday(day) { 1.1 } else { 0.75 };
            let count = wanted as u64 + u64::from(stream.chance(wanted.fract()));
            let mut lives = Vec::new();
            for part in 0..count {
                let born_s = day * DAY + ((part + 1) * DAY as u64 / (count + 1)) as i64;
                let size = stream.size(self.part_bytes, 0.6, SIZES);
                lives.push(draft.put(dated(day, part), born_s + stream.below(600) as i64, size));
            }
            if is_merged {
                self.merge(draft, day, &mut lives, stream);
            }
            if let Some(days) = self.retention_days {
                let end_s = (day + days) * DAY + 3 * HOUR;
                let kept = lives.iter().filter(|life| draft.lives[**life as usize].born_s < end_s);
                let last: Vec<u32> =
                    kept.filter(|life| !draft.lives[**life as usize].is_deleted).copied().collect();
                last.into_iter().for_each(|life| draft.delete(life, end_s));
            }
            all.push(lives);
        }
        all
    }

    /// The small files of a day become a few large ones.
    fn merge(&self, draft: &mut Draft, day: i64, lives: &mut Vec<u32>, stream: &mut Stream) {
        let at_s = (day + self.merged_after_days) * DAY + 2 * HOUR + stream.below(1_800) as i64;
        let mut large = Vec::new();
        for (number, group) in lives.chunks(self.merged as usize).enumerate() {
            let bytes: u64 = group.iter().map(|life| draft.lives[*life as usize].size_bytes).sum();
            large.push(draft.put(dated(day, LARGE | number as u64), at_s, bytes / 10 * 9));
            for life in group {
                draft.read(*life, at_s - 60);
                draft.delete(*life, at_s + 120);
            }
        }
        lives.extend(large);
    }

    /// Something in the past was wrong, and is written once more.
    fn rewrites(&self, draft: &mut Draft, all: &mut Partitions, stream: &mut Stream) {
        for _ in 0..stream.poisson(self.rewrites_a_year * draft.calendar.days as f64 / 365.0) {
            let day = stream.below(draft.calendar.days as u64) as i64;
            let last = day - self.merged_after_days - stream.log_between(2.0, 200.0) as i64;
            let at_s = draft.calendar.office(day, stream);
            for place in last + HISTORY_DAYS - stream.whole(0, 6) as i64..=last + HISTORY_DAYS {
                let Some(lives) = usize::try_from(place).ok().and_then(|place| all.get_mut(place))
                else {
                    continue;
                };
                let open = |life: &&u32| {
                    let life = draft.lives[**life as usize];
                    life.born_s < at_s && life.end_s == NEVER
                };
                let rewritten: Vec<u32> = lives.iter().filter(open).copied().collect();
                for life in rewritten {
                    let size =
                        draft.lives[life as usize].size_bytes as f64 * stream.between(0.9, 1.1);
                    lives.push(draft.overwrite(life, at_s + stream.below(900) as i64, size as u64));
                }
            }
        }
    }

    /// Versions of what tells which files there are.
    fn metadata(&self, draft: &mut Draft, a_day: f64, stream: &mut Stream) -> Vec<u32> {
        let mut versions = vec![draft.put(METADATA, -HISTORY_DAYS * DAY, 20_000)];
        // Each commit brings a file at least.
        let pause_s = DAY as f64 / self.commits_a_day.min(a_day);
        let mut at_s = -HISTORY_DAYS * DAY;
        while at_s < draft.calendar.length_s() {
            at_s += 60 + stream.exponential(pause_s) as i64;
            let size = stream.whole(15_000, 90_000);
            versions.push(draft.overwrite(versions[versions.len() - 1], at_s, size));
        }
        versions
    }

    /// When somebody asks about which days: the first and the last one.
    fn questions(&self, calendar: Calendar, stream: &mut Stream) -> Vec<(i64, i64, i64)> {
        let mut asked = Vec::new();
        for day in 0..calendar.days {
            let works = self.works_on_weekends || calendar.is_workday(day);
            for _ in 0..if works { stream.poisson(self.dashboards) } else { 0 } {
                let at_s = calendar.office(day, stream);
                let today = at_s.div_euclid(DAY);
                asked.push((at_s, today - self.dashboard_days + 1, today));
            }
            let date = calendar.date(day);
            let mut report = |days: i64| {
                asked.push((
                    day * DAY + 5 * HOUR + stream.below(7_200) as i64,
                    day - days,
                    day - 1,
                ));
            };
            if self.weekly_days > 0 && calendar.weekday(day) == 0 {
                report(self.weekly_days);
            }
            if self.has_monthly && date.day == 1 {
                report(i64::from(calendar.date(day - 1).day));
            }
            if self.has_quarterly && date.day == 2 && date.month % 3 == 1 {
                report(if date.month == 1 { 365 } else { 92 });
            }
            for _ in 0..stream.poisson(if works { self.analyses_a_day } else { 0.0 }) {
                let last = day - stream.log_between(0.5, HISTORY_DAYS as f64) as i64;
                asked.push((calendar.office(day, stream), last - stream.whole(0, 9) as i64, last));
            }
        }
        asked
    }

    fn answer(
        &self,
        draft: &mut Draft,
        all: &Partitions,
        asked: (i64, i64, i64),
        stream: &mut Stream,
    ) {
        let (at_s, first, last) = asked;
        let share = (self.columns_share * stream.between(0.6, 1.4)).min(1.0);
        let length_s = stream.whole(20, 1_200);
        for place in first + HISTORY_DAYS..=last + HISTORY_DAYS {
            let lives = usize::try_from(place).ok().and_then(|place| all.get(place));
            for life in lives.into_iter().flatten() {
                let bytes = draft.lives[*life as usize].size_bytes as f64 * share;
                draft.read_range(*life, at_s + stream.below(length_s) as i64, bytes as u64);
            }
        }
    }
}

impl Workload for Lake {
    fn fill(&self, draft: &mut Draft, objects: u64, stream: &mut Stream) {
        let calendar = draft.calendar;
        let old_days = self.retention_days.unwrap_or(HISTORY_DAYS).min(HISTORY_DAYS) as f64;
        // Of the old ones only large files are left, where there are any.
        let seen_share = SEEN_AGAIN / (1.0 + self.merged as f64);
        let a_day = |old_share: f64| objects as f64 / (calendar.days as f64 + old_days * old_share);
        let a_day = match a_day(seen_share) {
            merged if merged >= COMPACTED_MIN => merged,
            _ => a_day(SEEN_AGAIN).min(COMPACTED_MIN / 2.0),
        };
        let mut all = self.partitions(draft, a_day, stream);
        self.rewrites(draft, &mut all, stream);
        let metadata = self.metadata(draft, a_day, stream);
        for asked in self.questions(calendar, stream) {
            let version =
                metadata.partition_point(|life| draft.lives[*life as usize].born_s < asked.0);
            if let Some(last) = version.checked_sub(1) {
                draft.read(metadata[last], asked.0);
            }
            self.answer(draft, &all, asked, stream);
        }
    }

    fn key(&self, name: u64, out: &mut String) {
        if name == METADATA {
            return out.push_str("events/metadata/current.json");
        }
        out.push_str("events/day=");
        write_date(self.calendar, name >> 32, '-', out);
        let (kind, part) = if name & LARGE == 0 {
            ("part", name & 0xff_ffff)
        } else {
            ("merged", name & 0xff_ffff)
        };
        // Writing into a string does not fail.
        let _ = write!(out, "/{kind}-{part:05}.parquet");
    }
}
