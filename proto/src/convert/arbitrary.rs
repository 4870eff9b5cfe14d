//! Strategies for every domain type, for property tests of this crate. Ids, times and sizes take any
//! value, also ones that no cluster would reach: codecs and the state machine must stand them all.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod command;
pub(crate) mod query;
pub(crate) mod row;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use crate::etag::ETag;
use crate::id::{
    BackendId, BlobKey, ClusterId, EpochId, GroupId, NodeId, RequestId, UploadId, UserId, VersionId,
};
use crate::name::{BucketName, ObjectKey};
use crate::object::{
    Attributes, Blob, Body, Checksum, ChecksumAlgorithm, ChecksumScope, ContentHeaders,
    DeleteMarker, Location, Manifest, Part, Version, VersionEntry,
};
use crate::row::{
    BackendState, BucketPhase, Copies, NodePhase, NodeRole, Settings, Spread, Versioning,
};
use crate::time::TimeMs;

pub(crate) fn cluster_id() -> impl Strategy<Value = ClusterId> {
    any::<[u8; 16]>().prop_map(ClusterId)
}

pub(crate) fn request_id() -> impl Strategy<Value = RequestId> {
    any::<[u8; 16]>().prop_map(RequestId)
}

pub(crate) fn time() -> impl Strategy<Value = TimeMs> {
    any::<u64>().prop_map(TimeMs)
}

pub(crate) fn bucket_name() -> impl Strategy<Value = BucketName> {
    "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
        .prop_filter_map("a valid name", |text| BucketName::parse(&text).ok())
}

pub(crate) fn object_key() -> impl Strategy<Value = ObjectKey> {
    "(?s).{1,40}".prop_map(|text| ObjectKey::parse(&text).unwrap())
}

pub(crate) fn version_id() -> impl Strategy<Value = VersionId> {
    any::<(u32, u64, u32)>().prop_map(|(generation, index, sub)| VersionId {
        generation,
        index,
        sub,
    })
}

pub(crate) fn upload_id() -> impl Strategy<Value = UploadId> {
    (any::<u16>(), version_id())
        .prop_map(|(shard, created)| UploadId { shard: GroupId(shard), created })
}

pub(crate) fn blob_key() -> impl Strategy<Value = BlobKey> {
    any::<(u32, u16, u64, u64, u64)>().prop_map(|(generation, shard, node, epoch, seq)| BlobKey {
        generation,
        shard: GroupId(shard),
        node: NodeId(node),
        epoch: EpochId(epoch),
        seq,
    })
}

pub(crate) fn location() -> impl Strategy<Value = Location> {
    (any::<u32>(), blob_key())
        .prop_map(|(backend, key)| Location { backend: BackendId(backend), key })
}

pub(crate) fn blob() -> impl Strategy<Value = Blob> {
    (any::<(u64, u64)>(), vec(location(), 0..3))
        .prop_map(|((size_bytes, crc64nvme), copies)| Blob { size_bytes, crc64nvme, copies })
}

pub(crate) fn etag() -> impl Strategy<Value = ETag> {
    any::<([u8; 16], u16)>().prop_map(|(md5, parts)| ETag { md5, parts })
}

pub(crate) fn raw_bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

pub(crate) fn checksum_kind() -> impl Strategy<Value = (ChecksumAlgorithm, ChecksumScope)> {
    let algorithms = vec![
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32c,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ];
    (select(algorithms), select(vec![ChecksumScope::FullObject, ChecksumScope::Composite]))
}

pub(crate) fn checksum() -> impl Strategy<Value = Checksum> {
    (checksum_kind(), raw_bytes()).prop_map(|((algorithm, scope), value)| Checksum {
        algorithm,
        scope,
        value,
    })
}

pub(crate) fn versioning() -> impl Strategy<Value = Versioning> {
    select(vec![Versioning::Off, Versioning::Enabled, Versioning::Suspended])
}

