//! A cluster without Raft for unit tests of workers and `verify`: the real state machine in memory, a clock
//! set by hand and a backend in memory. Only compiled for tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use vaultaire_proto::catalog::local::LocalCatalog;
use vaultaire_proto::command::{Condition, DeleteVersion, PutVersion, Target, shard_of};
use vaultaire_proto::object::{Attributes, Blob, Location};
use vaultaire_proto::row::{BackendState, Bucket, Settings as Shared};
use vaultaire_proto::settle::{settle_backend, settle_bucket};
use vaultaire_proto::time::ManualClock;
use vaultaire_proto::{
    BackendId, BlobKey, BucketName, ETag, EpochId, GroupId, NodeId, ObjectKey, Operation, Response,
    TimeMs, UserId,
};
use vaultaire_router::epochs::Epochs;
use vaultaire_router::targets::Targets;
use vaultaire_storage::backend::{Backend, once};
use vaultaire_storage::backends::memory::Memory;
use vaultaire_storage::backends::memory::faults::Faults;
use vaultaire_storage::pipeline::checksum::{Algorithms, Digests};
use vaultaire_storage::registry::Registry;

use crate::metrics::Metrics;
use crate::propose::Proposer;
use crate::settings::Garbage;
use crate::workers::Context;
use crate::workers::brake::Brake;

pub const NODE: NodeId = NodeId(1);
pub const SHARD: GroupId = GroupId(1);
pub const START: TimeMs = TimeMs(1_000_000);

/// A cluster of one shard with one bucket and one backend.
pub struct World {
    pub clock: Arc<ManualClock>,
    pub context: Context,
    pub backend: Arc<Memory>,
    pub user: UserId,
    pub bucket: Bucket,
    pub epoch: EpochId,
    seq: std::sync::atomic::AtomicU64,
}

impl World {
    /// Everything in order, one epoch open.
    pub async fn new(garbage: Garbage) -> Self {
        Self::with_faults(garbage, Faults::NONE).await
    }

