//! What a network expects, planned with: an object goes where it is cheapest for its forecast.

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

/// Of what nothing is known stays where it is.
fn planned(view: View<'_>, seat: Option<Seat>) -> usize {
    let View { prices, allowed, size_bytes, forecast, tier, .. } = view;
    let situation = |forecast| Situation { cards: prices.cards, allowed, size_bytes, seat, forecast };
    forecast.map_or(tier, |forecast| plan(&situation(forecast)).tier)
}
