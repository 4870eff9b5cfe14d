//! Drained and lost backends over the real state machine in memory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use vaultaire_proto::command::PutCopy;
use vaultaire_proto::object::{Blob, Location};
use vaultaire_proto::row::{BackendState, Copies};
use vaultaire_proto::settle::settle_backend;
use vaultaire_proto::{BackendId, Consistency, GroupId, NodeId, Operation, Response};
use vaultaire_router::place::{Candidate, Home};
use vaultaire_storage::backend::{Attributes, Backend, collect, once};
use vaultaire_storage::backends::memory::Memory;
use vaultaire_storage::backends::memory::faults::Faults;

use super::{REST_MIN, Repairer, Walk};
use crate::ask;
use crate::settings::{Garbage, Repair};
use crate::workers::garbage::Collector;
use crate::world::{SHARD, World};

const BYTES: &[u8] = b"the bytes of an object";

/// One backend on each of three nodes.
struct Pool {
    world: World,
    backends: Vec<Arc<Memory>>,
    repairer: Repairer,
}

impl Pool {
    async fn new() -> Self {
        Self::with_faults(Faults::NONE).await
    }

    /// The first one fails as its faults say.
    async fn with_faults(faults: Faults) -> Self {
        let garbage = Garbage { drain_ms: 0, ..Garbage::default() };
        let world = World::with_faults(garbage, faults).await;
        let mut backends = vec![world.backend.clone()];
        for node in [2, 3] {
            let put = Operation::PutBackend {
                name: format!("memory-{node}"),
                kind: "memory".to_owned(),
                state: BackendState::Active,
                node: Some(NodeId(node)),
            };
            let proposer = &world.context.proposer;
            let put = proposer.commit(GroupId::CONTROL, put).await.unwrap();
            let Response::Backend(row) = put else { panic!("{put:?}") };
            settle_backend(proposer.catalog(), row.clone()).await.unwrap();
            let memory = Arc::new(Memory::new(row.id, row.name));
            world.context.registry.insert(memory.clone()).unwrap();
            backends.push(memory);
        }
        let repairer = Repairer::new(&Repair::default());
        let pool = Self { world, backends, repairer };
        pool.tell_targets(&[]);
        pool
    }

    fn tell_targets(&self, leaving: &[BackendId]) {
        let all = (1..).zip(&self.backends).map(|(node, backend)| Candidate {
            backend: backend.id(),
            pool: 0,
            home: Some(Home { node: NodeId(node), zone: 0, region: 0 }),
            local: node == 1,
            takes: !leaving.contains(&backend.id()),
        });
        self.world.context.targets.replace(all.collect());
    }

    async fn set(&self, index: usize, state: BackendState) {
        let (id, proposer) = (self.backends[index].id(), &self.world.context.proposer);
        let set = Operation::SetBackendState { backend: id, state };
        let set = proposer.commit(GroupId::CONTROL, set).await.unwrap();
        let Response::Backend(row) = set else { panic!("{set:?}") };
        settle_backend(proposer.catalog(), row).await.unwrap();
        self.tell_targets(&[id]);
        if state.is_gone() {
            self.world.context.registry.remove(id);
        }
    }

    /// An object with copies on the first two backends.
    async fn put(&self, key: &str) -> Vec<Location> {
        let first = self.world.upload(BYTES).await;
        let copy = Location { backend: self.backends[1].id(), ..first.copies[0] };
        self.write(1, copy).await;
        let blob = Blob { copies: vec![first.copies[0], copy], ..first };
        let put = self.world.reference(key, blob.clone()).await;
        assert!(matches!(put, Response::Put(_)), "{put:?}");
        blob.copies
    }

    async fn write(&self, index: usize, at: Location) {
        let cluster = self.world.context.proposer.catalog().cluster().cluster;
        let (key, body) = (at.key.backend_key(cluster), once(Bytes::from_static(BYTES)));
        self.backends[index].put(&key, &Attributes::default(), None, body).await.unwrap();
    }

    async fn step(&mut self) {
        self.repairer.step(&self.world.context).await;
    }

    /// Where the live copies are that a row names, each proved to have the bytes.
    async fn live(&self) -> Vec<Location> {
        let catalog = self.world.context.proposer.catalog();
        let rows = ask::blobs(catalog, Consistency::Linearizable, SHARD, None, 100).await.unwrap();
        let mut live = Vec::new();
        for (location, _) in rows {
            let fresh = Consistency::Linearizable;
            let Some(blob) = ask::blob_of(catalog, fresh, SHARD, location).await.unwrap() else {
                continue;
            };
            assert!(blob.copies.contains(&location));
            if let Ok(backend) = self.world.context.registry.get(location.backend) {
                let key = location.key.backend_key(catalog.cluster().cluster);
                let object = backend.get(&key, None).await.unwrap();
                assert_eq!(collect(object.stream).await.unwrap(), BYTES);
            }
            live.push(location);
        }
        live
    }

    async fn backends_of_live(&self) -> Vec<u32> {
        self.live().await.iter().map(|location| location.backend.0).collect()
    }

    /// Until when the walk over the first backend rests.
    fn rest(&self) -> Option<(tokio::time::Instant, Duration)> {
        let walk = Walk::Leave(self.backends[0].id());
        self.repairer.walks.get(&(SHARD, walk)).and_then(|pass| pass.rest)
    }

    async fn copies(&self, count: u32) {
        let copies = Some(Copies { count, ..Copies::default() });
        let set = Operation::SetCopies { bucket: self.world.bucket.id, copies };
        let set = self.world.context.proposer.commit(GroupId::CONTROL, set).await.unwrap();
        assert!(matches!(set, Response::Bucket(_)), "{set:?}");
    }

