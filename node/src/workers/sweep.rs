//! Sweeps closed write epochs: bytes that were written and never referenced, found by listing
//! the epoch's prefix on every backend. The only place where bytes are deleted because no row knows them;
//! `garbage.rs` deletes what rows call garbage.

use std::sync::Arc;
use std::time::Duration;

use vaultaire_proto::row::{Epoch, EpochState, Sweep};
use vaultaire_proto::{
    BackendId, BackendKey, BlobKey, Consistency, GroupId, Operation, Response, TimeMs,
};
use vaultaire_storage::backend::{Backend, LIST_PAGE_MAX};

use crate::ask;
use crate::error::Error;
use crate::settings::Garbage;
use crate::workers::Context;
use crate::workers::pace::{DELETES_IN_FLIGHT, Pace, delete_all};

/// How many keys the state machine is asked about at once. A page of a listing holds many times that, since some
/// backends read a whole folder for each page.
const VIEW: usize = 1000;

/// How many blob rows one command looks at.
const PRUNE_PAGE: u32 = 1000;

/// How often epochs are looked at: often enough for a short grace, no more often than needed for a long one.
pub fn pause(garbage: &Garbage) -> Duration {
    let quarter = Duration::from_millis(garbage.upload_grace_ms / 4);
    quarter.clamp(Duration::from_millis(250), Duration::from_secs(30))
}

/// Sweeps what is due in every shard that this node leads.
#[derive(Debug)]
pub struct Sweeper {
    pace: Pace,
}

impl Sweeper {
    /// At the rate that the settings allow.
    pub fn new(deletes_per_second: u32) -> Self {
        Self { pace: Pace::new(deletes_per_second) }
    }

    /// One round over the shards.
    pub async fn step(&mut self, context: &Context) {
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
            if finished || now < due {
                continue;
            }
            match self.sweep(context, shard, epoch, &backend).await {
                Ok(deleted) => {
                    context.metrics.orphans_swept(deleted);
                    let operation = Operation::EpochSwept {
                        generation: epoch.generation,
                        node: epoch.node,
                        epoch: epoch.id,
                        backend: backend.id(),
                        round: done,
                        last,
                    };
                    context.proposer.commit_accepted("epoch", shard, operation).await?;
                    tracing::debug!(%shard, epoch = %epoch.id, backend = backend.name(), deleted, last, "swept");
                }
                Err(error) => {
                    tracing::warn!(%shard, epoch = %epoch.id, backend = backend.name(), %error,
                        "a sweep is repeated in the next round");
                }
            }
        }
        Ok(())
    }

    /// Deletes what no row knows under the epoch's prefix on one backend; answers how many keys that were.
    async fn sweep(
        &mut self,
        context: &Context,
        shard: GroupId,
        epoch: &Epoch,
        backend: &Arc<dyn Backend>,
    ) -> Result<usize, Error> {
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
        let mut deleted = 0;
        loop {
            let page = backend.list(&prefix, after.as_ref(), LIST_PAGE_MAX).await?;
            let Some(last) = page.last() else {
                return Ok(deleted);
            };
            after = Some(last.key.clone());
            let blobs: Vec<BlobKey> = page
                .iter()
                .filter_map(|listed| BlobKey::from_backend_key(&listed.key, cluster))
                .collect();
            for asked in blobs.chunks(VIEW) {
                let orphans = orphans(context, shard, epoch, backend.id(), asked).await?;
                deleted += orphans.len();
                self.delete(backend, orphans).await?;
            }
        }
    }

    async fn delete(
        &mut self,
        backend: &Arc<dyn Backend>,
        keys: Vec<BackendKey>,
    ) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        // No row knows these keys: true of every key where the place is another backend's, or came back as one.
        backend.identify().await?;
        for chunk in keys.chunks(DELETES_IN_FLIGHT) {
            for _ in chunk {
                self.pace.one().await;
            }
            let keyed = chunk.iter().map(|key| ((), key.clone()));
            for ((), outcome) in delete_all(backend, keyed.collect()).await {
                outcome?;
            }
        }
        Ok(())
    }
}

/// Those of `blobs` that no row keeps, as of one moment at which the epoch was closed.
async fn orphans(
    context: &Context,
    shard: GroupId,
    epoch: &Epoch,
    backend: BackendId,
    blobs: &[BlobKey],
) -> Result<Vec<BackendKey>, Error> {
    let catalog = context.proposer.catalog();
    let place = (epoch.generation, epoch.node, epoch.id);
    let view = ask::sweep_view(catalog, shard, backend, place, blobs.to_vec()).await?;
    let Some(EpochState::Closed { .. }) = view.epoch.map(|row| row.state) else {
        return Err(Error::Found("the epoch is not closed any more".to_owned()));
    };
    let cluster = catalog.cluster().cluster;
    let orphans = blobs.iter().filter(|blob| !view.kept.contains(blob));
    Ok(orphans.map(|blob| blob.backend_key(cluster)).collect())
}

/// When the next sweep of a backend is due that was swept `done` times, and whether it is the last.
fn due(garbage: &Garbage, closed_at: TimeMs, done: u32) -> (TimeMs, bool) {
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
        match context.proposer.commit_accepted("epoch", shard, operation).await? {
            Response::Pruned { more: true } => {}
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
