//! Simulated clusters: a run repeats bit by bit, many seeds find nothing, and what is planted is found.

use std::time::Duration;

use vaultaire_tests::simulation::found;
use vaultaire_tests::simulation::run::{Plan, run};
use vaultaire_tests::simulation::trace::Keep;

#[test]
fn a_founding_repeats_bit_by_bit() {
    let (first, second) = (found::found(), found::found());
    assert_eq!(first.epochs, second.epochs);
    for (id, node) in &first.nodes {
        assert_eq!(node.files, second.nodes[id].files, "files of node {id}");
        assert_eq!(node.rows, second.nodes[id].rows, "rows of node {id}");
    }
}

#[test]
fn a_seed_repeats_bit_by_bit() {
    let plan = Plan { keep: Keep::Lines, chaos: Duration::from_secs(10), ..Plan::default() };
    for seed in 1..=5 {
        let (first, second) = (run(seed, plan), run(seed, plan));
        let pairs = first.trace.lines().zip(second.trace.lines()).enumerate();
        for (at, (first, second)) in pairs {
            assert_eq!(first, second, "seed {seed}, line {at}");
        }
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert!(first.lines > 1000, "seed {seed} did next to nothing: {} lines", first.lines);
    }
}
