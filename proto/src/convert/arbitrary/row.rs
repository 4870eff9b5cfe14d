//! Strategies for responses and for the rows that are not versions.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::strategy::Union;

use super::{
    attributes, backend_state, bucket_name, bucket_phase, checksum, checksum_kind, cluster_id,
    copies, etag, location, node_phase, node_role, object_key, part, raw_bytes, time, upload_id,
    version_id, versioning,
};
use crate::id::{BackendId, BucketId, EpochId, NodeId, UserId};
use crate::response::{Deleted, Put, Rejection, Response};
use crate::row::{
    AccessKey, Answered, BackendRow, BlobOwner, BlobRow, BlobState, Bucket, ClusterRow, Completed,
    Epoch, EpochState, JoinToken, NodeRow, ShardBackend, ShardBucket, Sweep, Upload, UploadPart,
    User,
};
use crate::time::TimeMs;

/// Every rejection there is: the compiler reminds whoever adds one, since the codec names them all.
pub(crate) const REJECTIONS: [Rejection; 36] = [
    Rejection::AlreadyInitialised,
    Rejection::NotInitialised,
    Rejection::BucketAlreadyExists,
    Rejection::BucketAlreadyOwnedByYou,
    Rejection::NoSuchBucket,
    Rejection::BucketNotEmpty,
    Rejection::OperationAborted,
    Rejection::NoSuchKey,
    Rejection::NoSuchVersion,
    Rejection::MethodNotAllowed,
    Rejection::NoSuchUpload,
    Rejection::PreconditionFailed,
    Rejection::InvalidPart,
    Rejection::InvalidPartOrder,
    Rejection::EntityTooSmall,
    Rejection::EntityTooLarge,
    Rejection::BadDigest,
    Rejection::NoSuchUser,
    Rejection::NoSuchAccessKey,
    Rejection::AlreadyExists,
    Rejection::NoSuchBackend,
    Rejection::NoSuchEpoch,
    Rejection::StaleConfig,
    Rejection::ConfigAhead,
    Rejection::EpochClosed,
    Rejection::Expired,
    Rejection::Unknown,
    Rejection::Malformed,
    Rejection::NoSuchNode,
    Rejection::NodeRemoved,
    Rejection::InvalidToken,
    Rejection::TokenUsed,
    Rejection::MembershipChanging,
    Rejection::LastVoter,
    Rejection::Superseded,
    Rejection::WrongBackendState,
];

pub(crate) fn bucket() -> impl Strategy<Value = Bucket> {
    let numbers = any::<(u64, u64, u64, u64, bool)>();
    let said = option::of(copies());
    (numbers, bucket_name(), any::<String>(), bucket_phase(), versioning(), said).prop_map(
        |((id, owner, created, generation, settled), name, region, phase, versioning, copies)| {
            Bucket {
                id: BucketId(id),
                name,
                owner: UserId(owner),
                region,
                created: crate::time::TimeMs(created),
                generation,
                phase,
                versioning,
                settled,
                copies,
            }
        },
    )
}

pub(crate) fn shard_bucket() -> impl Strategy<Value = ShardBucket> {
    (any::<(u64, u64, u64)>(), bucket_phase(), versioning()).prop_map(
        |((generation, objects, size_bytes), phase, versioning)| ShardBucket {
            generation,
            phase,
            versioning,
            objects,
            size_bytes,
        },
    )
}

pub(crate) fn backend() -> impl Strategy<Value = BackendRow> {
    (any::<(u32, String, String, u64, bool, Option<u64>)>(), backend_state()).prop_map(
        |((id, name, kind, generation, settled, node), state)| BackendRow {
            node: node.map(NodeId),
            id: BackendId(id),
            name,
            kind,
            generation,
            state,
            settled,
        },
    )
}

pub(crate) fn shard_backend() -> impl Strategy<Value = ShardBackend> {
    (any::<(u64, u64, u64)>(), backend_state()).prop_map(
        |((generation, live_blobs, live_bytes), state)| ShardBackend {
            generation,
            state,
            live_blobs,
            live_bytes,
        },
    )
}

pub(crate) fn user() -> impl Strategy<Value = User> {
    (any::<(u64, String)>(), time()).prop_map(|((id, name), created)| User {
        id: UserId(id),
        name,
        created,
    })
}

pub(crate) fn access_key() -> impl Strategy<Value = AccessKey> {
    (any::<(String, u64)>(), raw_bytes(), time()).prop_map(
        |((access_key, user), sealed_secret, created)| AccessKey {
            access_key,
            user: UserId(user),
            sealed_secret,
            created,
        },
    )
}

pub(crate) fn node() -> impl Strategy<Value = NodeRow> {
    (any::<(u64, u64, [String; 4])>(), node_role(), node_phase()).prop_map(
        |((id, incarnation, [name, address, zone, region]), role, phase)| NodeRow {
            id: NodeId(id),
            name,
            incarnation,
            address,
            role,
            phase,
            zone,
            region,
        },
    )
}

