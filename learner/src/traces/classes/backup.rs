//! Backups of machines: a full set each week and a small one each other day, kept for some time by rule and then deleted. What
//! is in them is read when something is lost, which is seldom; a small index and a list of snapshots are read on every run.
//!
//! That backups churn fast (half of the files are younger than about three weeks) and are few and large files where primary
//! storage has many small ones is what Wallace et al. saw on over 10,000 systems ("Characteristics of backup workloads in
//! production systems", FAST 2012). Retention by days, weeks and months and the layout of keys are those of today's tools (see
//! restic's "References: Design", which has `data`, `index`, `snapshots` and `config`); rates of restores and checks are this
//! generator's own choice.

use std::fmt::Write as _;

use crate::traces::calendar::{Calendar, DAY, HOUR};
use crate::traces::classes::Workload;
use crate::traces::draft::Draft;
use crate::traces::random::Stream;

/// Monthly sets are kept for a year.
const MONTHLY_DAYS: i64 = 365;

/// Sets that are older were deleted before the log began.
const HISTORY_DAYS: i64 = MONTHLY_DAYS + 7;

/// Smaller sets than this do not get an index object for each day.
const INDEXED_SET: f64 = 8.0;

const SIZES: (u64, u64) = (64 << 10, 4 << 30);
const INDEX_SIZES: (u64, u64) = (2 << 10, 8 << 20);

/// What an object is, in the upper bits of its name.
const DATA: u64 = 0;
const INDEX: u64 = 1;
const SNAPSHOT: u64 = 2;
const CONFIG: u64 = 3;
const KIND_SHIFT: u32 = 48;

/// A machine.
#[derive(Debug)]
pub struct Backup {
    pack_bytes: f64,
    /// Of a full set, in a daily one.
    daily_share: f64,
    /// When the full set is made: from 0 for Monday, and an hour.
    weekday: i64,
    hour: i64,
    daily_kept_days: i64,
    weekly_kept_days: i64,
    restores_a_year: f64,
    /// Of all objects, read each month to see whether they are sound.
    checked_share: f64,
}

/// A set, and what belongs to it.
struct Set {
    at_s: i64,
    is_full: bool,
    /// Its first life, and the one after its last.
    data: (u32, u32),
    index: Option<u32>,
}

impl Backup {
    pub fn draw(stream: &mut Stream) -> Self {
        let checks = stream.chance(0.4);
        Self {
            pack_bytes: stream.log_between(1.6e7, 1e9),
            daily_share: stream.log_between(0.02, 0.2),
            weekday: stream.whole(4, 6) as i64,
            hour: stream.whole(0, 5) as i64,
            daily_kept_days: stream.whole(7, 14) as i64,
            weekly_kept_days: stream.whole(4, 5) as i64 * 7,
            restores_a_year: stream.log_between(0.5, 5.0),
            checked_share: if checks { stream.between(0.01, 0.05) } else { 0.0 },
        }
    }

    /// Objects of a full set, so that all sets together are about so many.
    fn full_objects(&self, days: i64, objects: u64) -> f64 {
        let weeks = days as f64 / 7.0;
        let fulls = weeks + 12.0 + self.weekly_kept_days as f64 / 7.0;
        let others = weeks * 6.0 + self.daily_kept_days as f64;
        objects as f64 / (fulls + others * self.daily_share)
    }

    fn kept_days(&self, calendar: Calendar, day: i64, is_full: bool) -> i64 {
        match is_full {
            // The first of its month.
            true if calendar.date(day).day <= 7 => MONTHLY_DAYS,
            true => self.weekly_kept_days,
            false => self.daily_kept_days,
        }
    }

    fn sets(&self, draft: &mut Draft, full: f64, stream: &mut Stream) -> Vec<Set> {
        let calendar = draft.calendar;
        let mut sets = Vec::new();
        for day in -HISTORY_DAYS..calendar.days {
            let is_full = calendar.weekday(day) == self.weekday;
            let kept_s = self.kept_days(calendar, day, is_full) * DAY;
            let at_s = day * DAY + self.hour * HOUR + stream.below(900) as i64;
            // Deleted by the run after which it is too old, which is one of those to come.
            let end_s = at_s + kept_s + HOUR;
            if end_s < 0 {
                continue;
            }
            let share = if is_full { 1.0 } else { self.daily_share * stream.between(0.4, 1.8) };
            let wanted = full * share;
            let count = wanted as u64 + u64::from(stream.chance(wanted.fract()));
            let first = draft.lives.len() as u32;
            for number in 0..count {
                let size = stream.size(self.pack_bytes, 0.15, SIZES);
                let name = (DATA << KIND_SHIFT) | (u64::from(first) + number);
                let life = draft.put(name, at_s + (number * 7_200 / count) as i64, size);
                draft.delete(life, end_s + (number / 50) as i64);
            }
            let data = (first, draft.lives.len() as u32);
            let has_index = count > 0 && (is_full || full >= INDEXED_SET);
            let index = has_index.then(|| self.index(draft, at_s, end_s, count, stream));
            sets.push(Set { at_s, is_full, data, index });
        }
        sets
    }

