//! The optimum beside every sequence of tiers that there is, in small worlds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use vaultaire_proto::prices::calendar::Ticks;
use vaultaire_proto::prices::{Book, Native, NativeStep, Restore, books};

use super::*;
use crate::pricing::{Total, charge};

/// So many midnights are tried out in every combination, by how many tiers are allowed: some thousand sequences.
const MIDNIGHTS_MAX: [u64; 7] = [0, 0, 11, 7, 5, 4, 4];

/// Cases of each run of the tests, over all sets of tiers; `VAULTAIRE_OPTIMUM_CASES` asks for more.
const CASES: u32 = 10_000;

/// Every set of tiers beside the hot one that there is.
fn tier_sets() -> Vec<Vec<usize>> {
    let others = 1..books::builtin().tiers.len();
    let sets = (1_u32..1 << others.len())
        .map(|set| others.clone().filter(|tier| set >> (tier - 1) & 1 == 1).collect());
    sets.collect()
}

/// A book whose stays and steps are a few days long, so that all of them end within a small world.
fn small_book(stays: [u32; 4], steps: (u32, u32), rates: &[u64]) -> Book {
    let mut book = books::builtin();
    let mut rates = rates.iter().map(|rate| i128::from(*rate));
    let mut next = || rates.next().unwrap_or(1);
    for (place, tier) in book.tiers.iter_mut().enumerate() {
        tier.storage.0 = next() * 1_000_000;
        tier.retrieval.0 = next() * 10_000;
        tier.transition.0 = next() * 10;
        tier.requests.get.0 = next();
        tier.requests.put.0 = next() * 10;
        tier.stay_days_min = 0;
        if let Some(native) = &mut tier.native {
            let (first, second) = (tier.storage.0 / 2, tier.storage.0 / 5);
            let step = |idle_days, nanos| NativeStep {
                idle_days,
                storage: vaultaire_proto::money::NanoUsd(nanos),
            };
            let steps = vec![step(steps.0, first), step(steps.0 + steps.1, second)];
            *native = Native { steps, ..native.clone() };
        } else if place != book.hot {
            tier.stay_days_min = stays[place % stays.len()];
        }
        if let Some(restore) = &mut tier.restore {
            *restore = Restore { ..*restore };
            restore.retrieval.0 = next() * 10_000;
        }
    }
    book
}

/// The least of all sequences of tiers, a tier for each midnight.
fn by_force(prices: Prices<'_>, allowed: &[usize], life: &Life) -> (Vec<Step>, Exact) {
    let midnights: Vec<u64> =
        (end_of_day(life.from_s)..life.until_s).step_by(DAY_S as usize).collect();
    let mut best = (Vec::new(), Exact::TOO_LARGE);
    let mut try_all = |steps: &[Step]| {
        let mut total = Total { ticks: prices.ticks, amount: Exact::ZERO };
        charge(prices, life, steps, &mut total);
        if total.amount < best.1 {
            best = (steps.to_vec(), total.amount);
        }
    };
    let mut steps = Vec::new();
    if life.is_new {
        for tier in allowed {
            steps.push(Step { at_s: life.from_s, tier: *tier });
            every(&midnights, allowed, *tier, &mut steps, &mut try_all);
            steps.pop();
        }
    } else {
        every(&midnights, allowed, prices.book.hot, &mut steps, &mut try_all);
    }
    best
}

fn every(
    midnights: &[u64],
    allowed: &[usize],
    here: usize,
    steps: &mut Vec<Step>,
    try_all: &mut impl FnMut(&[Step]),
) {
    let Some((at_s, later)) = midnights.split_first() else {
        return try_all(steps);
    };
    for tier in allowed.iter().copied() {
        if tier == here {
            every(later, allowed, here, steps, try_all);
        } else {
            steps.push(Step { at_s: *at_s, tier });
            every(later, allowed, tier, steps, try_all);
            steps.pop();
        }
    }
}

/// Days of a world, when it is created, what is read, whether it is new, and how long it was idle before.
fn life(midnights: u64) -> impl Strategy<Value = Life> {
    let reads = prop::collection::vec((0..midnights * DAY_S, 0_u64..3_000_000, 1_u32..4), 0..6);
    let size = prop_oneof![0_u64..300_000, 1_000_000_u64..3_000_000_000];
    (size, 0..DAY_S, 1..=midnights * DAY_S, reads, any::<bool>(), 0..4 * DAY_S).prop_map(
        move |(size_bytes, begins, lasts, reads, is_new, idle)| {
            // Around the end of a February, where a day's price changes.
            let from_s = 20_510 * DAY_S + begins;
            let until_s = (from_s + lasts).min((from_s / DAY_S + midnights) * DAY_S);
            let at = |after: u64| from_s + after % (until_s - from_s);
            let mut reads: Vec<Read> = reads
                .into_iter()
                .map(|(after, bytes, requests)| Read { at_s: at(after), bytes, requests })
                .collect();
            reads.sort_by_key(|read| read.at_s);
            let idle_since_s = if is_new { from_s } else { from_s - idle };
            Life {
                object: 0,
                size_bytes,
                from_s,
                seen_s: from_s,
                is_new,
                idle_since_s,
                until_s,
                reads,
            }
        },
    )
}

#[test]
fn the_optimum_is_the_least_of_all_sequences() {
    let cases = std::env::var("VAULTAIRE_OPTIMUM_CASES").ok().and_then(|cases| cases.parse().ok());
    let sets = tier_sets();
    let cases = cases.unwrap_or(CASES).div_ceil(u32::try_from(sets.len()).unwrap());
    for set in sets {
        in_random_worlds(&set, cases);
    }
}

/// Where an object may be in the hot tier and these.
fn in_random_worlds(others: &[usize], cases: u32) {
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let book = (
        prop::array::uniform4(0_u32..4),
        (1_u32..3, 1_u32..3),
        prop::collection::vec(prop_oneof![0_u64..40, 0_u64..2_000], 40),
    )
        .prop_map(|(stays, steps, rates)| small_book(stays, steps, &rates));
    let allowed: Vec<usize> =
        [books::builtin().hot].into_iter().chain(others.iter().copied()).collect();
    let life = life(MIDNIGHTS_MAX[allowed.len()]);
    let outcome = runner.run(&(book, life), |(book, life)| {
        let cards = book.cards(life.size_bytes);
        let ticks = Ticks::new(book.month, 20_509..20_530);
        let prices = Prices { book: &book, ticks: &ticks, cards: &cards, egress_byte: Exact::ZERO };
        let (steps, cost) = steps(prices, &allowed, &life);
        let mut total = Total { ticks: &ticks, amount: Exact::ZERO };
        charge(prices, &life, &steps, &mut total);
        prop_assert_eq!(total.amount, cost, "its steps cost what it says: {:?}", steps);
        let (better, least) = by_force(prices, &allowed, &life);
        prop_assert_eq!(cost, least, "{:?} and not {:?}", steps, better);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("with the tiers {others:?}: {error}"));
}
