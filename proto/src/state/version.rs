//! The two tables of versions kept in step: `o` holds the live head of every key and nothing else,
//! `v` holds all versions and delete markers of buckets that are, or were, versioned.

use crate::id::{BucketId, VersionId};
use crate::name::ObjectKey;
use crate::object::{Blob, Body, INLINE_PARTS_MAX, Manifest, Part, Version, VersionEntry};
use crate::row::ShardBucket;
use crate::state::key::Prefix;
use crate::state::{Context, blob, key, rows};
use crate::tables::{Reader, scan};

/// The live head of a key.
pub fn head(reader: &(impl Reader + ?Sized), bucket: BucketId, key: &ObjectKey) -> Option<Version> {
    rows::get(reader, &key::head(bucket, key.as_str()))
}

/// The newest version or delete marker of a key in `v`, the null version merged in by its position.
pub fn newest(reader: &dyn Reader, bucket: BucketId, key: &ObjectKey) -> Option<VersionEntry> {
    let null: Option<VersionEntry> = rows::get(reader, &key::null_version(bucket, key));
    let first = scan(reader, &key::of_key(Prefix::Version, bucket, key.as_str())).next();
    let first = first.map(|(row_key, value)| rows::decode::<VersionEntry>(&row_key, &value));
    match (first, null) {
        (Some(first), Some(null)) if null.id() > first.id() => Some(null),
        (Some(first), _) => Some(first),
        (None, null) => null,
    }
}

/// One version by its own row, or the head where that is the version and has no other row.
pub fn find(
    reader: &dyn Reader,
    bucket: BucketId,
    key: &ObjectKey,
    selector: crate::command::VersionSelector,
) -> Option<VersionEntry> {
    use crate::command::VersionSelector;
    match selector {
        // An id of all zeros leads to the row of the null version, which no id names.
        VersionSelector::Id(id) => rows::get(reader, &key::version(bucket, key, id))
            .filter(|entry: &VersionEntry| !entry.null()),
        VersionSelector::Null => rows::get(reader, &key::null_version(bucket, key)).or_else(|| {
            let head = head(reader, bucket, key).filter(|head| head.null)?;
            Some(VersionEntry::Object(head))
        }),
    }
}

/// One version of a key by its id, whether or not S3 shows it as `null`.
pub fn by_id(
    reader: &dyn Reader,
    bucket: BucketId,
    key: &ObjectKey,
    id: VersionId,
) -> Option<Version> {
    if let Some(head) = head(reader, bucket, key).filter(|head| head.id == id) {
        return Some(head);
    }
    let rows = [key::version(bucket, key, id), key::null_version(bucket, key)];
    let entry = rows
        .iter()
        .filter_map(|row_key| rows::get::<VersionEntry>(reader, row_key))
        .find(|entry| entry.id() == id)?;
    match entry {
        VersionEntry::Object(version) => Some(version),
        VersionEntry::DeleteMarker(_) => None,
    }
}

/// Writes a version that is known to every row that it has.
pub(crate) fn update(
    context: &mut Context<'_>,
    bucket: BucketId,
    key: &ObjectKey,
    version: &Version,
) {
    if head(context.tables, bucket, key).is_some_and(|head| head.id == version.id) {
        set_head(context, bucket, key, Some(version));
    }
    let row_key = if version.null {
        key::null_version(bucket, key)
    } else {
        key::version(bucket, key, version.id)
    };
    let stored: Option<VersionEntry> = rows::get(context.tables, &row_key);
    if stored.is_some_and(|entry| entry.id() == version.id) {
        rows::put(context.tables, row_key, &VersionEntry::Object(version.clone()));
    }
}

/// Every part of a version, or its one blob.
pub fn blobs(reader: &(impl Reader + ?Sized), version: &Version) -> Vec<Blob> {
    match &version.body {
        Body::Whole(blob) => vec![blob.clone()],
        Body::Parts(parts) => parts.iter().map(|part| part.blob.clone()).collect(),
        Body::Manifest { .. } => parts(reader, version).into_iter().map(|part| part.blob).collect(),
    }
}

/// The parts of a version, also where they have a row of their own. Empty for one put whole.
pub fn parts(reader: &(impl Reader + ?Sized), version: &Version) -> Vec<Part> {
    match &version.body {
        Body::Whole(_) => Vec::new(),
        Body::Parts(parts) => parts.clone(),
        Body::Manifest { .. } => rows::get::<Manifest>(reader, &key::manifest(version.id))
            .map_or_else(Vec::new, |manifest| manifest.0),
    }
}

