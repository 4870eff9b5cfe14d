//! The search against the definition: every order of small histories is tried, and both must agree.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::checker::register::NEVER_NS;
use crate::checker::sample::{self, Shape};

const SMALL: Shape =
    Shape { ops: 7, clients: 4, unknown_percent: 20, delete_percent: 15, conditional_percent: 40 };

fn op(start_ns: u64, end_ns: u64, kind: Kind) -> Op {
    Op { process: 0, start_ns, end_ns, kind, position: None }
}

fn put(number: u32) -> Kind {
    Kind::Write { content: Content(number), needs: None }
}

fn get(number: u32) -> Kind {
    Kind::Look(Look::Is(Content(number)))
}

fn create(number: u32) -> Kind {
    Kind::Write { content: Content(number), needs: Some(Look::Is(ABSENT)) }
}

fn swap(number: u32, wanted: u32) -> Kind {
    Kind::Write { content: Content(number), needs: Some(Look::Is(Content(wanted))) }
}

fn is_right(ops: &[Op]) -> bool {
    match check(ops, CONFIGURATIONS_MAX) {
        Verdict::Linearizable => true,
        Verdict::Violation => false,
        Verdict::Unknown(reason) => panic!("{reason:?}"),
    }
}

/// The definition, without any cleverness.
fn some_order_exists(ops: &[Op], holds: Content) -> bool {
    let known: Vec<&Op> = ops.iter().filter(|op| !op.is_unknown()).collect();
    if known.is_empty() {
        return true;
    }
    let first_end_ns = known.iter().map(|op| op.end_ns).min().unwrap_or(NEVER_NS);
    ops.iter().enumerate().filter(|(_, op)| op.start_ns <= first_end_ns).any(|(at, op)| {
        let next = match op.kind {
            Kind::Write { content, needs } => {
                needs.is_none_or(|look| look.holds(holds)).then_some(content)
            }
            Kind::Look(look) => look.holds(holds).then_some(holds),
        };
        let mut rest = ops.to_vec();
        rest.remove(at);
        next.is_some_and(|next| some_order_exists(&rest, next))
    })
}

#[test]
fn plain_cases() {
    assert!(is_right(&[]));
    assert!(is_right(&[op(1, 2, get(0)), op(3, 4, put(1)), op(5, 6, get(1))]));
    // Concurrent with the write, either content may be seen; after it, only the new one.
    assert!(is_right(&[op(1, 9, put(1)), op(2, 3, get(0)), op(4, 5, get(1))]));
    assert!(!is_right(&[op(1, 9, put(1)), op(2, 3, get(1)), op(4, 5, get(0))]));
    assert!(!is_right(&[op(1, 2, put(1)), op(3, 4, get(0))]));
    // A value that nobody wrote.
    assert!(!is_right(&[op(1, 2, get(7))]));
    // Exactly one of two creates can win.
    assert!(!is_right(&[op(1, 9, create(1)), op(1, 9, create(2))]));
    assert!(is_right(&[op(1, 9, create(1)), op(1, 9, Kind::Look(Look::Not(ABSENT)))]));
    assert!(!is_right(&[op(1, 9, Kind::Look(Look::Not(ABSENT)))]));
    // Two swaps from one content: one is lost.
    assert!(!is_right(&[op(1, 2, put(1)), op(3, 9, swap(2, 1)), op(3, 9, swap(3, 1))]));
}

#[test]
fn what_is_unknown_may_happen_late_or_never_but_once() {
    let unknown = op(1, NEVER_NS, put(1));
    assert!(is_right(&[unknown, op(5, 6, get(0)), op(7, 8, get(1))]));
    assert!(is_right(&[unknown, op(5, 6, put(2)), op(7, 8, get(2)), op(9, 10, get(1))]));
    let twice =
        [unknown, op(5, 6, get(1)), op(7, 8, put(2)), op(9, 10, get(2)), op(11, 12, get(1))];
    assert!(!is_right(&twice));
    // Not before it was asked for.
    assert!(!is_right(&[op(1, 2, get(1)), op(3, NEVER_NS, put(1))]));
}

#[test]
fn the_search_agrees_with_the_definition() {
    let (mut right, mut wrong) = (0, 0);
    for seed in 0..6_000 {
        let mut ops = sample::history(seed, SMALL).ops;
        assert!(is_right(&ops), "seed {seed}: {ops:?}");
        let mut rng = StdRng::seed_from_u64(seed);
        let at = rng.random_range(0..ops.len());
        let other = Content(rng.random_range(0..4));
        match &mut ops[at].kind {
            Kind::Write { needs, content } if *content == ABSENT => {
                *needs = Some(Look::IsOrAbsent(other));
            }
            Kind::Write { needs, .. } => *needs = Some(Look::Is(other)),
            Kind::Look(Look::Is(content) | Look::Not(content) | Look::IsOrAbsent(content)) => {
                *content = other;
            }
        }
        let expected = some_order_exists(&ops, ABSENT);
        assert_eq!(is_right(&ops), expected, "seed {seed}: {ops:?}");
        if expected { right += 1 } else { wrong += 1 }
    }
    assert!(right > 1_000 && wrong > 1_000, "{right} right, {wrong} wrong");
}

#[test]
fn a_search_that_is_given_up_is_no_pass() {
    let ops = sample::history(1, Shape { ops: 200, ..SMALL }).ops;
    assert_eq!(check(&ops, 3), Verdict::Unknown(Reason::TooManyConfigurations));
    let open: Vec<Op> = (1..200).map(|number| op(1, 9, put(number))).collect();
    assert_eq!(check(&open, CONFIGURATIONS_MAX), Verdict::Unknown(Reason::TooManyOpen));
}

#[test]
fn long_histories_of_right_registers_pass() {
    for seed in 0..6 {
        let shape = Shape { ops: 2_000, clients: 5, unknown_percent: 1, ..SMALL };
        assert!(is_right(&sample::history(seed, shape).ops), "seed {seed}");
    }
}
