//! The seam to the replicated state: ask it, or commit a command. It says nothing of Raft.

pub mod local;

use async_trait::async_trait;

use crate::command::{Command, VersionSelector};
use crate::id::{
    BackendId, BlobKey, BucketId, EpochId, GroupId, NodeId, UploadId, UserId, VersionId,
};
use crate::name::{BucketName, ObjectKey};
use crate::object::{Blob, Location, Version, VersionEntry};
use crate::response::Response;
use crate::row::{
    AccessKey, BackendRow, BlobRow, Bucket, ClusterRow, Epoch, Garbage, NodeRow, ShardBackend,
    ShardBucket, Upload, UploadPart, User,
};
use crate::time::TimeMs;

/// The replicated state as a node sees it.
#[async_trait]
pub trait Catalog: Send + Sync + std::fmt::Debug {
    /// What the cluster was founded with: constant while the process runs.
    fn cluster(&self) -> &ClusterRow;

    /// `Linearizable`: no older than any write that was acknowledged before the call.
    async fn query(&self, query: Query, consistency: Consistency) -> Result<Answer, CatalogError>;

    /// Commits a command and answers what `apply` said, exactly once per request id.
    async fn commit(&self, command: Command) -> Result<Response, CatalogError>;
}

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    Linearizable,
    /// What this node has applied. Never used for authorisation.
    Stale,
}

/// Why the catalog has no answer. A rejection is not an error: it is a `Response`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Nothing was changed.
    #[error("group {group} has no leader at the moment; try again in a second")]
    NoLeader { group: GroupId },
    /// The command may or may not take effect; repeat it with the same request id.
    #[error("the outcome of a command in group {group} is unknown")]
    OutcomeUnknown { group: GroupId },
    /// Nothing was changed.
    #[error("too many commands wait for group {group}; slow down")]
    Busy { group: GroupId },
    /// The node is stopping, or its storage failed.
    #[error("the node is shutting down")]
    Stopped,
    /// Nothing was changed.
    #[error(
        "not every node of the cluster is known to run a release that can apply this; look at `vaultaire info`, and start the newest release on all of them"
    )]
    Unsupported,
}

/// A question to one group, or to all shards at once (lists).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    // Control group.
    /// For nodes that have no rows: all others have it at hand.
    Cluster,
    Bucket(BucketName),
    BucketById(BucketId),
    Buckets {
        owner: Option<UserId>,
        after: Option<BucketName>,
        prefix: String,
        limit: usize,
    },
    UnsettledBuckets {
        limit: usize,
    },
    AccessKey(String),
    AccessKeys {
        user: Option<UserId>,
        after: Option<String>,
        limit: usize,
    },
    User(UserId),
    Users {
        after: Option<UserId>,
        limit: usize,
    },
    Backends,
    Nodes,

    // The shard that owns the key.
    /// The current version, or the one selected; `manifest` asks for all parts of a large multipart object.
    Version {
        bucket: BucketId,
        key: ObjectKey,
        version: Option<VersionSelector>,
        manifest: bool,
    },
    Upload {
        bucket: BucketId,
        key: ObjectKey,
        upload: UploadId,
    },
    Parts {
        bucket: BucketId,
        key: ObjectKey,
        upload: UploadId,
        after: u16,
        limit: usize,
    },

    // All shards, merged.
    List(List),
    ListVersions(ListVersions),
    ListUploads(ListUploads),

    // One shard, for workers and `verify`.
    Epochs {
        shard: GroupId,
    },
    Epoch {
        shard: GroupId,
        generation: u32,
        node: NodeId,
        epoch: EpochId,
    },
    /// Of one backend, whose rows say garbage in the same snapshot.
    Garbage {
        shard: GroupId,
        backend: BackendId,
        until: TimeMs,
        limit: usize,
    },
    /// Blob rows in key order.
    Blobs {
        shard: GroupId,
        after: Option<Location>,
        limit: usize,
    },
    /// One epoch and which of these blobs have a live or garbage row, in one snapshot: a sweep's guard.
    SweepView {
        shard: GroupId,
        backend: BackendId,
        /// Generation, node and epoch.
        epoch: (u32, NodeId, EpochId),
        blobs: Vec<BlobKey>,
    },
    /// Heads and versions in key order, for `verify`.
    Versions {
        shard: GroupId,
        after: Option<ScanPosition>,
        limit: usize,
    },
    /// What a shard knows and counts of a bucket.
    ShardBucket {
        shard: GroupId,
        bucket: BucketId,
    },
    ShardBackends {
        shard: GroupId,
    },
    /// The live blob that this is a copy of, with all its copies.
    BlobOf {
        shard: GroupId,
        copy: Location,
    },
}

