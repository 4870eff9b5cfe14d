//! Where an object should be, for what is expected of it: what each tier costs until the next read, and from then on, with one
//! move at the beginning of any span. It moves only where moving now is better than moving later or not at all.
//!
//! From the forecast on everything is integers: any node plans the same.
//!
//! **After a read** an object may go anywhere again, and what is expected then is expected after each read that follows: what
//! being in a tier after a read is worth is worked out by going back through some of these gaps between reads.

pub mod costs;
pub mod curve;
pub mod profiles;
pub mod record;

#[cfg(test)]
mod tests;

use vaultaire_proto::prices::card::Card;

use crate::hazards::{Forecast, SPANS};
use crate::planner::costs::Costs;
use crate::planner::curve::{BOUNDS, Curve, MIDDLES, expected};

/// Gaps between reads that are looked at, after the next one.
const SWEEPS: usize = 3;

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
    /// What staying there for ever costs. None: it is new.
    pub stays: Option<i64>,
    /// How many bits were dropped from each exact amount.
    pub dropped_bits: u32,
}

/// A move has to save a twentieth of what staying costs, and what it asks itself twice over: what is expected may be wrong.
const SAVING_PART: i64 = 20;
const SAVING_FEES: i64 = 2;

/// Plans.
pub fn plan(situation: &Situation<'_>) -> Plan {
    let Situation { cards, allowed, size_bytes, seat, forecast } = *situation;
    let (tiers, dropped_bits) = costs::of(cards, allowed, size_bytes, forecast);
    let after = worth(&tiers, &Curve::new(&forecast.read_after, &forecast.end_after));
    let curve = Curve::new(&forecast.read, &forecast.end);
    let ahead = Ahead::new(&tiers, &curve, &after);
    let cheapest = |costs: &[i64]| (0..costs.len()).min_by_key(|place| costs[*place]).unwrap_or(0);
    let Some(seat) = seat else {
        let put = |to: usize| tiers[to].put + ahead.waiting(to, (tiers[to].stay, 0));
        let costs: Vec<i64> = (0..tiers.len()).map(put).collect();
        return Plan { tier: allowed[cheapest(&costs)], costs, stays: None, dropped_bits };
    };
    // Where nobody may be, nothing is planned from.
    let Some(from) = allowed.iter().position(|tier| *tier == seat.tier) else {
        return Plan { tier: seat.tier, costs: Vec::new(), stays: None, dropped_bits };
    };
    let here = (seat.stay_left, seat.idle);
    let leaving = tiers[from].exit + tiers[from].rest(seat.stay_left);
    let going = |to: usize| match to == from {
        true => ahead.waiting(from, here),
        false => leaving + tiers[to].entry + ahead.entered[to][0],
    };
    let costs: Vec<i64> = (0..tiers.len()).map(going).collect();
    let stays = ahead.there(from, here, 0)[SPANS];
    let best = cheapest(&costs);
    let enough = (stays / SAVING_PART).max(SAVING_FEES * tiers[best].entry);
    let tier = if stays - costs[best] >= enough { allowed[best] } else { seat.tier };
    Plan { tier, costs, stays: Some(stays), dropped_bits }
}

/// What being in a tier just after a read costs.
#[derive(Clone, Debug)]
struct Worth {
    /// Where it stays there.
    stays: Vec<i64>,
    /// Where it leaves, beside the rest of its stay.
    leaves: Vec<i64>,
}

/// Goes back through gaps that are all alike.
fn worth(tiers: &[Costs], curve: &Curve) -> Worth {
    let nothing = vec![0; tiers.len()];
    let mut worth = Worth { stays: nothing.clone(), leaves: nothing };
    for _ in 0..SWEEPS {
        let ahead = Ahead::new(tiers, curve, &worth);
        let stays: Vec<i64> = (0..tiers.len()).map(|own| ahead.waiting(own, (0, 0))).collect();
        let leaves = tiers.iter().enumerate().map(|(own, tier)| {
            let others = (0..tiers.len()).filter(|to| *to != own);
            let elsewhere = others.map(|to| tiers[to].entry + stays[to]).min();
            // Where there is nowhere else to go, it stays.
            elsewhere.map_or(stays[own], |cost| tier.exit + cost)
        });
        worth = Worth { leaves: leaves.collect(), stays };
    }
    worth
}

/// The time until the next read.
struct Ahead<'a> {
    tiers: &'a [Costs],
    curve: &'a Curve,
    after: &'a Worth,
    /// What it costs from a span on, in a tier that it enters when that span begins, for each tier and span.
    entered: Vec<[i64; SPANS]>,
}

impl<'a> Ahead<'a> {
    fn new(tiers: &'a [Costs], curve: &'a Curve, after: &'a Worth) -> Self {
        let mut ahead = Self { tiers, curve, after, entered: Vec::new() };
        let from = |own: usize, span| ahead.there(own, (tiers[own].stay, 0), span)[SPANS];
        let entered = (0..tiers.len()).map(|own| std::array::from_fn(|span| from(own, span)));
        ahead.entered = entered.collect();
        ahead
    }

    /// What it costs where it is at first, with the best move at the beginning of a later span, or none. It is there with so much of a
    /// stay left, and idle for so long.
    fn waiting(&self, own: usize, here: (i64, i64)) -> i64 {
        let until = self.there(own, here, 0);
        let mut best = until[SPANS];
        for span in 1..SPANS {
            let leaving = self.tiers[own].exit + self.tiers[own].rest(here.0 - BOUNDS[span]);
            for to in (0..self.tiers.len()).filter(|to| *to != own) {
                let moving = expected(self.curve.waits[span], leaving + self.tiers[to].entry);
                best = best.min(until[span] + moving + self.entered[to][span]);
            }
        }
        best
    }

    /// What a tier costs from the beginning of one span to that of each other, and to the end of all.
    fn there(&self, own: usize, (stay_left, idle): (i64, i64), first: usize) -> [i64; SPANS + 1] {
        let (tier, curve) = (&self.tiers[own], self.curve);
        let begin = BOUNDS[first];
        let mut sums = [0; SPANS + 1];
        for span in first..SPANS {
            let (from, to) = (BOUNDS[span] - begin, BOUNDS[span + 1] - begin);
            let middle = MIDDLES[span] - begin;
            let (reads, ends) = (curve.reads[span], curve.ends[span]);
            let rent = expected(curve.waits[span + 1], tier.rent(idle + from, idle + to))
                + expected(reads + ends, tier.rent(idle + from, idle + middle));
            let left = stay_left - middle;
            let leaves = self.after.leaves[own] + tier.rest(left);
            let read = expected(reads, tier.read + self.after.stays[own].min(leaves));
            sums[span + 1] = sums[span] + rent + read + expected(ends, tier.rest(left));
        }
        sums
    }
}
