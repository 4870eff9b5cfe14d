//! Bytes that are on disks already must be readable for ever: each sample has its bytes in `golden.txt`.
//! A line there is never changed. A new format version adds new lines, and the old ones still decode.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};

use super::samples::{
    BACKEND, BUCKET, EPOCH, NODE, NOW, USER, attributes, blob, bucket_name, checksum,
    delete_marker, entry, etag, key, location, operations, part, settings, upload_id, version,
    version_id,
};
use crate::convert::arbitrary::row::REJECTIONS;
use crate::convert::{DecodeError, Stored};
use crate::id::ClusterId;
use crate::object::{Body, ChecksumAlgorithm, ChecksumScope, Manifest, Version, VersionEntry};
use crate::response::{Deleted, Put, Rejection, Response};
use crate::row::{
    AccessKey, Answered, BackendRow, BackendState, BlobOwner, BlobRow, BlobState, Bucket,
    BucketPhase, ClusterRow, Completed, Copies, Epoch, EpochState, JoinToken, NodePhase, NodeRole,
    NodeRow, ShardBackend, ShardBucket, Spread, Sweep, Upload, UploadPart, User, Versioning,
};

/// `name hex`, one a line.
const GOLDEN: &str = include_str!("golden.txt");

/// Compares samples with their lines; collects what differs so that one run tells everything.
struct Golden {
    lines: BTreeMap<&'static str, &'static str>,
    wrong: String,
}

impl Golden {
    fn check<T: Stored + PartialEq + Debug>(&mut self, name: &str, value: &T) {
        let written = hex::encode(value.encode());
        match self.lines.remove(name) {
            Some(line) if line == written => {}
            Some(line) => {
                writeln!(self.wrong, "changed: {name}\n  was {line}\n  now {written}").unwrap()
            }
            None => writeln!(self.wrong, "{name} {written}").unwrap(),
        }
        let read: Result<T, DecodeError> = T::decode(&hex::decode(written).unwrap());
        assert_eq!(read.as_ref(), Ok(value), "{name}");
    }
}

#[test]
fn stored_bytes_never_change() {
    let lines: Vec<(&str, &str)> = GOLDEN.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut golden = Golden { lines: lines.iter().copied().collect(), wrong: String::new() };
    assert_eq!(golden.lines.len(), lines.len(), "golden.txt names a sample twice");

    for (name, operation) in operations() {
        golden.check(&format!("entry.{name}"), &entry(operation));
    }
    responses(&mut golden);
    versions(&mut golden);
    control_rows(&mut golden);
    shard_rows(&mut golden);
    upload_rows(&mut golden);

    let Golden { lines, wrong } = golden;
    assert!(wrong.is_empty(), "golden.txt differs; only new names may be added:\n{wrong}");
    assert!(lines.is_empty(), "lines without a sample: {:?}", lines.keys());
}

fn responses(golden: &mut Golden) {
    for rejection in REJECTIONS {
        let name = format!("response.rejected.{rejection:?}");
        golden.check(&name, &Response::Rejected(rejection));
    }
    let named = [
        ("done", Response::Done),
        ("bucket", Response::Bucket(bucket())),
        ("backend", Response::Backend(backend())),
        ("user", Response::User(user())),
        ("access_key", Response::AccessKey(access_key())),
        ("node", Response::Node(node())),
        ("configured", Response::Configured { empty: true }),
        ("epoch_opened", Response::EpochOpened { epoch: EPOCH, generation: 1 }),
        ("pruned", Response::Pruned { more: true }),
        ("put", Response::Put(put())),
        (
            "deleted",
            Response::Deleted(Deleted { version: Some(version_id()), null: true, marker: true }),
        ),
        ("upload_created", Response::UploadCreated { upload: upload_id() }),
        ("part_put", Response::PartPut { modified: NOW }),
    ];
    for (name, response) in &named {
        golden.check(&format!("response.{name}"), response);
    }
    golden.check("responses", &vec![Response::Done, Response::Rejected(Rejection::NoSuchKey)]);
}

fn put() -> Put {
    Put {
        version: version_id(),
        null: true,
        etag: etag(),
        checksum: Some(checksum()),
        size_bytes: 1_048_576,
        modified: NOW,
    }
}

fn versions(golden: &mut Golden) {
    golden.check("version", &version());
    let whole = Version { body: Body::Whole(blob()), ..version() };
    golden.check("version.whole", &whole);
    let many = Version { body: Body::Manifest { parts: 10_000 }, ..version() };
    golden.check("version.manifest", &many);
    golden.check("delete_marker", &delete_marker());
    golden.check("version_entry.object", &VersionEntry::Object(version()));
    golden.check("version_entry.delete_marker", &VersionEntry::DeleteMarker(delete_marker()));
    golden.check("manifest", &Manifest(vec![part(1), part(2)]));
}

fn bucket() -> Bucket {
    Bucket {
        id: BUCKET,
        name: bucket_name(),
        owner: USER,
        region: "eu-north-1".to_owned(),
        created: NOW,
        generation: 4,
        phase: BucketPhase::Open,
        versioning: Versioning::Enabled,
        settled: true,
        copies: None,
    }
}

