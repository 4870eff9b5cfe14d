//! Photos and videos: asked for less and less as they age.
//!
//! Requests for a photo or a video fall about as a power of its age, from its first hour on, and some are asked for far more
//! than others: Huang et al., "An analysis of Facebook photo caching", SOSP 2013; Beaver et al., "Finding a needle in
//! Haystack", OSDI 2010; Muralidhar et al., "f4: Facebook's warm BLOB storage system", OSDI 2014, which takes photos for
//! warm after three months and most other things after one. The exponents here, 0.8 to 1.4, are drawn around the reciprocal
//! law; sizes, volumes and the players' way of asking for some ranges of a video are this generator's own choice.

use std::fmt::Write as _;

use crate::traces::calendar::{Calendar, DAY};
use crate::traces::classes::Workload;
use crate::traces::draft::Draft;
use crate::traces::random::{Stream, pow};

/// What was put before the log's start and is still there.
const HISTORY_DAYS: i64 = 730;

/// Of those, so many are read again within about a year.
const SEEN_AGAIN: f64 = 0.55;

const SIZES: (u64, u64) = (4 << 10, 5_000_000_000);

/// Larger ones are videos.
const PHOTO_MAX: f64 = 8e6;

/// Nothing is asked for more than so many times as often as most.
const POPULARITY_MAX: f64 = 300.0;

/// A reciprocal has no integral of the form that the other powers have.
const NEAR_ONE: f64 = 0.01;

/// A view of a video does not take more.
const RANGES_MAX: u64 = 12;

/// An album, or a channel.
#[derive(Debug)]
pub struct Media {
    size_median: f64,
    size_sigma: f64,
    /// Of a usual object, within its first year.
    views: f64,
    /// Views of one in comparison with views of another.
    popularity_sigma: f64,
    /// The exponent of the age.
    decay: f64,
    /// Until then it is new.
    new_days: f64,
    /// Of a view of a video.
    ranges_mean: f64,
    /// Of what was put, in a year.
    deleted_share: f64,
}

impl Media {
    pub fn draw(stream: &mut Stream) -> Self {
        let size_median = stream.log_between(1e5, 5e8);
        let is_photo = size_median < PHOTO_MAX;
        let decay = stream.between(0.8, 1.4);
        Self {
            size_median,
            size_sigma: stream.between(0.5, 1.1),
            views: if is_photo {
                stream.log_between(3.0, 14.0)
            } else {
                stream.log_between(1.0, 5.0)
            },
            popularity_sigma: stream.between(0.9, 1.6),
            decay: if (decay - 1.0).abs() < NEAR_ONE { 1.0 + NEAR_ONE } else { decay },
            new_days: stream.log_between(0.3, 3.0),
            ranges_mean: if is_photo { 1.0 } else { stream.between(2.0, 4.0) },
            deleted_share: stream.between(0.0, 0.04),
        }
    }

    /// All views until an age in days, up to a factor.
    fn until(&self, age_days: f64) -> f64 {
        let power = 1.0 - self.decay;
        (pow(age_days + self.new_days, power) - pow(self.new_days, power)) / power
    }

    /// The age until which there are so many of them.
    fn age(&self, views: f64) -> f64 {
        let power = 1.0 - self.decay;
        pow(views * power + pow(self.new_days, power), 1.0 / power) - self.new_days
    }

    fn views(&self, draft: &mut Draft, life: u32, stream: &mut Stream) {
        let born_s = draft.lives[life as usize].born_s;
        let day = |at_s: i64| (at_s - born_s) as f64 / DAY as f64;
        let (from, to) =
            (self.until(day(born_s.max(0))), self.until(day(draft.calendar.length_s())));
        let popularity = stream.around_one(self.popularity_sigma).min(POPULARITY_MAX);
        let mean = self.views * popularity * (to - from) / self.until(365.0);
        for _ in 0..stream.poisson(mean) {
            let age = self.age(stream.between(from, to));
            let at_s = born_s + (age * DAY as f64) as i64;
            let at_s =
                if age < 1.0 { at_s } else { Calendar::evening(at_s.div_euclid(DAY), stream) };
            self.view(draft, life, at_s, stream);
        }
    }

    /// A whole photo, or some stretches of a video.
    fn view(&self, draft: &mut Draft, life: u32, at_s: i64, stream: &mut Stream) {
        if self.size_median < PHOTO_MAX {
            return draft.read(life, at_s);
        }
        let size_bytes = draft.lives[life as usize].size_bytes;
        let mut at_s = at_s;
        for _ in 0..stream.geometric(self.ranges_mean, RANGES_MAX) {
            let bytes = (size_bytes as f64 * stream.between(0.05, 0.35)) as u64;
            draft.read_range(life, at_s, bytes);
            at_s += stream.whole(5, 150) as i64;
        }
    }
}

impl Workload for Media {
    fn fill(&self, draft: &mut Draft, objects: u64, stream: &mut Stream) {
        let days = draft.calendar.days;
        let seen_days = days as f64 + HISTORY_DAYS as f64 * SEEN_AGAIN;
        let count = (objects as f64 * (days + HISTORY_DAYS) as f64 / seen_days) as u64;
        for name in 0..count {
            let day = stream.below((days + HISTORY_DAYS) as u64) as i64 - HISTORY_DAYS;
            let born_s = Calendar::evening(day, stream);
            let life =
                draft.put(name, born_s, stream.size(self.size_median, self.size_sigma, SIZES));
            let end_days = stream.exponential(365.0 / self.deleted_share.max(1e-3));
            self.views(draft, life, stream);
            if end_days < (HISTORY_DAYS + days) as f64 {
                draft.delete(life, born_s + (end_days * DAY as f64) as i64);
            }
        }
    }

    fn key(&self, name: u64, out: &mut String) {
        let kind = if self.size_median < PHOTO_MAX { "jpg" } else { "mp4" };
        // Writing into a string does not fail.
        let _ = write!(out, "originals/{name:08}.{kind}");
    }
}
