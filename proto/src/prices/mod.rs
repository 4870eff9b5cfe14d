//! Price books: what a provider asks for keeping, reading and moving bytes, dated and with its source; and what that makes
//! of one object, in integers. Whoever prices something (the learner, the simulated archive, the node) does it here.
//!
//! Not here: what is billed to whom. Quantities are summed exactly and rounded once, by whoever keeps the sum.

pub mod base;
pub mod books;
pub mod calendar;
pub mod card;
pub mod exact;
pub mod file;
pub mod free;
pub mod read;

#[cfg(test)]
mod examples;
#[cfg(test)]
mod tests;

use crate::money::NanoUsd;
use crate::prices::calendar::{Date, Month};
use crate::prices::free::Allowance;

/// The prices of one provider in one region on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    pub name: String,
    pub provider: String,
    pub region: String,
    /// When the prices were read from the sources.
    pub date: Date,
    pub sources: Vec<String>,
    pub gigabyte: Gigabyte,
    pub month: Month,
    /// Which of the tiers objects are in when nobody decides anything.
    pub hot: usize,
    /// In the order of the book.
    pub tiers: Vec<Tier>,
    /// What a gigabyte costs on its way out, by where it goes.
    pub egress: Vec<(String, NanoUsd)>,
    /// What the whole account gets for nothing. Plans look at what one object more costs, and leave it out.
    pub free: Vec<Allowance>,
}

/// What a provider calls a gigabyte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gigabyte {
    /// 2^30 bytes.
    Binary,
    /// 10^9 bytes.
    Decimal,
}

impl Gigabyte {
    pub fn bytes(self) -> u64 {
        match self {
            Self::Binary => 1 << 30,
            Self::Decimal => 1_000_000_000,
        }
    }
}

/// A storage class: what it asks, and how fast it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    pub name: String,
    /// Per gigabyte and month.
    pub storage: NanoUsd,
    pub requests: Requests,
    /// Per gigabyte that is read.
    pub retrieval: NanoUsd,
    /// Per object that is moved here from another tier.
    pub transition: NanoUsd,
    /// Whoever leaves or deletes earlier pays the rest.
    pub stay_days_min: u32,
    /// Smaller objects are billed as if they were so large.
    pub billed_bytes_min: u64,
    /// What is kept beside each object, billed here.
    pub overhead_bytes: u64,
    /// What is kept beside each object, billed at the storage price of the hot tier.
    pub overhead_hot_bytes: u64,
    /// It moves objects by itself.
    pub native: Option<Native>,
    /// How its objects are made readable, at the speed that is used. None: they always are.
    pub restore: Option<Restore>,
    /// Every speed at which they can be, that one first.
    pub speeds: Vec<Speed>,
}

/// A way to make objects of an archive readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speed {
    /// As the provider calls it: `expedited`, `standard`, `bulk`.
    pub name: String,
    pub restore: Restore,
}

/// The prices of single requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requests {
    pub put: NanoUsd,
    pub copy: NanoUsd,
    pub part: NanoUsd,
    pub list: NanoUsd,
    pub get: NanoUsd,
}

/// A tier that looks after its objects by itself, as S3 Intelligent-Tiering: what was not read for a while costs less, and a
/// read brings it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    /// Per object and month.
    pub monitoring: NanoUsd,
    /// Smaller objects are not looked after, and cost no monitoring.
    pub bytes_min: u64,
    /// Ever longer idle, ever cheaper.
    pub steps: Vec<NativeStep>,
}

/// What storage costs from an idle age on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NativeStep {
    pub idle_days: u32,
    pub storage: NanoUsd,
}

/// How an archived object becomes readable: a copy of it is made in the hot tier for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restore {
    pub request: NanoUsd,
    /// Per gigabyte.
    pub retrieval: NanoUsd,
    /// How long it takes at most.
    pub hours: u32,
}

impl Book {
    /// The tier of a name.
    pub fn tier(&self, name: &str) -> Option<usize> {
        self.tiers.iter().position(|tier| tier.name == name)
    }

    /// The tier where objects are when nobody decides anything.
    pub fn hot_tier(&self) -> &Tier {
        &self.tiers[self.hot]
    }
}
