//! What a log entry asks of the state machine. What it answers is `response.rs`.

mod asks;
pub mod members;

use crate::command::members::MemberChange;
use crate::etag::ETag;
use crate::id::{
    BackendId, BlobKey, BucketId, ClusterId, EpochId, GroupId, NodeId, RequestId, UploadId, UserId,
    VersionId,
};
use crate::name::{BucketName, ObjectKey};
use crate::object::{Attributes, Blob, Checksum, ChecksumAlgorithm, ChecksumScope, Location};
use crate::row::{BackendState, Copies, Settings, Versioning};
use crate::time::TimeMs;

/// How many commands one log entry may carry.
pub const COMMANDS_PER_ENTRY_MAX: usize = 512;

/// One Raft log entry: commands that travel together, each with its own outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The leader's time. `apply` uses the later of this and the last one it saw.
    pub stamped_at: TimeMs,
    pub commands: Vec<Command>,
}

/// One request to one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub group: GroupId,
    /// The same through every retry of one client request (I6).
    pub request: RequestId,
    /// Past this stamp the command changes nothing: a paused proposer's late DELETE must not
    /// remove a newer PUT after its request id is forgotten.
    pub not_after: TimeMs,
    pub operation: Operation,
}

/// The kinds of commands that this release can apply: raised by each release that adds one. A command of a kind is proposed only
/// while every node of the cluster is known to have it, since a replica that cannot apply an entry can go no further.
pub const KINDS: u32 = 3;

/// What every release has.
pub const FIRST_KINDS: u32 = 1;

/// Every kind of command. Control group first, then index shards, then those of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    // Control group.
    InitCluster(InitCluster),
    CreateBucket {
        name: BucketName,
        owner: UserId,
        region: String,
    },
    SetVersioning {
        bucket: BucketId,
        versioning: Versioning,
    },
    SetCopies {
        bucket: BucketId,
        copies: Option<Copies>,
    },
    DeleteBucket {
        bucket: BucketId,
    },
    /// Every shard has applied the bucket's `generation`; for a delete, whether all were empty.
    SettleBucket {
        bucket: BucketId,
        generation: u64,
        empty: bool,
    },
    CreateUser {
        name: String,
    },
    CreateAccessKey {
        user: UserId,
        access_key: String,
        sealed_secret: Vec<u8>,
    },
    DeleteAccessKey {
        access_key: String,
    },
    PutBackend {
        name: String,
        kind: String,
        state: BackendState,
        node: Option<NodeId>,
    },
    SettleBackend {
        backend: BackendId,
        generation: u64,
    },
    /// Moves a backend on in its life.
    SetBackendState {
        backend: BackendId,
        state: BackendState,
    },
    RegisterNode {
        node: NodeId,
        incarnation: u64,
        name: String,
        /// Empty: this node takes no peers.
        address: String,
        /// What may fail together. Empty: not said.
        zone: String,
        region: String,
    },
    ChangeMembers(MemberChange),

    // Every group.
    PutSettings(Settings),

    // Index shards: what they must know of control (I10).
    ConfigureBucket(ConfigureBucket),
    ConfigureBackend {
        backend: BackendId,
        generation: u64,
        state: BackendState,
    },

    // Index shards: write epochs.
    OpenEpoch {
        node: NodeId,
        incarnation: u64,
    },
    CloseEpoch {
        generation: u32,
        node: NodeId,
        epoch: EpochId,
    },
    /// `round`: how many sweeps of this backend were done before, so that two leaders that sweep at the
    /// same time count once.
    EpochSwept {
        generation: u32,
        node: NodeId,
        epoch: EpochId,
        backend: BackendId,
        round: u32,
        last: bool,
    },
    /// Looks at `limit` blob rows of a swept epoch, from where the last one stopped.
    PruneEpoch {
        generation: u32,
        node: NodeId,
        epoch: EpochId,
        limit: u32,
    },
    Collected {
        blobs: Vec<Location>,
    },

    // Index shards: objects.
    PutVersion(PutVersion),
    DeleteVersion(DeleteVersion),
    SetTags {
        target: Target,
        version: Option<VersionSelector>,
        tags: Vec<(String, String)>,
    },
    PutCopy(PutCopy),
    /// Gives up one copy of several.
    DropCopy {
        copy: Location,
    },

    // Index shards: multipart.
    CreateUpload(CreateUpload),
    PutPart(PutPart),
    CompleteUpload(CompleteUpload),
    AbortUpload {
        target: Target,
        upload: UploadId,
    },

    // Every group.
    /// Changes nothing: each replica digests its rows as they are after the entry, under the request's id.
    CompareRows,
}

