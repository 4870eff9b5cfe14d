//! What a person reads of a key whose operations fit no order: as few of them as still do not fit, in the order of time.

use std::fmt::Write;

use super::linearizable::{self, Verdict};
use super::register::{ABSENT, Content, Kind, Look, NEVER_NS, Op, Register};

/// How many smaller histories are tried.
const TRIES_MAX: usize = 600;

/// How hard each of them is tried.
const CONFIGURATIONS_MAX: usize = 100_000;

/// How many operations are shown.
const SHOWN_MAX: usize = 40;

/// The part that is shown of a history that was found wrong.
pub fn counterexample(register: &Register) -> String {
    let ops = smallest(&register.ops);
    let mut text = String::from("no order explains:");
    for op in ops.iter().take(SHOWN_MAX) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {}", describe(register, op));
    }
    if ops.len() > SHOWN_MAX {
        let _ = write!(text, "\n  and {} more", ops.len() - SHOWN_MAX);
    }
    text
}

/// One operation as a line.
pub fn describe(register: &Register, op: &Op) -> String {
    let name = |content| register.name(content);
    let what = match op.kind {
        Kind::Write { content: ABSENT, needs: None } => "DELETE".to_owned(),
        Kind::Write { content: ABSENT, needs: Some(look) } => {
            format!("DELETE if it {}", saw(register, look))
        }
        Kind::Write { content, needs: None } => format!("PUT {}", name(content)),
        Kind::Write { content, needs: Some(look) } => {
            format!("PUT {} if it {}", name(content), saw(register, look))
        }
        Kind::Look(look) => format!("a look that it {}", saw(register, look)),
    };
    let start_ms = milliseconds(op.start_ns);
    match op.is_unknown() {
        true => format!("process {} from {start_ms} ms, outcome unknown: {what}", op.process),
        false => {
            let end_ms = milliseconds(op.end_ns);
            format!("process {} from {start_ms} to {end_ms} ms: {what}", op.process)
        }
    }
}

fn saw(register: &Register, look: Look) -> String {
    match look {
        Look::Is(content) => format!("is {}", register.name(content)),
        Look::Not(content) => format!("is not {}", register.name(content)),
        Look::IsOrAbsent(content) => format!("is {} or nothing", register.name(content)),
    }
}

fn milliseconds(ns: u64) -> String {
    format!("{}.{:06}", ns / 1_000_000, ns % 1_000_000)
}

/// The history up to the first end at which it is wrong.
fn shortest(ops: &[Op]) -> Vec<Op> {
    let known = ops.iter().filter(|op| !op.is_unknown());
    let mut ends: Vec<u64> = known.map(|op| op.end_ns).collect();
    ends.sort_unstable();
    let first_wrong = ends.partition_point(|end_ns| !is_wrong(&until(ops, *end_ns)));
    ends.get(first_wrong).map_or_else(|| ops.to_vec(), |end_ns| until(ops, *end_ns))
}

/// What was known at a moment: of a write that had not ended, nothing but its start.
fn until(ops: &[Op], now_ns: u64) -> Vec<Op> {
    let begun = ops.iter().filter(|op| op.start_ns <= now_ns);
    let known = begun.filter_map(|op| match op.kind {
        _ if op.end_ns <= now_ns => Some(*op),
        Kind::Write { .. } => Some(Op { end_ns: NEVER_NS, ..*op }),
        Kind::Look(_) => None,
    });
    known.collect()
}

fn is_wrong(ops: &[Op]) -> bool {
    linearizable::check(ops, CONFIGURATIONS_MAX) == Verdict::Violation
}

/// Leaves out what can be left out without making a right history wrong: looks at any time, a write together with
/// all that depends on it.
fn smallest(ops: &[Op]) -> Vec<Op> {
    let mut kept = shortest(ops);
    let mut tries = 0;
    let is_wrong = |ops: &[Op], tries: &mut usize| {
        *tries += 1;
        is_wrong(ops)
    };
    let positive: Vec<Op> = kept.iter().copied().filter(|op| !is_negative(op)).collect();
    if is_wrong(&positive, &mut tries) {
        kept = positive;
    }
    // Halves of the looks first, then ever smaller parts, then single writes.
    let mut part = kept.len().div_ceil(2);
    while part > 0 && tries < TRIES_MAX {
        let mut from = 0;
        while from < kept.len() && tries < TRIES_MAX {
            let fewer = without(&kept, from..kept.len().min(from + part));
            match fewer.len() < kept.len() && is_wrong(&fewer, &mut tries) {
                true => kept = fewer,
                false => from += part,
            }
        }
        part /= 2;
    }
    kept.sort_by_key(|op| op.start_ns);
    kept
}

/// Whether it learnt only what was not there.
fn is_negative(op: &Op) -> bool {
    matches!(op.kind, Kind::Look(Look::Not(_)))
}

/// Whether any write may be what explains it.
fn is_loose(op: &Op) -> bool {
    let look = match op.kind {
        Kind::Look(look) => Some(look),
        Kind::Write { needs, .. } => needs,
    };
    matches!(look, Some(Look::Not(_) | Look::IsOrAbsent(_)))
}

/// The operations without those in a range, as far as they may go.
fn without(ops: &[Op], range: std::ops::Range<usize>) -> Vec<Op> {
    let has_negative = ops.iter().any(is_loose);
    let mut gone: Vec<bool> = vec![false; ops.len()];
    let mut lost: Vec<Content> = Vec::new();
    for at in range {
        match ops[at].kind {
            Kind::Look(_) => gone[at] = true,
            // Somebody's answer may rest on any write, or on any delete.
            Kind::Write { content, .. } if content != ABSENT && !has_negative => {
                gone[at] = true;
                lost.push(content);
            }
            Kind::Write { .. } => {}
        }
    }
    while let Some(content) = lost.pop() {
        for (at, op) in ops.iter().enumerate().filter(|(_, op)| needs(op) == Some(content)) {
            if let Kind::Write { content, .. } = op.kind
                && !gone[at]
            {
                // A delete that depends on it: what it explained would have to go as well.
                if content == ABSENT {
                    return ops.to_vec();
                }
                lost.push(content);
            }
            gone[at] = true;
        }
    }
    let kept = ops.iter().zip(gone).filter(|(_, gone)| !gone);
    kept.map(|(op, _)| *op).collect()
}

fn needs(op: &Op) -> Option<Content> {
    match op.kind {
        Kind::Write { needs: Some(Look::Is(content)), .. } | Kind::Look(Look::Is(content)) => {
            Some(content)
        }
        Kind::Write { needs: Some(Look::Not(_) | Look::IsOrAbsent(_)) | None, .. }
        | Kind::Look(Look::Not(_) | Look::IsOrAbsent(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_contradicts_is_shown() {
        let mut register = Register::default();
        let values: Vec<Content> = (0..20).map(|n| register.content(&n.to_string())).collect();
        let op = |start_ns, kind| Op {
            process: 0,
            start_ns,
            end_ns: start_ns + 5,
            kind,
            position: None,
        };
        for (at, content) in (0..).map(|n| n * 100).zip(&values) {
            register.ops.push(op(at, Kind::Write { content: *content, needs: None }));
            register.ops.push(op(at + 10, Kind::Look(Look::Is(*content))));
            register.ops.push(op(at + 20, Kind::Look(Look::Not(ABSENT))));
        }
        register.ops.push(op(5_000, Kind::Look(Look::Is(values[18]))));
        let ops = smallest(&register.ops);
        assert_eq!(ops.len(), 3, "{}", counterexample(&register));
        assert!(counterexample(&register).contains("a look that it is etag 18"));
    }
}
