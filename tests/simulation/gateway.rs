//! What the front of a node does for a write beside the commit: a key under an epoch of its own, and bytes on the backend before
//! metadata. Epochs are retired after a while and closed when nobody writes under them any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use vaultaire::propose::Proposer;
use vaultaire_proto::object::{Blob, Location};
use vaultaire_proto::{BlobKey, EpochId, GroupId, NodeId, Operation, Rejection, Response};
use vaultaire_storage::backend::{Attributes, Backend, once};
use vaultaire_storage::backends::memory::Memory;

use super::found::{BACKEND, CLUSTER};
use super::history::Value;

#[derive(Debug)]
struct Open {
    epoch: EpochId,
    generation: u32,
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    open: Option<Arc<Open>>,
    retired: Vec<Arc<Open>>,
}

/// Bytes that are on the backend; their epoch stays open while this is held.
#[derive(Clone, Debug)]
pub struct Written {
    pub blob: Blob,
    _open: Arc<Open>,
}

pub struct Gateway {
    node: NodeId,
    incarnation: u64,
    proposer: Proposer,
    backend: Arc<Memory>,
    shards: Mutex<BTreeMap<GroupId, Shard>>,
    /// One opening at a time.
    opening: tokio::sync::Mutex<()>,
}

impl Gateway {
    pub fn new(node: NodeId, life: u64, proposer: Proposer, backend: Arc<Memory>) -> Self {
        let shards = Mutex::default();
        let opening = tokio::sync::Mutex::default();
        Self { node, incarnation: life, proposer, backend, shards, opening }
    }

    /// Writes the bytes of a value; nothing where that, or an epoch, cannot be had.
    pub async fn write(&self, shard: GroupId, value: Value) -> Option<Written> {
        let open = self.open(shard).await?;
        let (seq, epoch) = (open.next.fetch_add(1, Ordering::SeqCst), open.epoch);
        let key = BlobKey { generation: open.generation, shard, node: self.node, epoch, seq };
        let bytes = content(value);
        let size_bytes = bytes.len() as u64;
        let attributes = Attributes::default();
        let backend_key = key.backend_key(CLUSTER);
        let put = self.backend.put(&backend_key, &attributes, Some(size_bytes), once(bytes));
        put.await.ok()?;
        let copies = vec![Location { backend: BACKEND, key }];
        Some(Written { blob: Blob { size_bytes, crc64nvme: 0, copies }, _open: open })
    }

    async fn open(&self, shard: GroupId) -> Option<Arc<Open>> {
        let _alone = self.opening.lock().await;
        if let Some(open) = self.shards.lock().entry(shard).or_default().open.clone() {
            return Some(open);
        }
        let open = Operation::OpenEpoch { node: self.node, incarnation: self.incarnation };
        let Ok(Response::EpochOpened { epoch, generation }) =
            self.proposer.commit(shard, open).await
        else {
            return None;
        };
        let open = Arc::new(Open { epoch, generation, next: AtomicU64::new(0) });
        self.shards.lock().entry(shard).or_default().open = Some(Arc::clone(&open));
        Some(open)
    }

    /// Opens an epoch in every shard, as a node's next write there would: that closes those of its former lives.
    pub async fn open_all(&self) {
        for shard in self.proposer.shards() {
            self.open(shard).await;
        }
    }

    /// The shard says that the epoch is closed.
    pub fn forget(&self, shard: GroupId) {
        self.shards.lock().entry(shard).or_default().open = None;
    }

    /// Retires what is open, and closes what is retired and held by nobody.
    pub async fn rotate(&self) {
        let mut due = Vec::new();
        for (shard, epochs) in &mut *self.shards.lock() {
            epochs.retired.extend(epochs.open.take());
            let idle = |open: &&Arc<Open>| Arc::strong_count(open) == 1;
            let idle = epochs.retired.iter().filter(idle);
            due.extend(idle.map(|open| (*shard, open.epoch, open.generation)));
        }
        for (shard, epoch, generation) in due {
            let close = Operation::CloseEpoch { generation, node: self.node, epoch };
            let closed = self.proposer.commit(shard, close).await;
            let done = matches!(
                closed,
                Ok(Response::Done
                    | Response::Rejected(Rejection::NoSuchEpoch | Rejection::EpochClosed))
            );
            if let Some(epochs) = self.shards.lock().get_mut(&shard).filter(|_| done) {
                epochs.retired.retain(|open| open.epoch != epoch);
            }
        }
    }
}

/// The bytes of an object.
pub fn content(value: Value) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}