pub(crate) fn join_token() -> impl Strategy<Value = JoinToken> {
    any::<(u64, bool)>().prop_map(|(at, used)| JoinToken { expires_at: TimeMs(at), used })
}

pub(crate) fn cluster() -> impl Strategy<Value = ClusterRow> {
    (cluster_id(), any::<(u32, u16, String)>(), raw_bytes()).prop_map(
        |(cluster, (generation, shards, region), token_key)| ClusterRow {
            cluster,
            generation,
            shards,
            region,
            token_key,
        },
    )
}

fn sweep() -> impl Strategy<Value = Sweep> {
    any::<(u32, u32, bool)>().prop_map(|(backend, done, finished)| Sweep {
        backend: BackendId(backend),
        done,
        finished,
    })
}

pub(crate) fn epoch() -> impl Strategy<Value = Epoch> {
    let closed =
        (time(), vec(sweep(), 0..4)).prop_map(|(at, sweeps)| EpochState::Closed { at, sweeps });
    let state = prop_oneof![Just(EpochState::Open), closed, Just(EpochState::Swept)];
    (any::<(u64, u64, u32, u64)>(), time(), state, option::of(location())).prop_map(
        |((node, id, generation, incarnation), opened, state, pruned)| Epoch {
            node: NodeId(node),
            id: EpochId(id),
            generation,
            incarnation,
            opened,
            state,
            pruned,
        },
    )
}

fn blob_owner() -> impl Strategy<Value = BlobOwner> {
    let version = (any::<u64>(), object_key(), version_id()).prop_map(|(bucket, key, version)| {
        BlobOwner::Version { bucket: BucketId(bucket), key, version }
    });
    let part = (any::<(u64, u16)>(), object_key(), upload_id()).prop_map(
        |((bucket, number), key, upload)| BlobOwner::Part {
            bucket: BucketId(bucket),
            key,
            upload,
            number,
        },
    );
    prop_oneof![version, part]
}

pub(crate) fn blob_row() -> impl Strategy<Value = BlobRow> {
    let state = prop_oneof![
        blob_owner().prop_map(BlobState::Live),
        time().prop_map(|ready_at| BlobState::Garbage { ready_at }),
        Just(BlobState::Spent),
    ];
    (any::<(u64, u64)>(), state).prop_map(|((size_bytes, crc64nvme), state)| BlobRow {
        size_bytes,
        crc64nvme,
        state,
    })
}

pub(crate) fn upload() -> impl Strategy<Value = Upload> {
    (any::<u64>(), time(), attributes(), option::of(checksum_kind())).prop_map(
        |(owner, created, attributes, checksum)| Upload {
            owner: UserId(owner),
            created,
            attributes,
            checksum,
        },
    )
}

pub(crate) fn upload_part() -> impl Strategy<Value = UploadPart> {
    (part(), time()).prop_map(|(part, modified)| UploadPart { part, modified })
}

fn put() -> impl Strategy<Value = Put> {
    (version_id(), any::<(bool, u64)>(), etag(), option::of(checksum()), time()).prop_map(
        |(version, (null, size_bytes), etag, checksum, modified)| Put {
            version,
            null,
            etag,
            checksum,
            size_bytes,
            modified,
        },
    )
}

pub(crate) fn response() -> impl Strategy<Value = Response> {
    let deleted = (option::of(version_id()), any::<(bool, bool)>())
        .prop_map(|(version, (null, marker))| Response::Deleted(Deleted { version, null, marker }));
    let opened = any::<(u64, u32)>()
        .prop_map(|(id, generation)| Response::EpochOpened { epoch: EpochId(id), generation });
    Union::new([
        select(REJECTIONS.to_vec()).prop_map(Response::Rejected).boxed(),
        Just(Response::Done).boxed(),
        bucket().prop_map(Response::Bucket).boxed(),
        backend().prop_map(Response::Backend).boxed(),
        user().prop_map(Response::User).boxed(),
        access_key().prop_map(Response::AccessKey).boxed(),
        node().prop_map(Response::Node).boxed(),
        any::<bool>().prop_map(|empty| Response::Configured { empty }).boxed(),
        opened.boxed(),
        any::<bool>().prop_map(|more| Response::Pruned { more }).boxed(),
        put().prop_map(Response::Put).boxed(),
        deleted.boxed(),
        upload_id().prop_map(|upload| Response::UploadCreated { upload }).boxed(),
        time().prop_map(|modified| Response::PartPut { modified }).boxed(),
    ])
}

pub(crate) fn answered() -> impl Strategy<Value = Answered> {
    (any::<[u8; 16]>(), response(), time()).prop_map(|(digest, response, expires_at)| Answered {
        digest,
        response,
        expires_at,
    })
}

pub(crate) fn completed() -> impl Strategy<Value = Completed> {
    (any::<[u8; 16]>(), response(), time()).prop_map(|(digest, response, expires_at)| Completed {
        digest,
        response,
        expires_at,
    })
}
