//! Groups on a real disk: a small world in which objects can be put, shared by the tests of this folder.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod apply;
mod durability;
mod stamps;
mod suite;
mod transfer;
mod writes;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use vaultaire_proto::command::{ConfigureBucket, InitCluster, Match, PutVersion, Target};
use vaultaire_proto::object::{Attributes, Blob, Body, Location, VersionEntry};
use vaultaire_proto::row::{BackendState, BucketPhase, Versioning};
use vaultaire_proto::{
    Answer, BackendId, BlobKey, BucketId, Catalog, CatalogError, ClusterId, Command, Condition,
    Consistency, ETag, EpochId, GroupId, NodeId, ObjectKey, Operation, Query, RequestId, Response,
    UserId,
};

use super::group::{Groups, GroupsConfig, Origin, Started};
use super::opening::cluster_id;
use crate::catalog::RaftCatalog;
use crate::clock::NodeClock;
use crate::error::Error;
use crate::machine::ThisMachine;
use crate::peer::pool::Pool;

pub const NODE: NodeId = NodeId(1);
pub const BUCKET: BucketId = BucketId(7);
pub const BACKEND: BackendId = BackendId(1);
pub const SHARDS: u16 = 4;

/// The clock never comes near.
const NOT_AFTER: vaultaire_proto::TimeMs = vaultaire_proto::TimeMs(u64::MAX / 2);

pub fn foundation() -> InitCluster {
    InitCluster {
        cluster: ClusterId([9; 16]),
        generation: 1,
        shards: SHARDS,
        region: "eu-test-1".to_owned(),
        token_key: vec![5; 32],
    }
}

pub async fn try_start(folder: &Path, foundation: Option<InitCluster>) -> Result<Started, Error> {
    start_by(NodeClock::system(), folder, foundation).await
}

/// The same by another clock than this machine's.
pub async fn start_by(
    clock: Arc<NodeClock>,
    folder: &Path,
    foundation: Option<InitCluster>,
) -> Result<Started, Error> {
    let data_dir = folder.to_owned();
    let origin = foundation.map_or(Origin::Lost, Origin::Found);
    let cluster = cluster_id(&data_dir, &origin)?;
    let config = GroupsConfig {
        data_dir,
        node: NODE,
        clock,
        cluster,
        origin,
        peers: Arc::new(Pool::new(cluster, NODE, None)),
        directory: Arc::default(),
        machine: Arc::new(ThisMachine),
        snapshot_bytes_per_second: u64::MAX,
    };
    Groups::start(config).await
}

/// A cluster of one, with a bucket, a backend and an open epoch in every shard.
pub struct World {
    pub groups: Groups,
    pub catalog: Arc<RaftCatalog>,
    epochs: Vec<EpochId>,
    seq: AtomicU64,
}

impl World {
    /// A restart opens new epochs, as a node does.
    pub async fn start(folder: &TempDir) -> Self {
        Self::start_by(NodeClock::system(), folder).await
    }

    /// The same by another clock than this machine's.
    pub async fn start_by(clock: Arc<NodeClock>, folder: &TempDir) -> Self {
        let Started { groups, catalog, .. } =
            start_by(clock, folder.path(), Some(foundation())).await.unwrap();
        let mut world = Self { groups, catalog, epochs: Vec::new(), seq: AtomicU64::new(0) };
        for shard in 1..=SHARDS {
            let epoch = world.prepare(GroupId(shard)).await;
            world.epochs.push(epoch);
        }
        world
    }

    async fn prepare(&self, shard: GroupId) -> EpochId {
        let configure = ConfigureBucket {
            bucket: BUCKET,
            generation: 1,
            phase: BucketPhase::Open,
            versioning: Versioning::Off,
        };
        self.commit(shard, Operation::ConfigureBucket(configure)).await.unwrap();
        let backend = Operation::ConfigureBackend {
            backend: BACKEND,
            generation: 1,
            state: BackendState::Active,
        };
        self.commit(shard, backend).await.unwrap();
        let open = Operation::OpenEpoch { node: NODE, incarnation: 1 };
        match self.commit(shard, open).await.unwrap() {
            Response::EpochOpened { epoch, .. } => epoch,
            other => panic!("no epoch was opened: {other:?}"),
        }
    }

    pub async fn commit(
        &self,
        group: GroupId,
        operation: Operation,
    ) -> Result<Response, CatalogError> {
        self.catalog.commit(command(group, operation)).await
    }

    /// A PUT of `key` that must not replace anything if `fresh`.
    pub fn put(&self, key: &str, content: u8, condition: Condition) -> Command {
        let key = ObjectKey::parse(key).unwrap();
        let shard = vaultaire_proto::command::shard_of(BUCKET, &key, SHARDS);
        let epoch = self.epochs[usize::from(shard.0) - 1];
        let seq = self.seq.fetch_add(1, Ordering::Relaxed);
        let blob_key = BlobKey { generation: 1, shard, node: NODE, epoch, seq };
        let put = PutVersion {
            target: Target { bucket: BUCKET, bucket_generation: 1, key },
            owner: UserId(1),
            etag: ETag::whole([content; 16]),
            checksum: None,
            attributes: Attributes::default(),
            blob: Blob {
                size_bytes: 3,
                crc64nvme: 4,
                copies: vec![Location { backend: BACKEND, key: blob_key }],
            },
            condition,
            digest: [content; 16],
        };
        command(shard, Operation::PutVersion(put))
    }

    /// The content byte of an object, if there is one.
    pub async fn get(&self, key: &str) -> Option<u8> {
        let key = ObjectKey::parse(key).unwrap();
        let query = Query::Version { bucket: BUCKET, key, version: None, manifest: false };
        match self.catalog.query(query, Consistency::Linearizable).await.unwrap() {
            Answer::Version(Some(VersionEntry::Object(version))) => {
                assert!(matches!(version.body, Body::Whole(_)));
                Some(version.etag.md5[0])
            }
            Answer::Version(None) => None,
            other => panic!("an answer of another kind: {other:?}"),
        }
    }

    /// A clean stop; the directory can be started again afterwards.
    pub async fn stop(self) {
        self.groups.shutdown().await.unwrap();
    }
}

pub fn command(group: GroupId, operation: Operation) -> Command {
    let request = RequestId(ulid::Ulid::new().to_bytes());
    Command { group, request, not_after: NOT_AFTER, operation }
}

pub fn create_only() -> Condition {
    Condition { if_none_match: Some(Match::Any), ..Condition::default() }
}
