//! Sweeps closed write epochs: bytes that were written and never referenced, found by listing
//! the epoch's prefix on every backend. The only place where bytes are deleted because no row knows them;
//! `garbage.rs` deletes what rows call garbage, and `brake.rs` says how much may go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use vaultaire_proto::planted::{self, Planted};
use vaultaire_proto::row::{Epoch, EpochState, Sweep};
use vaultaire_proto::steps::{self, Step};
use vaultaire_proto::{
    BackendId, BackendKey, BlobKey, Consistency, GroupId, Operation, Response, TimeMs,
};
use vaultaire_storage::backend::{Backend, LIST_PAGE_MAX};
use vaultaire_storage::error::{Class, Error as StorageError};

use crate::ask;
use crate::error::Error;
use crate::settings::Garbage;
use crate::workers::Context;
use crate::workers::brake::{Admitted, Brake};
use crate::workers::pace::{DELETES_IN_FLIGHT, Pace, delete_all};

/// How many keys the state machine is asked about at once. A page of a listing holds many times that, since some
/// backends read a whole folder for each page.
const VIEW: usize = 1000;

/// How many blob rows one command looks at.
const PRUNE_PAGE: u32 = 1000;

/// A blob of a listing, with its size in bytes.
type Seen = (BlobKey, u64);

/// What a sweep of one backend did.
#[derive(Clone, Copy, Debug, Default)]
struct Sweeping {
    /// How many keys.
    deleted: usize,
    /// Whether keys are left that are garbage.
    garbage: bool,
}

/// How often epochs are looked at: often enough for a short grace, no more often than needed for a long one.
pub fn pause(garbage: &Garbage) -> Duration {
    let quarter = Duration::from_millis(garbage.upload_grace_ms / 4);
    quarter.clamp(Duration::from_millis(250), Duration::from_secs(30))
}

/// Sweeps what is due in every shard that this node leads.
#[derive(Debug)]
pub struct Sweeper {
    pace: Pace,
    /// Backends that did not answer in this round: no other epoch waits for them.
    silent: BTreeSet<BackendId>,
}

impl Sweeper {
    /// At the rate that the settings allow.
    pub fn new(deletes_per_second: u32) -> Self {
        Self { pace: Pace::new(deletes_per_second), silent: BTreeSet::new() }
    }

    /// One round over the shards.
    pub async fn step(&mut self, context: &Context) {
        self.silent.clear();
        for shard in context.proposer.shards() {
            if !(context.leads)(shard) {
                continue;
            }
            if let Err(error) = self.shard(context, shard).await {
                tracing::warn!(%shard, %error, "epochs are left for the next round");
            }
        }
    }

    async fn shard(&mut self, context: &Context, shard: GroupId) -> Result<(), Error> {
        let catalog = context.proposer.catalog();
        for epoch in ask::epochs(catalog, Consistency::Linearizable, shard).await? {
            match &epoch.state {
                EpochState::Open => {}
                EpochState::Closed { at, sweeps } => {
                    self.closed(context, shard, &epoch, *at, sweeps).await?;
                }
                EpochState::Swept => prune(context, shard, &epoch).await?,
            }
        }
        Ok(())
    }

    async fn closed(
        &mut self,
        context: &Context,
        shard: GroupId,
        epoch: &Epoch,
        closed_at: TimeMs,
        sweeps: &[Sweep],
    ) -> Result<(), Error> {
        let now = context.proposer.clock().now();
        for backend in context.registry.all() {
            let sweep = sweeps.iter().find(|sweep| sweep.backend == backend.id());
            let done = sweep.map_or(0, |sweep| sweep.done);
            let finished = sweep.is_some_and(|sweep| sweep.finished);
            let (due, last) = due(&context.garbage, closed_at, done);
            if finished || now < due || self.silent.contains(&backend.id()) {
                continue;
            }
            match self.sweep(context, shard, epoch, &backend).await {
                Ok(Sweeping { deleted, garbage }) => {
                    context.metrics.orphans_swept(deleted);
                    // What is collected later may come back to a backend once more: only a later sweep would see it.
                    if last && garbage {
                        tracing::debug!(%shard, epoch = %epoch.id, backend = backend.name(), "the last sweep waits for garbage");
                        continue;
                    }
                    let operation = Operation::EpochSwept {
                        generation: epoch.generation,
                        node: epoch.node,
                        epoch: epoch.id,
                        backend: backend.id(),
                        round: done,
                        last,
                    };
                    context.proposer.commit_accepted("epoch", shard, operation).await?;
                    steps::reach(Step::SweepCounted);
                    tracing::debug!(%shard, epoch = %epoch.id, backend = backend.name(), deleted, last, "swept");
                }
                Err(error @ Error::DeletionsHeld { .. }) => {
                    // The brake's own line says it, once for its window.
                    tracing::debug!(%shard, epoch = %epoch.id, %error, "a sweep waits");
                }
                Err(error) => {
                    if matches!(error, Error::Storage(StorageError::Unavailable { .. })) {
                        self.silent.insert(backend.id());
                    }
                    tracing::warn!(%shard, epoch = %epoch.id, backend = backend.name(), %error,
                        "a sweep is repeated in the next round");
                }
            }
        }
        Ok(())
    }

