//! Fixed values, one of every kind, with every field set to something of its own.
//! They never change: their bytes are in `golden.txt`.

use crate::command::members::MemberChange;
use crate::command::{
    Command, CompleteUpload, Condition, ConfigureBucket, CreateUpload, DeleteVersion, Entry,
    InitCluster, ListedPart, Match, Operation, PutCopy, PutPart, PutVersion, Target,
    VersionSelector,
};
use crate::etag::ETag;
use crate::id::{
    BackendId, BlobKey, BucketId, ClusterId, EpochId, GroupId, NodeId, RequestId, UploadId, UserId,
    VersionId,
};
use crate::name::{BucketName, ObjectKey};
use crate::object::{
    Attributes, Blob, Body, Checksum, ChecksumAlgorithm, ChecksumScope, ContentHeaders,
    DeleteMarker, Location, Part, Version,
};
use crate::row::{BackendState, BucketPhase, Copies, NodeRole, Settings, Spread, Versioning};
use crate::time::TimeMs;

pub(super) const NOW: TimeMs = TimeMs(1_790_000_000_000);
pub(super) const NODE: NodeId = NodeId(3);
pub(super) const EPOCH: EpochId = EpochId(900);
pub(super) const BACKEND: BackendId = BackendId(2);
pub(super) const USER: UserId = UserId(11);
pub(super) const BUCKET: BucketId = BucketId(42);

pub(super) fn version_id() -> VersionId {
    VersionId { generation: 1, index: 123_456, sub: 7 }
}

pub(super) fn upload_id() -> UploadId {
    UploadId { shard: GroupId(2), created: version_id() }
}

pub(super) fn bucket_name() -> BucketName {
    BucketName::parse("my-bucket").unwrap()
}

pub(super) fn key() -> ObjectKey {
    ObjectKey::parse("photos/2026/11/a-directory-with-a-name/the-picture-0001.jpg").unwrap()
}

pub(super) fn location() -> Location {
    let key = BlobKey { generation: 1, shard: GroupId(2), node: NODE, epoch: EPOCH, seq: 77 };
    Location { backend: BACKEND, key }
}

pub(super) fn blob() -> Blob {
    Blob { size_bytes: 1_048_576, crc64nvme: 0x0123_4567_89ab_cdef, copies: vec![location()] }
}

pub(super) fn etag() -> ETag {
    ETag { md5: [0xe7; 16], parts: 3 }
}

pub(super) fn checksum() -> Checksum {
    Checksum {
        algorithm: ChecksumAlgorithm::Crc32c,
        scope: ChecksumScope::FullObject,
        value: vec![1, 2, 3, 4],
    }
}

pub(super) fn attributes() -> Attributes {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Attributes {
        headers: ContentHeaders {
            content_type: Some("image/jpeg".to_owned()),
            content_encoding: Some("gzip".to_owned()),
            content_language: Some("en".to_owned()),
            content_disposition: Some("inline".to_owned()),
            cache_control: Some("no-cache".to_owned()),
            expires: Some("0".to_owned()),
            website_redirect: Some("/other".to_owned()),
        },
        user_metadata: vec![pair("camera", "pinhole")],
        tags: vec![pair("project", "x"), pair("empty", "")],
        storage_class: "STANDARD_IA".to_owned(),
    }
}

pub(super) fn part(number: u16) -> Part {
    Part { number, md5: [0x5a; 16], checksum: Some(vec![9, 8, 7]), blob: blob() }
}

pub(super) fn version() -> Version {
    Version {
        id: version_id(),
        null: true,
        owner: USER,
        size_bytes: 1_048_576,
        etag: etag(),
        checksum: Some(checksum()),
        modified: NOW,
        place_epoch: 5,
        attributes: attributes(),
        body: Body::Parts(vec![part(1), part(9)]),
    }
}