pub(crate) fn node_role() -> impl Strategy<Value = NodeRole> {
    select(vec![NodeRole::Voter, NodeRole::Learner, NodeRole::Gateway])
}

pub(crate) fn node_phase() -> impl Strategy<Value = NodePhase> {
    select(vec![
        NodePhase::Member,
        NodePhase::Joining,
        NodePhase::Changing,
        NodePhase::Leaving,
        NodePhase::Removed,
    ])
}

pub(crate) fn bucket_phase() -> impl Strategy<Value = BucketPhase> {
    select(vec![BucketPhase::Open, BucketPhase::Deleting, BucketPhase::Deleted])
}

pub(crate) fn backend_state() -> impl Strategy<Value = BackendState> {
    select(vec![
        BackendState::Active,
        BackendState::Draining,
        BackendState::Removed,
        BackendState::Lost,
    ])
}

pub(crate) fn copies() -> impl Strategy<Value = Copies> {
    let spread = select(vec![Spread::Node, Spread::Zone, Spread::Region]);
    (any::<u32>(), spread).prop_map(|(count, spread)| Copies { count, spread })
}

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    any::<(u64, u64)>().prop_map(|(drain_ms, dedupe_ms)| Settings { drain_ms, dedupe_ms })
}

pub(crate) fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    vec(any::<(String, String)>(), 0..3)
}

pub(crate) fn content_headers() -> impl Strategy<Value = ContentHeaders> {
    any::<[Option<String>; 7]>().prop_map(|headers| {
        let [
            content_type,
            content_encoding,
            content_language,
            content_disposition,
            cache_control,
            expires,
            website_redirect,
        ] = headers;
        ContentHeaders {
            content_type,
            content_encoding,
            content_language,
            content_disposition,
            cache_control,
            expires,
            website_redirect,
        }
    })
}

pub(crate) fn attributes() -> impl Strategy<Value = Attributes> {
    let said = (content_headers(), pairs(), pairs(), "[A-Z_]{0,12}").prop_map(
        |(headers, user_metadata, tags, storage_class)| Attributes {
            headers,
            user_metadata,
            tags,
            storage_class,
        },
    );
    prop_oneof![Just(Attributes::default()), said]
}

pub(crate) fn part() -> impl Strategy<Value = Part> {
    (any::<(u16, [u8; 16])>(), option::of(raw_bytes()), blob())
        .prop_map(|((number, md5), checksum, blob)| Part { number, md5, checksum, blob })
}

pub(crate) fn manifest() -> impl Strategy<Value = Manifest> {
    vec(part(), 0..20).prop_map(Manifest)
}

pub(crate) fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        blob().prop_map(Body::Whole),
        vec(part(), 0..4).prop_map(Body::Parts),
        any::<u16>().prop_map(|parts| Body::Manifest { parts }),
    ]
}

pub(crate) fn version() -> impl Strategy<Value = Version> {
    let numbers = any::<(bool, u64, u64, u64, u64)>();
    (version_id(), numbers, etag(), option::of(checksum()), attributes(), body()).prop_map(
        |(
            id,
            (null, owner, size_bytes, modified, place_epoch),
            etag,
            checksum,
            attributes,
            body,
        )| {
            Version {
                id,
                null,
                owner: UserId(owner),
                size_bytes,
                etag,
                checksum,
                modified: TimeMs(modified),
                place_epoch,
                attributes,
                body,
            }
        },
    )
}

pub(crate) fn delete_marker() -> impl Strategy<Value = DeleteMarker> {
    (version_id(), any::<(bool, u64, u64)>()).prop_map(|(id, (null, owner, modified))| {
        DeleteMarker { id, null, owner: UserId(owner), modified: TimeMs(modified) }
    })
}

pub(crate) fn version_entry() -> impl Strategy<Value = VersionEntry> {
    prop_oneof![
        version().prop_map(VersionEntry::Object),
        delete_marker().prop_map(VersionEntry::DeleteMarker),
    ]
}
