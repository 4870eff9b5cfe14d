//! What a wall clock that is set back does to writes: nothing.

use std::sync::Arc;

use vaultaire_proto::time::ManualClock;
use vaultaire_proto::{Catalog, Clock, Condition, Response};

use super::World;
use crate::clock::{Hand, NodeClock};

const START: u64 = 1_700_000_000_000;
const MINUTE_MS: u64 = 60_000;

fn clock(wall: &Arc<Hand>) -> Arc<NodeClock> {
    NodeClock::new(wall.clone(), Arc::new(ManualClock::default()))
}

/// A PUT that is dated as the router dates it, with less patience.
async fn put(world: &World, clock: &NodeClock, key: &str) -> Response {
    let mut put = world.put(key, 1, Condition::default());
    put.not_after = clock.now().plus_ms(MINUTE_MS);
    world.catalog.commit(put).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_go_on_when_the_clock_is_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let wall = Arc::new(Hand::default());
    wall.set(START);
    let before = clock(&wall);
    let world = World::start_by(Arc::clone(&before), &folder).await;
    for key in ["a", "b", "c", "d", "e"] {
        assert!(matches!(put(&world, &before, key).await, Response::Put(_)));
    }
    wall.set(START - 5 * MINUTE_MS);
    for key in ["f", "g", "h", "i", "j"] {
        let response = put(&world, &before, key).await;
        assert!(matches!(response, Response::Put(_)), "{response:?}");
    }
    world.stop().await;
    // Another life, whose clock is an hour behind from its first moment on.
    wall.set(START - 60 * MINUTE_MS);
    let after = clock(&wall);
    let world = World::start_by(Arc::clone(&after), &folder).await;
    assert!(after.now() >= before.now());
    for key in ["k", "l", "m", "n", "o"] {
        let response = put(&world, &after, key).await;
        assert!(matches!(response, Response::Put(_)), "{response:?}");
    }
    world.stop().await;
}