    async fn state(&self, index: usize) -> BackendState {
        let catalog = self.world.context.proposer.catalog();
        let rows = ask::backends(catalog, Consistency::Linearizable).await.unwrap();
        rows.into_iter().find(|row| row.id == self.backends[index].id()).unwrap().state
    }
}

#[tokio::test]
async fn a_drained_backend_is_emptied_and_its_bytes_are_collected() {
    let mut pool = Pool::new().await;
    let former = pool.put("a").await;
    pool.set(0, BackendState::Draining).await;
    pool.step().await;
    assert_eq!(pool.backends_of_live().await, [2, 3]);
    assert_eq!(pool.state(0).await, BackendState::Draining, "an operator removes it");
    assert!(pool.world.holds(former[0]).await, "readers have the drain");
    pool.world.clock.advance_ms(1);
    Collector::new(1_000_000).step(&pool.world.context).await;
    assert!(!pool.world.holds(former[0]).await);
}

#[tokio::test]
async fn what_a_lost_backend_had_is_copied_from_what_is_left_and_it_is_removed() {
    let mut pool = Pool::new().await;
    pool.put("a").await;
    pool.put("b").await;
    pool.world.delete("b").await;
    pool.set(0, BackendState::Lost).await;
    pool.step().await;
    assert_eq!(pool.backends_of_live().await, [2, 3]);
    let catalog = pool.world.context.proposer.catalog();
    let fresh = Consistency::Linearizable;
    let rows = ask::blobs(catalog, fresh, SHARD, None, 100).await.unwrap();
    let lost = rows.iter().filter(|(location, _)| location.backend == pool.backends[0].id());
    assert_eq!(lost.count(), 0, "garbage of a lost backend is nobody's to delete");
    assert_eq!(pool.state(0).await, BackendState::Removed);
}

#[tokio::test(start_paused = true)]
async fn without_another_copy_or_place_the_row_stays_and_nobody_spins() {
    let mut pool = Pool::new().await;
    let only = pool.world.put("only", BYTES).await;
    pool.set(0, BackendState::Lost).await;
    pool.step().await;
    assert_eq!(pool.live().await, [only], "unknown means keep");
    assert_eq!(pool.state(0).await, BackendState::Lost);
    pool.step().await;
    let rest = pool.rest();
    assert!(rest.is_some(), "a fruitless pass is followed by a rest");
    tokio::time::advance(REST_MIN + Duration::from_millis(1)).await;
    for _ in 0..2 {
        pool.step().await;
    }
    let longer = pool.rest();
    assert!(longer > rest);
    pool.world.delete("only").await;
    tokio::time::advance(super::REST_MAX).await;
    pool.step().await;
    assert_eq!(pool.state(0).await, BackendState::Removed, "it was given up by its owner");

    let mut pool = Pool::new().await;
    let both = pool.put("a").await;
    pool.world.context.registry.remove(pool.backends[2].id());
    pool.set(0, BackendState::Draining).await;
    pool.step().await;
    let mut live = pool.live().await;
    live.sort();
    assert_eq!(live, both, "two copies on one node would be lost together");
}

#[tokio::test]
async fn a_damaged_copy_is_not_copied() {
    let flips = Faults { corrupt_read: 1000, seed: 7, ..Faults::NONE };
    let mut pool = Pool::with_faults(flips).await;
    let copies = pool.put("a").await;
    pool.set(0, BackendState::Draining).await;
    pool.step().await;
    assert_eq!(pool.backends_of_live().await, [2, 3], "the other copy was read: {copies:?}");
}

#[tokio::test]
async fn an_object_that_changes_meanwhile_wins() {
    let mut pool = Pool::new().await;
    let copies = pool.put("a").await;
    pool.set(0, BackendState::Draining).await;
    // What another leader would commit that read the rows before the DELETE.
    let lease = pool.world.context.epochs.allocate(SHARD).await.unwrap();
    let new = Location { backend: pool.backends[2].id(), key: lease.key };
    pool.write(2, new).await;
    let catalog = pool.world.context.proposer.catalog();
    let blob = ask::blob_of(catalog, Consistency::Stale, SHARD, copies[0]).await.unwrap().unwrap();
    pool.world.delete("a").await;
    let put =
        PutCopy { blob: Blob { copies: vec![new], ..blob }, beside: copies[0], replaces: true };
    let late = pool.world.context.proposer.commit(SHARD, Operation::PutCopy(put)).await.unwrap();
    assert_eq!(late, Response::Rejected(vaultaire_proto::Rejection::Superseded));
    pool.step().await;
    assert!(pool.live().await.is_empty());
    pool.world.clock.advance_ms(1);
    Collector::new(1_000_000).step(&pool.world.context).await;
    for backend in &pool.backends {
        let left = backend.list("", None, 10).await.unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn objects_get_as_many_copies_as_their_bucket_says() {
    let mut pool = Pool::new().await;
    pool.world.put("one", BYTES).await;
    pool.put("two").await;
    pool.step().await;
    assert_eq!(pool.live().await.len(), 4, "one had too few");
    pool.copies(3).await;
    for _ in 0..4 {
        pool.step().await;
        tokio::time::advance(super::REST_MAX).await;
    }
    assert_eq!(pool.backends_of_live().await, [1, 1, 2, 2, 3, 3]);
    pool.copies(1).await;
    for _ in 0..8 {
        pool.step().await;
        tokio::time::advance(super::REST_MAX).await;
    }
    assert_eq!(pool.live().await.len(), 2);
    pool.world.clock.advance_ms(1);
    Collector::new(1_000_000).step(&pool.world.context).await;
    let mut left = 0;
    for backend in &pool.backends {
        left += backend.list("", None, 10).await.unwrap().len();
    }
    assert_eq!(left, 2, "what was let go of is collected");
}
