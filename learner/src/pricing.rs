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

/// Where an object is, and since when.
struct Seat {
    tier: usize,
    /// Until when it is paid for in any case.
    bound_until_s: u64,
    /// Since when it was not read, as the tier counts it.
    idle_since_s: u64,
    /// Until when a restored copy lasts.
    readable_until_s: u64,
}

/// Charges a life. The first step of a new object is where it was PUT; others begin in the hot tier.
pub fn charge(prices: Prices<'_>, life: &Life, steps: &[Step], meter: &mut impl Meter) {
    let mut steps = steps.iter().peekable();
    let mut seat = Seat {
        tier: prices.book.hot,
        bound_until_s: 0,
        idle_since_s: life.idle_since_s,
        readable_until_s: 0,
    };
    if life.is_new {
        seat.tier = steps.next().map_or(prices.book.hot, |step| step.tier);
        let card = &prices.cards[seat.tier];
        seat.bound_until_s = life.from_s + card.stay_min_s;
        seat.idle_since_s = life.from_s;
        meter.once(Kind::Requests, seat.tier, life.from_s, card.put);
    }
    let mut now = life.from_s;
    for read in &life.reads {
        while let Some(step) = steps.next_if(|step| step.at_s <= read.at_s) {
            rent(prices, &seat, now, step.at_s, meter);
            now = step.at_s;
            seat = transition(prices, life, &seat, *step, meter);
        }
        rent(prices, &seat, now, read.at_s, meter);
        now = read.at_s;
        served(prices, life, &mut seat, *read, meter);
    }
    for step in steps {
        rent(prices, &seat, now, step.at_s, meter);
        now = step.at_s;
        seat = transition(prices, life, &seat, *step, meter);
    }
    rent(prices, &seat, now, life.until_s, meter);
    early_delete(prices, &seat, life.until_s, meter);
}

/// Keeps it for a while.
fn rent(prices: Prices<'_>, seat: &Seat, from_s: u64, to_s: u64, meter: &mut impl Meter) {
    let card = &prices.cards[seat.tier];
    for (place, phase) in card.phases.iter().enumerate() {
        let begins = from_s.max(seat.idle_since_s + phase.idle_s);
        let next = card.phases.get(place + 1);
        let ends = next.map_or(to_s, |next| to_s.min(seat.idle_since_s + next.idle_s));
        let begins = if place == 0 { from_s } else { begins };
        if begins < ends {
            meter.rent(Kind::Storage, seat.tier, (begins, ends), phase.storage);
        }
    }
    if from_s < to_s && card.monitoring > Exact::ZERO {
        meter.rent(Kind::Monitoring, seat.tier, (from_s, to_s), card.monitoring);
    }
}

fn transition(
    prices: Prices<'_>,
    life: &Life,
    seat: &Seat,
    step: Step,
    meter: &mut impl Meter,
) -> Seat {
    let left = &prices.cards[seat.tier];
    early_delete(prices, seat, step.at_s, meter);
    match &left.restore {
        Some(_) if seat.readable_until_s > step.at_s => {}
        Some(_) => restore(prices, life, seat.tier, step.at_s, meter),
        None => {
            let read = left.retrieval(life.size_bytes);
            meter.once(Kind::Retrieval, seat.tier, step.at_s, read);
        }
    }
    let entered = &prices.cards[step.tier];
    meter.once(Kind::Transitions, step.tier, step.at_s, entered.transition);
    meter.moved();
    Seat {
        tier: step.tier,
        bound_until_s: step.at_s + entered.stay_min_s,
        idle_since_s: step.at_s,
        readable_until_s: 0,
    }
}

/// A copy is made, and kept until it expires or the object is gone.
fn restore(prices: Prices<'_>, life: &Life, tier: usize, at_s: u64, meter: &mut impl Meter) {
    if let Some(restore) = &prices.cards[tier].restore {
        meter.once(Kind::Retrieval, tier, at_s, restore.retrieval);
        let kept = (at_s, readable_until(at_s).min(life.until_s));
        meter.rent(Kind::RestoreCopy, tier, kept, restore.copy);
        meter.restored();
    }
}

fn served(prices: Prices<'_>, life: &Life, seat: &mut Seat, read: Read, meter: &mut impl Meter) {
    let card = &prices.cards[seat.tier];
    if card.restore.is_some() && seat.readable_until_s <= read.at_s {
        restore(prices, life, seat.tier, read.at_s, meter);
        seat.readable_until_s = readable_until(read.at_s);
    }
    let requests = card.get.times(i128::from(read.requests));
    meter.once(Kind::Requests, seat.tier, read.at_s, requests);
    meter.once(Kind::Retrieval, seat.tier, read.at_s, card.retrieval(read.bytes));
    let sent = prices.egress_byte.times(i128::from(read.bytes));
    meter.once(Kind::Egress, seat.tier, read.at_s, sent);
    seat.idle_since_s = read.at_s;
}

/// The rest of a minimum stay.
fn early_delete(prices: Prices<'_>, seat: &Seat, at_s: u64, meter: &mut impl Meter) {
    if seat.bound_until_s > at_s {
        let ticks = prices.ticks.between(at_s, seat.bound_until_s);
        let rest = prices.cards[seat.tier].storage().times(ticks);
        meter.once(Kind::EarlyDelete, seat.tier, at_s, rest);
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
