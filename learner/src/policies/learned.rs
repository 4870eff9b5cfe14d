//! What a network expects, planned with: an object goes where it is cheapest for its forecast.

use vaultaire_proto::prices::card::Phase;

use crate::logs::Names;
use crate::planner::costs::half_days;
use crate::planner::record::{Record, Subject};
use crate::planner::{Seat, Situation, plan};
use crate::policies::{Policy, View};
use crate::pricing::Step;

/// How it is called.
pub const NAME: &str = "learned";

#[derive(Debug)]
pub struct Learned;

impl Policy for Learned {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self, view: View<'_>) -> usize {
        planned(view)
    }

    fn decide(&self, view: View<'_>) -> usize {
        planned(view)
    }

    fn record(&self, view: View<'_>, step: Step, names: &Names) -> Option<Record> {
        let allowed = allowed(view);
        let situation = situation(view, &allowed)?;
        let subject = Subject {
            timestamp: step.at_s,
            bucket: names.bucket(view.object),
            key: names.key(view.object),
        };
        Some(Record::new(subject, view.prices.book, &situation, &plan(&situation)))
    }
}

/// Of what nothing is known stays where it is, and so does what is so small that no tier keeps it for less.
fn planned(view: View<'_>) -> usize {
    let hot = view.card(view.prices.book.hot).storage();
    let cheapest = |phases: &[Phase]| phases.iter().map(|phase| phase.storage).min();
    let allowed = allowed(view);
    if allowed.iter().all(|tier| cheapest(&view.card(*tier).phases) >= Some(hot)) {
        return view.tier;
    }
    situation(view, &allowed).map_or(view.tier, |situation| plan(&situation).tier)
}

/// Where it may go: one by which others are found is worth nothing while it is being restored.
fn allowed(view: View<'_>) -> Vec<usize> {
    let may_be = |tier: &usize| !view.is_index || view.card(*tier).restore.is_none();
    view.allowed.iter().copied().filter(may_be).collect()
}

fn situation<'a>(view: View<'a>, allowed: &'a [usize]) -> Option<Situation<'a>> {
    let seen_s = view.entered_s.max(view.at_s - view.idle_s);
    let seat = Seat {
        tier: view.tier,
        stay_left: half_days(view.bound_until_s.saturating_sub(view.at_s)),
        idle: half_days(view.at_s - seen_s),
    };
    Some(Situation {
        cards: view.prices.cards,
        allowed,
        size_bytes: view.size_bytes,
        seat: (!view.is_new).then_some(seat),
        forecast: view.forecast?,
    })
}
