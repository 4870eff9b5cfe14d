//! The write epochs of this node, one open per shard: every new blob takes its key from here (I2). An
//! epoch that is full or old takes no new uploads and is closed when none of its uploads is left.
//! What is unreferenced in a closed epoch is garbage; finding and deleting it is node's sweep.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use vaultaire_proto::steps::{self, Step};
use vaultaire_proto::{
    BlobKey, Catalog, CatalogError, Clock, Command, EpochId, GroupId, NodeId, Operation, Rejection,
    Response, TimeMs,
};

use crate::error::Error;
use crate::limits;
use crate::request_id;

/// The epochs that this process writes under.
#[derive(Debug)]
pub struct Epochs {
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    node: NodeId,
    incarnation: u64,
    shards: Mutex<BTreeMap<GroupId, Shard>>,
    /// One opening at a time per process: openings are rare, and two of one shard would waste an epoch.
    opening: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Shard {
    open: Option<Arc<Open>>,
    retired: Vec<Arc<Open>>,
}

#[derive(Debug)]
struct Open {
    epoch: EpochId,
    generation: u32,
    opened: TimeMs,
    next: AtomicU64,
    in_flight: AtomicU64,
}

/// A key that nobody else has, and the promise that its epoch stays open while this is held.
#[derive(Debug)]
pub struct Lease {
    /// The write-once key.
    pub key: BlobKey,
    open: Arc<Open>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.open.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Epochs {
    /// Nothing is opened until the first write to a shard.
    pub fn new(
        catalog: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
        node: NodeId,
        incarnation: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            catalog,
            clock,
            node,
            incarnation,
            shards: Mutex::default(),
            opening: Arc::default(),
        })
    }

    /// A fresh key in the shard's open epoch.
    pub async fn allocate(self: &Arc<Self>, shard: GroupId) -> Result<Lease, Error> {
        if let Some(lease) = self.try_allocate(shard) {
            return Ok(lease);
        }
        let one_at_a_time = self.opening.clone().lock_owned().await;
        if let Some(lease) = self.try_allocate(shard) {
            return Ok(lease);
        }
        // A request that goes away meanwhile must not take with it that an epoch was opened: nobody would close it.
        let epochs = self.clone();
        let opened = tokio::spawn(async move {
            let _held = one_at_a_time;
            epochs.allocate_anew(shard).await
        });
        opened.await.map_err(|error| crate::error::map::internal(&error))?
    }

    async fn allocate_anew(&self, shard: GroupId) -> Result<Lease, Error> {
        let open = Arc::new(self.open(shard).await?);
        let lease = self.lease(shard, &open);
        let mut shards = self.shards.lock();
        let entry = shards.entry(shard).or_default();
        if let Some(full) = entry.open.replace(open) {
            entry.retired.push(full);
        }
        Ok(lease)
    }

    /// None: no epoch is open, or it is full or old. A node that was stopped for days must not begin an upload under an
    /// epoch that was swept for the last time meanwhile: nobody would find what is left of it.
    fn try_allocate(&self, shard: GroupId) -> Option<Lease> {
        let now = self.clock.now();
        let shards = self.shards.lock();
        let open = shards.get(&shard)?.open.as_ref()?;
        let is_full = open.next.load(Ordering::Relaxed) >= limits::EPOCH_PUTS_MAX;
        if is_full || now.since_ms(open.opened) >= age_max() {
            return None;
        }
        // Under the lock, so that an epoch is never found idle between its retirement and this count.
        Some(self.lease(shard, open))
    }

    fn lease(&self, shard: GroupId, open: &Arc<Open>) -> Lease {
        open.in_flight.fetch_add(1, Ordering::AcqRel);
        let seq = open.next.fetch_add(1, Ordering::Relaxed);
        let key =
            BlobKey { generation: open.generation, shard, node: self.node, epoch: open.epoch, seq };
        Lease { key, open: open.clone() }
    }

