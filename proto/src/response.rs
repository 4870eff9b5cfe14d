//! What `apply` answered: a committed fact, the same on every replica. A lawful no is a `Rejection`.

use crate::etag::ETag;
use crate::id::{EpochId, UploadId, VersionId};
use crate::object::Checksum;
use crate::row::{AccessKey, BackendRow, Bucket, NodeRow, User};
use crate::time::TimeMs;

/// The outcome of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    Rejected(Rejection),
    /// Done, with nothing to tell.
    Done,
    Bucket(Bucket),
    Backend(BackendRow),
    User(User),
    AccessKey(AccessKey),
    Node(NodeRow),
    /// `ConfigureBucket` was applied; `empty` says whether this shard holds nothing of the bucket.
    Configured {
        empty: bool,
    },
    EpochOpened {
        epoch: EpochId,
        generation: u32,
    },
    /// `PruneEpoch`: whether rows are left for another page.
    Pruned {
        more: bool,
    },
    Put(Put),
    Deleted(Deleted),
    UploadCreated {
        upload: UploadId,
    },
    PartPut {
        modified: TimeMs,
    },
}

/// A version became current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    pub version: VersionId,
    /// Whether S3 shows the version id (the bucket is versioned) or calls it `null`.
    pub null: bool,
    pub etag: ETag,
    pub checksum: Option<Checksum>,
    pub size_bytes: u64,
    pub modified: TimeMs,
}

/// A DELETE was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// The marker that was added, or the version that was removed; none in an unversioned bucket.
    pub version: Option<VersionId>,
    /// The version concerned is shown as `null`.
    pub null: bool,
    /// A delete marker was added or removed.
    pub marker: bool,
}

/// A lawful no. Each has one S3 error, chosen in the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejection {
    #[error("the cluster is initialised already")]
    AlreadyInitialised,
    #[error("the group is not initialised yet")]
    NotInitialised,
    #[error("the bucket name is taken by another owner")]
    BucketAlreadyExists,
    #[error("you own this bucket already")]
    BucketAlreadyOwnedByYou,
    #[error("no such bucket")]
    NoSuchBucket,
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    #[error("the bucket is being deleted or changed; try again")]
    OperationAborted,
    #[error("no such key")]
    NoSuchKey,
    #[error("no such version")]
    NoSuchVersion,
    #[error("the specified method is not allowed against a delete marker")]
    MethodNotAllowed,
    #[error("no such upload")]
    NoSuchUpload,
    #[error("a precondition failed")]
    PreconditionFailed,
    #[error("a listed part does not exist or has another ETag or checksum")]
    InvalidPart,
    #[error("parts are not listed in ascending order")]
    InvalidPartOrder,
    #[error("a part other than the last is smaller than 5 MiB")]
    EntityTooSmall,
    #[error("the object would be larger than 5 TiB")]
    EntityTooLarge,
    #[error("the object size or checksum differs from the one announced")]
    BadDigest,
    #[error("no such user")]
    NoSuchUser,
    #[error("no such access key")]
    NoSuchAccessKey,
    #[error("the name or id exists already")]
    AlreadyExists,
    #[error("no such backend")]
    NoSuchBackend,
    #[error("no such epoch")]
    NoSuchEpoch,
    /// The proposer saw an older bucket or backend configuration: re-read, re-check, repeat.
    #[error("the configuration changed meanwhile")]
    StaleConfig,
    /// The proposer saw a newer configuration than this shard: back off, repeat.
    #[error("the shard has not learned of the configuration yet")]
    ConfigAhead,
    /// The bytes were written under an epoch that is closed: upload again.
    #[error("the write epoch is closed")]
    EpochClosed,
    /// `not_after` has passed; nothing was changed.
    #[error("the command came too late and changed nothing")]
    Expired,
    /// These very bytes were proposed before and the answer is no longer known.
    #[error("the outcome of this request is no longer known")]
    Unknown,
    /// The command is not one that this group takes, or its fields contradict each other.
    #[error("malformed command")]
    Malformed,
    #[error("no such node")]
    NoSuchNode,
    #[error("the node was removed from the cluster; a node that comes back joins as a new one")]
    NodeRemoved,
    #[error(
        "the join token is unknown or has expired; make another with `vaultaire cluster token`"
    )]
    InvalidToken,
    #[error(
        "the join token was used already: each lets one node in; make another with `vaultaire cluster token`"
    )]
    TokenUsed,
    #[error(
        "another change of the membership is under way; wait until `vaultaire cluster members` shows it done"
    )]
    MembershipChanging,
    #[error("the cluster would be left without a voter")]
    LastVoter,
    /// The bytes that a new copy was made of are not there any more, or are where it was to go.
    #[error("the object or its copies changed meanwhile; nothing is lost")]
    Superseded,
    #[error(
        "the backend cannot go from its state to that one: it is drained before it is removed, and one that is lost or removed never comes back"
    )]
    WrongBackendState,
}
