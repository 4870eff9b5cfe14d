//! Planted violations: each kind of damage must be found, and lawful histories must pass. No server here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

const KEY: &str = "c0/k";

fn value(number: u64) -> Value {
    Value {
        number,
        size_bytes: 10 + number,
        sha256: format!("sha{number}"),
        etag: format!("etag{number}"),
    }
}

fn event(lives: (u32, u32), action: Action, outcome: Outcome) -> Event {
    Event {
        client: 0,
        start_us: 0,
        end_us: 1,
        start_life: lives.0,
        end_life: lives.1,
        key: KEY.to_owned(),
        action,
        outcome,
    }
}

fn put(number: u64) -> Action {
    Action::Put { value: value(number), condition: Condition::None, parts: 0 }
}

fn create(number: u64) -> Action {
    Action::Put { value: value(number), condition: Condition::Absent, parts: 0 }
}

fn swap(number: u64, expected: u64) -> Action {
    let condition = Condition::Etag(value(expected).etag);
    Action::Put { value: value(number), condition, parts: 0 }
}

fn done() -> Outcome {
    Outcome::Done { etag: None }
}

fn unknown() -> Outcome {
    Outcome::Unknown { why: "connection reset".to_owned() }
}

fn refused(status: u16) -> Outcome {
    Outcome::Refused { status, code: "X".to_owned() }
}

fn found(number: u64) -> Outcome {
    let Value { size_bytes, sha256, etag, .. } = value(number);
    Outcome::Found(Seen { size_bytes, etag, sha256: Some(sha256) })
}

/// All violations of a history.
fn judge(events: &[Event]) -> Vec<Kind> {
    let mut ledger = Ledger::default();
    events.iter().flat_map(|event| ledger.record(event)).map(|violation| violation.kind).collect()
}

#[test]
fn lawful_histories_pass() {
    let none: [Kind; 0] = [];
    // An unknown overwrite may show the old or the new value, and the other must not follow.
    for seen in [1, 2] {
        let events = [
            event((1, 1), put(1), done()),
            event((1, 1), put(2), unknown()),
            event((2, 2), Action::Get, found(seen)),
            event((3, 3), Action::Get, found(seen)),
        ];
        assert_eq!(judge(&events), none);
    }
    // While its server lives, an unknown write may land after a later acknowledged one.
    let late = [
        event((1, 1), put(1), unknown()),
        event((1, 1), put(2), done()),
        event((1, 1), Action::Get, found(2)),
        event((2, 2), Action::Get, found(1)),
    ];
    assert_eq!(judge(&late), none);
    let removed = [
        event((1, 1), put(1), done()),
        event((1, 1), Action::Delete, unknown()),
        event((2, 2), Action::Head, Outcome::Missing),
        event((2, 2), create(2), done()),
        event((2, 2), swap(3, 2), done()),
        event((2, 2), swap(4, 2), refused(412)),
        event((2, 2), create(5), refused(412)),
        event((2, 2), Action::Get, found(3)),
    ];
    assert_eq!(judge(&removed), none);
}

#[test]
fn a_lost_write_is_found_once() {
    let events = [
        event((1, 1), put(1), done()),
        event((2, 2), Action::Get, Outcome::Missing),
        event((2, 2), Action::Get, Outcome::Missing),
    ];
    assert_eq!(judge(&events), [Kind::Lost]);
    // Seen is as good as acknowledged.
    let seen = [
        event((1, 1), put(1), unknown()),
        event((2, 2), Action::Get, found(1)),
        event((2, 2), Action::Head, Outcome::Missing),
    ];
    assert_eq!(judge(&seen), [Kind::Lost]);
}

#[test]
fn an_older_value_under_a_newer_one_is_found() {
    let events = [
        event((1, 1), put(1), done()),
        event((1, 1), put(2), done()),
        event((2, 2), Action::Get, found(1)),
    ];
    assert_eq!(judge(&events), [Kind::Stale]);
    // The server that might have carried it out late is dead, and what was read settled it.
    let settled = [
        event((1, 1), put(1), done()),
        event((1, 1), put(2), unknown()),
        event((2, 2), Action::Get, found(1)),
        event((2, 2), Action::Get, found(2)),
    ];
    assert_eq!(judge(&settled), [Kind::Stale]);
}

#[test]
fn a_write_lands_at_most_once() {
    let events = [
        event((1, 1), put(1), unknown()),
        event((1, 1), Action::Get, found(1)),
        event((1, 1), Action::Delete, done()),
        event((2, 2), Action::Get, found(1)),
    ];
    assert_eq!(judge(&events), [Kind::Resurrected]);
}

