//! After everything was healed: all nodes run, every group serves, replicas are equal row by row, the rows keep their invariants, and
//! what clients were told fits together.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use vaultaire_proto::state::{invariants, snapshot};

use super::client::Clients;
use super::linear::{self, Verdict};
use super::node::{Nodes, Ready};
use super::world::World;

/// How long a healed cluster may take until every group serves on every node and all are equal.
const CONVERGES_MAX: Duration = Duration::from_secs(60);

const LOOKED_AFTER: Duration = Duration::from_millis(200);

/// How long a barrier may take once all is well.
const BARRIER_MAX: Duration = Duration::from_secs(5);

/// Returns how long it took, if it did.
pub async fn converge(world: &World, nodes: &Nodes) -> Option<Duration> {
    let began = Instant::now();
    loop {
        let Err(why) = equal(nodes).await else {
            world.trace.add(format_args!("converged"));
            return Some(began.elapsed());
        };
        if began.elapsed() >= CONVERGES_MAX {
            world.fail(format!("the healed cluster did not converge: {why}"));
            return None;
        }
        sleep(LOOKED_AFTER).await;
    }
}

/// Whether every group serves on every node, and all of them hold the same.
async fn equal(nodes: &Nodes) -> Result<(), String> {
    let mut running: Vec<Arc<Ready>> = Vec::new();
    for node in nodes.values() {
        running.push(node.ready().ok_or_else(|| format!("node {} does not run", node.id))?);
    }
    for ready in &running {
        for replica in ready.replicas() {
            let passed = timeout(BARRIER_MAX, replica.barrier.pass()).await;
            if !matches!(passed, Ok(Ok(()))) {
                return Err(format!("group {} does not serve: {passed:?}", replica.id));
            }
        }
    }
    for at in 0..running[0].replicas().len() {
        let states = running.iter().map(|ready| {
            let replica = &ready.replicas()[at];
            let view = replica.table.view();
            (replica.table.applied(), snapshot::state_hash(&view))
        });
        let states: Vec<_> = states.collect();
        if states.iter().any(|state| *state != states[0]) {
            return Err(format!("replicas of group {at} differ: {states:?}"));
        }
    }
    Ok(())
}

/// What is always true of a shard's rows.
pub fn rows(world: &World, nodes: &Nodes) {
    let Some(ready) = nodes.values().find_map(|node| node.ready()) else {
        return;
    };
    for replica in ready.replicas().iter().filter(|replica| replica.id.is_shard()) {
        let view = replica.table.view();
        world.trace.add(format_args!("rows {} {:032x}", replica.id, snapshot::state_hash(&view)));
        for violation in invariants::check(&view) {
            world.fail(format!("rows of shard {}: {violation}", replica.id));
        }
    }
}

/// What clients were told. Answers how many keys could not be decided.
pub fn histories(world: &World, clients: &Clients) -> u64 {
    let mut undecided = 0;
    for (key, events) in clients.history.events() {
        match linear::check(&events) {
            Verdict::Linearizable => {}
            Verdict::Undecided => undecided += 1,
            Verdict::Violated => {
                world.fail(format!("{key} is not linearizable: {}", describe(&events)));
            }
        }
    }
    undecided
}

fn describe(events: &[super::history::Event]) -> String {
    let line = |event: &super::history::Event| {
        let ended = event.ended.map_or_else(|| "-".to_owned(), |ended| ended.to_string());
        format!("\n  {}..{ended} {:?} {:?}", event.began, event.action, event.outcome)
    };
    events.iter().map(line).collect()
}
