//! Garbage and sweeps over the real state machine in memory: what may go goes in time, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use vaultaire_proto::object::Location;
use vaultaire_proto::row::{BackendState, EpochState};
use vaultaire_proto::{BackendId, Consistency, NodeId, Operation, Response};
use vaultaire_storage::backends::memory::Memory;
use vaultaire_storage::backends::memory::faults::Faults;

use crate::ask;
use crate::settings::Garbage;
use crate::workers::Context;
use crate::workers::garbage::Collector;
use crate::workers::hanging::{FAILS_AFTER, Hanging};
use crate::workers::sweep::Sweeper;
use crate::world::{SHARD, World};

const RATE: u32 = 1_000_000;

fn quick() -> Garbage {
    Garbage { upload_grace_ms: 1000, drain_ms: 500, resweep_ms: Vec::new(), ..Garbage::default() }
}

async fn collect(context: &Context) {
    Collector::new(RATE).step(context).await;
}

async fn sweep(context: &Context) {
    Sweeper::new(RATE).step(context).await;
}

#[tokio::test]
async fn garbage_goes_after_its_drain_and_live_bytes_stay() {
    let world = World::new(quick()).await;
    let replaced = world.put("a", b"old").await;
    let current = world.put("a", b"new").await;
    let deleted = world.put("b", b"gone").await;
    world.delete("b").await;
    collect(&world.context).await;
    assert!(world.holds(replaced).await && world.holds(deleted).await, "readers have the drain");
    world.clock.advance_ms(501);
    collect(&world.context).await;
    assert!(!world.holds(replaced).await && !world.holds(deleted).await);
    assert!(world.holds(current).await);
    let catalog = world.context.proposer.catalog();
    let now = world.context.proposer.clock().now();
    let (fresh, backend) = (Consistency::Linearizable, world.backend_id());
    let left = ask::garbage(catalog, fresh, SHARD, backend, now, 10).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_never_answers_holds_up_no_other() {
    let world = World::new(quick()).await;
    let id = BackendId(world.backend_id().0 + 1);
    let proposer = &world.context.proposer;
    let configure =
        Operation::ConfigureBackend { backend: id, generation: 1, state: BackendState::Active };
    proposer.commit_accepted("", SHARD, configure).await.unwrap();
    world.context.registry.insert(Arc::new(Hanging(Memory::new(id, "hanging")))).unwrap();
    let mut collector = Collector::new(RATE);
    for round in 0..3 {
        let mut blob = world.upload(b"old").await;
        let replaced = blob.copies[0];
        let elsewhere = Location { backend: id, ..replaced };
        blob.copies.insert(0, elsewhere);
        world.reference("a", blob).await;
        world.put("a", b"new").await;
        world.clock.advance_ms(501);
        let began = tokio::time::Instant::now();
        collector.step(&world.context).await;
        assert!(began.elapsed() <= Duration::from_secs(2), "round {round} waited");
        assert!(!world.holds(replaced).await, "round {round}");
        let now = proposer.clock().now();
        let fresh = Consistency::Linearizable;
        let left = ask::garbage(proposer.catalog(), fresh, SHARD, id, now, 10).await.unwrap();
        assert!(left.iter().any(|row| row.location == elsewhere), "unknown means keep: {left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_asks_a_silent_backend_once_in_a_round() {
    let world = World::new(quick()).await;
    let id = BackendId(world.backend_id().0 + 1);
    world.context.registry.insert(Arc::new(Hanging(Memory::new(id, "hanging")))).unwrap();
    let proposer = &world.context.proposer;
    let state = BackendState::Active;
    let configure = Operation::ConfigureBackend { backend: id, generation: 1, state };
    proposer.commit_accepted("", SHARD, configure).await.unwrap();
    for node in (100..105).map(NodeId) {
        let open = Operation::OpenEpoch { node, incarnation: 1 };
        let opened = proposer.commit_accepted("", SHARD, open).await.unwrap();
        let Response::EpochOpened { epoch, generation } = opened else { panic!("{opened:?}") };
        let close = Operation::CloseEpoch { generation, node, epoch };
        proposer.commit_accepted("", SHARD, close).await.unwrap();
    }
    world.clock.advance_ms(10_000);
    let began = tokio::time::Instant::now();
    sweep(&world.context).await;
    assert!(began.elapsed() < 2 * FAILS_AFTER, "{:?}", began.elapsed());
    let fresh = Consistency::Linearizable;
    let epochs = ask::epochs(proposer.catalog(), fresh, SHARD).await.unwrap();
    let swept = epochs.iter().filter(|epoch| match &epoch.state {
        EpochState::Closed { sweeps, .. } => !sweeps.is_empty(),
        EpochState::Open | EpochState::Swept => false,
    });
    assert_eq!(swept.count(), 5, "the other backend was swept: {epochs:?}");
}

#[tokio::test]
async fn a_node_that_does_not_lead_deletes_nothing() {
    let world = World::new(quick()).await;
    let replaced = world.put("a", b"old").await;
    world.put("a", b"new").await;
    let orphan = world.upload(b"orphan").await.copies[0];
    world.close_epoch().await;
    world.clock.advance_ms(10_000);
    let follower = Context { leads: Arc::new(|_| false), ..world.context.clone() };
    collect(&follower).await;
    sweep(&follower).await;
    assert!(world.holds(replaced).await && world.holds(orphan).await);
}

#[tokio::test]
async fn garbage_that_cannot_be_deleted_stays_a_row() {
    let faults = Faults { error_before: 0, timeout_after: 0, ..Faults::NONE };
    let world = World::with_faults(quick(), faults).await;
    let replaced = world.put("a", b"old").await;
    world.put("a", b"new").await;
    world.clock.advance_ms(501);
    world.context.registry.remove(world.backend_id());
    collect(&world.context).await;
    assert!(world.holds(replaced).await);
    world.context.registry.insert(world.backend.clone()).unwrap();
    collect(&world.context).await;
    assert!(!world.holds(replaced).await, "found again by its row");
}

#[tokio::test]
async fn a_sweep_takes_only_what_nothing_refers_to_and_only_after_the_grace() {
    let world = World::new(quick()).await;
    let live = world.put("a", b"live").await;
    let draining = world.put("b", b"draining").await;
    world.delete("b").await;
    let orphan = world.upload(b"orphan").await.copies[0];
    world.clock.advance_ms(100_000);
    sweep(&world.context).await;
    assert!(world.holds(orphan).await, "an open epoch is not swept: its upload may be under way");
    world.close_epoch().await;
    world.clock.advance_ms(999);
    sweep(&world.context).await;
    assert!(world.holds(orphan).await, "the grace has not passed");
    world.clock.advance_ms(1);
    sweep(&world.context).await;
    assert!(!world.holds(orphan).await);
    assert!(world.holds(live).await && world.holds(draining).await, "garbage goes by its row");
}

#[tokio::test]
async fn late_bytes_are_found_by_a_later_sweep_and_then_the_epoch_goes() {
    let world = World::new(Garbage { resweep_ms: vec![5000], ..quick() }).await;
    let live = world.put("a", b"live").await;
    world.close_epoch().await;
    world.clock.advance_ms(1000);
    sweep(&world.context).await;
    let zombie = world.upload(b"landed late").await;
    let refused = world.reference("late", zombie.clone()).await;
    assert!(matches!(refused, Response::Rejected(_)), "{refused:?}");
    sweep(&world.context).await;
    assert!(world.holds(zombie.copies[0]).await, "the next sweep is not due");
    world.clock.advance_ms(4000);
    sweep(&world.context).await;
    assert!(!world.holds(zombie.copies[0]).await && world.holds(live).await);
    sweep(&world.context).await;
    let catalog = world.context.proposer.catalog();
    let left = ask::epochs(catalog, Consistency::Linearizable, SHARD).await.unwrap();
    assert!(left.iter().all(|epoch| epoch.id != world.epoch), "{left:?}");
}

#[tokio::test]
async fn a_place_that_is_not_the_backends_any_more_is_not_swept() {
    let world = World::new(quick()).await;
    let orphan = world.upload(b"perhaps another backend's").await.copies[0];
    world.close_epoch().await;
    world.clock.advance_ms(1000);
    world.backend.mistake();
    sweep(&world.context).await;
    assert!(world.holds(orphan).await);
    let catalog = world.context.proposer.catalog();
    let epochs = ask::epochs(catalog, Consistency::Linearizable, SHARD).await.unwrap();
    let unswept = |state: &EpochState| match state {
        EpochState::Closed { sweeps, .. } => sweeps.is_empty(),
        EpochState::Open | EpochState::Swept => false,
    };
    assert!(
        epochs.iter().any(|epoch| epoch.id == world.epoch && unswept(&epoch.state)),
        "{epochs:?}"
    );
}

#[tokio::test]
async fn a_sweep_that_fails_half_way_is_not_counted() {
    let faults = Faults { seed: 3, error_before: 1000, ..Faults::NONE };
    let world = World::new(quick()).await;
    let orphan = world.upload(b"orphan").await.copies[0];
    world.close_epoch().await;
    world.clock.advance_ms(1000);
    let dead = vaultaire_storage::backends::memory::Memory::with_faults(
        world.backend_id(),
        "memory",
        faults,
    );
    world.context.registry.remove(world.backend_id());
    world.context.registry.insert(Arc::new(dead)).unwrap();
    sweep(&world.context).await;
    let catalog = world.context.proposer.catalog();
    let epochs = ask::epochs(catalog, Consistency::Linearizable, SHARD).await.unwrap();
    let sweeps: Vec<_> = epochs
        .iter()
        .filter_map(|epoch| match &epoch.state {
            EpochState::Closed { sweeps, .. } => Some(sweeps.len()),
            EpochState::Open | EpochState::Swept => None,
        })
        .collect();
    assert_eq!(sweeps, [0], "{epochs:?}");
    world.context.registry.remove(world.backend_id());
    world.context.registry.insert(world.backend.clone()).unwrap();
    sweep(&world.context).await;
    assert!(!world.holds(orphan).await);
}

/// The bytes of garbage can come back once more after they were deleted (a write that was answered late), and only a sweep
/// after that sees them: so while there is garbage no sweep is the last.
#[tokio::test]
async fn the_last_sweep_waits_until_garbage_is_collected() {
    let world = World::new(quick()).await;
    let deleted = world.put("a", b"bytes").await;
    world.delete("a").await;
    world.close_epoch().await;
    world.clock.advance_ms(1001);
    let swept = async || {
        let catalog = world.context.proposer.catalog();
        let epochs = ask::epochs(catalog, Consistency::Linearizable, SHARD).await.unwrap();
        epochs.iter().all(|epoch| epoch.id != world.epoch)
    };
    for _ in 0..2 {
        sweep(&world.context).await;
        assert!(
            !swept().await && world.holds(deleted).await,
            "its drain is over, it is not collected"
        );
    }
    collect(&world.context).await;
    for _ in 0..2 {
        sweep(&world.context).await;
    }
    assert!(swept().await && !world.holds(deleted).await);
}