#[test]
fn wrong_bytes_are_found() {
    let read = |outcome| [event((1, 1), put(1), done()), event((2, 2), Action::Get, outcome)];
    assert_eq!(judge(&read(found(9))), [Kind::WrongBytes]);
    let Outcome::Found(mut flipped) = found(1) else { unreachable!("found() finds") };
    flipped.sha256 = Some("another".to_owned());
    assert_eq!(judge(&read(Outcome::Found(flipped.clone()))), [Kind::WrongBytes]);
    flipped.sha256 = Some(value(1).sha256);
    flipped.size_bytes -= 1;
    assert_eq!(judge(&read(Outcome::Found(flipped))), [Kind::WrongBytes]);
    let etag = Some("another".to_owned());
    assert_eq!(judge(&[event((1, 1), put(1), Outcome::Done { etag })]), [Kind::WrongBytes]);
}

#[test]
fn a_deletion_that_did_not_last_is_found() {
    let events = [
        event((1, 1), put(1), done()),
        event((1, 1), Action::Delete, done()),
        event((2, 2), Action::Get, found(1)),
    ];
    assert_eq!(judge(&events), [Kind::Resurrected]);
}

#[test]
fn a_refused_write_that_happened_is_found() {
    let events = [
        event((1, 1), put(1), done()),
        event((1, 1), create(2), refused(412)),
        event((2, 2), Action::Get, found(2)),
    ];
    assert_eq!(judge(&events), [Kind::Phantom]);
}

#[test]
fn conditions_answered_wrongly_are_found() {
    let over = [event((1, 1), put(1), done()), event((1, 1), create(2), done())];
    assert_eq!(judge(&over), [Kind::Precondition]);
    let no = [event((1, 1), create(1), refused(412))];
    assert_eq!(judge(&no), [Kind::Precondition]);
    let swapped = [event((1, 1), put(1), done()), event((1, 1), swap(2, 7), done())];
    assert_eq!(judge(&swapped), [Kind::Precondition]);
    // An unknown create may be what stands in the way.
    let own = [event((1, 1), create(1), unknown()), event((1, 1), create(2), refused(412))];
    assert!(judge(&own).is_empty());
}

#[test]
fn valid_requests_are_not_refused() {
    assert_eq!(judge(&[event((1, 1), put(1), refused(403))]), [Kind::Refused]);
    assert_eq!(judge(&[event((1, 1), put(1), refused(412))]), [Kind::Refused]);
    assert_eq!(judge(&[event((1, 1), Action::Delete, refused(404))]), [Kind::Refused]);
}

#[test]
fn a_listing_is_a_read_of_every_key() {
    let entry = |key: &str, number: u64| {
        let Value { size_bytes, etag, .. } = value(number);
        Entry { key: key.to_owned(), size_bytes, etag }
    };
    let list = |entries: Vec<Entry>| {
        let mut event = event((1, 1), Action::List, Outcome::Listed(entries));
        event.key = "c0/".to_owned();
        event
    };
    let written = event((1, 1), put(1), done());
    let judge_list = |entries| judge(&[written.clone(), list(entries)]);
    assert!(judge_list(vec![entry(KEY, 1)]).is_empty());
    assert_eq!(judge_list(vec![]), [Kind::Lost]);
    assert_eq!(judge_list(vec![entry(KEY, 2)]), [Kind::WrongBytes]);
    assert_eq!(judge_list(vec![entry(KEY, 1), entry("c0/z", 1)]), [Kind::WrongBytes]);
    assert_eq!(judge_list(vec![entry(KEY, 1), entry(KEY, 1)]), [Kind::Listing]);
    let deleted = [written, event((1, 1), Action::Delete, done()), list(vec![entry(KEY, 1)])];
    assert_eq!(judge(&deleted), [Kind::Resurrected]);
}

#[test]
fn what_is_known_depends_on_the_life() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.known(KEY, 1), Known::Absent);
    ledger.record(&event((1, 1), put(1), done()));
    assert_eq!(ledger.known(KEY, 1), Known::Value(&value(1)));
    ledger.record(&event((1, 1), put(2), unknown()));
    assert_eq!(ledger.known(KEY, 2), Known::Ambiguous);
    ledger.record(&event((2, 2), Action::Get, found(2)));
    assert_eq!(ledger.known(KEY, 2), Known::Value(&value(2)));
}
