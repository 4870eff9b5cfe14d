//! The account by itself, and the workers that ask it. Time is tokio's, paused: an hour passes when a test says so.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::Arc;

use parking_lot::RwLock;
use vaultaire_proto::Operation;
use vaultaire_proto::object::{Blob, Location};
use vaultaire_proto::row::{BackendState, EpochState};
use vaultaire_storage::backends::memory::Memory;
use vaultaire_storage::backends::memory::faults::Faults;

use super::*;
use crate::metrics::{self, Metrics};
use crate::workers::Context;
use crate::workers::garbage::Collector;
use crate::workers::hanging::Hanging;
use crate::workers::sweep::Sweeper;
use crate::world::{SHARD, World};

const RATE: u32 = 1_000_000;
const OLD: &[u8] = b"1234";
const LIVE: &[u8] = b"1234567890";
const HUGE: &[u8] = b"12345678901234567890";

/// Half of what is alive, and no floor: five of the ten bytes of `LIVE`, hence one of several `OLD`.
fn half() -> Garbage {
    Garbage {
        upload_grace_ms: 1000,
        drain_ms: 500,
        resweep_ms: Vec::new(),
        brake_percent: 50,
        brake_floor_bytes: 0,
        ..Garbage::default()
    }
}

/// Garbage of these bytes, due and in this order, and `LIVE` alive.
async fn with_garbage(world: &World, replaced: &[&'static [u8]]) -> Vec<Location> {
    let mut garbage = Vec::new();
    for bytes in replaced {
        garbage.push(world.put("a", bytes).await);
        world.clock.advance_ms(1);
    }
    world.put("a", LIVE).await;
    world.clock.advance_ms(501);
    garbage
}

async fn with_orphans(world: &World, count: usize) -> Vec<Location> {
    world.put("a", LIVE).await;
    let mut orphans = Vec::new();
    for _ in 0..count {
        orphans.push(world.upload(OLD).await.copies[0]);
    }
    world.close_epoch().await;
    world.clock.advance_ms(1000);
    orphans
}

async fn collect(context: &Context) {
    Collector::new(RATE).step(context).await;
}

async fn sweep(context: &Context) {
    Sweeper::new(RATE).step(context).await;
}

async fn left(world: &World, of: &[Location]) -> usize {
    let mut left = 0;
    for location in of {
        left += usize::from(world.holds(*location).await);
    }
    left
}

async fn rows(world: &World, backend: BackendId) -> usize {
    let (catalog, now) = (world.context.proposer.catalog(), world.context.proposer.clock().now());
    let fresh = Consistency::Linearizable;
    ask::garbage(catalog, fresh, SHARD, backend, now, 10).await.unwrap().len()
}

fn is_held(world: &World) -> bool {
    world.context.brake.is_held(SHARD, world.backend_id())
}

fn deleted_bytes(world: &World) -> u64 {
    let account = world.context.brake.account.lock();
    account.windows[&(world.backend_id(), SHARD)].deleted_bytes
}

/// The same backend, as if it had been replaced by one that fails.
fn swap(world: &World, backend: Arc<dyn Backend>) {
    world.context.registry.remove(world.backend_id());
    world.context.registry.insert(backend).unwrap();
}

#[test]
fn a_share_of_what_is_alive_may_go_or_a_part_of_the_floor() {
    let brake = |brake_percent| {
        Brake::new(&Garbage { brake_percent, brake_floor_bytes: 100, ..Garbage::default() }, 4)
    };
    assert_eq!(brake(50).allowance(1000), 500);
    assert_eq!(brake(50).allowance(51), 25);
    assert_eq!(brake(0).allowance(u64::MAX), 25);
    assert_eq!(brake(50).allowance(u64::MAX), u64::MAX / 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_the_allowance_stays_with_all_that_follows() {
    let mut window = Window::new(20, 10);
    assert_eq!(window.admit(&[4, 6]), 2, "all of the allowance may go");
    let mut window = Window::new(20, 10);
    assert_eq!(window.admit(&[4, 4, 4, 1]), 2);
    assert!(window.held);
    assert_eq!(window.admit(&[1]), 0, "held is held, also for what would fit");
    assert_eq!(window.deleted_bytes, 8);
}

#[tokio::test(start_paused = true)]
async fn one_blob_larger_than_the_allowance_goes_in_each_window() {
    let mut window = Window::new(20, 10);
    assert_eq!(window.admit(&[5, 11, 11]), 2);
    assert!(window.held);
    let mut nothing = Window::new(0, 0);
    assert_eq!(nothing.admit(&[0, 7, 7]), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_given_back_may_go_again() {
    let mut window = Window::new(20, 10);
    assert_eq!(window.admit(&[6, 6]), 1);
    window.give_back(&[]);
    assert!(window.held, "nothing was given back");
    window.give_back(&[6]);
    assert_eq!((window.held, window.deleted_bytes), (false, 0));
    assert_eq!(window.admit(&[11]), 1);
    window.give_back(&[11]);
    assert_eq!(window.admit(&[11, 11]), 1, "the large one that failed is tried again");
}

#[tokio::test(start_paused = true)]
async fn an_hour_begins_anew_and_what_the_former_counted_is_not_given_back() {
    let world = World::new(half()).await;
    world.put("a", LIVE).await;
    let brake = &world.context.brake;
    let catalog = world.context.proposer.catalog();
    let ask = async |sizes: &[u64]| {
        brake.admit(catalog, SHARD, world.backend.as_ref(), sizes).await.unwrap()
    };
    let former = ask(&[5]).await;
    assert_eq!((former.count, ask(&[1]).await.count), (1, 0));
    tokio::time::advance(WINDOW - Duration::from_millis(1)).await;
    assert!(is_held(&world));
    assert_eq!(ask(&[1]).await.count, 0);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(!is_held(&world));
    assert_eq!(ask(&[5]).await.count, 1);
    brake.give_back(&former, &[5]);
    assert_eq!(deleted_bytes(&world), 5);
}

#[tokio::test(start_paused = true)]
async fn every_shard_and_every_backend_has_an_account_of_its_own() {
    let world = World::new(half()).await;
    world.put("a", LIVE).await;
    let brake = &world.context.brake;
    let catalog = world.context.proposer.catalog();
    assert_eq!(
        brake.admit(catalog, SHARD, world.backend.as_ref(), &[5, 5]).await.unwrap().count,
        1
    );
    let other = Memory::new(BackendId(world.backend_id().0 + 1), "other");
    assert_eq!(brake.admit(catalog, SHARD, &other, &[0, 5]).await.unwrap().count, 2);
    // A group without the backend's row, as a shard that does not know it yet.
    let control = GroupId::CONTROL;
    let backend = world.backend.as_ref();
    assert_eq!(brake.admit(catalog, control, backend, &[5]).await.unwrap().count, 1);
    assert!(is_held(&world) && !brake.is_held(control, world.backend_id()));
    let led = brake.hold(world.backend_id(), |_| true).unwrap();
    let numbers = (led.shards, led.live_bytes, led.allowed_bytes, led.deleted_bytes, led.left);
    assert_eq!(numbers, (1, 10, 5, 5, WINDOW));
    assert_eq!(brake.hold(world.backend_id(), |_| false), None, "a former leader holds nothing");
    assert_eq!(brake.hold(other.id(), |_| true), None);
}

#[tokio::test(start_paused = true)]
async fn garbage_over_the_allowance_stays_until_the_next_hour() {
    let world = World::new(half()).await;
    let garbage = with_garbage(&world, &[OLD, OLD, OLD]).await;
    for _ in 0..3 {
        collect(&world.context).await;
        assert_eq!((left(&world, &garbage).await, rows(&world, world.backend_id()).await), (2, 2));
        assert!(is_held(&world) && deleted_bytes(&world) == 4);
    }
    tokio::time::advance(WINDOW).await;
    collect(&world.context).await;
    assert_eq!(left(&world, &garbage).await, 1);
    tokio::time::advance(WINDOW).await;
    collect(&world.context).await;
    assert_eq!((left(&world, &garbage).await, is_held(&world)), (0, false));
}

#[tokio::test(start_paused = true)]
async fn other_backends_go_on() {
    let world = World::new(half()).await;
    let id = BackendId(world.backend_id().0 + 1);
    let configure =
        Operation::ConfigureBackend { backend: id, generation: 1, state: BackendState::Active };
    world.context.proposer.commit_accepted("", SHARD, configure).await.unwrap();
    world.context.registry.insert(Arc::new(Memory::new(id, "other"))).unwrap();
    let on_both = |mut blob: Blob| {
        blob.copies.push(Location { backend: id, ..blob.copies[0] });
        blob
    };
    world.reference("b", on_both(world.upload(OLD).await)).await;
    world.reference("b", on_both(world.upload(LIVE).await)).await;
    let garbage = with_garbage(&world, &[OLD, OLD, OLD, OLD, OLD]).await;
    collect(&world.context).await;
    assert!(is_held(&world));
    assert!(left(&world, &garbage).await > 0);
    assert_eq!(rows(&world, id).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_operator_lets_everything_go_for_an_hour() {
    let world = World::new(half()).await;
    let garbage = with_garbage(&world, &[OLD, OLD, OLD]).await;
    collect(&world.context).await;
    assert_eq!(left(&world, &garbage).await, 2);
    let brake = &world.context.brake;
    brake.release(BackendId(world.backend_id().0 + 1));
    collect(&world.context).await;
    assert_eq!(left(&world, &garbage).await, 2, "another backend was released");
    brake.release(world.backend_id());
    assert_eq!(brake.released_for(world.backend_id()), Some(RELEASE));
    collect(&world.context).await;
    assert_eq!(left(&world, &garbage).await, 0);
    tokio::time::advance(RELEASE).await;
    assert_eq!(brake.released_for(world.backend_id()), None);
    let garbage = with_garbage(&world, &[OLD, OLD]).await;
    collect(&world.context).await;
    // What was alive before is garbage too, and larger than the allowance: it is first, and goes.
    assert!(is_held(&world) && left(&world, &garbage).await == 2, "the brake takes hold again");
}

#[tokio::test(start_paused = true)]
async fn a_blob_larger_than_the_allowance_does_not_stay_for_ever() {
    let world = World::new(half()).await;
    let garbage = with_garbage(&world, &[HUGE, HUGE]).await;
    collect(&world.context).await;
    assert!(!world.holds(garbage[0]).await && world.holds(garbage[1]).await);
    tokio::time::advance(WINDOW).await;
    collect(&world.context).await;
    assert!(!world.holds(garbage[1]).await);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_percent_take_the_brake_off() {
    let world = World::new(Garbage { brake_percent: 100, ..half() }).await;
    let garbage = with_garbage(&world, &[HUGE, HUGE, HUGE]).await;
    collect(&world.context).await;
    assert_eq!(left(&world, &garbage).await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_backend_did_not_delete_does_not_count() {
    let world = World::new(half()).await;
    let garbage = with_garbage(&world, &[OLD]).await;
    let faults = Faults { seed: 3, error_before: 1000, ..Faults::NONE };
    swap(&world, Arc::new(Memory::with_faults(world.backend_id(), "memory", faults)));
    for _ in 0..3 {
        collect(&world.context).await;
        assert_eq!((deleted_bytes(&world), is_held(&world)), (0, false));
    }
    swap(&world, Arc::new(Hanging(Memory::new(world.backend_id(), "memory"))));
    let mut collector = Collector::new(RATE);
    collector.step(&world.context).await;
    assert_eq!(deleted_bytes(&world), 4, "it counts before it goes");
    tokio::time::sleep(Duration::from_secs(61)).await;
    collector.step(&world.context).await;
    assert_eq!(deleted_bytes(&world), 0, "the batch was given up");
    swap(&world, world.backend.clone());
    collect(&world.context).await;
    assert_eq!((left(&world, &garbage).await, deleted_bytes(&world)), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_over_the_allowance_ends_and_is_repeated() {
    let world = World::new(half()).await;
    let orphans = with_orphans(&world, 4).await;
    let swept = async || {
        let catalog = world.context.proposer.catalog();
        let epochs = ask::epochs(catalog, Consistency::Linearizable, SHARD).await.unwrap();
        !epochs.iter().any(|epoch| {
            epoch.id == world.epoch
                && matches!(&epoch.state, EpochState::Closed { sweeps, .. } if sweeps.is_empty())
        })
    };
    for hour in 1..4 {
        sweep(&world.context).await;
        sweep(&world.context).await;
        assert_eq!((left(&world, &orphans).await, swept().await), (4 - hour, false));
        tokio::time::advance(WINDOW).await;
    }
    sweep(&world.context).await;
    assert_eq!((left(&world, &orphans).await, swept().await), (0, true));
}

#[tokio::test(start_paused = true)]
async fn a_held_sweep_goes_on_when_it_is_released() {
    let world = World::new(half()).await;
    let orphans = with_orphans(&world, 4).await;
    sweep(&world.context).await;
    assert_eq!(left(&world, &orphans).await, 3);
    world.context.brake.release(world.backend_id());
    sweep(&world.context).await;
    assert_eq!(left(&world, &orphans).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_said_once_and_shown_as_long_as_it_lasts() {
    let world = World::new(half()).await;
    with_garbage(&world, &[OLD, OLD, OLD]).await;
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = Arc::new(Metrics::register(&mut registry));
    let (context, registry) = (Context { metrics, ..world.context.clone() }, RwLock::new(registry));
    let shown = || {
        let text = metrics::text(&registry);
        let line = text.lines().find(|line| line.starts_with("vaultaire_gc_held{")).unwrap();
        line.to_owned()
    };
    let log = Log::default();
    let lines = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || lines.clone()).finish();
    let listening = tracing::subscriber::set_default(subscriber);
    for _ in 0..3 {
        collect(&context).await;
        assert_eq!(shown(), "vaultaire_gc_held{backend=\"memory\"} 1");
    }
    let (brake, backend) = (&context.brake, world.backend.as_ref());
    let ask = async |sizes: &[u64]| {
        brake.admit(context.proposer.catalog(), SHARD, backend, sizes).await.unwrap()
    };
    brake.give_back(&ask(&[1]).await, &[4]);
    assert_eq!(ask(&[5, 5]).await.count, 1, "held a second time in this window");
    drop(listening);
    let log = String::from_utf8(log.0.lock().clone()).unwrap();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("deletions are held")).collect();
    assert_eq!(told.len(), 1, "{log}");
    for word in ["ERROR", "live_bytes=10", "allowed_bytes=5", "vaultaire backend release memory"] {
        assert!(told[0].contains(word), "{word} in {log}");
    }
    world.context.brake.release(world.backend_id());
    collect(&context).await;
    assert_eq!(shown(), "vaultaire_gc_held{backend=\"memory\"} 0");
}

/// What was logged on this thread.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
