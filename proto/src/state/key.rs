//! Every stored key prefix, once, and how keys are encoded so that bytes sort as their meaning does.
//! Values are `convert/`; nothing else in the tree builds a key.

use crate::id::{
    BackendId, BlobKey, BucketId, EpochId, GroupId, NodeId, RequestId, UploadId, UserId, VersionId,
};
use crate::name::{BucketName, ObjectKey};
use crate::object::Location;
use crate::row::Epoch;
use crate::time::TimeMs;

/// The first byte of every row. A discriminant is never reused; `0x00` belongs to the tables
/// themselves (what they have applied), not to the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Prefix {
    /// The cluster, one row in every group.
    Cluster = 0x01,
    /// Settings that `apply` uses, one row in every group.
    Settings = 0x02,
    /// The last time stamp, and up to where request ids were forgotten.
    Clock = 0x03,
    /// Request id -> answer.
    Answered = 0x04,
    /// (expires at, kind, id): what is to be forgotten when.
    Expiry = 0x05,

    // Control group.
    Bucket = 0x10,
    BucketByName = 0x11,
    BucketByOwner = 0x12,
    /// Buckets whose configuration some shard may not have applied.
    BucketUnsettled = 0x13,
    User = 0x14,
    UserByName = 0x15,
    AccessKey = 0x16,
    Backend = 0x17,
    Node = 0x18,
    /// Hash of a join token's secret -> whether it may still be used.
    JoinToken = 0x19,

    // Index shards.
    /// (bucket, key) -> live head only, so that listing never meets a delete marker.
    Head = 0x20,
    /// (bucket, key, inverted version) -> version or delete marker.
    Version = 0x21,
    /// Version id -> the parts of a multipart object with many of them.
    Manifest = 0x22,
    /// (backend, blob) -> the blob's life.
    Blob = 0x23,
    Epoch = 0x25,
    /// (bucket, key, upload).
    Upload = 0x26,
    /// (upload, part number).
    Part = 0x27,
    /// Uploads that were completed: a repeat gets the same answer.
    Completed = 0x28,
    ShardBucket = 0x29,
    ShardBackend = 0x2a,
    /// (backend, ready at, blob): an index over garbage blob rows, nothing more. By backend first, so
    /// that the garbage of one is found past any amount of another's.
    Garbage = 0x2b,
}

/// Ends an escaped object key inside a longer row key. Sorts below every continuation.
const TERMINATOR: [u8; 2] = [0x00, 0x00];
/// What a zero byte inside an object key becomes.
const ESCAPED_ZERO: [u8; 2] = [0x00, 0xff];
/// Takes the place of an inverted version id for the null version. Only the id of all zeros inverts to
/// it: no command mints that one, and `version::find` never takes what it finds here for it.
const NULL_SUFFIX: [u8; VersionId::ENCODED_LEN] = [0xff; VersionId::ENCODED_LEN];

fn start(prefix: Prefix) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    key.push(prefix as u8);
    key
}

fn joined(prefix: Prefix, fields: &[&[u8]]) -> Vec<u8> {
    let mut key = start(prefix);
    for field in fields {
        key.extend_from_slice(field);
    }
    key
}

/// Object keys sort by bytes, also when something follows them.
fn push_escaped(key: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            0 => key.extend_from_slice(&ESCAPED_ZERO),
            other => key.push(other),
        }
    }
}

/// Splits an escaped object key off the front; the rest is what follows the terminator.
fn split_escaped(bytes: &[u8]) -> Option<(ObjectKey, &[u8])> {
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        match rest {
            [0x00, 0x00, tail @ ..] => {
                let text = String::from_utf8(text).ok()?;
                return Some((ObjectKey::parse(&text).ok()?, tail));
            }
            [0x00, 0xff, tail @ ..] => {
                text.push(0);
                rest = tail;
            }
            [0x00, ..] | [] => return None,
            [byte, tail @ ..] => {
                text.push(*byte);
                rest = tail;
            }
        }
    }
}

/// A fixed-size field off the front.
fn split_array<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    let (head, tail) = bytes.split_first_chunk::<N>()?;
    Some((*head, tail))
}

/// The one row of `Prefix::Cluster`.
pub fn cluster() -> Vec<u8> {
    start(Prefix::Cluster)
}

/// The one row of `Prefix::Settings`.
pub fn settings() -> Vec<u8> {
    start(Prefix::Settings)
}

/// The one row of `Prefix::Clock`.
pub fn clock() -> Vec<u8> {
    start(Prefix::Clock)
}

/// A remembered request.
pub fn answered(request: RequestId) -> Vec<u8> {
    joined(Prefix::Answered, &[&request.0])
}

/// When to forget the row under `target`, whose whole key is kept in the index.
pub fn expiry(at: TimeMs, target: &[u8]) -> Vec<u8> {
    joined(Prefix::Expiry, &[&at.0.to_be_bytes(), target])
}

