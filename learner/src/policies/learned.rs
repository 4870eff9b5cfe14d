//! What a network expects, planned with: an object goes where it is cheapest for its forecast.

use vaultaire_proto::prices::card::Phase;

use crate::logs::Names;
use crate::planner::costs::half_days;
use crate::planner::record::{Record, Subject};
use crate::planner::{Seat, Situation, plan};
use crate::policies::{Policy, View};
use crate::pricing::Step;

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
        planned(view, Some(seat(view)))
    }
}

/// Where an object is.
pub fn seat(view: View<'_>) -> Seat {
    let seen_s = view.entered_s.max(view.at_s - view.idle_s);
    Seat {
        tier: view.tier,
        stay_left: half_days(view.bound_until_s.saturating_sub(view.at_s)),
        idle: half_days(view.at_s - seen_s),
    }
}

/// Where it may go: others that are found by it are worth nothing while it is being restored.
pub fn allowed(view: View<'_>) -> Vec<usize> {
    let may_be = |tier: &usize| !view.is_index || view.card(*tier).restore.is_none();
    view.allowed.iter().copied().filter(may_be).collect()
}

/// A decision with all that it was made from. None: it was not planned.
pub fn record(view: View<'_>, step: Step, names: &Names) -> Option<Record> {
    let allowed = allowed(view);
    let is_new = view.at_s == view.entered_s && view.idle_s == 0;
    let situation = Situation {
        cards: view.prices.cards,
        allowed: &allowed,
        size_bytes: view.size_bytes,
        seat: (!is_new).then(|| seat(view)),
        forecast: view.forecast?,
    };
    let plan = plan(&situation);
    let subject = Subject {
        timestamp: view.at_s,
        bucket: names.bucket(view.object),
        key: names.key(view.object),
    };
    (plan.tier == step.tier).then(|| Record::new(subject, view.prices.book, &situation, &plan))
}

/// Of what nothing is known stays where it is, and so does what is so small that no tier keeps it for less.
fn planned(view: View<'_>, seat: Option<Seat>) -> usize {
    let View { prices, size_bytes, tier, .. } = view;
    let Some(forecast) = view.forecast else { return tier };
    let hot = view.card(prices.book.hot).storage();
    let cheapest = |phases: &[Phase]| phases.iter().map(|phase| phase.storage).min();
    let allowed = allowed(view);
    if allowed.iter().all(|tier| cheapest(&view.card(*tier).phases) >= Some(hot)) {
        return tier;
    }
    plan(&Situation { cards: prices.cards, allowed: &allowed, size_bytes, seat, forecast }).tier
}
