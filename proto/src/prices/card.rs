//! A book's prices for one object: what it costs to put it into a tier, to keep, read and move it.

use crate::prices::calendar::DAY_S;
use crate::prices::exact::Exact;
use crate::prices::{Book, Tier};

/// What one object costs in one tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// To put it there when it is new.
    pub put: Exact,
    /// To read of it: the request alone.
    pub get: Exact,
    /// To read one byte of it.
    pub read_byte: Exact,
    /// To move it there, beside what the tier that it leaves asks.
    pub transition: Exact,
    /// To keep it, from the shortest idle age on: one phase at least, each cheaper than the one before.
    pub phases: Vec<Phase>,
    /// Of monitoring, in one tick.
    pub monitoring: Exact,
    /// How long it is paid for at least.
    pub stay_min_s: u64,
    /// How it is made readable. None: it is.
    pub restore: Option<RestoreCard>,
}

/// What keeping it costs from an idle age on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    pub idle_s: u64,
    /// In one tick.
    pub storage: Exact,
}

/// What making it readable costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreCard {
    /// The request, and the retrieval of all bytes.
    pub retrieval: Exact,
    /// The copy, in one tick.
    pub copy: Exact,
}

impl Book {
    /// The prices of every tier for an object of this size.
    pub fn cards(&self, size_bytes: u64) -> Vec<Card> {
        self.tiers.iter().map(|tier| self.card(tier, size_bytes)).collect()
    }

    fn card(&self, tier: &Tier, size_bytes: u64) -> Card {
        let billed = size_bytes.max(tier.billed_bytes_min).saturating_add(tier.overhead_bytes);
        let hot = self.hot_tier().storage;
        let beside = self.rent(hot, tier.overhead_hot_bytes);
        let mut phases =
            vec![Phase { idle_s: 0, storage: self.rent(tier.storage, billed) + beside }];
        let mut monitoring = Exact::ZERO;
        if let Some(native) = tier.native.as_ref().filter(|native| size_bytes >= native.bytes_min) {
            monitoring = self.rent_of_one(native.monitoring);
            phases.extend(native.steps.iter().map(|step| Phase {
                idle_s: u64::from(step.idle_days) * DAY_S,
                storage: self.rent(step.storage, billed) + beside,
            }));
        }
        let restore = tier.restore.map(|restore| RestoreCard {
            retrieval: self.once(restore.request) + self.for_bytes(restore.retrieval, size_bytes),
            copy: self.rent(hot, size_bytes),
        });
        Card {
            put: self.once(tier.requests.put),
            get: self.once(tier.requests.get),
            read_byte: self.for_bytes(tier.retrieval, 1),
            transition: self.once(tier.transition),
            phases,
            monitoring,
            stay_min_s: u64::from(tier.stay_days_min) * DAY_S,
            restore,
        }
    }
}

impl Card {
    /// To read so many bytes that are readable, beside the request.
    pub fn retrieval(&self, bytes: u64) -> Exact {
        self.read_byte.times(i128::from(bytes))
    }

    /// To keep it in the first phase, in one tick: the rest of a minimum stay is paid at this price.
    pub fn storage(&self) -> Exact {
        self.phases.first().map_or(Exact::ZERO, |phase| phase.storage)
    }
}
