//! What a life costs under some decisions: the one place where charges come from, for rules, models and the optimum alike.
//!
//! A move pays what the tier that is left asks for reading the whole object, the rest of its minimum stay, and the transition into the
//! other tier. A read of an archived object has it restored first, to a copy that lasts until the midnight (UTC) at least a
//! day later, as S3 counts it. At the end of the window the rest of a minimum stay is paid as if the object were deleted.

use vaultaire_proto::prices::Book;
use vaultaire_proto::prices::calendar::{DAY_S, Ticks};
use vaultaire_proto::prices::card::Card;
use vaultaire_proto::prices::exact::Exact;

use crate::history::{Life, Read};

/// An object is in a tier from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub at_s: u64,
    pub tier: usize,
}

/// What something was paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Storage,
    Requests,
    Retrieval,
    Transitions,
    EarlyDelete,
    Monitoring,
    RestoreCopy,
    Egress,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Storage,
        Self::Requests,
        Self::Retrieval,
        Self::Transitions,
        Self::EarlyDelete,
        Self::Monitoring,
        Self::RestoreCopy,
        Self::Egress,
    ];
}

/// Takes charges.
pub trait Meter {
    /// Paid once.
    fn once(&mut self, kind: Kind, tier: usize, at_s: u64, amount: Exact);
    /// Paid in each tick of some time.
    fn rent(&mut self, kind: Kind, tier: usize, from_to_s: (u64, u64), in_a_tick: Exact);
    fn moved(&mut self) {}
    fn restored(&mut self) {}
}

/// Prices as they are for one object.
#[derive(Clone, Copy, Debug)]
pub struct Prices<'a> {
    pub book: &'a Book,
    pub ticks: &'a Ticks,
    /// Of every tier of the book.
    pub cards: &'a [Card],
    /// To send one byte to whoever reads.
    pub egress_byte: Exact,
}

/// Charges a life. The first step of a new object is where it was PUT; others begin in the hot tier.
pub fn charge(prices: Prices<'_>, life: &Life, steps: &[Step], meter: &mut impl Meter) {
    let mut steps = steps.iter().copied().peekable();
    let mut seat = match life.is_new {
        true => {
            let tier = steps.next().map_or(prices.book.hot, |step| step.tier);
            Seat::put(prices, life, tier, meter)
        }
        false => Seat::found(prices.book.hot, life),
    };
    for read in &life.reads {
        while let Some(step) = steps.next_if(|step| step.at_s <= read.at_s) {
            seat.moves(prices, step, meter);
        }
        seat.serves(prices, *read, meter);
    }
    for step in steps {
        seat.moves(prices, step, meter);
    }
    seat.ends(prices, meter);
}

/// Where an object is, and since when: what its bill goes on from.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    pub tier: usize,
    /// It has been charged until then.
    pub now_s: u64,
    /// Until when it is paid for in any case.
    pub bound_until_s: u64,
    /// Since when it was not read, as the tier counts it.
    pub idle_since_s: u64,
    /// Until when a restored copy lasts.
    pub readable_until_s: u64,
    size_bytes: u64,
    /// When its life ends.
    until_s: u64,
}

impl Seat {
    /// It was there already.
    pub fn found(hot: usize, life: &Life) -> Self {
        Self {
            tier: hot,
            now_s: life.from_s,
            bound_until_s: 0,
            idle_since_s: life.idle_since_s,
            readable_until_s: 0,
            size_bytes: life.size_bytes,
            until_s: life.until_s,
        }
    }

    /// It is written into a tier.
    pub fn put(prices: Prices<'_>, life: &Life, tier: usize, meter: &mut impl Meter) -> Self {
        let card = &prices.cards[tier];
        meter.once(Kind::Requests, tier, life.from_s, card.put);
        Self {
            tier,
            bound_until_s: life.from_s + card.stay_min_s,
            idle_since_s: life.from_s,
            ..Self::found(tier, life)
        }
    }

