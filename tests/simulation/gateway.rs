//! What the front of a node does for a write beside the commit: a key under an epoch of the node's own, and bytes on backends
//! before metadata. Epochs and the choice of backends are the router's own.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rand::RngExt;
use vaultaire::catalog::RaftCatalog;
use vaultaire::chance::Chance;
use vaultaire_proto::object::{Blob, Location};
use vaultaire_proto::row::{ClusterRow, Copies};
use vaultaire_proto::steps::{self, Step};
use vaultaire_proto::{
    Answer, Catalog, CatalogError, Clock, Command, Consistency, GroupId, NodeId, Query, RequestId,
    Response,
};
use vaultaire_router::epochs::{Epochs, Lease};
use vaultaire_router::limits::EPOCH_AGE_MAX;
use vaultaire_router::targets::Targets;
use vaultaire_storage::backend::{Attributes, once};
use vaultaire_storage::registry::Registry;

use super::content;
use super::found::CLUSTER;
use super::history::Value;

/// Bytes that are on backends; their epoch stays open while this is held.
pub struct Written {
    pub blob: Blob,
    pub lease: Lease,
}

pub struct Gateway {
    pub epochs: Arc<Epochs>,
    /// Which backends take new objects, as far as this node has heard.
    pub targets: Arc<Targets>,
    clock: Arc<dyn Clock>,
    registry: Arc<Registry>,
}

impl Gateway {
    pub fn new(
        (node, life): (NodeId, u64),
        catalog: &Arc<RaftCatalog>,
        clock: Arc<dyn Clock>,
        registry: Arc<Registry>,
    ) -> Self {
        let catalog = Arc::new(SeededIds(Arc::clone(catalog)));
        let epochs = Epochs::new(catalog, Arc::clone(&clock), node, life);
        Self { epochs, targets: Arc::default(), clock, registry }
    }

    /// Writes bytes of a value, all copies of them; nothing where that, or an epoch, cannot be had.
    pub async fn write(&self, shard: GroupId, value: Value, bytes: Bytes) -> Option<Written> {
        // Not always as many as the bucket wants: what repair makes of them is to be seen.
        let count = match value % 6 {
            0 => 1,
            1 => 3,
            _ => 2,
        };
        let choose = |copies| self.targets.choose(&self.registry, copies).ok();
        let copies = Copies { count, ..Copies::default() };
        let chosen = choose(copies).or_else(|| choose(Copies::default()))?;
        let lease = self.epochs.allocate(shard).await.ok()?;
        let key = lease.key;
        let size_bytes = bytes.len() as u64;
        let crc64nvme = content::crc64nvme(&bytes)?;
        let (attributes, backend_key) = (Attributes::default(), key.backend_key(CLUSTER));
        let mut copies = Vec::new();
        for backend in chosen {
            let to = self.registry.get(backend).ok()?;
            let put = to.put(&backend_key, &attributes, Some(size_bytes), once(bytes.clone()));
            if let Err(error) = put.await {
                self.targets.note(backend, &error);
                return None;
            }
            copies.push(Location { backend, key });
            steps::reach(Step::CopyWritten);
        }
        steps::reach(Step::CopiesWritten);
        Some(Written { blob: Blob { size_bytes, crc64nvme, copies }, lease })
    }

    /// Opens an epoch in every shard, as a node's next write there would: that closes those of its former lives.
    pub async fn open_all(&self, shards: impl Iterator<Item = GroupId>) {
        for shard in shards {
            // One that is not to be had now is asked for by the next write.
            drop(self.epochs.allocate(shard).await);
        }
    }

    /// As if an epoch's time were over each time.
    pub async fn rotate(&self) {
        let age_max = u64::try_from(EPOCH_AGE_MAX.as_millis()).unwrap_or(u64::MAX);
        self.epochs.rotate(self.clock.now().plus_ms(age_max)).await;
    }
}

/// The router draws request ids from the clock and the system, so that no two are equal: here they follow from the seed.
#[derive(Debug)]
struct SeededIds(Arc<RaftCatalog>);

#[async_trait]
impl Catalog for SeededIds {
    fn cluster(&self) -> &ClusterRow {
        self.0.cluster()
    }

    async fn query(&self, query: Query, consistency: Consistency) -> Result<Answer, CatalogError> {
        self.0.query(query, consistency).await
    }

    async fn commit(&self, command: Command) -> Result<Response, CatalogError> {
        self.0.commit(Command { request: RequestId(Chance.random()), ..command }).await
    }
}
