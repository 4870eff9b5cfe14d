//! What each policy would have cost each bucket, window by window: ledgers in the shadow of the one that is paid, each with its own
//! placement from the beginning of charging on. And how certain it is which of two is cheaper: objects are a sample of what is to
//! come, so the difference of two policies has a standard error.

use vaultaire_proto::prices::calendar::{DAY_S, Ticks};
use vaultaire_proto::prices::exact::Exact;

use crate::guard::{WINDOW_DAYS, window_of};
use crate::history::{Life, Window};
use crate::pricing::{Kind, Meter};

/// Amounts that are squared lose so many bits first: then they are about eighths of a nano-dollar, and the squares of what a million
/// objects cost, a million dollars each, fit into 128 bits.
const DROPPED_BITS: u32 = 72;

/// What an object cost in each window.
#[derive(Debug)]
pub struct Windows<'a> {
    window: Window,
    ticks: &'a Ticks,
    /// What was charged before is not counted: nobody knew of the object then.
    known_s: u64,
    pub amounts: Vec<Exact>,
}

impl<'a> Windows<'a> {
    pub fn new(window: Window, ticks: &'a Ticks) -> Self {
        let amounts = vec![Exact::ZERO; window_of(window, window.until_s) + 1];
        Self { window, ticks, known_s: 0, amounts }
    }

    /// What comes is of this life.
    pub fn of(&mut self, life: &Life) -> &mut Self {
        self.known_s = life.known_s();
        self
    }
}

impl Meter for Windows<'_> {
    fn once(&mut self, _kind: Kind, _tier: usize, at_s: u64, amount: Exact) {
        if at_s >= self.known_s {
            self.amounts[window_of(self.window, at_s)] += amount;
        }
    }

    fn rent(&mut self, _kind: Kind, _tier: usize, (from_s, to_s): (u64, u64), in_a_tick: Exact) {
        let (mut from_s, last) = (from_s.max(self.known_s), self.amounts.len() - 1);
        while from_s < to_s {
            let place = window_of(self.window, from_s).min(last);
            let next_day = self.window.from_s / DAY_S + (place as u64 + 1) * WINDOW_DAYS;
            // What goes on after the end, as a copy may, is of the last window.
            let ends_s = if place == last { to_s } else { to_s.min(next_day * DAY_S) };
            self.amounts[place] += in_a_tick.times(self.ticks.between(from_s, ends_s));
            from_s = ends_s;
        }
    }
}

/// Two meters that are charged the same.
pub struct Both<'a, A, B>(pub &'a mut A, pub &'a mut B);

impl<A: Meter, B: Meter> Meter for Both<'_, A, B> {
    fn once(&mut self, kind: Kind, tier: usize, at_s: u64, amount: Exact) {
        self.0.once(kind, tier, at_s, amount);
        self.1.once(kind, tier, at_s, amount);
    }

    fn rent(&mut self, kind: Kind, tier: usize, from_to_s: (u64, u64), in_a_tick: Exact) {
        self.0.rent(kind, tier, from_to_s, in_a_tick);
        self.1.rent(kind, tier, from_to_s, in_a_tick);
    }

    fn moved(&mut self) {
        self.0.moved();
        self.1.moved();
    }

    fn restored(&mut self) {
        self.0.restored();
        self.1.restored();
    }
}

/// What policies cost a bucket in one window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    objects: i128,
    /// Of each policy.
    pub sums: Vec<Exact>,
    /// Of each pair of policies: the sum of the squares of what objects cost more under the first.
    squares: Vec<i128>,
}

impl Costs {
    pub fn new(policies: usize) -> Self {
        Self {
            objects: 0,
            sums: vec![Exact::ZERO; policies],
            squares: vec![0; policies * policies],
        }
    }

    /// One more object. One that was not there in this window says nothing about it.
    pub fn add(&mut self, amounts: impl Fn(usize) -> Exact) {
        let policies = self.sums.len();
        let each: Vec<Exact> = (0..policies).map(amounts).collect();
        if each.iter().all(|amount| *amount == Exact::ZERO) {
            return;
        }
        self.objects += 1;
        for one in 0..policies {
            self.sums[one] += each[one];
            for other in 0..one {
                let more = small(each[one] - each[other]);
                let square = &mut self.squares[one * policies + other];
                *square = square.saturating_add(more.saturating_mul(more));
            }
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.objects += other.objects;
        self.sums.iter_mut().zip(&other.sums).for_each(|(own, theirs)| *own += *theirs);
        for (own, theirs) in self.squares.iter_mut().zip(&other.squares) {
            *own = own.saturating_add(*theirs);
        }
    }

    /// Whether one costs more than another by so many parts of it, and by two standard errors.
    pub fn is_dearer(&self, one: usize, other: usize, part: i128) -> bool {
        let more = self.sums[one] - self.sums[other];
        let enough = more > Exact::ZERO && more.times(part) > self.sums[one];
        enough && self.is_certain(one, other, small(more))
    }

    /// The variance of a sum of n is n / (n - 1) times the sum of squares of what each is more than the mean.
    fn is_certain(&self, one: usize, other: usize, more: i128) -> bool {
        let policies = self.sums.len();
        let squares = self.squares[one.max(other) * policies + one.min(other)];
        if self.objects < 2 || squares == i128::MAX {
            return false;
        }
        let square = more.saturating_mul(more);
        let around = squares - square / self.objects;
        let variance = (around.max(0) / (self.objects - 1)).saturating_mul(self.objects);
        square > variance.saturating_mul(ERRORS * ERRORS)
    }
}

/// So many standard errors are certain.
const ERRORS: i128 = 2;

fn small(amount: Exact) -> i128 {
    amount.halved(DROPPED_BITS).units()
}