    pub fn moves(&mut self, prices: Prices<'_>, step: Step, meter: &mut impl Meter) {
        self.waits(prices, step.at_s, meter);
        let left = &prices.cards[self.tier];
        self.early_delete(prices, meter);
        match &left.restore {
            Some(_) if self.readable_until_s > step.at_s => {}
            Some(_) => self.restored(prices, meter),
            None => {
                let read = left.retrieval(self.size_bytes);
                meter.once(Kind::Retrieval, self.tier, step.at_s, read);
            }
        }
        let entered = &prices.cards[step.tier];
        meter.once(Kind::Transitions, step.tier, step.at_s, entered.transition);
        meter.moved();
        self.tier = step.tier;
        self.bound_until_s = step.at_s + entered.stay_min_s;
        self.idle_since_s = step.at_s;
        self.readable_until_s = 0;
    }

    pub fn serves(&mut self, prices: Prices<'_>, read: Read, meter: &mut impl Meter) {
        self.waits(prices, read.at_s, meter);
        let card = &prices.cards[self.tier];
        if card.restore.is_some() && self.readable_until_s <= read.at_s {
            self.restored(prices, meter);
            self.readable_until_s = readable_until(read.at_s);
        }
        let requests = card.get.times(i128::from(read.requests));
        meter.once(Kind::Requests, self.tier, read.at_s, requests);
        meter.once(Kind::Retrieval, self.tier, read.at_s, card.retrieval(read.bytes));
        let sent = prices.egress_byte.times(i128::from(read.bytes));
        meter.once(Kind::Egress, self.tier, read.at_s, sent);
        self.idle_since_s = read.at_s;
    }

    pub fn ends(&mut self, prices: Prices<'_>, meter: &mut impl Meter) {
        self.waits(prices, self.until_s, meter);
        self.early_delete(prices, meter);
    }

    /// Time passes.
    pub fn waits(&mut self, prices: Prices<'_>, to_s: u64, meter: &mut impl Meter) {
        let (from_s, card) = (self.now_s, &prices.cards[self.tier]);
        for (place, phase) in card.phases.iter().enumerate() {
            let begins = from_s.max(self.idle_since_s + phase.idle_s);
            let next = card.phases.get(place + 1);
            let ends = next.map_or(to_s, |next| to_s.min(self.idle_since_s + next.idle_s));
            let begins = if place == 0 { from_s } else { begins };
            if begins < ends {
                meter.rent(Kind::Storage, self.tier, (begins, ends), phase.storage);
            }
        }
        if from_s < to_s && card.monitoring > Exact::ZERO {
            meter.rent(Kind::Monitoring, self.tier, (from_s, to_s), card.monitoring);
        }
        self.now_s = to_s;
    }

    /// A copy is made, and kept until it expires or the object is gone.
    fn restored(&self, prices: Prices<'_>, meter: &mut impl Meter) {
        let (tier, at_s) = (self.tier, self.now_s);
        if let Some(restore) = &prices.cards[tier].restore {
            meter.once(Kind::Retrieval, tier, at_s, restore.retrieval);
            let kept = (at_s, readable_until(at_s).min(self.until_s));
            meter.rent(Kind::RestoreCopy, tier, kept, restore.copy);
            meter.restored();
        }
    }

    /// The rest of a minimum stay.
    fn early_delete(&self, prices: Prices<'_>, meter: &mut impl Meter) {
        let rest = self.rest(prices);
        if rest > Exact::ZERO {
            meter.once(Kind::EarlyDelete, self.tier, self.now_s, rest);
        }
    }

    /// What leaving now costs for the rest of a minimum stay.
    pub fn rest(&self, prices: Prices<'_>) -> Exact {
        let ticks = prices.ticks.between(self.now_s, self.bound_until_s);
        prices.cards[self.tier].storage().times(ticks)
    }
}

/// Until when a copy lasts that is restored for a day: S3 rounds up to the next midnight in UTC.
pub fn readable_until(at_s: u64) -> u64 {
    (at_s + DAY_S).next_multiple_of(DAY_S)
}

/// Adds up everything.
#[derive(Debug)]
pub struct Total<'a> {
    pub ticks: &'a Ticks,
    pub amount: Exact,
}

impl Meter for Total<'_> {
    fn once(&mut self, _kind: Kind, _tier: usize, _at_s: u64, amount: Exact) {
        self.amount += amount;
    }

    fn rent(&mut self, _kind: Kind, _tier: usize, (from_s, to_s): (u64, u64), in_a_tick: Exact) {
        self.amount += in_a_tick.times(self.ticks.between(from_s, to_s));
    }
}