pub(super) fn delete_marker() -> DeleteMarker {
    DeleteMarker { id: version_id(), null: false, owner: USER, modified: NOW }
}

pub(super) fn settings() -> Settings {
    Settings { drain_ms: 600_000, dedupe_ms: 172_800_000 }
}

pub(super) fn target() -> Target {
    Target { bucket: BUCKET, bucket_generation: 4, key: key() }
}

/// With only what a plain client sends, for the size that is usual.
pub(super) fn put_version() -> Operation {
    let headers = ContentHeaders {
        content_type: Some("application/octet-stream".to_owned()),
        ..ContentHeaders::default()
    };
    Operation::PutVersion(PutVersion {
        target: target(),
        owner: USER,
        etag: ETag::whole([0xe7; 16]),
        checksum: Some(checksum()),
        attributes: Attributes { headers, ..Attributes::default() },
        blob: blob(),
        condition: Condition { if_none_match: Some(Match::Any), ..Condition::default() },
        digest: [0xd1; 16],
    })
}

pub(super) fn entry(operation: Operation) -> Entry {
    let command = Command {
        group: GroupId(2),
        request: RequestId([0xaa; 16]),
        not_after: NOW.plus_ms(30_000),
        operation,
    };
    Entry { stamped_at: NOW, commands: vec![command] }
}

/// One of every kind.
pub(super) fn operations() -> Vec<(&'static str, Operation)> {
    let mut all = control();
    all.extend(members());
    all.extend(shard());
    all.extend(object());
    all
}

fn put_backend(node: Option<NodeId>) -> Operation {
    let (name, kind, state) = ("local".to_owned(), "disk".to_owned(), BackendState::Active);
    Operation::PutBackend { name, kind, state, node }
}

fn control() -> Vec<(&'static str, Operation)> {
    let region = "eu-north-1".to_owned();
    let found = InitCluster {
        cluster: ClusterId([0xc1; 16]),
        generation: 1,
        shards: 4,
        region: region.clone(),
        token_key: vec![0x70; 8],
    };
    let access_key = "AKEXAMPLE".to_owned();
    vec![
        ("init_cluster", Operation::InitCluster(found)),
        ("create_bucket", Operation::CreateBucket { name: bucket_name(), owner: USER, region }),
        (
            "set_versioning",
            Operation::SetVersioning { bucket: BUCKET, versioning: Versioning::Enabled },
        ),
        (
            "set_copies",
            Operation::SetCopies {
                bucket: BUCKET,
                copies: Some(Copies { count: 3, spread: Spread::Zone }),
            },
        ),
        ("delete_bucket", Operation::DeleteBucket { bucket: BUCKET }),
        ("settle_bucket", Operation::SettleBucket { bucket: BUCKET, generation: 4, empty: true }),
        ("create_user", Operation::CreateUser { name: "alice".to_owned() }),
        (
            "create_access_key",
            Operation::CreateAccessKey {
                user: USER,
                access_key: access_key.clone(),
                sealed_secret: vec![0x5e; 8],
            },
        ),
        ("delete_access_key", Operation::DeleteAccessKey { access_key }),
        ("put_backend", put_backend(None)),
        ("put_backend_of_node", put_backend(Some(NODE))),
        ("settle_backend", Operation::SettleBackend { backend: BACKEND, generation: 6 }),
        (
            "set_backend_state",
            Operation::SetBackendState { backend: BACKEND, state: BackendState::Lost },
        ),
        ("put_settings", Operation::PutSettings(settings())),
    ]
}