/// The time and the key of the row that `expiry` was made for.
pub fn split_expiry(key: &[u8]) -> Option<(TimeMs, &[u8])> {
    let (at, target) = split_array::<8>(key.strip_prefix(&[Prefix::Expiry as u8])?)?;
    Some((TimeMs(u64::from_be_bytes(at)), target))
}

/// A bucket by id.
pub fn bucket(id: BucketId) -> Vec<u8> {
    joined(Prefix::Bucket, &[&id.0.to_be_bytes()])
}

/// The id of a bucket name.
pub fn bucket_by_name(name: &BucketName) -> Vec<u8> {
    bucket_names_from(name.as_str())
}

/// Where bucket names from `text` on begin.
pub fn bucket_names_from(text: &str) -> Vec<u8> {
    joined(Prefix::BucketByName, &[text.as_bytes()])
}

/// The buckets of one owner, by name.
pub fn bucket_by_owner(owner: UserId, name: &str) -> Vec<u8> {
    joined(Prefix::BucketByOwner, &[&owner.0.to_be_bytes(), name.as_bytes()])
}

/// Marks a bucket as not settled.
pub fn bucket_unsettled(id: BucketId) -> Vec<u8> {
    joined(Prefix::BucketUnsettled, &[&id.0.to_be_bytes()])
}

/// A user by id.
pub fn user(id: UserId) -> Vec<u8> {
    joined(Prefix::User, &[&id.0.to_be_bytes()])
}

/// The id of a user name.
pub fn user_by_name(name: &str) -> Vec<u8> {
    joined(Prefix::UserByName, &[name.as_bytes()])
}

/// An access key.
pub fn access_key(access_key: &str) -> Vec<u8> {
    joined(Prefix::AccessKey, &[access_key.as_bytes()])
}

/// A backend in the control group.
pub fn backend(id: BackendId) -> Vec<u8> {
    joined(Prefix::Backend, &[&id.0.to_be_bytes()])
}

/// An invitation.
pub fn join_token(hash: [u8; 16]) -> Vec<u8> {
    joined(Prefix::JoinToken, &[&hash])
}

/// A node in the control group.
pub fn node(id: NodeId) -> Vec<u8> {
    joined(Prefix::Node, &[&id.0.to_be_bytes()])
}

/// A live head. The object key stands last, so it needs no escape: list prefixes are key prefixes.
pub fn head(bucket: BucketId, key: &str) -> Vec<u8> {
    joined(Prefix::Head, &[&bucket.0.to_be_bytes(), key.as_bytes()])
}

/// The bucket and object key of a head row.
pub fn split_head(key: &[u8]) -> Option<(BucketId, &str)> {
    let (bucket, text) = split_array::<8>(key.strip_prefix(&[Prefix::Head as u8])?)?;
    Some((BucketId(u64::from_be_bytes(bucket)), std::str::from_utf8(text).ok()?))
}

/// Every row of `prefix` (versions or uploads) of one bucket.
pub fn of_bucket(prefix: Prefix, bucket: BucketId) -> Vec<u8> {
    joined(prefix, &[&bucket.0.to_be_bytes()])
}

/// Where rows of `prefix` begin whose object key starts with `text`.
pub fn of_keys_from(prefix: Prefix, bucket: BucketId, text: &str) -> Vec<u8> {
    let mut row = of_bucket(prefix, bucket);
    push_escaped(&mut row, text);
    row
}

/// Every row of `prefix` (versions or uploads) of one object key. Any text is taken, since the markers
/// of lists may be longer than a key may be.
pub fn of_key(prefix: Prefix, bucket: BucketId, key: &str) -> Vec<u8> {
    let mut row = of_keys_from(prefix, bucket, key);
    row.extend_from_slice(&TERMINATOR);
    row
}

/// A version, newest first within its key.
pub fn version(bucket: BucketId, key: &ObjectKey, id: VersionId) -> Vec<u8> {
    let mut row = of_key(Prefix::Version, bucket, key.as_str());
    row.extend(id.to_bytes().iter().map(|byte| !byte));
    row
}

/// The null version: a fixed place, its position is in the value.
pub fn null_version(bucket: BucketId, key: &ObjectKey) -> Vec<u8> {
    let mut row = of_key(Prefix::Version, bucket, key.as_str());
    row.extend_from_slice(&NULL_SUFFIX);
    row
}

/// The bucket, object key and version id (none: the null version) of a version row.
pub fn split_version(key: &[u8]) -> Option<(BucketId, ObjectKey, Option<VersionId>)> {
    let (bucket, rest) = split_array::<8>(key.strip_prefix(&[Prefix::Version as u8])?)?;
    let (text, rest) = split_escaped(rest)?;
    let suffix: [u8; VersionId::ENCODED_LEN] = rest.try_into().ok()?;
    let id = (suffix != NULL_SUFFIX).then(|| VersionId::from_bytes(suffix.map(|byte| !byte)));
    Some((BucketId(u64::from_be_bytes(bucket)), text, id))
}