/// Founds a cluster: the first entry of the control group, and of every shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitCluster {
    pub cluster: ClusterId,
    pub generation: u32,
    pub shards: u16,
    pub region: String,
    /// Authenticates list tokens, the same on every node.
    pub token_key: Vec<u8>,
}

/// A bucket's configuration as pushed to a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigureBucket {
    pub bucket: BucketId,
    pub generation: u64,
    pub phase: crate::row::BucketPhase,
    pub versioning: Versioning,
}

/// The object a shard command speaks of, and the bucket configuration its proposer saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub bucket: BucketId,
    pub bucket_generation: u64,
    pub key: ObjectKey,
}

/// The preconditions of S3's conditional writes; decided in `apply` only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    pub if_match: Option<Match>,
    pub if_none_match: Option<Match>,
    /// S3's `x-amz-if-match-last-modified-time` and `-size` on DELETE.
    pub if_modified_at: Option<TimeMs>,
    pub if_size_bytes: Option<u64>,
}

/// What an ETag condition names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// `*`: any existing object.
    Any,
    ETag(ETag),
    /// A well-formed tag that no object of ours can have.
    Never,
}

/// Which version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionSelector {
    Id(VersionId),
    /// S3's `null`.
    Null,
}

/// Makes bytes that are already on their backends the object's current version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutVersion {
    pub target: Target,
    pub owner: UserId,
    pub etag: ETag,
    pub checksum: Option<Checksum>,
    pub attributes: Attributes,
    pub blob: Blob,
    pub condition: Condition,
    /// Of what the client sent (no generations, epoch or backend keys): tells a retry from another
    /// request under the same id.
    pub digest: [u8; 16],
}

/// Removes an object, or one version of it, or adds a delete marker, as the bucket's versioning says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteVersion {
    pub target: Target,
    pub owner: UserId,
    pub version: Option<VersionSelector>,
    pub condition: Condition,
}

/// Begins a multipart upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateUpload {
    pub target: Target,
    pub owner: UserId,
    pub attributes: Attributes,
    pub checksum: Option<(ChecksumAlgorithm, ChecksumScope)>,
}

/// Records one part whose bytes are already on their backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutPart {
    pub target: Target,
    pub upload: UploadId,
    pub number: u16,
    pub md5: [u8; 16],
    pub checksum: Option<Vec<u8>>,
    pub blob: Blob,
    pub digest: [u8; 16],
}

/// One more copy of bytes that are known, already on its backend: how bytes move without a client. It compares and sets:
/// `beside` was a copy when the bytes were read, and nothing is changed unless it still is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutCopy {
    /// Its one copy is the new one.
    pub blob: Blob,
    /// Its row says whose the bytes are.
    pub beside: Location,
    /// It is given up for the new one.
    pub replaces: bool,
}

/// Turns listed parts into the object's current version; no byte is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteUpload {
    pub target: Target,
    pub upload: UploadId,
    pub parts: Vec<ListedPart>,
    pub condition: Condition,
    /// The whole object's checksum as the client computed it, or as combined by the router.
    pub checksum: Option<Checksum>,
    /// `x-amz-mp-object-size`, when sent.
    pub size_bytes: Option<u64>,
}

/// One line of a CompleteMultipartUpload request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPart {
    pub number: u16,
    pub md5: [u8; 16],
    pub checksum: Option<Vec<u8>>,
}

/// Which epoch a blob was written under, by its first copy; all copies share it.
pub fn epoch_of(blob: &Blob) -> Option<&BlobKey> {
    blob.copies.first().map(|location| &location.key)
}

/// How many slots keys are hashed into; each shard owns every N-th.
pub const SLOTS: u64 = 1024;

/// The shard that owns an object: `xxh3(bucket, key) % 1024`, then round-robin over the shards.
pub fn shard_of(bucket: BucketId, key: &ObjectKey, shards: u16) -> GroupId {
    let slot = xxhash_rust::xxh3::xxh3_64_with_seed(key.as_str().as_bytes(), bucket.0) % SLOTS;
    let shards = u64::from(shards.max(1));
    let shard = slot.checked_rem(shards).unwrap_or(0);
    GroupId(u16::try_from(shard).map_or(1, |index| index.saturating_add(1)))
}
