//! Documents of teams: each is read in bursts soon after it was written, then seldom, and most of them never again.
//!
//! How often a file is read, and how large files are that are read so often, is what CERN counted (`eos`). When it is read
//! is this generator's own choice, since that data does not tell: bursts whose ages are spread evenly over the orders of
//! magnitude from minutes to months, so that the gaps between them have heavy tails; most work is done within office hours.
//! CERN's files are those of physics, so sizes are scaled down by a factor of each team's own. How many files nobody reads is
//! drawn too: CERN's table has only those that somebody did.

use std::fmt::Write as _;

use crate::traces::calendar::DAY;
use crate::traces::classes::{Workload, eos};
use crate::traces::draft::Draft;
use crate::traces::random::Stream;

/// What was written before the log's start and is still there.
const HISTORY_DAYS: i64 = 730;

const SIZES: (u64, u64) = (500, 5_000_000_000);

/// Nothing is read sooner after it was written.
const YOUNGEST_S: f64 = 120.0;

/// A burst that would last too long is cut in two.
const BURST_MAX: u64 = 64;

/// Steps of this size, over and over, spread numbers over 0 to 1 more evenly than chance: the golden ratio's fraction.
const EVEN_STEP: f64 = 0.618_033_988_749_894_9;

/// A team.
#[derive(Debug)]
pub struct Documents {
    /// Of CERN's files' sizes.
    scale: f64,
    size_sigma: f64,
    never_read_share: f64,
    /// Of all files, saved again while their authors work on them.
    saved_share: f64,
    /// Of all files, in a year.
    deleted_share: f64,
    burst_mean: f64,
    ending: &'static str,
}

impl Documents {
    pub fn draw(stream: &mut Stream) -> Self {
        Self {
            scale: stream.log_between(0.01, 0.5),
            size_sigma: stream.between(1.0, 2.0),
            never_read_share: stream.between(0.15, 0.5),
            saved_share: stream.between(0.03, 0.2),
            deleted_share: stream.between(0.0, 0.06),
            burst_mean: stream.between(1.5, 4.0),
            ending: stream.pick(&["docx", "pdf", "xlsx", "pptx", "root", "zip"]),
        }
    }

    /// All reads of a file, over its versions.
    fn reads(&self, draft: &mut Draft, versions: &[u32], count: u64, stream: &mut Stream) {
        let first = versions[0];
        let born_s = draft.lives[first as usize].born_s;
        let (from_s, _) = draft.readable(first);
        let (_, to_s) = draft.readable(versions[versions.len() - 1]);
        if from_s >= to_s {
            return;
        }
        let youngest = ((from_s - born_s) as f64).max(YOUNGEST_S);
        let oldest = ((to_s - born_s) as f64).max(youngest + 1.0);
        let mut left = count;
        while left > 0 {
            // The more often a file is read, the more readers come at once.
            let mean = self.burst_mean.max(count as f64 / 40.0);
            let burst = stream.geometric(mean, BURST_MAX).min(left);
            left -= burst;
            let at_s = born_s + stream.log_between(youngest, oldest) as i64;
            let at_office_s = draft.calendar.office(at_s.div_euclid(DAY), stream);
            let is_same_day = at_s - born_s < DAY;
            let at_s = if is_same_day || at_office_s <= born_s { at_s } else { at_office_s };
            let first_s = at_s.clamp(from_s, to_s - 1);
            let mut at_s = first_s;
            for _ in 0..burst {
                // A burst that begins at the end of all is over sooner.
                if at_s >= to_s {
                    at_s = first_s + stream.below((to_s - first_s) as u64) as i64;
                }
                let version =
                    versions.partition_point(|life| draft.lives[*life as usize].born_s < at_s);
                draft.read(versions[version.saturating_sub(1)], at_s);
                at_s += stream.log_between(5.0, 7_200.0) as i64;
            }
        }
    }

    /// A file is written, and perhaps saved again and deleted.
    fn versions(&self, draft: &mut Draft, name: u64, size: u64, stream: &mut Stream) -> Vec<u32> {
        let days = draft.calendar.days;
        let day = stream.below((days + HISTORY_DAYS) as u64) as i64 - HISTORY_DAYS;
        let born_s = draft.calendar.office(day, stream);
        let mut versions = vec![draft.put(name, born_s, size)];
        if stream.chance(self.saved_share) {
            let mut at_s = born_s;
            for _ in 0..stream.geometric(2.0, 8) {
                at_s += stream.log_between(1_800.0, 20.0 * DAY as f64) as i64;
                let size = (size as f64 * stream.between(0.9, 1.2)) as u64;
                versions.push(draft.overwrite(versions[versions.len() - 1], at_s, size));
            }
        }
        let end_days = stream.exponential(365.0 / self.deleted_share.max(1e-3));
        if end_days < (HISTORY_DAYS + days) as f64 {
            let last = versions[versions.len() - 1];
            draft.delete(last, born_s + (end_days * DAY as f64) as i64);
        }
        versions
    }
}

impl Workload for Documents {
    fn fill(&self, draft: &mut Draft, objects: u64, stream: &mut Stream) {
        let days = draft.calendar.days as f64;
        let history = HISTORY_DAYS as f64;
        // Of the old ones, those that nobody reads are not in the log.
        let seen = (days + history * (1.0 - self.never_read_share)) / (days + history);
        let mut place = stream.unit();
        for name in 0..(objects as f64 / seen) as u64 {
            place = (place + EVEN_STEP).fract();
            let usage = eos::usage(place, stream);
            // The mean of a lognormal size is more than its median.
            let factor = self.scale * stream.around_one(self.size_sigma);
            let size = ((usage.mean_bytes as f64 * factor) as u64).clamp(SIZES.0, SIZES.1);
            let versions = self.versions(draft, name, size, stream);
            if !stream.chance(self.never_read_share) {
                self.reads(draft, &versions, usage.reads, stream);
            }
        }
    }

    fn key(&self, name: u64, out: &mut String) {
        // Writing into a string does not fail.
        let _ = write!(out, "files/{name:07}.{}", self.ending);
    }
}
