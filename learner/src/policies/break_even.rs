//! Rent or buy: an object moves to a cheaper tier when staying has cost so much more, since its last access, as moving there and
//! coming back would; and it comes back when reading it there has cost as much as coming back does. Where every idle time
//! ends in a read this never costs more than twice the optimum (Karlin et al., "Competitive snoopy caching", 1988); where idle
//! times end in nothing it gives no such promise.

use vaultaire_proto::prices::exact::Exact;

use crate::policies::{Policy, View};

#[derive(Debug)]
pub struct BreakEven;

impl Policy for BreakEven {
    fn name(&self) -> &'static str {
        "break-even"
    }

    fn place(&self, view: View<'_>) -> usize {
        view.tier
    }

    fn decide(&self, view: View<'_>) -> usize {
        if let Some(hot) = comes_back(view) {
            return hot;
        }
        let since_s = view.entered_s.max(view.at_s - view.idle_s);
        let ticks = view.prices.ticks.between(since_s, view.at_s);
        let here = view.least_storage();
        let pays = |tier: &usize| {
            let saving = here - view.card(*tier).storage();
            saving > Exact::ZERO && saving.times(ticks) >= there_and_back(view, *tier)
        };
        let cheaper = view.allowed.iter().copied().filter(pays);
        cheaper.min_by_key(|tier| view.card(*tier).storage()).unwrap_or(view.tier)
    }
}

/// What moving to a tier costs, and reading it there once: from the hot tier it was read for less.
fn there_and_back(view: View<'_>, tier: usize) -> Exact {
    let (left, entered) = (view.card(view.tier), view.card(tier));
    let leaving = read_all(view, view.tier);
    let reading = read_all(view, tier) + entered.get - left.get;
    leaving + entered.transition + reading.max(Exact::ZERO)
}

fn read_all(view: View<'_>, tier: usize) -> Exact {
    let card = view.card(tier);
    let restored = card.restore.map_or(Exact::ZERO, |restore| restore.retrieval);
    card.retrieval(view.size_bytes) + restored
}

/// The hot tier, when reads have cost so much here.
pub fn comes_back(view: View<'_>) -> Option<usize> {
    let hot = view.prices.book.hot;
    let (here, back) = (view.card(view.tier), view.card(hot));
    if view.tier == hot || view.reads_there.count == 0 {
        return None;
    }
    let bound_until_s = view.entered_s + here.stay_min_s;
    let rest = here.storage().times(view.prices.ticks.between(view.at_s, bound_until_s));
    let coming = read_all(view, view.tier) + back.transition + rest;
    let reads = view.reads_there;
    let restored = here.restore.map_or(Exact::ZERO, |restore| restore.retrieval);
    let requests = (here.get - back.get).max(Exact::ZERO).times(i128::from(reads.requests));
    let paid =
        requests + here.retrieval(reads.sent_bytes) + restored.times(i128::from(reads.count));
    (paid >= coming).then_some(hot)
}
