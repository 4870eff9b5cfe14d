//! Where an object should be, for what is expected of it: what each tier costs until the next read, and from then on, with one
//! move at the beginning of any span. It moves only where moving now is better than moving later or not at all.
//!
//! From the forecast on everything is integers: any node plans the same.
//!
//! **After a read** an object may go anywhere again, and what is expected then is expected after each read that follows: what
//! being in a tier after a read is worth is worked out by going back through some of these gaps between reads.

pub mod costs;
pub mod curve;

#[cfg(test)]
mod tests;

use vaultaire_proto::prices::card::Card;

use crate::hazards::{Forecast, SPANS};
use crate::planner::costs::Costs;
use crate::planner::curve::{BOUNDS, Curve, MIDDLES, expected};

/// Gaps between reads that are looked at, after the next one.
const SWEEPS: usize = 3;

/// Tiers that are planned with.
pub const TIERS_MAX: usize = 8;

/// What is planned for.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Of every tier.
    pub cards: &'a [Card],
    /// Where it may go. Where it is has to be one of them.
    pub allowed: &'a [usize],
    pub size_bytes: u64,
    /// Where it is. None: it is new.
    pub seat: Option<Seat>,
    pub forecast: &'a Forecast,
}

/// Where an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    pub tier: usize,
    /// For how long it will be paid for in any case, in half days.
    pub stay_left: i64,
    /// For how long the tier has counted it as idle, in half days.
    pub idle: i64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where it should be from now on.
    pub tier: usize,
    /// What going there now costs until a year after, for each allowed tier; where it is, staying there for at least a day.
    pub costs: Vec<i64>,
    /// How many bits were dropped from each exact amount.
    pub dropped_bits: u32,
}

/// Plans.
pub fn plan(situation: &Situation<'_>) -> Plan {
    let Situation { cards, allowed, size_bytes, seat, forecast } = *situation;
    let (tiers, dropped_bits) = costs::of(cards, allowed, size_bytes, forecast);
    let tiers = &tiers[..tiers.len().min(TIERS_MAX)];
    let after = worth(tiers, &Curve::new(&forecast.read_after, &forecast.end_after));
    let curve = Curve::new(&forecast.read, &forecast.end);
    let costs: Vec<i64> = match seat {
        None => {
            let entered = entered(tiers, &curve, &after);
            (0..tiers.len()).map(|own| tiers[own].put + waiting(tiers, own, (tiers[own].stay, 0), &curve, &after, &entered)).collect()
        }
        Some(seat) => {
            let entered = entered(tiers, &curve, &after);
            let from = allowed.iter().position(|tier| *tier == seat.tier).unwrap_or(0);
            let leaving = tiers[from].exit + tiers[from].rest(seat.stay_left);
            let stays = (seat.stay_left, seat.idle);
            let now = |to: usize| match to == from {
                true => waiting(tiers, from, stays, &curve, &after, &entered),
                false => leaving + tiers[to].entry + entered[to][0],
            };
            (0..tiers.len()).map(now).collect()
        }
    };
    let best = (0..costs.len()).min_by_key(|place| costs[*place]).unwrap_or(0);
    Plan { tier: allowed[best], costs, dropped_bits }
}

/// What it costs from a span on, in a tier that it enters when that span begins, for each tier and span.
type Entered = [[i64; SPANS]; TIERS_MAX];

/// What being in a tier just after a read costs.
#[derive(Clone, Copy, Debug, Default)]
struct Worth {
    /// Where it stays there.
    stays: [i64; TIERS_MAX],
    /// Where it leaves, beside the rest of its stay.
    leaves: [i64; TIERS_MAX],
}

impl Worth {
    fn of(&self, tiers: &[Costs], own: usize, stay_left: i64) -> i64 {
        self.stays[own].min(self.leaves[own] + tiers[own].rest(stay_left))
    }
}

/// Goes back through gaps that are all alike.
fn worth(tiers: &[Costs], curve: &Curve) -> Worth {
    let mut worth = Worth::default();
    for _ in 0..SWEEPS {
        let entered = entered(tiers, curve, &worth);
        let mut next = Worth::default();
        for own in 0..tiers.len() {
            next.stays[own] = waiting(tiers, own, (0, 0), curve, &worth, &entered);
        }
        for own in 0..tiers.len() {
            let others = (0..tiers.len()).filter(|to| *to != own);
            let elsewhere = others.map(|to| tiers[to].entry + next.stays[to]).min();
            next.leaves[own] = tiers[own].exit + elsewhere.unwrap_or(i64::MAX / 4);
        }
        worth = next;
    }
    worth
}

fn entered(tiers: &[Costs], curve: &Curve, after: &Worth) -> Entered {
    let mut entered = [[0; SPANS]; TIERS_MAX];
    for own in 0..tiers.len() {
        for (span, cost) in entered[own].iter_mut().enumerate() {
            *cost = there(tiers, own, (tiers[own].stay, 0), span, curve, after)[SPANS];
        }
    }
    entered
}

/// What it costs where it is at first, with the best move at the beginning of a later span, or none.
fn waiting(
    tiers: &[Costs],
    own: usize,
    stays: (i64, i64),
    curve: &Curve,
    after: &Worth,
    entered: &Entered,
) -> i64 {
    let until = there(tiers, own, stays, 0, curve, after);
    let mut best = until[SPANS];
    for span in 1..SPANS {
        let leaving = tiers[own].exit + tiers[own].rest(stays.0 - BOUNDS[span]);
        for (to, entered) in entered.iter().enumerate().take(tiers.len()) {
            if to != own {
                let moving = expected(curve.waits[span], leaving + tiers[to].entry);
                best = best.min(until[span] + moving + entered[span]);
            }
        }
    }
    best
}

/// What a tier costs from the beginning of one span to that of each other, and to the end of all.
fn there(
    tiers: &[Costs],
    own: usize,
    (stay_left, idle): (i64, i64),
    first: usize,
    curve: &Curve,
    after: &Worth,
) -> [i64; SPANS + 1] {
    let tier = &tiers[own];
    let begin = BOUNDS[first];
    let mut sums = [0; SPANS + 1];
    for span in first..SPANS {
        let (age, middle, end) = (BOUNDS[span] - begin, MIDDLES[span] - begin, BOUNDS[span + 1] - begin);
        let (reads, ends) = (curve.reads[span], curve.ends[span]);
        let rent = expected(curve.waits[span + 1], tier.rent(idle + age, idle + end))
            + expected(reads + ends, tier.rent(idle + age, idle + middle));
        let left = stay_left - middle;
        let read = expected(reads, tier.read + after.of(tiers, own, left));
        let ended = expected(ends, tier.rest(left));
        sums[span + 1] = sums[span] + rent + read + ended;
    }
    sums
}