    /// The index of a set, and after it the snapshot.
    fn index(
        &self,
        draft: &mut Draft,
        at_s: i64,
        end_s: i64,
        count: u64,
        stream: &mut Stream,
    ) -> u32 {
        let number = draft.lives.len() as u64;
        let size = stream.size(3_000.0 + 400.0 * count as f64, 0.3, INDEX_SIZES);
        let index = draft.put((INDEX << KIND_SHIFT) | number, at_s + 7_300, size);
        let snapshot =
            draft.put((SNAPSHOT << KIND_SHIFT) | number, at_s + 7_310, stream.whole(300, 900));
        draft.delete(index, end_s + 600);
        draft.delete(snapshot, end_s + 601);
        index
    }

    /// What each run reads before it writes: its settings, the last snapshots, and each week every index there is.
    fn runs(&self, draft: &mut Draft, sets: &[Set], stream: &mut Stream) {
        let config = draft.put(CONFIG << KIND_SHIFT, -HISTORY_DAYS * DAY, 155);
        for (place, set) in sets.iter().enumerate() {
            let at_s = set.at_s - 60;
            draft.read(config, at_s);
            let reach = if set.is_full { place } else { 3 };
            for former in &sets[place.saturating_sub(reach)..place] {
                if let Some(index) = former.index {
                    let at_s = at_s + stream.below(50) as i64;
                    draft.read(index, at_s);
                    draft.read(index + 1, at_s);
                }
            }
        }
    }

    /// Somebody needs a whole set, most times the last one with all that came after it.
    fn restores(&self, draft: &mut Draft, sets: &[Set], stream: &mut Stream) {
        let days = draft.calendar.days;
        for _ in 0..stream.poisson(self.restores_a_year * days as f64 / 365.0) {
            let day = stream.below(days as u64) as i64;
            let at_s = draft.calendar.office(day, stream);
            let past = sets.partition_point(|set| set.at_s < at_s);
            let fulls: Vec<usize> = (0..past).filter(|place| sets[*place].is_full).collect();
            let Some(last) = fulls.last() else { continue };
            let wanted = match stream.chance(0.7) {
                true => *last..past,
                false => {
                    let place = stream.pick(&fulls);
                    place..place + 1
                }
            };
            let length_s = stream.log_between(1_800.0, 20_000.0);
            for set in &sets[wanted] {
                let count = f64::from((set.data.1 - set.data.0).max(1));
                for life in set.data.0..set.data.1 {
                    let part = f64::from(life - set.data.0) / count;
                    draft.read(life, at_s + (part * length_s) as i64);
                }
            }
        }
    }

    fn checks(&self, draft: &mut Draft, lives: u32, stream: &mut Stream) {
        if self.checked_share == 0.0 {
            return;
        }
        let calendar = draft.calendar;
        for day in (0..calendar.days).filter(|day| calendar.date(*day).day == 2) {
            for life in 0..lives {
                if stream.chance(self.checked_share) {
                    draft.read(life, day * DAY + 8 * HOUR + stream.below(3 * HOUR as u64) as i64);
                }
            }
        }
    }
}

impl Workload for Backup {
    fn fill(&self, draft: &mut Draft, objects: u64, stream: &mut Stream) {
        let full = self.full_objects(draft.calendar.days, objects);
        let sets = self.sets(draft, full, stream);
        let lives = draft.lives.len() as u32;
        self.runs(draft, &sets, stream);
        self.restores(draft, &sets, stream);
        self.checks(draft, lives, stream);
    }

    fn key(&self, name: u64, out: &mut String) {
        // Such tools call objects by the hashes of what is in them.
        let hash = Stream::of(name, &[]).bits();
        // Writing into a string does not fail.
        let _ = match name >> KIND_SHIFT {
            INDEX => write!(out, "index/{hash:016x}"),
            SNAPSHOT => write!(out, "snapshots/{hash:016x}"),
            CONFIG => write!(out, "config"),
            _ => write!(out, "data/{:02x}/{hash:016x}", hash >> 56),
        };
    }
}