fn backend() -> BackendRow {
    BackendRow {
        node: None,
        id: BACKEND,
        name: "local".to_owned(),
        kind: "disk".to_owned(),
        generation: 6,
        state: BackendState::Removed,
        settled: true,
    }
}

fn user() -> User {
    User { id: USER, name: "alice".to_owned(), created: NOW }
}

fn node() -> NodeRow {
    NodeRow {
        id: NODE,
        name: "one".to_owned(),
        incarnation: 8,
        address: String::new(),
        role: NodeRole::Voter,
        phase: NodePhase::Member,
        zone: String::new(),
        region: String::new(),
    }
}

fn access_key() -> AccessKey {
    AccessKey {
        access_key: "AKEXAMPLE".to_owned(),
        user: USER,
        sealed_secret: vec![0x5e; 8],
        created: NOW,
    }
}

fn control_rows(golden: &mut Golden) {
    golden.check("bucket", &bucket());
    let copies = Some(Copies { count: 3, spread: Spread::Zone });
    golden.check("bucket.with_copies", &Bucket { copies, ..bucket() });
    golden.check("backend", &backend());
    golden.check("user", &user());
    golden.check("access_key", &access_key());
    golden.check("node", &node());
    let address = "one:9003".to_owned();
    let (role, phase) = (NodeRole::Learner, NodePhase::Leaving);
    golden.check("node.of_cluster", &NodeRow { address, role, phase, ..node() });
    let (zone, region) = ("a".to_owned(), "eu-north-1".to_owned());
    golden.check("node.of_zone", &NodeRow { zone, region, ..node() });
    golden.check("backend.of_node", &BackendRow { node: Some(NODE), ..backend() });
    golden.check("join_token", &JoinToken { expires_at: NOW, used: true });
    let cluster = ClusterRow {
        cluster: ClusterId([0xc1; 16]),
        generation: 1,
        shards: 4,
        region: "eu-north-1".to_owned(),
        token_key: vec![0x70; 8],
    };
    golden.check("cluster", &cluster);
    golden.check("settings", &settings());
}

fn shard_rows(golden: &mut Golden) {
    let shard_bucket = ShardBucket {
        generation: 4,
        phase: BucketPhase::Deleted,
        versioning: Versioning::Off,
        objects: 1_000,
        size_bytes: 123_456_789,
    };
    golden.check("shard_bucket", &shard_bucket);
    let shard_backend = ShardBackend {
        generation: 6,
        state: BackendState::Active,
        live_blobs: 1_001,
        live_bytes: 123_456_790,
    };
    golden.check("shard_backend", &shard_backend);

    let sweeps = vec![Sweep { backend: BACKEND, done: 4, finished: true }];
    let states = [
        ("open", EpochState::Open),
        ("closed", EpochState::Closed { at: NOW, sweeps }),
        ("swept", EpochState::Swept),
    ];
    for (name, state) in states {
        let (node, id, opened) = (NODE, EPOCH, NOW);
        let (generation, incarnation, pruned) = (1, 8, None);
        let epoch = Epoch { node, id, generation, incarnation, opened, state, pruned };
        golden.check(&format!("epoch.{name}"), &epoch);
        if epoch.state == EpochState::Swept {
            golden.check("epoch.pruned", &Epoch { pruned: Some(location()), ..epoch });
        }
    }

    let of_version = BlobOwner::Version { bucket: BUCKET, key: key(), version: version_id() };
    let of_part =
        BlobOwner::Part { bucket: BUCKET, key: key(), upload: upload_id(), number: 10_000 };
    let states = [
        ("version", BlobState::Live(of_version)),
        ("part", BlobState::Live(of_part)),
        ("garbage", BlobState::Garbage { ready_at: NOW }),
        ("spent", BlobState::Spent),
    ];
    for (name, state) in states {
        let row = BlobRow { size_bytes: 1_048_576, crc64nvme: 0x0123_4567_89ab_cdef, state };
        golden.check(&format!("blob.{name}"), &row);
    }
}

fn upload_rows(golden: &mut Golden) {
    let kinds = [
        ("crc32", ChecksumAlgorithm::Crc32, ChecksumScope::FullObject),
        ("crc64nvme", ChecksumAlgorithm::Crc64Nvme, ChecksumScope::FullObject),
        ("sha1", ChecksumAlgorithm::Sha1, ChecksumScope::Composite),
    ];
    for (name, algorithm, scope) in kinds {
        let checksum = Some((algorithm, scope));
        let upload = Upload { owner: USER, created: NOW, attributes: attributes(), checksum };
        golden.check(&format!("upload.{name}"), &upload);
    }
    golden.check("upload_part", &UploadPart { part: part(7), modified: NOW });
    let response = Response::Put(put());
    let expires_at = NOW;
    let answered = Answered { digest: [0xd3; 16], response: response.clone(), expires_at };
    golden.check("answered", &answered);
    golden.check("completed", &Completed { digest: [0xd4; 16], response, expires_at });
}
