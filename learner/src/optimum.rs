//! The least that a life can cost, with everything known beforehand: the limit of what any policy can save.
//!
//! It is exact, per object: moves are at any midnight, into any allowed tier, and whatever happens in between is priced as
//! in `pricing`. Packing, free allowances and prices that fall with volume are outside of it.
//!
//! **How.** Ways that differ in the past only are compared wherever they meet. What of a past can matter is the tier, until when it is paid
//! for in any case, since when the tier counts it as idle, and until when a restored copy lasts. A minimum stay is paid
//! when it is entered; leaving early then costs nothing more. A way is dropped where another one in the same tier is as
//! good in all of that for no more money, or for so much less that it can pay for the difference. (A restored copy that lasts
//! longer is not better: the next one begins later, and may begin just too late for two reads.)
//!
//! **Which midnights.** Between two events (a read, the end) all that changes with the time of a move is rent, in
//! proportion to the day's price. So of all plans one of the cheapest has each of its moves at a corner: next to an event or at the
//! beginning of a month, or where a minimum stay or an idle age of the tier before or after ends, counted from a corner.
//! Only these midnights are looked at.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use vaultaire_proto::prices::calendar::DAY_S;
use vaultaire_proto::prices::card::Card;
use vaultaire_proto::prices::exact::Exact;

use crate::history::{Life, Read};
use crate::points::end_of_day;
use crate::pricing::{Prices, Step, readable_until};

/// One way to be where an object is now.
#[derive(Clone, Copy, Debug)]
struct Way {
    tier: usize,
    bound_until_s: u64,
    idle_since_s: u64,
    readable_until_s: u64,
    cost: Exact,
    /// The last of its steps. None: it has made none.
    last: Option<usize>,
}

/// All ways that may yet be the best.
struct Search<'a> {
    prices: Prices<'a>,
    allowed: &'a [usize],
    life: &'a Life,
    /// How long after its entry something ends in a tier, and nothing at all, in order.
    offsets: Vec<u64>,
    now_s: u64,
    ways: Vec<Way>,
    /// Each step, and the one before it.
    trail: Vec<(Step, Option<usize>)>,
}

/// The cheapest steps of a life, and what they cost. Reading it from outside (egress) is not counted.
pub fn steps(prices: Prices<'_>, allowed: &[usize], life: &Life) -> (Vec<Step>, Exact) {
    let mut search = Search {
        prices,
        allowed,
        life,
        offsets: offsets(prices, allowed),
        now_s: life.from_s,
        ways: Vec::new(),
        trail: Vec::new(),
    };
    search.begin();
    for read in &life.reads {
        search.gap(read.at_s, read.at_s);
        search.read(*read);
    }
    // At the last midnight, if it ends then, nothing moves any more.
    search.gap(life.until_s, life.until_s.saturating_sub(1));
    search.best()
}

fn offsets(prices: Prices<'_>, allowed: &[usize]) -> Vec<u64> {
    let cards = || allowed.iter().map(|tier| &prices.cards[*tier]);
    let ends = cards()
        .flat_map(|card| card.phases.iter().map(|phase| phase.idle_s).chain([card.stay_min_s]));
    // A restored copy is paid for a day, or until the end of the object.
    let copies = cards().filter(|card| card.restore.is_some()).map(|_| DAY_S);
    let mut offsets: Vec<u64> = ends.chain(copies).chain([0]).collect();
    offsets.sort_unstable();
    offsets.dedup();
    offsets
}