/// The parts of a large multipart version.
pub fn manifest(id: VersionId) -> Vec<u8> {
    joined(Prefix::Manifest, &[&id.to_bytes()])
}

/// A blob's life.
pub fn blob(location: Location) -> Vec<u8> {
    joined(Prefix::Blob, &[&location.backend.0.to_be_bytes(), &location.key.to_bytes()])
}

/// The location of a blob row.
pub fn split_blob(key: &[u8]) -> Option<Location> {
    let (backend, rest) = split_array::<4>(key.strip_prefix(&[Prefix::Blob as u8])?)?;
    Some(Location {
        backend: BackendId(u32::from_be_bytes(backend)),
        key: BlobKey::from_bytes(rest.try_into().ok()?),
    })
}

/// Every blob that one epoch wrote at one backend.
pub fn blobs_of_epoch(
    backend: BackendId,
    generation: u32,
    shard: GroupId,
    node: NodeId,
    epoch: EpochId,
) -> Vec<u8> {
    joined(
        Prefix::Blob,
        &[
            &backend.0.to_be_bytes(),
            &generation.to_be_bytes(),
            &shard.0.to_be_bytes(),
            &node.0.to_be_bytes(),
            &epoch.0.to_be_bytes(),
        ],
    )
}

/// A place in the garbage index.
pub fn garbage(ready_at: TimeMs, location: Location) -> Vec<u8> {
    let mut row = garbage_from(location.backend, ready_at);
    row.extend_from_slice(&location.key.to_bytes());
    row
}

/// Where a backend's garbage begins that becomes ready at `time` or later.
pub fn garbage_from(backend: BackendId, time: TimeMs) -> Vec<u8> {
    joined(Prefix::Garbage, &[&backend.0.to_be_bytes(), &time.0.to_be_bytes()])
}

/// The time and location of a garbage index row.
pub fn split_garbage(key: &[u8]) -> Option<(TimeMs, Location)> {
    let (backend, rest) = split_array::<4>(key.strip_prefix(&[Prefix::Garbage as u8])?)?;
    let (ready, rest) = split_array::<8>(rest)?;
    let location = Location {
        backend: BackendId(u32::from_be_bytes(backend)),
        key: BlobKey::from_bytes(rest.try_into().ok()?),
    };
    Some((TimeMs(u64::from_be_bytes(ready)), location))
}

/// A write epoch.
pub fn epoch(generation: u32, node: NodeId, epoch: EpochId) -> Vec<u8> {
    joined(
        Prefix::Epoch,
        &[&generation.to_be_bytes(), &node.0.to_be_bytes(), &epoch.0.to_be_bytes()],
    )
}

/// The key of an epoch's own row.
pub fn epoch_of(row: &Epoch) -> Vec<u8> {
    epoch(row.generation, row.node, row.id)
}

/// Every epoch of one node.
pub fn epochs_of_node(generation: u32, node: NodeId) -> Vec<u8> {
    joined(Prefix::Epoch, &[&generation.to_be_bytes(), &node.0.to_be_bytes()])
}

/// An open upload.
pub fn upload(bucket: BucketId, key: &ObjectKey, id: UploadId) -> Vec<u8> {
    upload_of_text(bucket, key.as_str(), id)
}

/// The place of an upload of any text, as a marker may name it.
pub fn upload_of_text(bucket: BucketId, key: &str, id: UploadId) -> Vec<u8> {
    let mut row = of_key(Prefix::Upload, bucket, key);
    row.extend_from_slice(&id.to_bytes());
    row
}

/// The bucket, object key and id of an upload row.
pub fn split_upload(key: &[u8]) -> Option<(BucketId, ObjectKey, UploadId)> {
    let (bucket, rest) = split_array::<8>(key.strip_prefix(&[Prefix::Upload as u8])?)?;
    let (text, rest) = split_escaped(rest)?;
    let id = UploadId::from_bytes(rest.try_into().ok()?);
    Some((BucketId(u64::from_be_bytes(bucket)), text, id))
}

/// A part of an open upload.
pub fn part(upload: UploadId, number: u16) -> Vec<u8> {
    joined(Prefix::Part, &[&upload.to_bytes(), &number.to_be_bytes()])
}

/// Every part of an open upload.
pub fn parts_of(upload: UploadId) -> Vec<u8> {
    joined(Prefix::Part, &[&upload.to_bytes()])
}

/// A completed upload.
pub fn completed(upload: UploadId) -> Vec<u8> {
    joined(Prefix::Completed, &[&upload.to_bytes()])
}

/// A bucket as this shard knows it.
pub fn shard_bucket(id: BucketId) -> Vec<u8> {
    joined(Prefix::ShardBucket, &[&id.0.to_be_bytes()])
}

/// A backend as this shard knows it.
pub fn shard_backend(id: BackendId) -> Vec<u8> {
    joined(Prefix::ShardBackend, &[&id.0.to_be_bytes()])
}

/// Every row of one kind.
pub fn all(prefix: Prefix) -> Vec<u8> {
    start(prefix)
}

#[cfg(test)]
mod tests;
