//! Keys that several clients try to create at once, and that nobody touches afterwards: exactly one wins,
//! and what it wrote stays. Keys with one writer are in `durability`.

use std::collections::BTreeMap;

use super::{Kind, Violation};
use crate::history::{Action, Event, Outcome, Seen, Value};

/// One client's try.
#[derive(Debug)]
struct Attempt {
    value: Value,
    end_us: u64,
    result: Result,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Result {
    Won,
    /// Told that the key exists.
    Beaten,
    /// Refused for another lawful reason: nothing was written, nothing is said of the key.
    Declined,
    Unknown,
}

/// One look at the key.
#[derive(Debug)]
struct Look {
    start_us: u64,
    seen: Option<Seen>,
}

#[derive(Debug, Default)]
struct Race {
    attempts: Vec<Attempt>,
    looks: Vec<Look>,
    violations: Vec<Violation>,
}

/// All races of a run.
#[derive(Debug, Default)]
pub struct Races {
    keys: BTreeMap<String, Race>,
}

impl Races {
    /// Takes in one operation on a raced key; the order does not matter.
    pub fn record(&mut self, event: &Event) {
        let race = self.keys.entry(event.key.clone()).or_default();
        match (&event.action, &event.outcome) {
            (Action::Put { value, .. }, outcome) => race.attempt(event, value, outcome),
            (Action::Get | Action::Head, Outcome::Found(seen)) => {
                race.looks.push(Look { start_us: event.start_us, seen: Some(seen.clone()) });
            }
            (Action::Get | Action::Head, Outcome::Missing) => {
                race.looks.push(Look { start_us: event.start_us, seen: None });
            }
            (_, Outcome::Unknown { .. } | Outcome::NotSent { .. }) => {}
            (_, outcome) => race.refused(&event.key, outcome),
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Everything wrong, once all was recorded.
    pub fn check(&self) -> Vec<Violation> {
        let judged = self.keys.iter().flat_map(|(key, race)| {
            let said = race.check_answers(key).into_iter().chain(race.check_looks(key));
            race.violations.iter().cloned().chain(said)
        });
        judged.collect()
    }
}

impl Race {
    fn attempt(&mut self, event: &Event, value: &Value, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Done { .. } => Result::Won,
            Outcome::Refused { status: 412, .. } => Result::Beaten,
            Outcome::Refused { status: 409, .. } | Outcome::NotSent { .. } => Result::Declined,
            Outcome::Unknown { .. } => Result::Unknown,
            other => {
                self.refused(&event.key, other);
                Result::Declined
            }
        };
        self.attempts.push(Attempt { value: value.clone(), end_us: event.end_us, result });
    }

    fn refused(&mut self, key: &str, outcome: &Outcome) {
        let detail = format!("a valid request on a raced key got {outcome:?}");
        self.violations.push(Violation::new(Kind::Refused, key, detail));
    }

    fn with(&self, result: Result) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(move |attempt| attempt.result == result)
    }

    fn check_answers(&self, key: &str) -> Option<Violation> {
        let won: Vec<u64> = self.with(Result::Won).map(|attempt| attempt.value.number).collect();
        if won.len() > 1 {
            let detail = format!("the creates of values {won:?} were all acknowledged");
            return Some(Violation::new(Kind::DoubleCreate, key, detail));
        }
        let nobody = won.is_empty()
            && self.with(Result::Unknown).next().is_none()
            && self.with(Result::Beaten).next().is_some();
        nobody.then(|| {
            Violation::new(Kind::DoubleCreate, key, "every create was told that another won")
        })
    }

