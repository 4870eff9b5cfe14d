//! Answers to queries, by seeks over one consistent view per group. Never a scan of a whole table:
//! what a page costs depends on the page, not on the bucket.

pub mod list;
pub mod merge;
pub mod scans;
pub mod uploads;
pub mod versions;

use std::ops::Bound;

use crate::catalog::{Answer, Page, Query};
use crate::command::VersionSelector;
use crate::id::{BucketId, UploadId, UserId};
use crate::name::{BucketName, ObjectKey};
use crate::object::{Body, Version, VersionEntry};
use crate::row::{AccessKey, Bucket, NodeRow, Upload, UploadPart, User};
use crate::state::key::Prefix;
use crate::state::query::merge::{Listing, Merge};
use crate::state::{backend, bucket, copy, key, rows, version};
use crate::tables::{Reader, prefix_end, scan};

/// Answers a query from one group's rows; a list with that group's part of it (`merge` has the whole).
pub fn answer(reader: &dyn Reader, query: &Query) -> Answer {
    match query {
        Query::Cluster => Answer::Cluster(crate::state::cluster(reader)),
        Query::Bucket(name) => Answer::Bucket(bucket::by_name(reader, name)),
        Query::BucketById(id) => Answer::Bucket(rows::get(reader, &key::bucket(*id))),
        Query::Buckets { owner, after, prefix, limit } => {
            Answer::Buckets(buckets(reader, *owner, after.as_ref(), prefix, *limit))
        }
        Query::UnsettledBuckets { limit } => Answer::Buckets(unsettled(reader, *limit)),
        Query::AccessKey(id) => Answer::AccessKey(rows::get(reader, &key::access_key(id))),
        Query::AccessKeys { user, after, limit } => {
            Answer::AccessKeys(access_keys(reader, *user, after.as_deref(), *limit))
        }
        Query::User(id) => Answer::User(rows::get(reader, &key::user(*id))),
        Query::Users { after, limit } => Answer::Users(users(reader, *after, *limit)),
        Query::Backends => Answer::Backends(backend::all(reader)),
        Query::Nodes => Answer::Nodes(all::<NodeRow>(reader, Prefix::Node)),
        Query::Version { bucket, key, version, manifest } => {
            Answer::Version(one_version(reader, *bucket, key, *version, *manifest))
        }
        Query::Upload { bucket, key, upload } => {
            Answer::Upload(rows::get(reader, &key::upload(*bucket, key, *upload)))
        }
        Query::Parts { bucket, key, upload, after, limit } => {
            Answer::Parts(parts(reader, *bucket, key, *upload, *after, *limit))
        }
        Query::List(list) => Answer::List(part(list, reader)),
        Query::ListVersions(list) => Answer::ListVersions(part(list, reader)),
        Query::ListUploads(list) => Answer::ListUploads(part(list, reader)),
        Query::Epochs { .. } => Answer::Epochs(all(reader, Prefix::Epoch)),
        Query::Epoch { generation, node, epoch, .. } => {
            Answer::Epoch(rows::get(reader, &key::epoch(*generation, *node, *epoch)))
        }
        Query::Garbage { backend, until, limit, .. } => {
            Answer::Garbage(scans::garbage(reader, *backend, *until, *limit))
        }
        Query::Blobs { after, limit, .. } => Answer::Blobs(scans::blobs(reader, *after, *limit)),
        Query::SweepView { shard, backend, epoch, blobs } => {
            scans::sweep_view(reader, *shard, *backend, *epoch, blobs)
        }
        Query::Versions { after, limit, .. } => {
            Answer::Versions(scans::versions(reader, after.as_ref(), *limit))
        }
        Query::ShardBucket { bucket, .. } => {
            Answer::ShardBucket(rows::get(reader, &key::shard_bucket(*bucket)))
        }
        Query::ShardBackends { .. } => Answer::ShardBackends(scans::shard_backends(reader)),
        Query::BlobOf { copy, .. } => Answer::BlobOf(copy::blob_of(reader, *copy)),
    }
}

/// One shard's part of a list.
fn part<L: Listing>(list: &L, reader: &dyn Reader) -> Page<L::Row> {
    merge::in_turn(Merge::new(list.clone(), 1), &[reader])
}

/// The common prefix that rolls a key up, if the delimiter occurs after the list's own prefix.
pub fn rolled_up<'a>(key: &'a str, prefix: &str, delimiter: &str) -> Option<&'a str> {
    if delimiter.is_empty() {
        return None;
    }
    let rest = key.strip_prefix(prefix)?;
    let end = rest.find(delimiter)?.checked_add(delimiter.len())?.checked_add(prefix.len())?;
    key.get(..end)
}

/// Where a list of keys goes on, as text bounds: strictly after a key, or past all of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first key with the list's prefix.
    Prefix,
    /// Strictly after this key.
    After(String),
    /// Past every key with this prefix.
    PastPrefix(String),
}

