//! When objects are looked at again though nothing happens to them. One that nobody reads may have no decision for months, and yet less
//! and less can be lost with it, and a tier that moves its objects by itself gets cheaper: if nobody looked, what was saved would not be
//! known, and could not be risked.

use std::collections::BTreeSet;

use vaultaire_proto::prices::calendar::DAY_S;

use crate::pricing::{Prices, Seat};

/// While less and less of a minimum stay is left, it is looked at so often.
const LOOK_DAYS: u64 = 30;

/// Objects, by the midnight of their next look.
#[derive(Debug, Default)]
pub struct Looks(BTreeSet<(u64, u32)>);

impl Looks {
    /// An object is looked at at another midnight from now on, or not any more.
    pub fn set(&mut self, object: u32, old_s: Option<u64>, new_s: Option<u64>) {
        if let Some(old_s) = old_s {
            self.0.remove(&(old_s, object));
        }
        self.0.extend(new_s.map(|new_s| (new_s, object)));
    }

    /// The first look that is due before a time: when, and at what.
    pub fn due(&mut self, before_s: u64) -> Option<(u64, u32)> {
        let first = self.0.first().filter(|(at_s, _)| *at_s < before_s).copied()?;
        self.0.pop_first();
        Some(first)
    }
}

/// The midnight at which an object is looked at next, if nothing happens to it until then.
pub fn next(prices: Prices<'_>, seat: &Seat) -> Option<u64> {
    let phases = &prices.cards[seat.tier].phases;
    let cheaper = phases.iter().map(|phase| seat.idle_since_s + phase.idle_s);
    let shorter = (seat.bound_until_s > seat.now_s)
        .then(|| seat.bound_until_s.min(seat.now_s + LOOK_DAYS * DAY_S));
    let next = cheaper.chain(shorter).filter(|at_s| *at_s > seat.now_s).min()?;
    Some(next.next_multiple_of(DAY_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_looked_at_once_and_only_at_the_last_time_that_was_told() {
        let mut looks = Looks::default();
        looks.set(1, None, Some(5 * DAY_S));
        looks.set(2, None, Some(3 * DAY_S));
        looks.set(1, Some(5 * DAY_S), Some(4 * DAY_S));
        looks.set(3, None, Some(2 * DAY_S));
        looks.set(3, Some(2 * DAY_S), None);
        assert_eq!(looks.due(3 * DAY_S), None, "what happens at that midnight comes first");
        assert_eq!(looks.due(9 * DAY_S), Some((3 * DAY_S, 2)));
        assert_eq!(looks.due(9 * DAY_S), Some((4 * DAY_S, 1)));
        assert_eq!(looks.due(9 * DAY_S), None);
    }
}