/// Where a scan over all versions of a shard goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanPosition {
    pub bucket: BucketId,
    pub key: ObjectKey,
    /// None: the scan stands at the head row.
    pub version: Option<VersionId>,
}

/// ListObjects v1 and v2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    pub bucket: BucketId,
    pub prefix: String,
    /// Empty: none.
    pub delimiter: String,
    /// Results are strictly after this key or rolled-up prefix.
    pub after: String,
    pub limit: usize,
}

/// ListObjectVersions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListVersions {
    pub bucket: BucketId,
    pub prefix: String,
    pub delimiter: String,
    pub key_marker: String,
    pub version_marker: Option<VersionSelector>,
    pub limit: usize,
}

/// ListMultipartUploads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListUploads {
    pub bucket: BucketId,
    pub prefix: String,
    pub delimiter: String,
    pub key_marker: String,
    pub upload_marker: Option<UploadId>,
    pub limit: usize,
}

/// A page of a list: entries and rolled-up prefixes in key order, each at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<Item<T>>,
    pub truncated: bool,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<T> {
    Entry(T),
    Prefix(String),
}

/// A version as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    pub key: ObjectKey,
    pub entry: VersionEntry,
    pub latest: bool,
}

/// An object as ListObjects shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    pub key: ObjectKey,
    pub version: Version,
}

/// An upload as ListMultipartUploads shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUpload {
    pub key: ObjectKey,
    pub id: UploadId,
    pub upload: Upload,
}

/// The answer to a `Query`, one variant each where the type differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// None: nothing was founded yet.
    Cluster(Option<ClusterRow>),
    Bucket(Option<Bucket>),
    Buckets(Vec<Bucket>),
    AccessKey(Option<AccessKey>),
    AccessKeys(Vec<AccessKey>),
    User(Option<User>),
    Users(Vec<User>),
    Backends(Vec<BackendRow>),
    Nodes(Vec<NodeRow>),
    Version(Option<VersionEntry>),
    Upload(Option<Upload>),
    /// None: no such upload.
    Parts(Option<(Upload, Vec<UploadPart>)>),
    List(Page<ListedObject>),
    ListVersions(Page<ListedVersion>),
    ListUploads(Page<ListedUpload>),
    Epochs(Vec<Epoch>),
    Epoch(Option<Epoch>),
    Garbage(Vec<Garbage>),
    Blobs(Vec<(Location, BlobRow)>),
    SweepView {
        epoch: Option<Epoch>,
        kept: Vec<BlobKey>,
        /// Whether some of those kept are garbage that is not collected yet.
        garbage: bool,
    },
    Versions(Vec<(ScanPosition, VersionEntry)>),
    ShardBucket(Option<ShardBucket>),
    ShardBackends(Vec<(BackendId, ShardBackend)>),
    BlobOf(Option<Blob>),
}

/// Who answers a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One group.
    Group(GroupId, Query),
    /// Every shard, merged in key order.
    Objects(List),
    Versions(ListVersions),
    Uploads(ListUploads),
}

impl Query {
    /// Where the answer lies in a cluster of `shards` shards.
    pub fn scope(self, shards: u16) -> Scope {
        let group = match &self {
            Self::Cluster
            | Self::Bucket(_)
            | Self::BucketById(_)
            | Self::Buckets { .. }
            | Self::UnsettledBuckets { .. }
            | Self::AccessKey(_)
            | Self::AccessKeys { .. }
            | Self::User(_)
            | Self::Users { .. }
            | Self::Backends
            | Self::Nodes => GroupId::CONTROL,
            Self::Version { bucket, key, .. }
            | Self::Upload { bucket, key, .. }
            | Self::Parts { bucket, key, .. } => crate::command::shard_of(*bucket, key, shards),
            Self::Epochs { shard }
            | Self::Epoch { shard, .. }
            | Self::Garbage { shard, .. }
            | Self::Blobs { shard, .. }
            | Self::SweepView { shard, .. }
            | Self::Versions { shard, .. }
            | Self::ShardBucket { shard, .. }
            | Self::ShardBackends { shard }
            | Self::BlobOf { shard, .. } => *shard,
            Self::List(list) => return Scope::Objects(list.clone()),
            Self::ListVersions(list) => return Scope::Versions(list.clone()),
            Self::ListUploads(list) => return Scope::Uploads(list.clone()),
        };
        Scope::Group(group, self)
    }
}
