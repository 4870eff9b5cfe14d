//! Simulated clusters: a run repeats bit by bit, many seeds find nothing, and what is planted is found.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use vaultaire_proto::planted::Planted;
use vaultaire_proto::steps;
use vaultaire_proto::{Catalog, Command, GroupId, NodeId, Operation, RequestId, Response};
use vaultaire_tests::simulation::found;
use vaultaire_tests::simulation::node::{How, Node, Nodes, Possessions};
use vaultaire_tests::simulation::run::{Crash, Outcome, Plan, run};
use vaultaire_tests::simulation::trace::Keep;
use vaultaire_tests::simulation::world::{Backends, World};
use vaultaire_tests::simulation::{self, audit};

#[test]
fn a_founding_repeats_bit_by_bit() {
    let (first, second) = (found::found(None).unwrap(), found::found(None).unwrap());
    for (id, node) in &first.nodes {
        assert_eq!(node.files, second.nodes[id].files, "files of node {id}");
        assert_eq!(node.rows, second.nodes[id].rows, "rows of node {id}");
    }
}

#[test]
fn a_seed_repeats_bit_by_bit() {
    let plan = Plan { keep: Keep::Lines, chaos: Duration::from_secs(10), ..Plan::default() };
    // In the second one the cluster is without a quorum nearly all the time.
    for seed in [1, 3, 4] {
        let (first, second) = (run(seed, plan), run(seed, plan));
        let pairs = first.trace.lines().zip(second.trace.lines()).enumerate();
        for (at, (first, second)) in pairs {
            assert_eq!(first, second, "seed {seed}, line {at}");
        }
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert!(first.lines > 1000, "seed {seed} did next to nothing: {} lines", first.lines);
    }
}

/// Long enough for several faults, short enough for many seeds.
const CHAOS: Duration = Duration::from_secs(6);

/// In the ordinary suite; the command runs as many as one likes.
const SEEDS: u64 = 200;

/// Runs seeds on all cores until one of them fails, and answers the first that did.
fn first_failure(seeds: std::ops::Range<u64>, plan: Plan) -> Option<Outcome> {
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(None);
    let work = || {
        while failed.lock().unwrap().is_none() {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if !seeds.contains(&seed) {
                return;
            }
            let outcome = run(seed, plan);
            if !outcome.failures.is_empty() {
                failed.lock().unwrap().get_or_insert(outcome);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    failed.into_inner().unwrap()
}

#[test]
fn clusters_survive_chaos() {
    let plan = Plan { chaos: CHAOS, ..Plan::default() };
    let failed = first_failure(1..1 + SEEDS, plan);
    let again = "cargo run -p vaultaire-tests --bin vaultaire-simulate -- --seconds 6 --seed";
    if let Some(Outcome { seed, failures, .. }) = failed {
        panic!("{}\nagain with: {again} {seed} --trace FILE", failures.join("\n"));
    }
}

/// A step that is not come to in so many seeds is none, or the simulation lacks something.
const SEEDS_PER_STEP: u64 = 60;

#[test]
fn a_crash_at_any_step_costs_nothing() {
    let crashing = Plan { chaos: CRASHING, in_parts_permille: 500, ..Plan::default() };
    let next = AtomicU64::new(0);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::SeqCst) as usize;
            let Some(step) = steps::ALL.get(at / 2).copied() else {
                return;
            };
            let how = if at.is_multiple_of(2) { How::Kill } else { How::PowerFailure };
            let came = (1..=SEEDS_PER_STEP).any(|seed| {
                let crash = Some(Crash { step, times: 1 + seed % 3, how });
                let outcome = run(seed, Plan { crash, ..crashing });
                let failures = &outcome.failures;
                assert!(failures.is_empty(), "{how:?} at {step:?}, seed {seed}: {failures:?}");
                outcome.crashed
            });
            assert!(came, "no run comes to {step:?}");
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
}

/// Long enough for a sweep's rounds.
const CRASHING: Duration = Duration::from_secs(12);

/// How long after its leader's disk has begun to hang a group may take writes again.
const RESUMES_WITHIN: Duration = Duration::from_secs(15);

#[test]
fn a_leader_whose_disk_hangs_lets_others_lead() {
    simulation::runtime().block_on(async {
        let world = World::new(5, Keep::Sum, Backends::Work);
        let founded = found::founded(None).unwrap();
        let node = |(id, has): (&NodeId, &Possessions)| {
            (*id, Node::new(Arc::clone(&world), *id, has.clone()))
        };
        let nodes: Nodes = founded.nodes.iter().map(node).collect();
        nodes.values().for_each(|node| node.start(found::origin(node.id)));
        audit::converge(&world, &nodes).await.unwrap();
        let shard = GroupId(1);
        let leads = |node: &&Arc<Node>| node.ready().unwrap().replicas()[1].leads();
        let leader = nodes.values().find(leads).unwrap();
        let other = nodes.values().find(|node| node.id != leader.id).unwrap();
        leader.hang(Duration::from_secs(60));
        let hung = Instant::now();
        for request in 0_u128.. {
            let operation = Operation::OpenEpoch { node: other.id, incarnation: 1 };
            let request = RequestId(request.to_be_bytes());
            let not_after = found::NOT_AFTER;
            let command = Command { group: shard, request, not_after, operation };
            let ready = other.ready().unwrap();
            let committed = ready.catalog.commit(command);
            match tokio::time::timeout(Duration::from_secs(1), committed).await {
                Ok(Ok(Response::EpochOpened { .. })) => break,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        let resumed = hung.elapsed();
        assert!(resumed < RESUMES_WITHIN, "writes waited for {resumed:?}");
        assert!(leader.ready().unwrap().groups.stall().is_stalled());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!leader.ready().unwrap().groups.stall().is_stalled());
        audit::converge(&world, &nodes).await.unwrap();
        assert!(world.failures().is_empty(), "{:?}", world.failures());
    });
}

/// Each is found within a few seeds; the others take more and are for the command.
const PLANTED: [Planted; 4] =
    [Planted::AckBeforeSync, Planted::ReadWithoutBarrier, Planted::DedupeOff, Planted::LocalClock];

#[test]
fn what_is_planted_is_found() {
    let plan = Plan { chaos: Duration::from_secs(10), ..Plan::default() };
    for planted in PLANTED {
        let found = first_failure(1..100, Plan { planted: Some(planted), ..plan });
        assert!(found.is_some(), "100 seeds do not find {planted}");
    }
}