    /// The same over a backend that fails as its faults say.
    pub async fn with_faults(garbage: Garbage, faults: Faults) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let catalog = Arc::new(LocalCatalog::new(1, clock.clone()));
        let proposer = Proposer::new(catalog, clock.clone());
        let shared = Shared { drain_ms: garbage.drain_ms, ..Shared::default() };
        for group in [GroupId::CONTROL, SHARD] {
            proposer.commit_accepted("", group, Operation::PutSettings(shared)).await.unwrap();
        }
        let create = Operation::CreateUser { name: "alice".to_owned() };
        let user = match proposer.commit(GroupId::CONTROL, create).await.unwrap() {
            Response::User(user) => user.id,
            other => panic!("{other:?}"),
        };
        let name = BucketName::parse("photos").unwrap();
        let create = Operation::CreateBucket { name, owner: user, region: "us-east-1".to_owned() };
        let bucket = match proposer.commit(GroupId::CONTROL, create).await.unwrap() {
            Response::Bucket(row) => settle_bucket(proposer.catalog(), row).await.unwrap(),
            other => panic!("{other:?}"),
        };
        let put = Operation::PutBackend {
            node: None,
            name: "memory".to_owned(),
            kind: "memory".to_owned(),
            state: BackendState::Active,
        };
        let id = match proposer.commit(GroupId::CONTROL, put).await.unwrap() {
            Response::Backend(row) => settle_backend(proposer.catalog(), row).await.unwrap().id,
            other => panic!("{other:?}"),
        };
        let backend = Arc::new(Memory::with_faults(id, "memory", faults));
        let registry = Arc::new(Registry::default());
        registry.insert(backend.clone()).unwrap();
        let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
        let epochs = Epochs::new(proposer.shared_catalog(), clock.clone(), NODE, 1);
        let context = Context {
            proposer,
            registry,
            leads: Arc::new(|_| true),
            brake: Arc::new(Brake::new(&garbage, 1)),
            targets: Arc::new(Targets::of_node(&[id])),
            epochs,
            garbage,
            metrics: Arc::new(metrics),
        };
        let epoch = open_epoch(&context.proposer, 1).await;
        Self { clock, context, backend, user, bucket, epoch, seq: 0.into() }
    }

    pub fn backend_id(&self) -> BackendId {
        self.backend.id()
    }

    /// A fresh key of the open epoch.
    pub fn fresh_key(&self) -> BlobKey {
        let seq = self.seq.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        BlobKey { generation: 1, shard: SHARD, node: NODE, epoch: self.epoch, seq }
    }

    /// Bytes on the backend that no row knows yet.
    pub async fn upload(&self, bytes: &'static [u8]) -> Blob {
        let key = self.fresh_key();
        let body = once(Bytes::from_static(bytes));
        let size_bytes = u64::try_from(bytes.len()).unwrap();
        let attributes = vaultaire_storage::backend::Attributes::default();
        let backend_key = key.backend_key(self.context.proposer.catalog().cluster().cluster);
        self.backend.put(&backend_key, &attributes, Some(size_bytes), body).await.unwrap();
        let mut digests = Digests::new(Algorithms { crc64nvme: true, ..Algorithms::default() });
        digests.update(bytes);
        let crc64nvme = digests.finish().crc64nvme.unwrap();
        Blob { size_bytes, crc64nvme, copies: vec![Location { backend: self.backend_id(), key }] }
    }

    /// Makes uploaded bytes an object.
    pub async fn reference(&self, key: &str, blob: Blob) -> Response {
        let put = PutVersion {
            target: self.target(key),
            owner: self.user,
            etag: ETag::whole([1; 16]),
            checksum: None,
            attributes: Attributes::default(),
            blob,
            condition: Condition::default(),
            digest: [0; 16],
        };
        self.context.proposer.commit(SHARD, Operation::PutVersion(put)).await.unwrap()
    }

    /// Uploads and references; answers where the bytes lie.
    pub async fn put(&self, key: &str, bytes: &'static [u8]) -> Location {
        let blob = self.upload(bytes).await;
        let location = blob.copies[0];
        let response = self.reference(key, blob).await;
        assert!(matches!(response, Response::Put(_)), "{response:?}");
        location
    }

    pub async fn delete(&self, key: &str) {
        let delete = DeleteVersion {
            target: self.target(key),
            owner: self.user,
            version: None,
            condition: Condition::default(),
        };
        let response = self.context.proposer.commit(SHARD, Operation::DeleteVersion(delete)).await;
        assert!(matches!(response, Ok(Response::Deleted(_))), "{response:?}");
    }

    pub async fn close_epoch(&self) {
        let close = Operation::CloseEpoch { generation: 1, node: NODE, epoch: self.epoch };
        self.context.proposer.commit_accepted("", SHARD, close).await.unwrap();
    }

    /// Whether bytes lie there.
    pub async fn holds(&self, location: Location) -> bool {
        let cluster = self.context.proposer.catalog().cluster().cluster;
        let keys = self.backend.list("", None, 1000).await.unwrap();
        keys.iter().any(|listed| listed.key == location.key.backend_key(cluster))
    }

    fn target(&self, key: &str) -> Target {
        let key = ObjectKey::parse(key).unwrap();
        assert_eq!(shard_of(self.bucket.id, &key, 1), SHARD);
        Target { bucket: self.bucket.id, bucket_generation: self.bucket.generation, key }
    }
}

async fn open_epoch(proposer: &Proposer, incarnation: u64) -> EpochId {
    let open = Operation::OpenEpoch { node: NODE, incarnation };
    match proposer.commit(SHARD, open).await.unwrap() {
        Response::EpochOpened { epoch, generation: 1 } => epoch,
        other => panic!("{other:?}"),
    }
}
