//! A time to live in the hot tier for each prefix and size, the one that would have been cheapest until now, worked out again
//! every 30 days. (The idea is SkyStore's: Liu et al., "SkyStore: Cost-Optimized Object Storage Across Regions and Clouds",
//! 2025; there it is copies in regions that live for a while.) What is read in a colder tier comes back, or stays, whichever was
//! cheaper.

use std::collections::HashMap;

use vaultaire_proto::prices::Book;
use vaultaire_proto::prices::calendar::{DAY_S, MONTH_TICKS};
use vaultaire_proto::prices::card::Card;
use vaultaire_proto::prices::exact::Exact;

use crate::error::Error;
use crate::gaps::{Gaps, Group, Shape, Sum, period};
use crate::history::Window;
use crate::logs::Log;
use crate::points::IDLE_DAYS;
use crate::policies::{Policy, View};
use crate::prefixes::Prefixes;

/// Of less nothing is learnt; the bucket may know more.
const GAPS_MIN: u64 = 30;

/// Ticks of a second, in a year of 365.25 days.
const TICKS_OF_A_SECOND: i128 = MONTH_TICKS as i128 * 12 / 31_557_600;

/// Where objects of a group go, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    tier: usize,
    idle_s: u64,
    /// A read brings it back into the hot tier.
    comes_back: bool,
}

#[derive(Debug)]
pub struct AdaptiveTtl {
    window: Window,
    prefixes: Prefixes,
    /// For each period. None: everything stays hot.
    rules: HashMap<(Group, u32), Option<Rule>>,
}

impl AdaptiveTtl {
    pub fn new(log: &Log, book: &Book, window: Window, allowed: &[usize]) -> Result<Self, Error> {
        let prefixes = Prefixes::new(&log.names);
        let gaps = Gaps::new(log, window, &prefixes)?;
        let candidates = candidates(book, allowed);
        let last = period(window, window.until_s);
        let mut rules = HashMap::new();
        for group in gaps.groups() {
            for period in 0..=last {
                let known = gaps.known(group, period);
                if known.values().map(|sum| sum.count).sum::<u64>() >= GAPS_MIN {
                    rules.insert((group, period), best(book, &candidates, &known));
                }
            }
        }
        Ok(Self { window, prefixes, rules })
    }

    fn rule(&self, view: View<'_>) -> Option<Rule> {
        let period = period(self.window, view.at_s);
        let of = |prefix| self.rules.get(&(Group::of(prefix, view.size_bytes), period));
        *of(self.prefixes.of(view.object)).or_else(|| of(view.bucket))?
    }
}

impl Policy for AdaptiveTtl {
    fn name(&self) -> &'static str {
        "adaptive-ttl"
    }

    fn place(&self, view: View<'_>) -> usize {
        let at_once = self.rule(view).filter(|rule| rule.idle_s == 0);
        at_once.map_or(view.tier, |rule| rule.tier)
    }

    fn decide(&self, view: View<'_>) -> usize {
        let Some(rule) = self.rule(view) else { return view.tier };
        let hot = view.prices.book.hot;
        let was_read = view.reads_there.count > 0 && view.idle_s < DAY_S;
        // Where a guard has put it into a tier that moves its objects by itself, it goes on as from the hot one, if that pays.
        let moves_itself = view.card(view.tier).phases.len() > 1;
        let pays = view.card(rule.tier).storage() < view.least_storage();
        match view.tier == hot || (moves_itself && pays) {
            true if view.idle_s >= rule.idle_s => rule.tier,
            false if rule.comes_back && was_read => hot,
            _ => view.tier,
        }
    }
}

/// Everything that a rule may say.
fn candidates(book: &Book, allowed: &[usize]) -> Vec<Rule> {
    let tiers = allowed.iter().copied();
    let tiers = tiers.filter(|tier| *tier != book.hot && book.tiers[*tier].native.is_none());
    let idle = || [0].into_iter().chain(IDLE_DAYS.iter().map(|days| days * DAY_S));
    tiers
        .flat_map(|tier| idle().map(move |idle_s| (tier, idle_s)))
        .flat_map(|(tier, idle_s)| {
            [true, false].map(|comes_back| Rule { tier, idle_s, comes_back })
        })
        .collect()
}

/// The cheapest rule for what is known. None: nothing is cheaper than to stay.
fn best(book: &Book, candidates: &[Rule], known: &HashMap<Shape, Sum>) -> Option<Rule> {
    let priced: Vec<(Shape, Sum, Vec<Card>)> = known
        .iter()
        .map(|(shape, sum)| {
            let size = sum.bytes / u128::from(sum.count.max(1));
            (*shape, *sum, book.cards(u64::try_from(size).unwrap_or(u64::MAX)))
        })
        .collect();
    let cost = |rule: Option<Rule>| -> Exact {
        let each = priced.iter().map(|(shape, sum, cards)| {
            one(book.hot, cards, *shape, *sum, rule).times(i128::from(sum.count))
        });
        each.sum()
    };
    let cheapest =
        candidates.iter().map(|rule| (cost(Some(*rule)), *rule)).min_by_key(|(cost, _)| *cost);
    cheapest.filter(|(least, _)| *least < cost(None)).map(|(_, rule)| rule)
}

/// What a gap of the mean length costs under a rule.
fn one(hot: usize, cards: &[Card], shape: Shape, sum: Sum, rule: Option<Rule>) -> Exact {
    let mean =
        |total: u128| u64::try_from(total / u128::from(sum.count.max(1))).unwrap_or(u64::MAX);
    let (length_s, size_bytes) = (mean(sum.seconds), mean(sum.bytes));
    let rent =
        |card: &Card, seconds: u64| card.storage().times(i128::from(seconds) * TICKS_OF_A_SECOND);
    let warm = &cards[hot];
    let Some(rule) = rule else { return rent(warm, length_s) };
    let cold = &cards[rule.tier];
    let read_all = cold.retrieval(size_bytes)
        + cold.restore.map_or(Exact::ZERO, |restore| {
            restore.retrieval + restore.copy.times(i128::from(DAY_S) * TICKS_OF_A_SECOND)
        });
    let read = if shape.before_read { read_all + cold.get - warm.get } else { Exact::ZERO };
    if shape.after_read && !rule.comes_back {
        // It is there already.
        return rent(cold, length_s) + read;
    }
    if length_s < rule.idle_s {
        return rent(warm, length_s);
    }
    let moved = match rule.idle_s == 0 && !shape.after_read {
        true => cold.put - warm.put,
        false => cold.transition,
    };
    let back = match shape.before_read && rule.comes_back {
        true => read_all + warm.transition,
        false => Exact::ZERO,
    };
    let there_s = (length_s - rule.idle_s).max(cold.stay_min_s);
    rent(warm, rule.idle_s) + moved + rent(cold, there_s) + read + back
}
