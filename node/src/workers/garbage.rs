//! Deletes the bytes that nothing refers to any more: only where this node leads the shard,
//! only what a fresh read of its blob row says is garbage whose time has come, at a limited rate. A garbage
//! blob never becomes live again, so what the fresh read said still holds when the bytes go. How much may go at
//! all is the safety brake's to say.
//!
//! Each backend has rounds and a pace of its own: one that is slow or never answers holds up no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;
use vaultaire_proto::object::Location;
use vaultaire_proto::row::Garbage;
use vaultaire_proto::steps::{self, Step};
use vaultaire_proto::{BackendId, Consistency, GroupId, Operation};
use vaultaire_storage::backend::Backend;

use crate::ask;
use crate::error::Error;
use crate::workers::Context;
use crate::workers::pace::{DELETES_IN_FLIGHT, Pace, delete_all};

/// How long a worker rests when nothing was left to do.
pub const PAUSE: Duration = Duration::from_secs(1);

/// How many garbage rows are taken at once.
const PAGE: usize = 500;

/// How long a step waits for rounds under way: a backend that is done early begins anew after this.
const ROUND_PATIENCE: Duration = Duration::from_secs(1);

/// How long a batch of deletions may take before the round is given up. Its rows stay.
const BATCH_PATIENCE: Duration = Duration::from_secs(60);

/// Collects what is due on every backend, in every shard that this node leads.
#[derive(Debug)]
pub struct Collector {
    deletes_per_second: u32,
    /// Shared with the round under way, and kept between rounds.
    paces: BTreeMap<BackendId, Arc<Mutex<Pace>>>,
    /// At most one for each backend. They end with the collector.
    rounds: BTreeMap<BackendId, AbortOnDropHandle<()>>,
}

impl Collector {
    /// At the rate that the settings allow to each backend.
    pub fn new(deletes_per_second: u32) -> Self {
        Self { deletes_per_second, paces: BTreeMap::new(), rounds: BTreeMap::new() }
    }

    /// Begins a round on every backend that has none, and waits for those under way, within a bound.
    pub async fn step(&mut self, context: &Context) {
        for backend in context.registry.all() {
            let id = backend.id();
            if self.rounds.contains_key(&id) {
                continue;
            }
            let fresh = || Arc::new(Mutex::new(Pace::new(self.deletes_per_second)));
            let pace = Arc::clone(self.paces.entry(id).or_insert_with(fresh));
            let context = context.clone();
            let round = tokio::spawn(async move {
                let mut pace = pace.lock().await;
                round(&context, &backend, &mut pace).await;
            });
            self.rounds.insert(id, AbortOnDropHandle::new(round));
        }
        let all = futures::future::join_all(self.rounds.values_mut());
        // What is not done in time goes on. One that panicked, which the panic hook has told, is over.
        let _ = tokio::time::timeout(ROUND_PATIENCE, all).await;
        self.rounds.retain(|_, round| !round.is_finished());
        show_holds(context);
    }
}

/// Says in the metrics where deletions are held.
fn show_holds(context: &Context) {
    for backend in context.registry.all() {
        match context.brake.hold(backend.id(), |shard| (context.leads)(shard)) {
            Some(_) => context.metrics.deletions_held(backend.name()),
            None => context.metrics.deletions_free(backend.name()),
        }
    }
}

/// One backend, over the shards.
async fn round(context: &Context, backend: &Arc<dyn Backend>, pace: &mut Pace) {
    for shard in context.proposer.shards() {
        if !(context.leads)(shard) {
            continue;
        }
        if let Err(error) = collect(context, backend, pace, shard).await {
            tracing::warn!(%shard, backend = backend.name(), %error, "garbage is left for the next round");
        }
    }
}

/// Collects until a page is not full, nothing of it could be deleted, or the brake holds.
async fn collect(
    context: &Context,
    backend: &Arc<dyn Backend>,
    pace: &mut Pace,
    shard: GroupId,
) -> Result<(), Error> {
    while !context.brake.is_held(shard, backend.id()) {
        let now = context.proposer.clock().now();
        let catalog = context.proposer.catalog();
        let fresh = Consistency::Linearizable;
        let due = ask::garbage(catalog, fresh, shard, backend.id(), now, PAGE).await?;
        if !due.is_empty() {
            steps::reach(Step::GarbageFound);
        }
        let blobs = delete(context, backend, pace, shard, &due).await;
        let collected = blobs.len();
        if collected > 0 {
            steps::reach(Step::GarbageDeleted);
            let operation = Operation::Collected { blobs };
            context.proposer.commit_accepted("garbage", shard, operation).await?;
            steps::reach(Step::GarbageCollected);
            context.metrics.garbage_collected(collected);
        }
        if due.len() < PAGE || collected == 0 {
            break;
        }
    }
    Ok(())
}

/// Deletes the bytes; answers what is gone for certain.
async fn delete(
    context: &Context,
    backend: &Arc<dyn Backend>,
    pace: &mut Pace,
    shard: GroupId,
    due: &[Garbage],
) -> Vec<Location> {
    let catalog = context.proposer.catalog();
    let cluster = catalog.cluster().cluster;
    let mut deleted = Vec::new();
    for chunk in due.chunks(DELETES_IN_FLIGHT) {
        let sizes: Vec<u64> = chunk.iter().map(|row| row.size_bytes).collect();
        let admitted = match context.brake.admit(catalog, shard, backend.as_ref(), &sizes).await {
            Ok(admitted) => admitted,
            Err(error) => {
                tracing::warn!(%shard, backend = backend.name(), %error, "garbage waits: how much may go is not known");
                break;
            }
        };
        let (sizes, chunk) = (&sizes[..admitted.count], &chunk[..admitted.count]);
        for _ in chunk {
            pace.one().await;
        }
        let keyed = chunk.iter().map(|row| (*row, row.location.key.backend_key(cluster)));
        let batch = delete_all(backend, keyed.collect());
        let Ok(outcomes) = tokio::time::timeout(BATCH_PATIENCE, batch).await else {
            // Some may be gone. Their rows are not, so they count when they are deleted again.
            context.brake.give_back(&admitted, sizes);
            tracing::warn!(backend = backend.name(), "garbage waits: the backend does not answer");
            break;
        };
        let before = deleted.len();
        let mut failed = Vec::new();
        for (row, outcome) in outcomes {
            match outcome {
                Ok(()) => deleted.push(row.location),
                Err(error) => {
                    failed.push(row.size_bytes);
                    tracing::warn!(backend = backend.name(), %error, "garbage could not be deleted");
                }
            }
        }
        context.brake.give_back(&admitted, &failed);
        // A backend that refuses a whole batch is left alone until the next round.
        if deleted.len() == before {
            break;
        }
    }
    deleted
}
