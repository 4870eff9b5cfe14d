//! After everything was healed: all nodes run, every group serves, replicas are equal row by row, the rows keep their invariants, and
//! what clients were told fits together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use vaultaire::raft::members::Wanted;
use vaultaire_proto::catalog::ListedUpload;
use vaultaire_proto::object::{Blob, Body, Location, Version, VersionEntry};
use vaultaire_proto::row::BackendState;
use vaultaire_proto::state::upload::PART_NUMBER_MAX;
use vaultaire_proto::state::{invariants, snapshot};
use vaultaire_proto::{
    Answer, BackendId, BackendKey, BlobKey, Catalog, Consistency, GroupId, Query,
};

use super::client::Clients;
use super::content;
use super::found::{BUCKET, CLUSTER, SHARDS};
use super::linear::{self, Verdict};
use super::node::{Nodes, Ready};
use super::upload::uploads;
use super::world::World;

/// How long a healed cluster may take until every group serves on every node and all are equal.
const CONVERGES_MAX: Duration = Duration::from_secs(60);

const LOOKED_AFTER: Duration = Duration::from_millis(200);

/// How long a barrier may take once all is well.
const BARRIER_MAX: Duration = Duration::from_secs(5);

/// How long it may take until no bytes are left that belong to nobody: epochs are retired, closed and swept twice, after clocks
/// have caught up with what was stamped.
const BYTES_MAX: Duration = Duration::from_secs(150);

/// How often a copy is read that does not come as it should: backends fail in one of twenty reads.
const READS_MAX: u32 = 12;

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
            let voters = Wanted::new(nodes.keys().copied().collect(), Vec::new());
            if !matches!(replica.has(&voters), Ok(true)) {
                return Err(format!("somebody has no vote in group {}", replica.id));
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
            ready.gateway.open_all((1..=SHARDS).map(GroupId)).await;
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
    let mut wanted = BTreeMap::new();
    for shard in (1..=SHARDS).map(GroupId) {
        let query = Query::Versions { shard, after: None, limit: VERSIONS_MAX };
        let answer = ready.catalog.query(query, Consistency::Linearizable).await;
        let Ok(Answer::Versions(versions)) = answer else {
            return Err(format!("the versions of shard {shard} are not answered"));
        };
        for (_, entry) in versions {
            if let VersionEntry::Object(version) = entry {
                wanted.extend(blobs_of(&version)?.into_iter().flat_map(places));
            }
        }
        drained(ready, shard).await?;
    }
    wanted.extend(parts(ready).await?.iter().flat_map(places));
    // After the rows: what they refer to may have been moved meanwhile, and then it is looked for again.
    let there = listed(world).await;
    if let Some((backend, key)) = wanted.keys().find(|place| !there.contains(place)) {
        return Err(format!("a version or an upload refers to {key} on {backend}, which is gone"));
    }
    if let Some((backend, key)) = there.iter().find(|place| !wanted.contains_key(place)) {
        let epoch = epoch_of(ready, key).await;
        let of = there.len();
        return Err(format!(
            "{key} on {backend} belongs to nobody, of {of} blobs; its epoch: {epoch}"
        ));
    }
    for ((backend, key), crc64nvme) in wanted {
        whole(world, backend, &key, crc64nvme).await?;
    }
    Ok(())
}

/// Whether every copy is what its row says, also those that no client has read: a copy of damaged bytes stays damaged, however
/// often it is read, and bytes that come damaged once come well the next time.
async fn whole(
    world: &World,
    backend: BackendId,
    key: &BackendKey,
    crc64nvme: u64,
) -> Result<(), String> {
    let store = world.registry.get(backend).expect("it was never lost");
    let mut last = None;
    for _ in 0..READS_MAX {
        let got = match store.get(key, None).await {
            Ok(object) => object.collect(content::BYTES_MAX).await,
            Err(error) => Err(error),
        };
        match got {
            Ok(bytes) if content::crc64nvme(&bytes) == Some(crc64nvme) => return Ok(()),
            got => last = Some(got.map(|bytes| bytes.len())),
        }
    }
    Err(format!("{key} on {backend} is not what its row says: {last:?}"))
}

fn blobs_of(version: &Version) -> Result<Vec<&Blob>, String> {
    match &version.body {
        Body::Whole(blob) => Ok(vec![blob]),
        Body::Parts(parts) => Ok(parts.iter().map(|part| &part.blob).collect()),
        Body::Manifest { .. } => Err(format!("nobody wrote so many parts: {version:?}")),
    }
}

/// The parts of uploads that nobody has ended.
async fn parts(ready: &Ready) -> Result<Vec<Blob>, String> {
    let open = uploads(Some(ready)).await.ok_or("uploads are not answered")?;
    let mut blobs = Vec::new();
    for ListedUpload { key, id, .. } in open {
        let limit = usize::from(PART_NUMBER_MAX);
        let query = Query::Parts { bucket: BUCKET, key, upload: id, after: 0, limit };
        match ready.catalog.query(query, Consistency::Linearizable).await {
            Ok(Answer::Parts(Some((_, rows)))) => {
                blobs.extend(rows.into_iter().map(|row| row.part.blob));
            }
            other => return Err(format!("the parts of {id:?} are answered {other:?}")),
        }
    }
    Ok(blobs)
}

/// Where its copies are, and the checksum that each should have.
fn places(blob: &Blob) -> Vec<((BackendId, BackendKey), u64)> {
    let place = |copy: &Location| ((copy.backend, copy.key.backend_key(CLUSTER)), blob.crc64nvme);
    blob.copies.iter().map(place).collect()
}

/// Where a sweep would find it.
async fn epoch_of(ready: &Ready, key: &BackendKey) -> String {
    let Some(blob) = BlobKey::from_backend_key(key, CLUSTER) else {
        return "none".to_owned();
    };
    let query = Query::Epochs { shard: blob.shard };
    let Ok(Answer::Epochs(rows)) = ready.catalog.query(query, Consistency::Stale).await else {
        return "not answered".to_owned();
    };
    let row = rows.into_iter().find(|row| row.node == blob.node && row.id == blob.epoch);
    row.map_or("gone".to_owned(), |row| format!("{row:?}"))
}

/// What is on backends.
async fn listed(world: &World) -> BTreeSet<(BackendId, BackendKey)> {
    let mut there = BTreeSet::new();
    for backend in world.registry.all() {
        // It fails now and then, also now.
        let listed = loop {
            match backend.list("", None, VERSIONS_MAX).await {
                Ok(listed) => break listed,
                Err(_) => sleep(LOOKED_AFTER).await,
            }
        };
        there.extend(listed.into_iter().map(|listed| (backend.id(), listed.key)));
    }
    there
}

/// What is drained holds nothing.
async fn drained(ready: &Ready, shard: GroupId) -> Result<(), String> {
    let query = Query::ShardBackends { shard };
    let answer = ready.catalog.query(query, Consistency::Linearizable).await;
    let Ok(Answer::ShardBackends(rows)) = answer else {
        return Err(format!("the backends of shard {shard} are not answered"));
    };
    let held = rows.iter().find(|(_, row)| row.state != BackendState::Active && row.live_blobs > 0);
    match held {
        Some((backend, row)) => {
            Err(format!("backend {backend} is drained and holds {} blobs", row.live_blobs))
        }
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
