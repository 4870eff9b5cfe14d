//! Whether there is an order of a key's operations that agrees with what every client was told, in which none comes before one that
//! had ended when it began. The search is Wing and Gong's, with Lowe's memory of what was tried.

use std::collections::HashSet;

use super::history::{Action, Event, Outcome, Value};

/// Operations of one key: a set of them is one number.
pub const EVENTS_MAX: usize = 128;

/// States that are looked at before the search is given up.
const STEPS_MAX: usize = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    Violated,
    /// The search took too long.
    Undecided,
}

/// What the key holds after an operation, if it can have had this outcome.
fn step(held: Option<Value>, event: &Event) -> Option<Option<Value>> {
    let unknown = event.outcome == Outcome::Unknown;
    let write = |condition: bool, new: Option<Value>| match event.outcome {
        Outcome::Done => condition.then_some(new),
        Outcome::Refused => (!condition).then_some(held),
        Outcome::Unknown => Some(if condition { new } else { held }),
        Outcome::Found(_) => None,
    };
    match event.action {
        Action::Put(value) => write(true, Some(value)),
        Action::Create(value) => write(held.is_none(), Some(value)),
        Action::Swap { old, new } => write(held == Some(old), Some(new)),
        Action::Delete => write(true, None),
        Action::Read if unknown => Some(held),
        Action::Read => (event.outcome == Outcome::Found(held)).then_some(held),
    }
}

/// Checks the operations of one key, which is empty at first.
pub fn check(events: &[Event]) -> Verdict {
    assert!(events.len() <= EVENTS_MAX, "a key has too many operations: {}", events.len());
    let needed = events.iter().enumerate().filter(|(_, event)| event.ended.is_some());
    let needed: u128 = needed.fold(0, |set, (at, _)| set | 1 << at);
    let mut tried = HashSet::new();
    let mut open = vec![(0_u128, None)];
    while let Some((done, held)) = open.pop() {
        if done & needed == needed {
            return Verdict::Linearizable;
        }
        if tried.len() >= STEPS_MAX {
            return Verdict::Undecided;
        }
        let left = || events.iter().enumerate().filter(|(at, _)| done & (1 << at) == 0);
        // What has ended before another one begins comes before it.
        let first_end = left().filter_map(|(_, event)| event.ended).min().unwrap_or(u64::MAX);
        for (at, event) in left().filter(|(_, event)| event.began < first_end) {
            if let Some(held) = step(held, event) {
                let next = (done | 1 << at, held);
                if tried.insert(next) {
                    open.push(next);
                }
            }
        }
    }
    Verdict::Violated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: Action, outcome: Outcome, began: u64, ended: u64) -> Event {
        let ended = (outcome != Outcome::Unknown).then_some(ended);
        Event { client: 0, action, outcome, began, ended }
    }

    fn found(value: Option<Value>, began: u64, ended: u64) -> Event {
        event(Action::Read, Outcome::Found(value), began, ended)
    }

    #[test]
    fn what_happens_at_the_same_time_has_any_order() {
        let one = event(Action::Put(1), Outcome::Done, 1, 9);
        let two = event(Action::Put(2), Outcome::Done, 2, 8);
        for last in [1, 2] {
            let events = [one, two, found(Some(last), 10, 11)];
            assert_eq!(check(&events), Verdict::Linearizable);
        }
        let events = [one, two, found(Some(1), 10, 11), found(Some(2), 12, 13)];
        assert_eq!(check(&events), Verdict::Violated, "nobody wrote in between");
    }

    #[test]
    fn a_stale_read_and_a_lost_write_are_found() {
        let one = event(Action::Put(1), Outcome::Done, 1, 2);
        let two = event(Action::Put(2), Outcome::Done, 3, 4);
        assert_eq!(check(&[one, two, found(Some(1), 5, 6)]), Verdict::Violated);
        assert_eq!(check(&[one, found(None, 3, 4)]), Verdict::Violated);
        assert_eq!(check(&[one, two, found(Some(1), 2, 6)]), Verdict::Linearizable);
    }

    #[test]
    fn what_is_unknown_happens_once_or_never() {
        let one = event(Action::Put(1), Outcome::Unknown, 1, 0);
        let two = event(Action::Put(2), Outcome::Done, 2, 3);
        for seen in [&[Some(2)][..], &[Some(1)], &[Some(2), Some(1)]] {
            let mut events = vec![one, two];
            for (at, value) in (10..).step_by(2).zip(seen) {
                events.push(found(*value, at, at + 1));
            }
            assert_eq!(check(&events), Verdict::Linearizable, "{seen:?}");
        }
        let events = [one, two, found(Some(1), 4, 5), found(Some(2), 6, 7)];
        assert_eq!(check(&events), Verdict::Violated);
        let events = [one, two, found(Some(1), 4, 5), found(Some(2), 6, 7), found(Some(1), 8, 9)];
        assert_eq!(check(&events), Verdict::Violated, "it would have happened twice");
    }

    #[test]
    fn conditions_are_told_as_they_were() {
        let create =
            |value, outcome, began, ended| event(Action::Create(value), outcome, began, ended);
        let one = create(1, Outcome::Done, 1, 2);
        assert_eq!(check(&[one, create(2, Outcome::Refused, 3, 4)]), Verdict::Linearizable);
        assert_eq!(check(&[one, create(2, Outcome::Done, 3, 4)]), Verdict::Violated);
        assert_eq!(check(&[create(1, Outcome::Refused, 1, 2)]), Verdict::Violated);
        let swap = |old, outcome| event(Action::Swap { old, new: 9 }, outcome, 3, 4);
        assert_eq!(check(&[one, swap(1, Outcome::Done)]), Verdict::Linearizable);
        assert_eq!(check(&[one, swap(1, Outcome::Refused)]), Verdict::Violated);
        assert_eq!(check(&[one, swap(5, Outcome::Done)]), Verdict::Violated);
    }
}
