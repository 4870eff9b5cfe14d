//! The parts of a log that is wanted: prefixes of classes, how large each is, and which of them are held out. Nothing of a
//! prefix depends on whether another one is there.

use vaultaire_proto::prices::calendar::DAY_S;

use crate::error::Error;
use crate::traces::classes::Class;
use crate::traces::random::Stream;
use crate::traces::{CLASSES, HoldOut, Options, purpose};

/// Prefixes of each class.
pub const PREFIXES: u32 = 10;

/// Of those, the last ones are held out.
pub const HELD_OUT: u32 = PREFIXES / 5;

/// The class that is held out as a whole.
pub const HELD_OUT_CLASS: Class = Class::Iot;

/// The earliest start: what was there before it must not be before 1970.
const START_MIN_S: u64 = 3_650 * DAY_S;

/// 2100-01-01: what is later is no second since 1970.
const START_MAX_S: u64 = 47_482 * DAY_S;

/// Ten years.
pub const DAYS_MAX: u32 = 3_660;

/// All events are sorted in memory: about 12 of 32 bytes for each object.
pub const OBJECTS_MAX: u64 = 20_000_000;

/// Some prefixes are several times as large as others.
const WEIGHT_SIGMA: f64 = 0.6;

/// A part of the log that nothing else changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    pub class: Class,
    /// Among those of its class, from 0.
    pub number: u32,
    /// About how many it has.
    pub objects: u64,
    /// It is the largest of its class that is held out, or the largest that is not.
    pub is_largest: bool,
}

impl Options {
    /// The prefixes that are wanted, in the order of the log's names.
    pub fn prefixes(&self) -> Result<Vec<Prefix>, Error> {
        self.check()?;
        let classes = self.sorted_classes();
        let each = self.objects as f64 / classes.len() as f64;
        let all = classes.iter().flat_map(|class| self.of_class(*class, each));
        let wanted: Vec<Prefix> = all.filter(|prefix| self.is_wanted(prefix)).collect();
        if wanted.is_empty() {
            return Err(Error::AllHeldOut { class: HELD_OUT_CLASS.name() });
        }
        Ok(wanted)
    }

    pub fn sorted_classes(&self) -> Vec<Class> {
        let mut classes = self.classes.clone();
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    /// All of a class, whatever is held out.
    fn of_class(&self, class: Class, objects: f64) -> Vec<Prefix> {
        let weights: Vec<f64> = (0..PREFIXES)
            .map(|number| {
                let path = [class as u64, u64::from(number), purpose::WEIGHT];
                Stream::of(self.seed, &path).lognormal(1.0, WEIGHT_SIGMA)
            })
            .collect();
        let all: f64 = weights.iter().sum();
        let largest = |number: u32| {
            let of_part = (0..PREFIXES).filter(|other| is_last(*other) == is_last(number));
            let weight = |other: u32| weights[other as usize];
            of_part.into_iter().all(|other| weight(other) <= weight(number))
        };
        let prefix = |number: u32| Prefix {
            class,
            number,
            objects: ((objects * weights[number as usize] / all).round() as u64).max(1),
            is_largest: largest(number),
        };
        (0..PREFIXES).map(prefix).collect()
    }

    fn is_wanted(&self, prefix: &Prefix) -> bool {
        let is_held_out = prefix.class == HELD_OUT_CLASS || is_last(prefix.number);
        match self.hold_out {
            HoldOut::All => true,
            HoldOut::Exclude => !is_held_out,
            HoldOut::Only => is_held_out,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let out_of_range = |what, found, min, max| Err(Error::OutOfRange { what, found, min, max });
        if self.classes.is_empty() {
            return Err(Error::NoClasses { known: CLASSES.join(", ") });
        }
        if !(1..=OBJECTS_MAX).contains(&self.objects) {
            return out_of_range("objects", self.objects, 1, OBJECTS_MAX);
        }
        if !(1..=DAYS_MAX).contains(&self.days) {
            return out_of_range("days", u64::from(self.days), 1, u64::from(DAYS_MAX));
        }
        if !(START_MIN_S..=START_MAX_S).contains(&self.start_s) {
            return out_of_range(
                "start (seconds since 1970)",
                self.start_s,
                START_MIN_S,
                START_MAX_S,
            );
        }
        if !self.start_s.is_multiple_of(DAY_S) {
            let before = self.start_s / DAY_S * DAY_S;
            return Err(Error::NoMidnight { at: self.start_s, before });
        }
        Ok(())
    }
}

/// It is one of the last prefixes of its class.
pub fn is_last(number: u32) -> bool {
    number >= PREFIXES - HELD_OUT
}