    /// Deletes what no row knows under the epoch's prefix on one backend.
    async fn sweep(
        &mut self,
        context: &Context,
        shard: GroupId,
        epoch: &Epoch,
        backend: &Arc<dyn Backend>,
    ) -> Result<Sweeping, Error> {
        // Before the listing, which may be paid for.
        if context.brake.is_held(shard, backend.id()) {
            return Err(held(shard, backend));
        }
        let cluster = context.proposer.catalog().cluster().cluster;
        let any = BlobKey {
            generation: epoch.generation,
            shard,
            node: epoch.node,
            epoch: epoch.id,
            seq: 0,
        };
        let prefix = any.epoch_prefix(cluster);
        // First, so that none of them is completed after the listing.
        backend.identify().await?;
        let aborted = backend.abort_unfinished(&prefix).await?;
        if aborted > 0 {
            tracing::info!(%shard, epoch = %epoch.id, backend = backend.name(), aborted, "unfinished uploads");
        }
        let mut after: Option<BackendKey> = None;
        let mut sweeping = Sweeping::default();
        loop {
            let page = backend.list(&prefix, after.as_ref(), LIST_PAGE_MAX).await?;
            let Some(last) = page.last() else {
                return Ok(sweeping);
            };
            after = Some(last.key.clone());
            let blobs: Vec<Seen> = page
                .iter()
                .filter_map(|listed| {
                    let blob = BlobKey::from_backend_key(&listed.key, cluster)?;
                    Some((blob, listed.size_bytes))
                })
                .collect();
            for asked in blobs.chunks(VIEW) {
                let (orphans, garbage) =
                    orphans(context, shard, epoch, backend.id(), asked).await?;
                sweeping.deleted += orphans.len();
                sweeping.garbage |= garbage;
                self.delete(context, shard, backend, orphans).await?;
            }
        }
    }

    async fn delete(
        &mut self,
        context: &Context,
        shard: GroupId,
        backend: &Arc<dyn Backend>,
        orphans: Vec<(BackendKey, u64)>,
    ) -> Result<(), Error> {
        if orphans.is_empty() {
            return Ok(());
        }
        steps::reach(Step::OrphansFound);
        // No row knows these keys: true of every key where the place is another backend's, or came back as one.
        backend.identify().await?;
        let catalog = context.proposer.catalog();
        for chunk in orphans.chunks(DELETES_IN_FLIGHT) {
            let sizes: Vec<u64> = chunk.iter().map(|(_, size_bytes)| *size_bytes).collect();
            let admitted = context.brake.admit(catalog, shard, backend.as_ref(), &sizes).await?;
            for _ in 0..admitted.count {
                self.pace.one().await;
            }
            let going = chunk.iter().take(admitted.count);
            let keyed = going.map(|(key, size_bytes)| (*size_bytes, key.clone()));
            let outcomes = delete_all(backend, keyed.collect()).await;
            steps::reach(Step::OrphansDeleted);
            settle(&context.brake, &admitted, outcomes)?;
            if admitted.count < chunk.len() {
                return Err(held(shard, backend));
            }
        }
        Ok(())
    }
}

/// Gives back what did not go; answers the first error. Where nobody knows whether a blob went it counts: no row brings
/// it back to be counted another time.
fn settle(
    brake: &Brake,
    admitted: &Admitted,
    outcomes: Vec<(u64, Result<(), StorageError>)>,
) -> Result<(), Error> {
    let mut failed = Vec::new();
    let mut first = Ok(());
    for (size_bytes, outcome) in outcomes {
        let Err(error) = outcome else { continue };
        if error.class() != Class::Unknown {
            failed.push(size_bytes);
        }
        first = first.and(Err(error));
    }
    brake.give_back(admitted, &failed);
    Ok(first?)
}

fn held(shard: GroupId, backend: &Arc<dyn Backend>) -> Error {
    Error::DeletionsHeld { shard, backend: backend.name().to_owned() }
}

