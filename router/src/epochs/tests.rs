//! Epochs against the real state machine: keys are fresh, and closing waits for what is in flight.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use vaultaire_proto::catalog::local::LocalCatalog;
use vaultaire_proto::row::{ClusterRow, Epoch, EpochState};
use vaultaire_proto::time::ManualClock;
use vaultaire_proto::{Answer, Consistency, Query};

use super::*;

const SHARD: GroupId = GroupId(1);

fn world() -> (Arc<LocalCatalog>, Arc<ManualClock>, Arc<Epochs>) {
    let clock = Arc::new(ManualClock::new(TimeMs(1_000_000)));
    let catalog = Arc::new(LocalCatalog::new(2, clock.clone()));
    let epochs = Epochs::new(catalog.clone(), clock.clone(), NodeId(1), 1);
    (catalog, clock, epochs)
}

async fn rows(catalog: &LocalCatalog) -> Vec<Epoch> {
    match catalog.query(Query::Epochs { shard: SHARD }, Consistency::Linearizable).await.unwrap() {
        Answer::Epochs(epochs) => epochs,
        other => panic!("{other:?}"),
    }
}

async fn open_rows(catalog: &LocalCatalog) -> usize {
    rows(catalog).await.iter().filter(|epoch| epoch.state == EpochState::Open).count()
}

#[tokio::test]
async fn concurrent_writers_share_one_epoch_and_no_key() {
    let (catalog, _, epochs) = world();
    let leases =
        futures::future::try_join_all((0..50).map(|_| epochs.allocate(SHARD))).await.unwrap();
    let mut keys: Vec<_> = leases.iter().map(|lease| lease.key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 50);
    assert_eq!(rows(&catalog).await.len(), 1);
}

#[tokio::test]
async fn an_old_epoch_closes_when_its_last_upload_ends() {
    let (catalog, clock, epochs) = world();
    let held = epochs.allocate(SHARD).await.unwrap();
    epochs.rotate(clock.now()).await;
    assert_eq!(
        epochs.allocate(SHARD).await.unwrap().key.epoch,
        held.key.epoch,
        "too young to rotate"
    );
    clock.advance_ms(11 * 60 * 1000);
    epochs.rotate(clock.now()).await;
    assert_eq!(open_rows(&catalog).await, 1, "an upload holds it");
    let next = epochs.allocate(SHARD).await.unwrap();
    assert_ne!(next.key.epoch, held.key.epoch);
    drop(held);
    epochs.rotate(clock.now()).await;
    let states: Vec<_> = rows(&catalog).await.into_iter().map(|epoch| epoch.state).collect();
    assert_eq!(states.len(), 2);
    assert_eq!(states.iter().filter(|state| **state == EpochState::Open).count(), 1);
}

#[tokio::test]
async fn a_held_epoch_is_closed_after_a_day() {
    let (catalog, clock, epochs) = world();
    let _held = epochs.allocate(SHARD).await.unwrap();
    clock.advance_ms(25 * 60 * 60 * 1000);
    epochs.rotate(clock.now()).await;
    assert_eq!(open_rows(&catalog).await, 0);
}

#[tokio::test]
async fn a_full_epoch_is_replaced() {
    let (_, _, epochs) = world();
    let first = epochs.allocate(SHARD).await.unwrap();
    first.open.next.store(limits::EPOCH_PUTS_MAX, Ordering::Relaxed);
    assert_ne!(epochs.allocate(SHARD).await.unwrap().key.epoch, first.key.epoch);
}

#[tokio::test]
async fn an_epoch_that_the_shard_closed_is_forgotten() {
    let (catalog, _, epochs) = world();
    let lease = epochs.allocate(SHARD).await.unwrap();
    let epoch = lease.key.epoch;
    let close = Operation::CloseEpoch { generation: 1, node: NodeId(1), epoch };
    epochs.commit(SHARD, close).await.unwrap();
    epochs.forget(&lease.key);
    assert_ne!(epochs.allocate(SHARD).await.unwrap().key.epoch, lease.key.epoch);
    assert_eq!(open_rows(&catalog).await, 1);
}

#[tokio::test]
async fn stopping_closes_everything() {
    let (catalog, _, epochs) = world();
    drop(epochs.allocate(SHARD).await.unwrap());
    epochs.close_all().await;
    assert_eq!(open_rows(&catalog).await, 0);
}

/// Does what it is told at once, and says so later.
#[derive(Debug)]
struct Late(Arc<LocalCatalog>);

#[async_trait]
impl Catalog for Late {
    fn cluster(&self) -> &ClusterRow {
        self.0.cluster()
    }

    async fn query(&self, query: Query, how: Consistency) -> Result<Answer, CatalogError> {
        self.0.query(query, how).await
    }

    async fn commit(&self, command: Command) -> Result<Response, CatalogError> {
        let response = self.0.commit(command).await;
        tokio::task::yield_now().await;
        response
    }
}

#[tokio::test]
async fn an_epoch_whose_opener_went_away_is_closed_too() {
    let clock = Arc::new(ManualClock::new(TimeMs(1_000_000)));
    let catalog = Arc::new(LocalCatalog::new(2, clock.clone()));
    let late = Arc::new(Late(catalog.clone()));
    let epochs = Epochs::new(late, clock.clone(), NodeId(1), 1);
    let mut gone = Box::pin(epochs.allocate(SHARD));
    while open_rows(&catalog).await == 0 {
        assert!(futures::poll!(&mut gone).is_pending());
        tokio::task::yield_now().await;
    }
    drop(gone);
    let lease = epochs.allocate(SHARD).await.unwrap();
    assert_eq!(open_rows(&catalog).await, 1, "the epoch is there for the next one");
    drop(lease);
    epochs.close_all().await;
    assert_eq!(open_rows(&catalog).await, 0);
}
