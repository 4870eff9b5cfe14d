//! Right histories pass, and each rule finds the history that breaks it.

use super::*;
use crate::checker::linearizable::{self, CONFIGURATIONS_MAX, Verdict};
use crate::checker::sample::{self, Shape};

const KEY: &str = "k";

const SHAPE: Shape =
    Shape { ops: 400, clients: 8, unknown_percent: 3, delete_percent: 10, conditional_percent: 30 };

fn history(ops: &[(u64, u64, Kind, u128)]) -> Vec<Wrong> {
    let mut register = Register::default();
    for number in 1..10 {
        register.content(&number.to_string());
    }
    register.ops = ops
        .iter()
        .map(|(start_ns, end_ns, kind, position)| Op {
            process: 0,
            start_ns: *start_ns,
            end_ns: *end_ns,
            kind: *kind,
            position: (*position > 0).then_some(*position),
        })
        .collect();
    check(KEY, &register).into_iter().map(|violation| violation.kind).collect()
}

fn put(number: u32) -> Kind {
    Kind::Write { content: Content(number), needs: None }
}

fn swap(number: u32, wanted: u32) -> Kind {
    Kind::Write { content: Content(number), needs: Some(Look::Is(Content(wanted))) }
}

fn get(number: u32) -> Kind {
    Kind::Look(Look::Is(Content(number)))
}

const DELETE: Kind = Kind::Write { content: ABSENT, needs: None };

#[test]
fn right_histories_pass() {
    for seed in 0..500 {
        let register = sample::history(seed, SHAPE);
        assert_eq!(check(KEY, &register), [], "seed {seed}");
    }
}

#[test]
fn a_hot_key_of_many_clients_passes() {
    let shape = Shape { ops: 100_000, clients: 100, unknown_percent: 1, ..SHAPE };
    assert_eq!(check(KEY, &sample::history(1, shape)), []);
}

#[test]
fn every_finding_is_confirmed_by_the_search() {
    let mut found = 0;
    for seed in 0..2_000 {
        let shape = Shape { ops: 30, clients: 3, ..SHAPE };
        let mut register = sample::history(seed, shape);
        // Whoever looked before now learns the same later: stale, lost or resurrected.
        let Some(late) = register.ops.iter().rposition(|op| matches!(op.kind, Kind::Look(_)))
        else {
            continue;
        };
        let Some(early) = register.ops.iter().position(|op| matches!(op.kind, Kind::Look(_)))
        else {
            continue;
        };
        let (kind, position) = (register.ops[early].kind, register.ops[early].position);
        (register.ops[late].kind, register.ops[late].position) = (kind, position);
        if !check(KEY, &register).is_empty() {
            found += 1;
            let verdict = linearizable::check(&register.ops, CONFIGURATIONS_MAX);
            assert_eq!(verdict, Verdict::Violation, "seed {seed}");
        }
    }
    assert!(found > 500, "{found}");
}

#[test]
fn positions_agree_with_real_time() {
    assert_eq!(history(&[(1, 2, put(1), 5), (3, 4, put(2), 4)]), [Wrong::Order]);
    let stale = [(1, 2, put(1), 5), (3, 4, put(2), 6), (5, 6, get(1), 5)];
    assert_eq!(history(&stale), [Wrong::Stale]);
    let back = [(1, 9, put(1), 5), (1, 20, put(2), 6), (10, 11, get(2), 6), (12, 13, get(1), 5)];
    assert_eq!(history(&back), [Wrong::Stale]);
    let concurrent = [(1, 9, put(1), 6), (2, 10, put(2), 5), (11, 12, get(1), 6)];
    assert_eq!(history(&concurrent), []);
}

#[test]
fn one_position_has_one_content_and_one_content_one_position() {
    assert_eq!(history(&[(1, 9, put(1), 5), (1, 9, put(2), 5)]), [Wrong::WrongBytes]);
    let twice = [(1, NEVER_NS, put(1), 0), (2, 3, get(1), 5), (4, 5, get(1), 6)];
    assert_eq!(history(&twice), [Wrong::Phantom]);
}

#[test]
fn conditional_writes_follow_on_what_they_demanded() {
    let lost = [(1, 2, put(1), 5), (3, 9, put(2), 6), (3, 9, swap(3, 1), 7)];
    assert_eq!(history(&lost), [Wrong::Precondition]);
    let double = [(1, 9, swap(1, 0), 5), (1, 9, swap(2, 0), 6)];
    assert_eq!(history(&double), [Wrong::Precondition]);
    let over = [(1, 2, put(1), 5), (3, 4, DELETE, 0), (5, 6, swap(2, 1), 7)];
    assert_eq!(history(&over), [Wrong::Precondition]);
    let again = [(1, 2, swap(1, 0), 5), (3, 4, DELETE, 0), (5, 6, swap(2, 0), 7)];
    assert_eq!(history(&again), []);
    let right = [(1, 2, put(1), 5), (3, 9, swap(2, 1), 6), (3, 9, swap(3, 2), 7)];
    assert_eq!(history(&right), []);
}

#[test]
fn absence_and_presence_fit_the_deletes() {
    assert_eq!(history(&[(1, 2, put(1), 5), (3, 4, get(0), 0)]), [Wrong::Lost]);
    let early = [(1, 2, DELETE, 0), (3, 4, put(1), 5), (6, 7, get(0), 0)];
    assert_eq!(history(&early), [Wrong::Lost]);
    let unknown = [(1, NEVER_NS, DELETE, 0), (3, 4, put(1), 5), (6, 7, get(0), 0)];
    assert_eq!(history(&unknown), []);
    let back = [(1, 2, put(1), 5), (3, 4, DELETE, 0), (6, 7, get(1), 5)];
    assert_eq!(history(&back), [Wrong::Resurrected]);
    let racing = [(1, 4, put(1), 5), (3, 4, DELETE, 0), (6, 7, get(1), 5)];
    assert_eq!(history(&racing), []);
}

#[test]
fn what_was_never_written_is_found() {
    assert_eq!(history(&[(1, 2, get(1), 5)]), [Wrong::Phantom]);
    let refused = [(1, 2, Kind::Look(Look::Not(ABSENT)), 0), (3, 4, put(1), 5)];
    assert_eq!(history(&refused), [Wrong::Precondition]);
}
