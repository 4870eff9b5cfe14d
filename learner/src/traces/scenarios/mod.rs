//! What happens to a workload that was never like that before. Each prefix is changed by itself, so that what is held out
//! changes nothing else.

pub mod adversary;
pub mod shuffle;

use crate::error::Error;
use crate::traces::calendar::DAY;
use crate::traces::classes::Class;
use crate::traces::draft::Draft;
use crate::traces::prefixes::Prefix;
use crate::traces::random::Stream;
use crate::traces::{Options, SCENARIOS, purpose};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Nothing.
    Plain,
    /// After 55 % of the days many prefixes change their character: what was cold is read often, what was hot is not.
    RegimeChange,
    /// Once or twice somebody reads everything there is, within a day.
    Crawler,
    /// One large cold prefix is read all the time for some weeks: one of those that are held out, and one of the others.
    ColdTurnsHot,
    /// Reads come just after it was time to move an object to a colder tier.
    Adversarial,
    /// The times of all reads of a prefix are dealt out anew among its objects.
    Shuffled,
}

/// Also what nothing is called.
const NONE: &str = "none";

/// The part of the log after which its regime changes.
const CHANGE_AT: f64 = 0.55;
const CHANGED_SHARE: f64 = 0.6;

/// With more reads than this a day, an object is hot.
const HOT_A_DAY: f64 = 1.0 / 30.0;

/// Of a hot prefix's reads, what is left after the change.
const QUIET_SHARE: f64 = 0.02;

/// Classes whose prefixes are cold, the coldest first: one of them turns hot.
const COLDEST: [Class; Class::ALL.len()] = [
    Class::Backup,
    Class::Logs,
    Class::Documents,
    Class::Media,
    Class::Lake,
    Class::MlDatasets,
    Class::Iot,
    Class::Web,
];

impl Scenario {
    /// All of them, in the order of their names.
    pub const ALL: [Self; SCENARIOS.len()] = [
        Self::Plain,
        Self::RegimeChange,
        Self::Crawler,
        Self::ColdTurnsHot,
        Self::Adversarial,
        Self::Shuffled,
    ];

    pub fn named(name: &str) -> Result<Self, Error> {
        if name == NONE {
            return Ok(Self::Plain);
        }
        let mut known = Self::ALL.into_iter();
        known.find(|scenario| scenario.name() == name).ok_or_else(|| Error::NoSuchScenario {
            name: name.to_owned(),
            known: SCENARIOS.join(", "),
        })
    }

    pub fn name(self) -> &'static str {
        SCENARIOS[self as usize]
    }
}

/// Changes what was made up for a prefix. Every read stays within its version's life.
pub fn apply(options: &Options, prefix: &Prefix, draft: &mut Draft, stream: &mut Stream) {
    let mut world = Stream::of(options.seed, &[purpose::WORLD]);
    match options.scenario {
        Scenario::Plain => {}
        Scenario::RegimeChange => change_regime(draft, stream),
        Scenario::Crawler => crawl(draft, &mut world),
        Scenario::ColdTurnsHot => {
            let classes = options.sorted_classes();
            let coldest = COLDEST.into_iter().find(|class| classes.contains(class));
            if prefix.is_largest && coldest == Some(prefix.class) {
                turn_hot(draft, &mut world, stream);
            }
        }
        Scenario::Adversarial => adversary::chase(draft, stream),
        Scenario::Shuffled => shuffle::deal(draft, stream),
    }
}

fn change_regime(draft: &mut Draft, stream: &mut Stream) {
    let change_s = (draft.calendar.days as f64 * CHANGE_AT) as i64 * DAY;
    if !stream.chance(CHANGED_SHARE) {
        return;
    }
    let lived_s: i64 = (0..draft.lives.len() as u32)
        .map(|life| {
            let (from_s, to_s) = draft.readable(life);
            (to_s.min(change_s) - from_s).max(0)
        })
        .sum();
    let before = draft.reads.iter().filter(|read| read.at_s < change_s).count();
    let a_day = before as f64 / (lived_s.max(1) as f64 / DAY as f64);
    if a_day > HOT_A_DAY {
        draft.reads.retain(|read| read.at_s < change_s || stream.chance(QUIET_SHARE));
    } else {
        let often = stream.log_between(1.0 / 20.0, 1.0 / 5.0);
        heat(draft, (change_s, draft.calendar.length_s()), often, stream);
    }
}

/// Reads everything that is there so often a day.
fn heat(draft: &mut Draft, range_s: (i64, i64), a_day: f64, stream: &mut Stream) {
    for life in 0..draft.lives.len() as u32 {
        let (from_s, to_s) = draft.readable(life);
        let (from_s, to_s) = (from_s.max(range_s.0), to_s.min(range_s.1));
        if from_s < to_s {
            let mean = (to_s - from_s) as f64 / DAY as f64 * a_day;
            for _ in 0..stream.poisson(mean) {
                draft.read(life, from_s + stream.below((to_s - from_s) as u64) as i64);
            }
        }
    }
}

/// The days are those of the whole log: a crawler goes through every bucket.
fn crawl(draft: &mut Draft, world: &mut Stream) {
    let days = draft.calendar.days as f64;
    let lives = draft.lives.len() as i64;
    for _ in 0..world.whole(1, 2) {
        let from_s = (days * world.between(0.25, 0.9)) as i64 * DAY;
        for life in 0..lives {
            draft.read(life as u32, from_s + life * DAY / lives);
        }
    }
}

fn turn_hot(draft: &mut Draft, world: &mut Stream, stream: &mut Stream) {
    let days = draft.calendar.days as f64;
    let from_s = (days * world.between(0.4, 0.7)) as i64 * DAY;
    let weeks = world.whole(3, 6) as i64;
    heat(draft, (from_s, from_s + weeks * 7 * DAY), stream.between(0.3, 1.0), stream);
}

#[cfg(test)]
mod tests;