/// Puts parts where they belong: into the version's row, or a manifest row of their own.
pub(crate) fn body_of_parts(context: &mut Context<'_>, parts: Vec<Part>) -> Body {
    if parts.len() <= INLINE_PARTS_MAX {
        return Body::Parts(parts);
    }
    let count = u16::try_from(parts.len()).unwrap_or(u16::MAX);
    let row_key = key::manifest(context.minted());
    rows::put(context.tables, row_key, &Manifest(parts));
    Body::Manifest { parts: count }
}

/// A head written before the bucket had versions becomes the null version, so that it is not lost.
pub(crate) fn adopt_null_head(context: &mut Context<'_>, bucket: BucketId, key: &ObjectKey) {
    let row_key = key::null_version(bucket, key);
    if context.tables.get(&row_key).is_some() {
        return;
    }
    if let Some(head) = head(context.tables, bucket, key)
        && head.null
    {
        rows::put(context.tables, row_key, &VersionEntry::Object(head));
    }
}

/// Removes a version's row of `v`, and lets go of its bytes. The head is the caller's business.
pub(crate) fn remove_entry(
    context: &mut Context<'_>,
    bucket: BucketId,
    key: &ObjectKey,
    entry: &VersionEntry,
) {
    let row_key = if entry.null() {
        key::null_version(bucket, key)
    } else {
        key::version(bucket, key, entry.id())
    };
    context.tables.delete(&row_key);
    match entry {
        VersionEntry::Object(version) => release(context, bucket, version),
        VersionEntry::DeleteMarker(_) => {}
    }
}

/// Lets go of a version's bytes and counts it out.
pub(crate) fn release(context: &mut Context<'_>, bucket: BucketId, version: &Version) {
    for blob in blobs(context.tables, version) {
        blob::release(context, &blob);
    }
    match version.body {
        Body::Manifest { .. } => context.tables.delete(&key::manifest(version.id)),
        Body::Whole(_) | Body::Parts(_) => {}
    }
    count(context, bucket, |row| {
        row.size_bytes = row.size_bytes.saturating_sub(version.size_bytes)
    });
}

/// Makes a version the live head, or leaves the key without one.
pub(crate) fn set_head(
    context: &mut Context<'_>,
    bucket: BucketId,
    key: &ObjectKey,
    version: Option<&Version>,
) {
    let row_key = key::head(bucket, key.as_str());
    let had = context.tables.get(&row_key).is_some();
    match version {
        Some(version) => {
            rows::put(context.tables, row_key, version);
            if !had {
                count(context, bucket, |row| row.objects = row.objects.saturating_add(1));
            }
        }
        None => {
            context.tables.delete(&row_key);
            if had {
                count(context, bucket, |row| row.objects = row.objects.saturating_sub(1));
            }
        }
    }
}

/// Changes what the shard counts of a bucket.
pub(crate) fn count(
    context: &mut Context<'_>,
    bucket: BucketId,
    change: impl FnOnce(&mut ShardBucket),
) {
    let row_key = key::shard_bucket(bucket);
    if let Some(mut row) = rows::get::<ShardBucket>(context.tables, &row_key) {
        change(&mut row);
        rows::put(context.tables, row_key, &row);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;
    use crate::command::VersionSelector;
    use crate::convert::{Stored, arbitrary};
    use crate::id::VersionId;
    use crate::object::DeleteMarker;
    use crate::tables::{MemTables, Tables};

    proptest! {
        #[test]
        fn no_id_names_the_null_version(
            entry in arbitrary::version_entry(),
            id in prop_oneof![Just(VersionId::default()), arbitrary::version_id()],
        ) {
            let null = match entry {
                VersionEntry::Object(version) => {
                    VersionEntry::Object(Version { null: true, ..version })
                }
                VersionEntry::DeleteMarker(marker) => {
                    VersionEntry::DeleteMarker(DeleteMarker { null: true, ..marker })
                }
            };
            let (bucket, key) = (BucketId(1), ObjectKey::parse("k").unwrap());
            let mut tables = MemTables::default();
            tables.put(key::null_version(bucket, &key), null.encode());
            prop_assert_eq!(find(&tables, bucket, &key, VersionSelector::Id(id)), None);
            prop_assert_eq!(find(&tables, bucket, &key, VersionSelector::Null), Some(null));
        }
    }
}