    async fn open(&self, shard: GroupId) -> Result<Open, Error> {
        let operation = Operation::OpenEpoch { node: self.node, incarnation: self.incarnation };
        match self.commit(shard, operation).await? {
            Response::EpochOpened { epoch, generation } => {
                steps::reach(Step::EpochOpened);
                tracing::debug!(%shard, %epoch, "opened a write epoch");
                Ok(Open {
                    epoch,
                    generation,
                    opened: self.clock.now(),
                    next: AtomicU64::new(0),
                    in_flight: AtomicU64::new(0),
                })
            }
            Response::Rejected(rejection) => Err(rejection.into()),
            _ => Err(crate::error::map::unexpected("open epoch")),
        }
    }

    async fn commit(&self, group: GroupId, operation: Operation) -> Result<Response, CatalogError> {
        let not_after = self
            .clock
            .now()
            .plus_ms(limits::COMMIT_NOT_AFTER.as_millis().try_into().unwrap_or(u64::MAX));
        self.catalog
            .commit(Command { group, request: request_id::fresh(), not_after, operation })
            .await
    }

    /// The shard says that this epoch is closed: never write under it again.
    pub fn forget(&self, key: &BlobKey) {
        let mut shards = self.shards.lock();
        let Some(shard) = shards.get_mut(&key.shard) else { return };
        if shard.open.as_ref().is_some_and(|open| open.epoch == key.epoch) {
            tracing::warn!(shard = %key.shard, epoch = %key.epoch, "the shard closed this node's epoch; opening another");
            shard.open = None;
        }
        shard.retired.retain(|open| open.epoch != key.epoch);
    }

    /// Retires epochs that are old or full, and closes those that nobody writes under any more.
    pub async fn rotate(&self, now: TimeMs) {
        self.retire(|open| {
            let used = open.next.load(Ordering::Relaxed);
            used >= limits::EPOCH_PUTS_MAX || (used > 0 && now.since_ms(open.opened) >= age_max())
        });
        let held_max = u64::try_from(limits::EPOCH_HELD_MAX.as_millis()).unwrap_or(u64::MAX);
        let idle = |open: &Open| {
            open.in_flight.load(Ordering::Acquire) == 0 || now.since_ms(open.opened) >= held_max
        };
        self.close(idle).await;
    }

    /// Retires and closes everything: for a node that stops. What is still in flight will be refused.
    pub async fn close_all(&self) {
        self.retire(|_| true);
        self.close(|_| true).await;
    }

    /// How many uploads, parts and copies hold an epoch at the moment.
    pub fn in_flight(&self) -> u64 {
        let shards = self.shards.lock();
        let all = shards.values().flat_map(|shard| shard.open.iter().chain(&shard.retired));
        all.map(|open| open.in_flight.load(Ordering::Acquire)).sum()
    }

    fn retire(&self, due: impl Fn(&Open) -> bool) {
        for shard in self.shards.lock().values_mut() {
            if let Some(open) = shard.open.take_if(|open| due(open)) {
                shard.retired.push(open);
            }
            if shard.retired.len() > limits::EPOCHS_RETIRED_MAX {
                // The oldest are closed by the next incarnation's OpenEpoch at the latest.
                shard.retired.remove(0);
            }
        }
    }

    async fn close(&self, ready: impl Fn(&Open) -> bool) {
        let due: Vec<(GroupId, Arc<Open>)> = {
            let shards = self.shards.lock();
            let all = shards.iter().flat_map(|(shard, epochs)| {
                epochs.retired.iter().map(|open| (*shard, open.clone()))
            });
            all.filter(|(_, open)| ready(open)).collect()
        };
        for (shard, open) in due {
            let (generation, node, epoch) = (open.generation, self.node, open.epoch);
            let operation = Operation::CloseEpoch { generation, node, epoch };
            match self.commit(shard, operation).await {
                Ok(
                    Response::Done
                    | Response::Rejected(Rejection::NoSuchEpoch | Rejection::EpochClosed),
                ) => {
                    steps::reach(Step::EpochClosed);
                    if let Some(epochs) = self.shards.lock().get_mut(&shard) {
                        epochs.retired.retain(|other| other.epoch != open.epoch);
                    }
                }
                Ok(other) => {
                    tracing::warn!(%shard, epoch = %open.epoch, ?other, "a write epoch was not closed")
                }
                Err(error) => {
                    tracing::warn!(%shard, epoch = %open.epoch, %error, "a write epoch was not closed; trying again")
                }
            }
        }
    }
}

fn age_max() -> u64 {
    u64::try_from(limits::EPOCH_AGE_MAX.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