    fn check_looks(&self, key: &str) -> Option<Violation> {
        let decided_us = self
            .attempts
            .iter()
            .filter(|attempt| matches!(attempt.result, Result::Won | Result::Beaten))
            .map(|attempt| attempt.end_us)
            .min();
        let mut shown: Option<u64> = self.with(Result::Won).next().map(|one| one.value.number);
        for look in &self.looks {
            let Some(seen) = &look.seen else {
                if decided_us.is_some_and(|decided_us| decided_us <= look.start_us) {
                    let detail = "nothing there after a create was decided";
                    return Some(Violation::new(Kind::Lost, key, detail));
                }
                continue;
            };
            let Some(attempt) = self.attempts.iter().find(|one| is_same(&one.value, seen)) else {
                let detail = format!("{seen:?} was never sent");
                return Some(Violation::new(Kind::WrongBytes, key, detail));
            };
            let number = attempt.value.number;
            if matches!(attempt.result, Result::Beaten | Result::Declined) {
                let detail = format!("value {number} is there, and its create was refused");
                return Some(Violation::new(Kind::Phantom, key, detail));
            }
            if let Some(winner) = shown.filter(|winner| *winner != number) {
                let detail = format!("value {number} is there after value {winner} had won");
                return Some(Violation::new(Kind::DoubleCreate, key, detail));
            }
            shown = Some(number);
        }
        None
    }
}

fn is_same(value: &Value, seen: &Seen) -> bool {
    let is_same_bytes = seen.sha256.as_ref().is_none_or(|sha256| *sha256 == value.sha256);
    is_same_bytes && seen.etag == value.etag && seen.size_bytes == value.size_bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::history::Condition;

    fn value(number: u64) -> Value {
        Value {
            number,
            size_bytes: number,
            sha256: format!("sha{number}"),
            etag: format!("etag{number}"),
        }
    }

    fn event(at_us: u64, action: Action, outcome: Outcome) -> Event {
        Event {
            client: 0,
            start_us: at_us,
            end_us: at_us + 5,
            start_life: 1,
            end_life: 1,
            key: "race/1".to_owned(),
            action,
            outcome,
        }
    }

    fn create(at_us: u64, number: u64, outcome: Outcome) -> Event {
        let condition = Condition::Absent;
        event(at_us, Action::Put { value: value(number), condition, parts: 0 }, outcome)
    }

    fn look(at_us: u64, number: Option<u64>) -> Event {
        let outcome = match number.map(value) {
            None => Outcome::Missing,
            Some(Value { size_bytes, sha256, etag, .. }) => {
                Outcome::Found(Seen { size_bytes, etag, sha256: Some(sha256) })
            }
        };
        event(at_us, Action::Get, outcome)
    }

    fn won() -> Outcome {
        Outcome::Done { etag: None }
    }

    fn beaten() -> Outcome {
        Outcome::Refused { status: 412, code: "PreconditionFailed".to_owned() }
    }

    fn unknown() -> Outcome {
        Outcome::Unknown { why: "reset".to_owned() }
    }

    fn judge(events: &[Event]) -> Vec<Kind> {
        let mut races = Races::default();
        for event in events {
            races.record(event);
        }
        races.check().into_iter().map(|violation| violation.kind).collect()
    }

    #[test]
    fn one_winner_whose_bytes_stay_is_lawful() {
        let none: [Kind; 0] = [];
        let plain = [create(0, 1, won()), create(0, 2, beaten()), look(2, None), look(9, Some(1))];
        assert_eq!(judge(&plain), none);
        let crashed = [create(0, 1, unknown()), create(0, 2, beaten()), look(9, Some(1))];
        assert_eq!(judge(&crashed), none);
        assert_eq!(judge(&[create(0, 1, unknown()), look(9, None)]), none);
    }

    #[test]
    fn planted_damage_is_found() {
        let double = [create(0, 1, won()), create(0, 2, won())];
        assert_eq!(judge(&double), [Kind::DoubleCreate]);
        let nobody = [create(0, 1, beaten()), create(0, 2, beaten())];
        assert_eq!(judge(&nobody), [Kind::DoubleCreate]);
        let lost = [create(0, 1, won()), look(9, None)];
        assert_eq!(judge(&lost), [Kind::Lost]);
        let beaten_won = [create(0, 1, unknown()), create(0, 2, beaten()), look(9, Some(2))];
        assert_eq!(judge(&beaten_won), [Kind::Phantom]);
        let replaced = [create(0, 1, won()), create(0, 2, unknown()), look(9, Some(2))];
        assert_eq!(judge(&replaced), [Kind::DoubleCreate]);
        let changed =
            [create(0, 1, unknown()), create(0, 2, unknown()), look(9, Some(2)), look(10, Some(1))];
        assert_eq!(judge(&changed), [Kind::DoubleCreate]);
        let foreign = [create(0, 1, won()), look(9, Some(8))];
        assert_eq!(judge(&foreign), [Kind::WrongBytes]);
        let denied = Outcome::Refused { status: 403, code: "AccessDenied".to_owned() };
        assert_eq!(judge(&[create(0, 1, denied)]), [Kind::Refused]);
    }
}
