//! The small sizes in full, every mutant, and the model's own short cuts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use stateright::Model;

use crate::bounds::{SMALL, named};
use crate::check::{Outcome, Until, search, shortest};
use crate::fault::{Fault, mutants};
use crate::model::Protocol;
use crate::properties;

/// Of one small size: everything holds, and every interesting situation came up.
fn holds(name: &str) -> Outcome {
    let protocol = Protocol::new(named(name).unwrap(), None);
    let outcome = search(&protocol, Until::Exhausted, 1);
    assert!(outcome.broken.is_empty(), "{name}: {outcome}{:#?}", outcome.broken);
    assert!(outcome.missed.is_empty(), "{name}: {outcome}");
    outcome
}

#[test]
fn two_gateways_and_a_crash_break_nothing() {
    holds("writers");
}

#[test]
fn workers_of_a_deposed_leader_break_nothing() {
    holds("workers");
}

#[test]
fn deletes_and_retries_break_nothing() {
    holds("deletes");
}

#[test]
fn late_commands_and_forgotten_answers_break_nothing() {
    holds("time");
}

#[test]
fn copies_that_come_and_go_break_nothing() {
    holds("copies");
}

#[test]
fn moves_against_overwrites_break_nothing() {
    holds("moves");
}

#[test]
fn every_small_size_has_a_test() {
    let names: Vec<&str> = SMALL.iter().map(|bounds| bounds.name).collect();
    assert_eq!(names, ["writers", "workers", "deletes", "time", "copies", "moves"]);
}

#[test]
fn every_mutant_is_found_by_the_right_property() {
    for mutant in mutants() {
        let protocol = Protocol::new(mutant.bounds.clone(), Some(mutant.fault));
        let outcome = search(&protocol, Until::Broken(mutant.found_by), 1);
        for name in mutant.found_by {
            assert!(outcome.broken.contains_key(name), "{:?}: {name}: {outcome}", mutant.fault);
        }
    }
}

#[test]
fn a_counterexample_is_as_short_as_it_can_be() {
    let mutant = mutants().into_iter().find(|mutant| mutant.fault == Fault::NoFence).unwrap();
    let protocol = Protocol::new(mutant.bounds, Some(mutant.fault));
    let steps = shortest(&protocol, properties::I7).unwrap();
    // Open, begin, arrive, close and apply.
    assert_eq!(steps.len(), 5, "{steps:#?}");
}

#[test]
fn what_the_log_remembers_is_what_apply_makes() {
    let protocol = Protocol::new(named("deletes").unwrap(), None);
    let outcome = search(&protocol, Until::Exhausted, 1);
    assert!(!outcome.reached.is_empty());
    for path in outcome.reached.values() {
        let mut remembered = protocol.init_states().pop().unwrap();
        let mut anew = remembered.clone();
        for action in path {
            remembered = protocol.next_state(&remembered, *action).unwrap();
            // A log of its own, which has nothing to remember.
            let fresh = Protocol::new(protocol.bounds.clone(), None);
            anew = fresh.next_state(&anew, *action).unwrap();
            assert_eq!(remembered, anew, "after {action:?}");
        }
    }
}
