//! What a web site serves: a few files are asked for all the time, most seldom.
//!
//! Requests fall as a power of the rank, with an exponent from 0.6 to 1.0 (Breslau et al., "Web caching and Zipf-like
//! distributions: evidence and implications", INFOCOM 1999, found 0.64 to 0.83 in six logs of proxies, and almost no
//! connection of popularity with size). Ranks change hands every week and sites are deployed anew; how fast is this
//! generator's own choice, as are the sizes, mostly between 2 KB and 2 MB.

use std::fmt::Write as _;

use crate::traces::calendar::{Calendar, DAY};
use crate::traces::classes::Workload;
use crate::traces::draft::Draft;
use crate::traces::random::{Stream, pow};

const SIZES: (u64, u64) = (200, 20_000_000);

/// How many requests an object gets in a day, on average over all of them.
const READS_A_DAY: f64 = 0.075;

const WEEK_DAYS: i64 = 7;

/// A site.
#[derive(Debug)]
pub struct Web {
    size_median: f64,
    size_sigma: f64,
    /// The exponent of the rank.
    alpha: f64,
    /// Of all ranks, each week.
    churn: f64,
    /// Of all objects, there when the log begins.
    old_share: f64,
    /// Of all objects, written again and again.
    rewritten_share: f64,
    rewritten_days: f64,
    ending: &'static str,
}

impl Web {
    pub fn draw(stream: &mut Stream) -> Self {
        Self {
            size_median: stream.log_between(1.2e4, 1e5),
            size_sigma: stream.between(1.0, 1.5),
            alpha: stream.between(0.6, 1.0),
            churn: stream.between(0.01, 0.12),
            old_share: stream.between(0.5, 0.85),
            rewritten_share: stream.between(0.02, 0.25),
            rewritten_days: stream.log_between(20.0, 120.0),
            ending: stream.pick(&["js", "css", "png", "webp", "html", "json"]),
        }
    }

    /// All versions of all objects, each object's in order.
    fn versions(&self, draft: &mut Draft, objects: u64, stream: &mut Stream) -> Vec<Vec<u32>> {
        let length_s = draft.calendar.length_s();
        let mut all = Vec::with_capacity(objects as usize);
        for name in 0..objects {
            let born_s = match stream.chance(self.old_share) {
                true => -1 - stream.below((365 * DAY) as u64) as i64,
                false => stream.below(length_s as u64) as i64,
            };
            let size = stream.size(self.size_median, self.size_sigma, SIZES);
            let mut versions = vec![draft.put(name, born_s, size)];
            let is_rewritten = stream.chance(self.rewritten_share);
            let mut at_s = born_s;
            while is_rewritten && at_s < length_s {
                let pause_s = (stream.exponential(self.rewritten_days) * DAY as f64) as i64;
                // A file that is written twice in an hour is not worth a version.
                at_s += pause_s.max(3_600);
                if at_s < length_s {
                    let size = (size as f64 * stream.between(0.9, 1.15)) as u64;
                    versions.push(draft.overwrite(versions[versions.len() - 1], at_s, size));
                }
            }
            all.push(versions);
        }
        all
    }

    /// Some objects swap their ranks.
    fn drift(&self, holders: &mut [usize], stream: &mut Stream) {
        let swaps = stream.poisson(holders.len() as f64 * self.churn / 2.0);
        for _ in 0..swaps {
            let (one, other) =
                (stream.below(holders.len() as u64), stream.below(holders.len() as u64));
            holders.swap(one as usize, other as usize);
        }
    }
}

impl Workload for Web {
    fn fill(&self, draft: &mut Draft, objects: u64, stream: &mut Stream) {
        let versions = self.versions(draft, objects, stream);
        let mut holders: Vec<usize> = (0..versions.len()).collect();
        for place in (1..holders.len()).rev() {
            holders.swap(place, stream.below(place as u64 + 1) as usize);
        }
        let weights: Vec<f64> =
            (1..=holders.len()).map(|rank| pow(rank as f64, -self.alpha)).collect();
        let in_a_week = READS_A_DAY * WEEK_DAYS as f64 * holders.len() as f64;
        let each = in_a_week / weights.iter().sum::<f64>();
        for week in 0..draft.calendar.days.div_euclid(WEEK_DAYS) + 1 {
            for (weight, holder) in weights.iter().zip(&holders) {
                for _ in 0..stream.poisson(each * weight) {
                    let day = week * WEEK_DAYS + stream.below(WEEK_DAYS as u64) as i64;
                    let at_s = Calendar::evening(day, stream);
                    let of_then = versions[*holder]
                        .partition_point(|life| draft.lives[*life as usize].born_s < at_s);
                    if let Some(last) = of_then.checked_sub(1) {
                        draft.read(versions[*holder][last], at_s);
                    }
                }
            }
            self.drift(&mut holders, stream);
        }
    }

    fn key(&self, name: u64, out: &mut String) {
        // Writing into a string does not fail.
        let _ = write!(out, "assets/{name:07}.{}", self.ending);
    }
}