fn members() -> Vec<(&'static str, Operation)> {
    vec![
        (
            "register_node",
            Operation::RegisterNode {
                node: NODE,
                incarnation: 8,
                name: "one".to_owned(),
                address: String::new(),
                zone: String::new(),
                region: String::new(),
            },
        ),
        (
            "register_node_with_address",
            Operation::RegisterNode {
                node: NODE,
                incarnation: 8,
                name: "one".to_owned(),
                address: "one:9003".to_owned(),
                zone: String::new(),
                region: String::new(),
            },
        ),
        (
            "register_node_of_zone",
            Operation::RegisterNode {
                node: NODE,
                incarnation: 8,
                name: "one".to_owned(),
                address: "one:9003".to_owned(),
                zone: "a".to_owned(),
                region: "eu-north-1".to_owned(),
            },
        ),
        (
            "change_members",
            Operation::ChangeMembers(MemberChange::Join {
                hash: [0x70; 16],
                name: "two".to_owned(),
                address: "two:9003".to_owned(),
                role: NodeRole::Learner,
            }),
        ),
    ]
}

fn shard() -> Vec<(&'static str, Operation)> {
    let configure = ConfigureBucket {
        bucket: BUCKET,
        generation: 4,
        phase: BucketPhase::Deleting,
        versioning: Versioning::Suspended,
    };
    let state = BackendState::Draining;
    let (node, epoch, backend, last) = (NODE, EPOCH, BACKEND, true);
    let close = |generation| Operation::CloseEpoch { generation, node, epoch };
    let swept =
        |generation, round| Operation::EpochSwept { generation, node, epoch, backend, round, last };
    let prune = |generation| Operation::PruneEpoch { generation, node, epoch, limit: 500 };
    vec![
        ("configure_bucket", Operation::ConfigureBucket(configure)),
        ("configure_backend", Operation::ConfigureBackend { backend, generation: 6, state }),
        ("open_epoch", Operation::OpenEpoch { node, incarnation: 8 }),
        ("close_epoch", close(0)),
        ("close_epoch.generation", close(1)),
        ("epoch_swept", swept(0, 0)),
        ("epoch_swept.round", swept(1, 2)),
        ("prune_epoch", prune(0)),
        ("prune_epoch.generation", prune(1)),
        ("collected", Operation::Collected { blobs: vec![location()] }),
    ]
}

fn object() -> Vec<(&'static str, Operation)> {
    let condition = Condition {
        if_match: Some(Match::ETag(etag())),
        if_none_match: Some(Match::Never),
        if_modified_at: Some(NOW),
        if_size_bytes: Some(12),
    };
    let delete = DeleteVersion {
        target: target(),
        owner: USER,
        version: Some(VersionSelector::Id(version_id())),
        condition: condition.clone(),
    };
    let create = CreateUpload {
        target: target(),
        owner: USER,
        attributes: attributes(),
        checksum: Some((ChecksumAlgorithm::Sha256, ChecksumScope::Composite)),
    };
    let put_part = PutPart {
        target: target(),
        upload: upload_id(),
        number: 10_000,
        md5: [0x5a; 16],
        checksum: Some(vec![9, 8, 7]),
        blob: blob(),
        digest: [0xd2; 16],
    };
    let complete = CompleteUpload {
        target: target(),
        upload: upload_id(),
        parts: vec![ListedPart { number: 1, md5: [0x5a; 16], checksum: Some(vec![9, 8, 7]) }],
        condition,
        checksum: Some(checksum()),
        size_bytes: Some(5),
    };
    let version = Some(VersionSelector::Null);
    let tags = attributes().tags;
    vec![
        ("put_version", put_version()),
        ("delete_version", Operation::DeleteVersion(delete)),
        ("set_tags", Operation::SetTags { target: target(), version, tags }),
        ("drop_copy", Operation::DropCopy { copy: location() }),
        (
            "put_copy",
            Operation::PutCopy(PutCopy { blob: blob(), beside: location(), replaces: true }),
        ),
        ("create_upload", Operation::CreateUpload(create)),
        ("put_part", Operation::PutPart(put_part)),
        ("complete_upload", Operation::CompleteUpload(complete)),
        ("abort_upload", Operation::AbortUpload { target: target(), upload: upload_id() }),
        ("compare_rows", Operation::CompareRows),
    ]
}
