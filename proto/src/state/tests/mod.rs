//! The state machine against a small model: random sequences of commands on two replicas, with
//! repeated proposals, client retries, late commands, and snapshots at any point.
//!
//! A failing run prints its seed; `VAULTAIRE_SEED=n` replays exactly that sequence, and
//! `VAULTAIRE_SEQUENCES=n` changes how many are run.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and takes its seed from the environment"
)]

mod cases;
mod copies;
mod lists;
mod model;
mod moved;
mod pages;
mod requests;
mod rules;
mod script;
mod shard;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::state::tests::script::Script;

/// How many sequences every run checks.
const SEQUENCES: u64 = 100_000;
/// Commands in one sequence, at least.
const STEPS_MIN: u64 = 50;

/// A small generator (splitmix64) whose whole state is one number: a seed replays a run exactly.
pub(super) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.below(from.len() as u64) as usize) }
    }
}

fn run(seed: u64) {
    let mut script = Script::new(seed);
    let steps = STEPS_MIN + script.random.below(30);
    for step in 0..steps {
        script.step(step);
    }
    script.finish();
}

#[test]
fn random_sequences_agree_with_the_model_on_two_replicas() {
    if let Ok(seed) = std::env::var("VAULTAIRE_SEED") {
        run(seed.parse().unwrap());
        return;
    }
    let sequences =
        std::env::var("VAULTAIRE_SEQUENCES").map_or(SEQUENCES, |count| count.parse().unwrap());
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= sequences {
                        break;
                    }
                    if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
                        eprintln!("sequence failed: replay it with VAULTAIRE_SEED={seed}");
                        std::panic::resume_unwind(panic);
                    }
                }
            });
        }
    });
}

#[test]
fn the_model_notices_a_state_machine_that_forgets() {
    // Two runs of one script, one of them with a replica that lost a row: the comparison must fail.
    let lost = std::panic::catch_unwind(|| {
        let mut script = Script::new(3);
        for step in 0..STEPS_MIN {
            script.step(step);
        }
        script.lose_a_row();
        script.finish();
    });
    assert!(lost.is_err(), "a lost row went unnoticed");
}