impl Search<'_> {
    fn card(&self, tier: usize) -> &Card {
        &self.prices.cards[tier]
    }

    fn begin(&mut self) {
        if !self.life.is_new {
            self.ways.push(Way {
                tier: self.prices.book.hot,
                bound_until_s: 0,
                idle_since_s: self.life.idle_since_s,
                readable_until_s: 0,
                cost: Exact::ZERO,
                last: None,
            });
            return;
        }
        for tier in self.allowed.iter().copied() {
            let put = self.card(tier).put;
            self.enter(tier, put, None);
        }
    }

    /// A way that is in a tier from now on.
    fn enter(&mut self, tier: usize, cost: Exact, before: Option<usize>) {
        let card = &self.prices.cards[tier];
        let bound_until_s = self.now_s + card.stay_min_s;
        let stay = card.storage().times(self.prices.ticks.between(self.now_s, bound_until_s));
        self.trail.push((Step { at_s: self.now_s, tier }, before));
        self.ways.push(Way {
            tier,
            bound_until_s,
            idle_since_s: self.now_s,
            readable_until_s: 0,
            cost: cost + stay,
            last: Some(self.trail.len() - 1),
        });
    }

    /// Goes to the next event. Something may move at midnights until then.
    fn gap(&mut self, to_s: u64, moves_until_s: u64) {
        let (first_s, last_s) = (end_of_day(self.now_s), moves_until_s / DAY_S * DAY_S);
        if first_s <= last_s {
            self.midnights(first_s, last_s);
        }
        self.wait(to_s);
    }

    /// Goes to the last of some midnights, moving at the corners.
    fn midnights(&mut self, first_s: u64, last_s: u64) {
        let add = |corners: &mut BTreeSet<u64>, at_s: u64| {
            let around = [at_s / DAY_S * DAY_S, at_s.next_multiple_of(DAY_S)];
            corners.extend(around.into_iter().filter(|at_s| (first_s..=last_s).contains(at_s)));
        };
        let mut corners = BTreeSet::from([first_s, last_s]);
        if first_s < last_s {
            for at_s in self.turns(first_s, last_s) {
                self.offsets
                    .iter()
                    .for_each(|offset_s| add(&mut corners, at_s.saturating_sub(*offset_s)));
            }
            for way in &self.ways {
                self.corners_of(way).for_each(|at_s| add(&mut corners, at_s));
            }
        }
        while let Some(at_s) = corners.pop_first() {
            self.wait(at_s);
            let known = self.ways.len();
            self.transitions();
            if at_s < last_s {
                for way in &self.ways[known..] {
                    let later = self.corners_of(way).filter(|later_s| *later_s > at_s);
                    later.for_each(|at_s| add(&mut corners, at_s));
                }
            }
            self.prune();
        }
    }

    /// From a time on, for as long as a move within some midnights can matter: events and the midnights around them, and beginnings
    /// of months.
    fn turns(&self, first_s: u64, last_s: u64) -> impl Iterator<Item = u64> {
        let furthest_s = last_s + self.offsets.last().copied().unwrap_or(0);
        let known = self.life.reads.partition_point(|read| read.at_s < last_s);
        let reads = self.life.reads[known..].iter().map(|read| read.at_s);
        let events = reads.take_while(move |at_s| *at_s <= furthest_s).chain([self.life.until_s]);
        let around = events.flat_map(|at_s| {
            [at_s / DAY_S * DAY_S, at_s, at_s.next_multiple_of(DAY_S), end_of_day(at_s)]
        });
        self.prices.ticks.months(first_s, furthest_s).chain(around)
    }

    /// When something ends for a way that stays where it is.
    fn corners_of(&self, way: &Way) -> impl Iterator<Item = u64> {
        let idle_since_s = way.idle_since_s;
        let steps = self.prices.cards[way.tier].phases.iter().skip(1);
        let ends = [way.bound_until_s, way.readable_until_s].into_iter().filter(|at_s| *at_s > 0);
        ends.chain(steps.map(move |phase| idle_since_s + phase.idle_s))
    }

    /// Time passes.
    fn wait(&mut self, to_s: u64) {
        let (table, from_s) = (self.prices.ticks, self.now_s);
        let whole = table.between(from_s, to_s);
        let ticks = |begins: u64, ends: u64| match (begins, ends) {
            _ if begins >= ends => 0,
            _ if (begins, ends) == (from_s, to_s) => whole,
            _ => table.between(begins, ends),
        };
        for way in &mut self.ways {
            let card = &self.prices.cards[way.tier];
            let free_until_s = way.bound_until_s.max(from_s);
            for (place, phase) in card.phases.iter().enumerate() {
                let begins = match place {
                    0 => free_until_s,
                    _ => free_until_s.max(way.idle_since_s + phase.idle_s),
                };
                let next = card.phases.get(place + 1);
                let ends = next.map_or(to_s, |next| to_s.min(way.idle_since_s + next.idle_s));
                way.cost += phase.storage.times(ticks(begins, ends));
            }
            way.cost += card.monitoring.times(whole);
        }
        self.now_s = to_s;
    }

    fn read(&mut self, read: Read) {
        for way in &mut self.ways {
            let card = &self.prices.cards[way.tier];
            if card.restore.is_some() && way.readable_until_s <= read.at_s {
                way.cost += restoring(self.prices, self.life, way.tier, read.at_s);
                way.readable_until_s = readable_until(read.at_s);
            }
            way.cost += card.get.times(i128::from(read.requests)) + card.retrieval(read.bytes);
            way.idle_since_s = read.at_s;
        }
        self.prune();
    }

    /// Everything that could move does, each way into each tier; of those that enter a tier now the cheapest is enough.
    fn transitions(&mut self) {
        for tier in self.allowed.iter().copied() {
            let leaving = self.ways.iter().filter(|way| way.tier != tier && !self.entered_now(way));
            let cheapest =
                leaving.map(|way| (self.left(way), way.last)).min_by_key(|(cost, _)| *cost);
            if let Some((cost, last)) = cheapest {
                let cost = cost + self.card(tier).transition;
                self.enter(tier, cost, last);
            }
        }
    }

    fn entered_now(&self, way: &Way) -> bool {
        way.last.is_some_and(|last| self.trail[last].0.at_s == self.now_s)
    }

    /// What a way has cost when it has left its tier.
    fn left(&self, way: &Way) -> Exact {
        let card = self.card(way.tier);
        match &card.restore {
            Some(_) if way.readable_until_s > self.now_s => way.cost,
            Some(_) => way.cost + restoring(self.prices, self.life, way.tier, self.now_s),
            None => way.cost + card.retrieval(self.life.size_bytes),
        }
    }

    /// Drops what cannot be the best any more.
    fn prune(&mut self) {
        let mut kept: Vec<Way> = Vec::with_capacity(self.ways.len());
        self.ways.sort_by_key(|way| way.cost);
        for way in &self.ways {
            if !kept.iter().any(|better| self.covers(better, way)) {
                kept.push(*way);
            }
        }
        self.ways = kept;
    }

    /// Whether a way can do whatever another one can, for no more.
    fn covers(&self, better: &Way, way: &Way) -> bool {
        if better.tier != way.tier
            || better.cost > way.cost
            || self.counted_idle_s(better) < self.counted_idle_s(way)
            || better.readable_until_s.max(self.now_s) != way.readable_until_s.max(self.now_s)
        {
            return false;
        }
        let from_s = better.bound_until_s.max(self.now_s);
        if way.bound_until_s <= from_s {
            return true;
        }
        let rest = self.prices.ticks.between(from_s, way.bound_until_s);
        better.cost + self.card(way.tier).storage().times(rest) <= way.cost
    }

    /// For how long it was idle, as far as that changes a price: nothing gets cheaper after the last step.
    fn counted_idle_s(&self, way: &Way) -> u64 {
        let last = self.card(way.tier).phases.last().map_or(0, |phase| phase.idle_s);
        (self.now_s - way.idle_since_s).min(last)
    }

    fn best(mut self) -> (Vec<Step>, Exact) {
        self.ways.sort_by_key(|way| way.cost);
        let Some(best) = self.ways.first() else {
            return (Vec::new(), Exact::ZERO);
        };
        let mut steps = Vec::new();
        let mut last = best.last;
        while let Some((step, before)) = last.map(|place| self.trail[place]) {
            steps.push(step);
            last = before;
        }
        steps.reverse();
        (steps, best.cost)
    }
}

/// To have it restored: the copy is kept until it expires or the object is gone.
fn restoring(prices: Prices<'_>, life: &Life, tier: usize, at_s: u64) -> Exact {
    prices.cards[tier].restore.map_or(Exact::ZERO, |restore| {
        let kept = prices.ticks.between(at_s, readable_until(at_s).min(life.until_s));
        restore.retrieval + restore.copy.times(kept)
    })
}