/// Those of `blobs` that no row keeps, as of one moment at which the epoch was closed; and whether some are kept as garbage.
async fn orphans(
    context: &Context,
    shard: GroupId,
    epoch: &Epoch,
    backend: BackendId,
    blobs: &[Seen],
) -> Result<(Vec<(BackendKey, u64)>, bool), Error> {
    let catalog = context.proposer.catalog();
    let place = (epoch.generation, epoch.node, epoch.id);
    let asked = blobs.iter().map(|(blob, _)| *blob).collect();
    let view = ask::sweep_view(catalog, shard, backend, place, asked).await?;
    let Some(EpochState::Closed { .. }) = view.epoch.map(|row| row.state) else {
        return Err(Error::Found("the epoch is not closed any more".to_owned()));
    };
    let cluster = catalog.cluster().cluster;
    let orphans = blobs.iter().filter(|(blob, _)| !view.kept.contains(blob));
    let keyed = orphans.map(|(blob, size_bytes)| (blob.backend_key(cluster), *size_bytes));
    Ok((keyed.collect(), view.garbage))
}

/// When the next sweep of a backend is due that was swept `done` times, and whether it is the last.
fn due(garbage: &Garbage, closed_at: TimeMs, done: u32) -> (TimeMs, bool) {
    if planted::is(Planted::SweepWithoutGrace) {
        return (closed_at, true);
    }
    let done = usize::try_from(done).unwrap_or(usize::MAX);
    let first = closed_at.plus_ms(garbage.upload_grace_ms);
    let at = match done.checked_sub(1).and_then(|index| garbage.resweep_ms.get(index)) {
        Some(resweep_ms) => closed_at.plus_ms(*resweep_ms).max(first),
        None => first,
    };
    (at, done >= garbage.resweep_ms.len())
}

/// Drops the spent rows of a swept epoch page by page, the epoch's own row last.
async fn prune(context: &Context, shard: GroupId, epoch: &Epoch) -> Result<(), Error> {
    loop {
        let operation = Operation::PruneEpoch {
            generation: epoch.generation,
            node: epoch.node,
            epoch: epoch.id,
            limit: PRUNE_PAGE,
        };
        let pruned = context.proposer.commit_accepted("epoch", shard, operation).await?;
        steps::reach(Step::EpochPruned);
        match pruned {
            Response::Pruned { more: true } => {}
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::world::{SHARD, World};

    #[test]
    fn sweeps_are_due_after_the_grace_and_then_as_scheduled() {
        let garbage =
            Garbage { upload_grace_ms: 900, resweep_ms: vec![3600, 86_400], ..Garbage::default() };
        let closed = TimeMs(10_000);
        assert_eq!(due(&garbage, closed, 0), (TimeMs(10_900), false));
        assert_eq!(due(&garbage, closed, 1), (TimeMs(13_600), false));
        assert_eq!(due(&garbage, closed, 2), (TimeMs(96_400), true));
    }

    #[test]
    fn without_a_schedule_the_first_sweep_is_the_last_and_no_sweep_precedes_the_grace() {
        let none = Garbage { upload_grace_ms: 900, resweep_ms: Vec::new(), ..Garbage::default() };
        assert_eq!(due(&none, TimeMs(1000), 0), (TimeMs(1900), true));
        let early = Garbage { upload_grace_ms: 900, resweep_ms: vec![10], ..Garbage::default() };
        assert_eq!(due(&early, TimeMs(1000), 1), (TimeMs(1900), true));
    }

    #[test]
    fn the_pause_follows_the_grace_within_bounds() {
        let with = |upload_grace_ms| Garbage { upload_grace_ms, ..Garbage::default() };
        assert_eq!(pause(&with(0)), Duration::from_millis(250));
        assert_eq!(pause(&with(4000)), Duration::from_secs(1));
        assert_eq!(pause(&Garbage::default()), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_be_gone_counts_and_what_is_not_does_not() {
        let garbage = Garbage { brake_percent: 50, brake_floor_bytes: 0, ..Garbage::default() };
        let world = World::new(garbage).await;
        world.put("a", b"1234567890").await;
        let (brake, backend) = (&world.context.brake, world.backend.as_ref());
        let catalog = world.context.proposer.catalog();
        let admitted = brake.admit(catalog, SHARD, backend, &[2, 3]).await.unwrap();
        assert_eq!(admitted.count, 2);
        let unknown = StorageError::OutcomeUnknown {
            backend: backend.id(),
            operation: "delete",
            key: world.fresh_key().backend_key(catalog.cluster().cluster),
            source: "no answer".into(),
        };
        let unsupported = StorageError::Unsupported { backend: backend.id(), operation: "delete" };
        let outcome = settle(brake, &admitted, vec![(2, Err(unknown)), (3, Err(unsupported))]);
        assert!(
            matches!(&outcome, Err(Error::Storage(error)) if error.class() == Class::Unknown),
            "{outcome:?}"
        );
        let again = brake.admit(catalog, SHARD, backend, &[3, 1]).await.unwrap();
        assert_eq!(again.count, 1, "the two bytes that may be gone count");
    }
}
