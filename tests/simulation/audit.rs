//! After everything was healed: all nodes run, every group serves, replicas are equal row by row, the rows keep their invariants, and
//! what clients were told fits together.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use vaultaire_proto::object::{Body, Version, VersionEntry};
use vaultaire_proto::state::{invariants, snapshot};
use vaultaire_proto::{Answer, Catalog, Consistency, GroupId, Query};
use vaultaire_storage::backend::Backend;

use super::client::Clients;
use super::found::{CLUSTER, SHARDS};
use super::linear::{self, Verdict};
use super::node::{Nodes, Ready};
use super::world::World;

/// How long a healed cluster may take until every group serves on every node and all are equal.
const CONVERGES_MAX: Duration = Duration::from_secs(60);

const LOOKED_AFTER: Duration = Duration::from_millis(200);

/// How long a barrier may take once all is well.
const BARRIER_MAX: Duration = Duration::from_secs(5);

/// How long it may take until no bytes are left that belong to nobody: epochs are retired, closed and swept twice, after clocks
/// have caught up with what was stamped.
const BYTES_MAX: Duration = Duration::from_secs(150);

/// More than a run writes.
const VERSIONS_MAX: usize = 10_000;

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

/// Bytes and rows agree: whatever a version refers to is there, and what nobody refers to goes.
pub async fn bytes(world: &World, nodes: &Nodes) {
    for node in nodes.values() {
        if let Some(ready) = node.ready() {
            ready.gateway.open_all().await;
        }
    }
    let began = Instant::now();
    let mut found = Err("no node runs".to_owned());
    while began.elapsed() < BYTES_MAX {
        if let Some(ready) = nodes.values().find_map(|node| node.ready()) {
            found = agree(world, &ready).await;
            if found == Ok(()) {
                world.trace.add(format_args!("bytes agree"));
                return;
            }
        }
        sleep(LOOKED_AFTER).await;
    }
    world.fail(format!("bytes and rows do not agree: {found:?}"));
}

async fn agree(world: &World, ready: &Ready) -> Result<(), String> {
    let mut wanted = BTreeSet::new();
    for shard in (1..=SHARDS).map(GroupId) {
        let query = Query::Versions { shard, after: None, limit: VERSIONS_MAX };
        let answer = ready.catalog.query(query, Consistency::Linearizable).await;
        let Ok(Answer::Versions(versions)) = answer else {
            return Err(format!("the versions of shard {shard} are not answered"));
        };
        for (_, entry) in versions {
            if let VersionEntry::Object(Version { body: Body::Whole(blob), .. }) = entry {
                wanted.extend(blob.copies.iter().map(|copy| copy.key.backend_key(CLUSTER)));
            }
        }
    }
    let listed = world.backend.list("", None, VERSIONS_MAX).await;
    let listed = listed.map_err(|error| error.to_string())?;
    let there: BTreeSet<_> = listed.into_iter().map(|listed| listed.key).collect();
    if let Some(dangling) = wanted.difference(&there).next() {
        world.fail(format!("a version refers to {dangling}, which is gone"));
    }
    match there.difference(&wanted).next() {
        Some(orphan) => Err(format!("{orphan} belongs to nobody, of {} blobs", there.len())),
        None => Ok(()),
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
