//! Data sets for machine learning: every training run reads all of one, again and again, and then it is quiet for weeks.
//!
//! Training goes over the whole set once in each epoch, in an order of its own (Mohan et al., "Analyzing and mitigating data
//! stalls in DNN training", VLDB 2021). That a set is cut into shards of one size is how readers of tar files want it; how
//! many epochs a run takes, how long the pauses are and how often a set is replaced is this generator's own choice.

use std::fmt::Write as _;

use crate::traces::calendar::{DAY, HOUR};
use crate::traces::classes::Workload;
use crate::traces::draft::Draft;
use crate::traces::random::Stream;

/// Versions that were there when the log begins are as old as this, at most.
const HISTORY_DAYS: i64 = 240;

/// No set has more versions in a log.
const VERSIONS_MAX: u64 = 4_000;

/// A set.
#[derive(Debug)]
pub struct Datasets {
    shard_bytes: u64,
    /// Until the next version.
    version_days: f64,
    /// Between runs.
    pause_days: f64,
    epochs_max: u64,
    epoch_hours: f64,
    /// After it was replaced, a version is kept so long.
    kept_days: Option<f64>,
    /// Of versions that were replaced, trained on once more.
    compared_share: f64,
}

impl Datasets {
    pub fn draw(stream: &mut Stream) -> Self {
        let keeps = stream.chance(0.4);
        Self {
            shard_bytes: stream.log_between(1.6e7, 4e8) as u64,
            version_days: stream.log_between(40.0, 160.0),
            pause_days: stream.log_between(10.0, 45.0),
            epochs_max: stream.whole(3, 12),
            epoch_hours: stream.log_between(2.0, 14.0),
            kept_days: if keeps { None } else { Some(stream.log_between(20.0, 200.0)) },
            compared_share: stream.between(0.0, 0.4),
        }
    }

    /// One training run, from its first read on. It tells when the run ends.
    fn run(&self, draft: &mut Draft, shards: (u32, u32), at_s: i64, stream: &mut Stream) -> i64 {
        let mut at_s = at_s;
        for _ in 0..stream.whole(1, self.epochs_max) {
            let length_s = (self.epoch_hours * stream.between(0.9, 1.1) * HOUR as f64) as i64;
            for life in shards.0..shards.1 {
                draft.read(life, at_s + stream.below(length_s as u64) as i64);
            }
            at_s += length_s;
        }
        at_s
    }

    /// All runs on a version, until it is replaced and a little later.
    fn runs(&self, draft: &mut Draft, shards: (u32, u32), until_s: i64, stream: &mut Stream) {
        let born_s = draft.lives[shards.0 as usize].born_s;
        let pause_s =
            |stream: &mut Stream| (stream.exponential(self.pause_days) * DAY as f64) as i64;
        let to_s = until_s.min(draft.calendar.length_s());
        // The upload takes some hours, and then somebody waits for it.
        let mut at_s = born_s + DAY + pause_s(stream) / 5;
        while at_s < to_s {
            let workday = at_s.div_euclid(DAY);
            at_s = draft.calendar.office(workday, stream).max(at_s);
            at_s = self.run(draft, shards, at_s, stream) + HOUR + pause_s(stream);
        }
        if stream.chance(self.compared_share) {
            let wait_s = (stream.log_between(1.0, 150.0) * DAY as f64) as i64;
            self.run(draft, shards, until_s + wait_s, stream);
        }
    }
}

impl Workload for Datasets {
    fn fill(&self, draft: &mut Draft, objects: u64, stream: &mut Stream) {
        let length_s = draft.calendar.length_s();
        let days = (draft.calendar.days + HISTORY_DAYS / 3) as f64;
        let shards = ((objects as f64 / (1.0 + days / self.version_days)) as u64).max(1);
        let first_s = (stream.unit() * self.version_days * DAY as f64) as i64;
        let mut born_s = first_s - HISTORY_DAYS * DAY;
        for version in 0..VERSIONS_MAX {
            if born_s >= length_s {
                break;
            }
            let next_days = self.version_days * stream.between(0.7, 1.3);
            let next_s = born_s + (next_days * DAY as f64) as i64;
            let first = draft.lives.len() as u32;
            for shard in 0..shards {
                let at_s = born_s + (shard * 6 * HOUR as u64 / shards) as i64;
                // The last shard is what is left.
                let is_last = shard + 1 == shards;
                let part = if is_last { stream.between(0.1, 1.0) } else { 1.0 };
                draft.put((version << 32) | shard, at_s, (self.shard_bytes as f64 * part) as u64);
            }
            let last = draft.lives.len() as u32;
            if let Some(kept) = self.kept_days {
                let end_s = next_s + (kept * stream.between(0.8, 1.2) * DAY as f64) as i64;
                (first..last)
                    .for_each(|life| draft.delete(life, end_s + i64::from(life - first) / 20));
            }
            self.runs(draft, (first, last), next_s, stream);
            born_s = next_s;
        }
    }

    fn key(&self, name: u64, out: &mut String) {
        // Writing into a string does not fail.
        let _ = write!(out, "train/v{:03}/shard-{:06}.tar", name >> 32, name & 0xffff_ffff);
    }
}
