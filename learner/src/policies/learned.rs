//! What a network expects, planned with: an object goes where it is cheapest for its forecast.

use vaultaire_proto::prices::card::Phase;

use crate::planner::costs::half_days;
use crate::planner::{Seat, Situation, plan};
use crate::policies::{Policy, View};

#[derive(Debug)]
pub struct Learned;

impl Policy for Learned {
    fn name(&self) -> &'static str {
        "learned"
    }

    fn place(&self, view: View<'_>) -> usize {
        planned(view, None)
    }

    fn decide(&self, view: View<'_>) -> usize {
        let seen_s = view.entered_s.max(view.at_s - view.idle_s);
        let seat = Seat {
            tier: view.tier,
            stay_left: half_days(view.bound_until_s.saturating_sub(view.at_s)),
            idle: half_days(view.at_s - seen_s),
        };
        planned(view, Some(seat))
    }
}

/// Of what nothing is known stays where it is, and so does what is so small that no tier keeps it for less.
fn planned(view: View<'_>, seat: Option<Seat>) -> usize {
    let View { prices, allowed, size_bytes, tier, .. } = view;
    let Some(forecast) = view.forecast else { return tier };
    let hot = view.card(prices.book.hot).storage();
    let cheapest = |phases: &[Phase]| phases.iter().map(|phase| phase.storage).min();
    let may_be = |tier: &usize| !view.is_index || view.card(*tier).restore.is_none();
    let allowed: Vec<usize> = allowed.iter().copied().filter(may_be).collect();
    if allowed.iter().all(|tier| cheapest(&view.card(*tier).phases) >= Some(hot)) {
        return tier;
    }
    plan(&Situation { cards: prices.cards, allowed: &allowed, size_bytes, seat, forecast }).tier
}
