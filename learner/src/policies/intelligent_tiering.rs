//! Everything that is large enough is in the tier that looks after its objects by itself, from the beginning.

use crate::policies::{Policy, View};

#[derive(Debug)]
pub struct IntelligentTiering;

impl Policy for IntelligentTiering {
    fn name(&self) -> &'static str {
        "intelligent-tiering"
    }

    fn place(&self, view: View<'_>) -> usize {
        // What is too small to be looked after costs there what it costs in the hot tier, and a transition.
        let looks_after = |tier: &usize| view.card(*tier).phases.len() > 1;
        view.allowed.iter().copied().find(looks_after).unwrap_or(view.tier)
    }

    fn decide(&self, view: View<'_>) -> usize {
        // What another policy has put elsewhere would be read to come here.
        if view.tier == view.prices.book.hot { self.place(view) } else { view.tier }
    }

    fn brings_back(&self) -> bool {
        false
    }
}
