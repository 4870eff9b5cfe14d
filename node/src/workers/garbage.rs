//! Deletes the bytes that nothing refers to any more: only where this node leads the shard,
//! only what a fresh read says is garbage whose time has come, at a limited rate. A garbage blob never
//! becomes live again, so what the fresh read said still holds when the bytes go.

use std::collections::BTreeMap;
use std::time::Duration;

use vaultaire_proto::object::Location;
use vaultaire_proto::{BackendId, Consistency, GroupId, Operation};

use crate::ask;
use crate::error::Error;
use crate::workers::Context;
use crate::workers::pace::{DELETES_IN_FLIGHT, Pace, delete_all};

/// How long a worker rests when nothing was left to do.
pub const PAUSE: Duration = Duration::from_secs(1);

/// How many garbage rows are taken at once.
const PAGE: usize = 500;

/// How far a page may grow to see past the garbage of a backend that does not answer.
const PAGE_MAX: usize = PAGE * 64;

/// Collects what is due in every shard that this node leads.
#[derive(Debug)]
pub struct Collector {
    pace: Pace,
    page: usize,
}

impl Collector {
    /// At the rate that the settings allow.
    pub fn new(deletes_per_second: u32) -> Self {
        Self { pace: Pace::new(deletes_per_second), page: PAGE }
    }

    /// One round over the shards.
    pub async fn step(&mut self, context: &Context) {
        for shard in context.proposer.shards() {
            if !(context.leads)(shard) {
                continue;
            }
            if let Err(error) = self.collect(context, shard).await {
                tracing::warn!(%shard, %error, "garbage is left for the next round");
            }
        }
    }

    /// Collects until a page is not full, or nothing of it could be deleted.
    async fn collect(&mut self, context: &Context, shard: GroupId) -> Result<(), Error> {
        loop {
            let now = context.proposer.clock().now();
            let catalog = context.proposer.catalog();
            let due =
                ask::garbage(catalog, Consistency::Linearizable, shard, now, self.page).await?;
            let taken = due.len();
            let deleted = self.delete(context, due.iter().map(|row| row.location)).await;
            let collected = deleted.len();
            for blobs in deleted.chunks(PAGE) {
                let operation = Operation::Collected { blobs: blobs.to_vec() };
                context.proposer.commit_accepted("garbage", shard, operation).await?;
            }
            context.metrics.garbage_collected(collected);
            if taken < self.page {
                self.page = PAGE;
                return Ok(());
            }
            if collected == 0 {
                self.page = self.page.saturating_mul(2).min(PAGE_MAX);
                return Ok(());
            }
        }
    }

    /// Deletes the bytes; answers what is gone for certain.
    async fn delete(
        &mut self,
        context: &Context,
        locations: impl Iterator<Item = Location>,
    ) -> Vec<Location> {
        let mut by_backend: BTreeMap<BackendId, Vec<Location>> = BTreeMap::new();
        for location in locations {
            by_backend.entry(location.backend).or_default().push(location);
        }
        let mut deleted = Vec::new();
        for (backend, locations) in by_backend {
            deleted.extend(self.delete_from(context, backend, locations).await);
        }
        deleted
    }

    async fn delete_from(
        &mut self,
        context: &Context,
        id: BackendId,
        locations: Vec<Location>,
    ) -> Vec<Location> {
        let Ok(backend) = context.registry.get(id) else {
            tracing::debug!(backend = %id, "garbage waits: the backend is not configured on this node");
            return Vec::new();
        };
        let cluster = context.proposer.catalog().cluster().cluster;
        let mut deleted = Vec::new();
        for chunk in locations.chunks(DELETES_IN_FLIGHT) {
            for _ in chunk {
                self.pace.one().await;
            }
            let keyed = chunk.iter().map(|location| (*location, location.key.backend_key(cluster)));
            let outcomes = delete_all(&backend, keyed.collect()).await;
            let before = deleted.len();
            for (location, outcome) in outcomes {
                match outcome {
                    Ok(()) => deleted.push(location),
                    Err(error) => {
                        tracing::warn!(backend = backend.name(), %error, "garbage could not be deleted");
                    }
                }
            }
            // A backend that refuses a whole batch is left alone until the next round.
            if deleted.len() == before {
                break;
            }
        }
        deleted
    }
}