/// Where results after `after` begin. A marker inside a rolled-up prefix is past that prefix: the
/// prefix itself sorts before the marker, so it was listed already.
pub fn start_of(prefix: &str, delimiter: &str, after: &str) -> Start {
    if after.is_empty() || (after < prefix && !prefix.is_empty()) {
        return Start::Prefix;
    }
    match rolled_up(after, prefix, delimiter) {
        Some(common) => Start::PastPrefix(common.to_owned()),
        None => Start::After(after.to_owned()),
    }
}

fn all<T: crate::convert::Stored>(reader: &dyn Reader, prefix: Prefix) -> Vec<T> {
    scan(reader, &key::all(prefix)).map(|(row_key, value)| rows::decode(&row_key, &value)).collect()
}

fn buckets(
    reader: &dyn Reader,
    owner: Option<UserId>,
    after: Option<&BucketName>,
    prefix: &str,
    limit: usize,
) -> Vec<Bucket> {
    let row_key = |text: &str| match owner {
        Some(owner) => key::bucket_by_owner(owner, text),
        None => key::bucket_names_from(text),
    };
    let first = row_key(prefix);
    let end = prefix_end(&first).unwrap_or_default();
    let after = after.map(|name| row_key(name.as_str())).filter(|after| *after >= first);
    let from = after
        .as_ref()
        .map_or(Bound::Included(first.as_slice()), |after| Bound::Excluded(after.as_slice()));
    reader
        .range(from, Bound::Excluded(&end))
        .filter_map(|(_, id)| {
            let id: [u8; 8] = id.as_ref().try_into().ok()?;
            rows::get(reader, &key::bucket(BucketId(u64::from_be_bytes(id))))
        })
        .take(limit)
        .collect()
}

fn unsettled(reader: &dyn Reader, limit: usize) -> Vec<Bucket> {
    scan(reader, &key::all(Prefix::BucketUnsettled))
        .filter_map(|(row_key, _)| {
            let id: [u8; 8] = row_key.get(1..)?.try_into().ok()?;
            rows::get(reader, &key::bucket(BucketId(u64::from_be_bytes(id))))
        })
        .take(limit)
        .collect()
}

fn access_keys(
    reader: &dyn Reader,
    user: Option<UserId>,
    after: Option<&str>,
    limit: usize,
) -> Vec<AccessKey> {
    let first = key::access_key(after.unwrap_or_default());
    let end = prefix_end(&key::all(Prefix::AccessKey)).unwrap_or_default();
    let from = if after.is_some() {
        Bound::Excluded(first.as_slice())
    } else {
        Bound::Included(first.as_slice())
    };
    reader
        .range(from, Bound::Excluded(&end))
        .map(|(row_key, value)| rows::decode::<AccessKey>(&row_key, &value))
        .filter(|row| user.is_none_or(|user| row.user == user))
        .take(limit)
        .collect()
}

fn users(reader: &dyn Reader, after: Option<UserId>, limit: usize) -> Vec<User> {
    let first = key::user(after.unwrap_or_default());
    let end = prefix_end(&key::all(Prefix::User)).unwrap_or_default();
    let from = if after.is_some() {
        Bound::Excluded(first.as_slice())
    } else {
        Bound::Included(first.as_slice())
    };
    reader
        .range(from, Bound::Excluded(&end))
        .map(|(row_key, value)| rows::decode(&row_key, &value))
        .take(limit)
        .collect()
}

fn one_version(
    reader: &dyn Reader,
    bucket: BucketId,
    key: &ObjectKey,
    selector: Option<VersionSelector>,
    manifest: bool,
) -> Option<VersionEntry> {
    let entry = match selector {
        Some(selector) => version::find(reader, bucket, key, selector),
        None => match version::head(reader, bucket, key) {
            Some(head) => Some(VersionEntry::Object(head)),
            // No live head: S3 tells a delete marker from nothing at all.
            None => version::newest(reader, bucket, key),
        },
    };
    match entry {
        Some(VersionEntry::Object(version)) if manifest => {
            Some(VersionEntry::Object(with_parts(reader, version)))
        }
        other => other,
    }
}

/// The version with all its parts in place of the name of their manifest.
pub fn with_parts(reader: &dyn Reader, version: Version) -> Version {
    match version.body {
        Body::Manifest { .. } => {
            let parts = version::parts(reader, &version);
            Version { body: Body::Parts(parts), ..version }
        }
        Body::Whole(_) | Body::Parts(_) => version,
    }
}

fn parts(
    reader: &dyn Reader,
    bucket: BucketId,
    key: &ObjectKey,
    upload: UploadId,
    after: u16,
    limit: usize,
) -> Option<(Upload, Vec<UploadPart>)> {
    let row = rows::get(reader, &key::upload(bucket, key, upload))?;
    let first = key::part(upload, after);
    let end = prefix_end(&key::parts_of(upload)).unwrap_or_default();
    let found = reader
        .range(Bound::Excluded(&first), Bound::Excluded(&end))
        .map(|(row_key, value)| rows::decode(&row_key, &value))
        .take(limit)
        .collect();
    Some((row, found))
}
