//! Pages over a shard's rows for workers and `verify`: epochs, garbage, blobs, versions.

use std::ops::Bound;

use crate::catalog::{Answer, ScanPosition};
use crate::id::{BackendId, BlobKey, BucketId, EpochId, GroupId, NodeId};
use crate::name::ObjectKey;
use crate::object::{Location, Version, VersionEntry};
use crate::row::{BlobRow, BlobState, Garbage};
use crate::state::key::{self, Prefix};
use crate::state::query::with_parts;
use crate::state::rows;
use crate::tables::{Pair, Reader, prefix_end, scan};
use crate::time::TimeMs;

/// An epoch by its whole name: of which generation, which node, and opened where.
pub type EpochName = (u32, NodeId, EpochId);

/// Garbage of one backend that may be collected by `until`, oldest first. The index leads to it; that it
/// may be deleted, the blob's own row says.
pub fn garbage(
    reader: &dyn Reader,
    backend: BackendId,
    until: TimeMs,
    limit: usize,
) -> Vec<Garbage> {
    let from = key::garbage_from(backend, TimeMs(0));
    let to = key::garbage_from(backend, until.plus_ms(1));
    reader
        .range(Bound::Included(&from), Bound::Excluded(&to))
        .filter_map(|(row_key, _)| key::split_garbage(&row_key))
        .filter_map(|(_, location)| {
            let row: BlobRow = rows::get(reader, &key::blob(location))?;
            match row.state {
                BlobState::Garbage { ready_at } => {
                    Some(Garbage { ready_at, location, size_bytes: row.size_bytes })
                }
                BlobState::Live(_) | BlobState::Spent => None,
            }
        })
        .take(limit)
        .collect()
}

/// Blob rows in key order.
pub fn blobs(
    reader: &dyn Reader,
    after: Option<Location>,
    limit: usize,
) -> Vec<(Location, BlobRow)> {
    let prefix = key::all(Prefix::Blob);
    after_row(reader, &prefix, after.map(key::blob))
        .filter_map(|(row_key, value)| {
            Some((key::split_blob(&row_key)?, rows::decode(&row_key, &value)))
        })
        .take(limit)
        .collect()
}

/// Rows of a prefix strictly after a row, or from the first on.
pub(crate) fn after_row<'a>(
    reader: &'a dyn Reader,
    prefix: &[u8],
    after: Option<Vec<u8>>,
) -> Box<dyn Iterator<Item = Pair> + 'a> {
    let end = prefix_end(prefix).unwrap_or_default();
    let from = after.as_deref().map_or(Bound::Included(prefix), Bound::Excluded);
    reader.range(from, Bound::Excluded(&end))
}

/// The epoch and which blobs of it must be kept, in one view: what a sweep may trust.
pub fn sweep_view(
    reader: &dyn Reader,
    shard: GroupId,
    backend: BackendId,
    (generation, node, epoch): EpochName,
    blobs: &[BlobKey],
) -> Answer {
    let mut garbage = false;
    let mut keeps = |blob: &&BlobKey| {
        let name = (blob.generation, blob.node, blob.epoch);
        // A key of another epoch is not this sweep's to judge: unknown means keep.
        if blob.shard != shard || name != (generation, node, epoch) {
            return true;
        }
        let row: Option<BlobRow> = rows::get(reader, &key::blob(Location { backend, key: **blob }));
        match row.map(|row| row.state) {
            Some(BlobState::Live(_)) => true,
            Some(BlobState::Garbage { .. }) => {
                garbage = true;
                true
            }
            Some(BlobState::Spent) | None => false,
        }
    };
    let kept = blobs.iter().filter(&mut keeps).copied().collect();
    let epoch = rows::get(reader, &key::epoch(generation, node, epoch));
    Answer::SweepView { epoch, kept, garbage }
}

/// All heads first, then all rows of versioned buckets.
pub fn versions(
    reader: &dyn Reader,
    after: Option<&ScanPosition>,
    limit: usize,
) -> Vec<(ScanPosition, VersionEntry)> {
    let mut found = Vec::new();
    let in_heads = after.is_none_or(|position| position.version.is_none());
    if in_heads {
        let after = after.map(|position| key::head(position.bucket, position.key.as_str()));
        let heads = after_row(reader, &key::all(Prefix::Head), after);
        found.extend(heads.filter_map(|row| head_of(reader, &row)).take(limit));
    }
    let after = match after {
        Some(position) if !in_heads => position.version.map(|id| version_row(reader, position, id)),
        Some(_) | None => None,
    };
    let room = limit.saturating_sub(found.len());
    let rest = after_row(reader, &key::all(Prefix::Version), after);
    found.extend(rest.filter_map(|row| version_of(reader, &row)).take(room));
    found
}

/// The row of a scanned version: its own, or the null version's fixed place.
fn version_row(reader: &dyn Reader, position: &ScanPosition, id: crate::id::VersionId) -> Vec<u8> {
    let null = key::null_version(position.bucket, &position.key);
    let null_id = rows::get::<VersionEntry>(reader, &null).map(|entry| entry.id());
    if null_id == Some(id) { null } else { key::version(position.bucket, &position.key, id) }
}

fn head_of(reader: &dyn Reader, (row_key, value): &Pair) -> Option<(ScanPosition, VersionEntry)> {
    let (bucket, text) = key::split_head(row_key)?;
    let version: Version = rows::decode(row_key, value);
    let position = ScanPosition { bucket, key: ObjectKey::parse(text).ok()?, version: None };
    Some((position, VersionEntry::Object(with_parts(reader, version))))
}

fn version_of(
    reader: &dyn Reader,
    (row_key, value): &Pair,
) -> Option<(ScanPosition, VersionEntry)> {
    let (bucket, key, _): (BucketId, _, _) = key::split_version(row_key)?;
    let entry = match rows::decode::<VersionEntry>(row_key, value) {
        VersionEntry::Object(version) => VersionEntry::Object(with_parts(reader, version)),
        VersionEntry::DeleteMarker(marker) => VersionEntry::DeleteMarker(marker),
    };
    let position = ScanPosition { bucket, key, version: Some(entry.id()) };
    Some((position, entry))
}

/// What the shard knows and counts of every backend.
pub fn shard_backends(reader: &dyn Reader) -> Vec<(BackendId, crate::row::ShardBackend)> {
    scan(reader, &key::all(Prefix::ShardBackend))
        .filter_map(|(row_key, value)| {
            let id: [u8; 4] = row_key.get(1..)?.try_into().ok()?;
            Some((BackendId(u32::from_be_bytes(id)), rows::decode(&row_key, &value)))
        })
        .collect()
}
