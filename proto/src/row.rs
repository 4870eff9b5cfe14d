//! Rows of the replicated tables that are not versions of objects (those are `object.rs`).
//! How they become bytes is `convert/`; where they are kept is `state/key.rs`.

use crate::id::{BackendId, BucketId, ClusterId, EpochId, NodeId, UploadId, UserId, VersionId};
use crate::name::{BucketName, ObjectKey};
use crate::object::{Attributes, ChecksumAlgorithm, ChecksumScope, Location};
use crate::response::Response;
use crate::time::TimeMs;

/// S3's versioning states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Versioning {
    #[default]
    Off,
    Enabled,
    Suspended,
}

/// The life of a bucket id. A deleted id stays deleted for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BucketPhase {
    Open,
    /// Creates are refused while the shards report whether they are empty.
    Deleting,
    Deleted,
}

/// What no two copies of a blob share, where there is a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Spread {
    #[default]
    Node,
    Zone,
    Region,
}

/// How many copies the objects of a bucket have on disks of nodes, and how they are spread. Stores that keep their bytes safe
/// by themselves hold one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Copies {
    pub count: u32,
    pub spread: Spread,
}

impl Copies {
    /// More are never worth their price: five survive the loss of four nodes at once.
    pub const COUNT_MAX: u32 = 5;
}

impl Default for Copies {
    fn default() -> Self {
        Self { count: 2, spread: Spread::Node }
    }
}

/// A bucket in the control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub id: BucketId,
    pub name: BucketName,
    pub owner: UserId,
    pub region: String,
    pub created: TimeMs,
    /// Raised by every change; shards ignore older ones.
    pub generation: u64,
    pub phase: BucketPhase,
    pub versioning: Versioning,
    /// False while some shard may not have applied `generation`: the row itself is the redo record.
    pub settled: bool,
    /// None: nobody has said, and the default holds. Shards need not know; what is there is brought in line by and by.
    pub copies: Option<Copies>,
}

/// A bucket as a shard knows it (I10), with what the shard holds of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardBucket {
    pub generation: u64,
    pub phase: BucketPhase,
    pub versioning: Versioning,
    /// Live heads, and the bytes of every version.
    pub objects: u64,
    pub size_bytes: u64,
}

/// The life of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackendState {
    Active,
    /// Takes nothing new; what it holds is copied elsewhere.
    Draining,
    /// Holds nothing. For ever.
    Removed,
    /// Its bytes are gone; what it held is copied again from other copies. It can only be removed.
    Lost,
}

impl BackendState {
    /// Nothing is there to be read, written or deleted any more, and never will be.
    pub fn is_gone(self) -> bool {
        match self {
            Self::Active | Self::Draining => false,
            Self::Removed | Self::Lost => true,
        }
    }
}

/// A backend in the control group. Endpoints and credentials stay in the nodes' configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendRow {
    pub id: BackendId,
    pub name: String,
    /// `disk`, `s3`, `memory`, …
    pub kind: String,
    pub generation: u64,
    pub state: BackendState,
    pub settled: bool,
    /// Whose disk it is. None: every node reaches it alike. Backends of one name on several nodes are a pool.
    pub node: Option<NodeId>,
}

/// A backend as a shard knows it, with live counters: removal relies on these, never on blob rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardBackend {
    pub generation: u64,
    pub state: BackendState,
    pub live_blobs: u64,
    pub live_bytes: u64,
}

/// A person or program with access keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub name: String,
    pub created: TimeMs,
}

/// An access key. The secret is sealed: SigV4 needs it back, so it cannot be a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    pub access_key: String,
    pub user: UserId,
    pub sealed_secret: Vec<u8>,
    pub created: TimeMs,
}

/// What a node does for the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NodeRole {
    /// Votes in every group.
    #[default]
    Voter,
    /// Follows every group without a vote.
    Learner,
    /// Has no rows and no log: it asks those that have them, and serves S3 like every other node.
    Gateway,
}

/// How far a node's membership is. Whoever is not `Member` or `Removed` is a change under way, and there is one at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NodePhase {
    #[default]
    Member,
    /// Has its id; not every group has it as a member yet.
    Joining,
    /// Not every group knows its new role yet.
    Changing,
    /// Some group may still have it as a member.
    Leaving,
    /// For ever: its id is never given again.
    Removed,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    pub id: NodeId,
    pub name: String,
    /// Raised at every start of the process.
    pub incarnation: u64,
    /// Where its peers reach it, as `host:port`. Empty for a node that was never told to take peers.
    pub address: String,
    pub role: NodeRole,
    pub phase: NodePhase,
    /// Where it stands: what may fail together. Empty: nobody said. A zone lies in its region.
    pub zone: String,
    pub region: String,
}

/// An invitation for one node. Its key is the hash of the secret that the invited node has to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinToken {
    pub expires_at: TimeMs,
    pub used: bool,
}

/// What the cluster was founded with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRow {
    pub cluster: ClusterId,
    pub generation: u32,
    pub shards: u16,
    pub region: String,
    pub token_key: Vec<u8>,
}

/// Settings that `apply` needs, so that every replica uses the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `gc.drain`: how long replaced bytes stay readable.
    pub drain_ms: u64,
    /// How long a request id is remembered.
    pub dedupe_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { drain_ms: 10 * 60 * 1000, dedupe_ms: 48 * 60 * 60 * 1000 }
    }
}

/// Where a write epoch is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EpochState {
    Open,
    /// No blob of it may be referenced for the first time any more.
    Closed {
        at: TimeMs,
        sweeps: Vec<Sweep>,
    },
    /// Every backend was swept for the last time; blob rows are being dropped in pages.
    Swept,
}

/// How often one backend was swept for one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    pub backend: BackendId,
    pub done: u32,
    /// The last sweep of this backend is done.
    pub finished: bool,
}

/// A write epoch of one node in this shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    pub node: NodeId,
    pub id: EpochId,
    pub generation: u32,
    pub incarnation: u64,
    pub opened: TimeMs,
    pub state: EpochState,
    /// Up to where the blob rows of a swept epoch were looked at: no page begins anew.
    pub pruned: Option<Location>,
}

/// The life of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobState {
    Live(BlobOwner),
    Garbage {
        ready_at: TimeMs,
    },
    /// Deleted from its backend; remembered so that its key is never used again.
    Spent,
}

/// What refers to a live blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobOwner {
    Version { bucket: BucketId, key: ObjectKey, version: VersionId },
    Part { bucket: BucketId, key: ObjectKey, upload: UploadId, number: u16 },
}

/// The `b` row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRow {
    pub size_bytes: u64,
    pub crc64nvme: u64,
    pub state: BlobState,
}

/// A multipart upload in progress. Its bucket, key and id are its row key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub owner: UserId,
    pub created: TimeMs,
    pub attributes: Attributes,
    pub checksum: Option<(ChecksumAlgorithm, ChecksumScope)>,
}

/// A part that was put and not yet completed or aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPart {
    pub part: crate::object::Part,
    pub modified: TimeMs,
}

/// A request id that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    pub digest: [u8; 16],
    pub response: Response,
    pub expires_at: TimeMs,
}

/// An upload that was completed: a repeated Complete gets the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    pub digest: [u8; 16],
    pub response: Response,
    pub expires_at: TimeMs,
}

/// A blob that may be deleted, in the order in which it may be collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Garbage {
    pub ready_at: TimeMs,
    pub location: Location,
    pub size_bytes: u64,
}
