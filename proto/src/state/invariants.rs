//! What is always true of a shard's rows, one function each with its why. Property tests check them
//! after every step; `verify` checks the ones that speak of bytes against the backends.
//!
//! They read whole tables, so they are for tests and audits of small states only.
//!
//! I5 (linearizable per key) and I6 (exactly once) are statements about histories: the property
//! tests' model and the harness check them. I8 is `snapshot::state_hash` at equal index.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{BackendId, BlobKey, BucketId};
use crate::name::ObjectKey;
use crate::object::{Blob, Location, Version, VersionEntry};
use crate::row::{BlobOwner, BlobRow, BlobState, Epoch, EpochState, ShardBucket, UploadPart};
use crate::state::key::{self, Prefix};
use crate::state::query::scans;
use crate::state::{backend, rows, upload, version};
use crate::tables::{Reader, scan};

/// An invariant that does not hold, with the row that shows it.
pub type Violation = String;

/// Every check; the first violation of each.
pub fn check(reader: &dyn Reader) -> Vec<Violation> {
    [
        i1_references_are_live(reader),
        i2_one_owner_per_blob(reader),
        copies_are_on_different_backends(reader),
        i3_garbage_is_unreferenced(reader),
        i4_garbage_index_is_exact(reader),
        i7_swept_epochs_own_nothing_spent(reader),
        i9_place_epochs_are_positive(reader),
        i10_objects_have_their_bucket(reader),
        heads_are_the_newest(reader),
        counters_are_exact(reader),
        bucket_counters_are_exact(reader),
        backends_are_told_apart(reader),
    ]
    .into_iter()
    .filter_map(Result::err)
    .collect()
}

fn blob_rows(reader: &dyn Reader) -> BTreeMap<Location, BlobRow> {
    scan(reader, &key::all(Prefix::Blob))
        .filter_map(|(row_key, value)| {
            Some((key::split_blob(&row_key)?, rows::decode(&row_key, &value)))
        })
        .collect()
}

/// Every version once: rows of `v`, and heads that have no row there.
fn versions(reader: &dyn Reader) -> Vec<(BucketId, ObjectKey, Version)> {
    let mut found: BTreeMap<_, (BucketId, ObjectKey, Version)> = BTreeMap::new();
    for (row_key, value) in scan(reader, &key::all(Prefix::Head)) {
        if let Some((bucket, text)) = key::split_head(&row_key)
            && let Ok(key) = ObjectKey::parse(text)
        {
            let head: Version = rows::decode(&row_key, &value);
            found.insert(head.id, (bucket, key, head));
        }
    }
    for (row_key, value) in scan(reader, &key::all(Prefix::Version)) {
        if let Some((bucket, key, _)) = key::split_version(&row_key)
            && let VersionEntry::Object(version) = rows::decode(&row_key, &value)
        {
            found.insert(version.id, (bucket, key, version));
        }
    }
    found.into_values().collect()
}

/// Every reference to bytes, with who makes it.
fn references(reader: &dyn Reader) -> BTreeMap<Location, Vec<BlobOwner>> {
    let mut found: BTreeMap<Location, Vec<BlobOwner>> = BTreeMap::new();
    let mut add = |blob: Blob, owner: &BlobOwner| {
        for location in blob.copies {
            found.entry(location).or_default().push(owner.clone());
        }
    };
    for (bucket, key, version) in versions(reader) {
        let owner = BlobOwner::Version { bucket, key, version: version.id };
        for blob in version::blobs(reader, &version) {
            add(blob, &owner);
        }
    }
    for (row_key, _) in scan(reader, &key::all(Prefix::Upload)) {
        if let Some((bucket, key, upload)) = key::split_upload(&row_key) {
            for UploadPart { part, .. } in upload::parts(reader, upload) {
                let (key, number) = (key.clone(), part.number);
                add(part.blob, &BlobOwner::Part { bucket, key, upload, number });
            }
        }
    }
    found
}

/// I1: what a visible version or an open upload refers to is live, with the recorded size.
pub fn i1_references_are_live(reader: &dyn Reader) -> Result<(), Violation> {
    let blobs = blob_rows(reader);
    for location in references(reader).keys() {
        match blobs.get(location).map(|row| &row.state) {
            Some(BlobState::Live(_)) => {}
            other => return Err(format!("I1: {location:?} is referenced but {other:?}")),
        }
    }
    Ok(())
}

/// I2: a live blob belongs to exactly one version or part, and its row says to which: repair finds it by that.
pub fn i2_one_owner_per_blob(reader: &dyn Reader) -> Result<(), Violation> {
    let references = references(reader);
    for (location, row) in blob_rows(reader) {
        let owners = references.get(&location).map_or(&[][..], Vec::as_slice);
        if let BlobState::Live(owner) = row.state
            && owners != [owner.clone()]
        {
            return Err(format!("I2: live {location:?} of {owner:?} is referred to by {owners:?}"));
        }
    }
    Ok(())
}

/// Copies of one blob on one backend would be lost together.
pub fn copies_are_on_different_backends(reader: &dyn Reader) -> Result<(), Violation> {
    for (_, key, version) in versions(reader) {
        for blob in version::blobs(reader, &version) {
            let backends: BTreeSet<_> = blob.copies.iter().map(|copy| copy.backend).collect();
            if backends.len() != blob.copies.len() {
                return Err(format!("{key}: two of {:?} are on one backend", blob.copies));
            }
        }
    }
    Ok(())
}

/// I3: bytes that may be deleted are referred to by nothing.
pub fn i3_garbage_is_unreferenced(reader: &dyn Reader) -> Result<(), Violation> {
    let references = references(reader);
    for (location, row) in blob_rows(reader) {
        if !matches!(row.state, BlobState::Live(_)) && references.contains_key(&location) {
            return Err(format!("I3: {location:?} is {:?} and referenced", row.state));
        }
    }
    Ok(())
}

/// I4: no garbage is forgotten: the index and the blob rows say the same.
pub fn i4_garbage_index_is_exact(reader: &dyn Reader) -> Result<(), Violation> {
    let indexed: BTreeSet<_> = scan(reader, &key::all(Prefix::Garbage))
        .filter_map(|(row_key, _)| key::split_garbage(&row_key))
        .map(|(ready_at, location)| (location, ready_at))
        .collect();
    let stated: BTreeSet<_> = blob_rows(reader)
        .into_iter()
        .filter_map(|(location, row)| match row.state {
            BlobState::Garbage { ready_at } => Some((location, ready_at)),
            BlobState::Live(_) | BlobState::Spent => None,
        })
        .collect();
    match indexed.symmetric_difference(&stated).next() {
        Some(odd) => Err(format!("I4: garbage index and blob rows differ at {odd:?}")),
        None => Ok(()),
    }
}

/// I7: an epoch whose row is gone leaves no spent blob behind, which would be kept for ever.
pub fn i7_swept_epochs_own_nothing_spent(reader: &dyn Reader) -> Result<(), Violation> {
    let epochs: Vec<Epoch> = scan(reader, &key::all(Prefix::Epoch))
        .map(|(row_key, value)| rows::decode(&row_key, &value))
        .collect();
    let known = |blob: &BlobKey| {
        let name = (blob.generation, blob.node, blob.epoch);
        epochs.iter().any(|epoch| (epoch.generation, epoch.node, epoch.id) == name)
    };
    for (location, row) in blob_rows(reader) {
        if row.state == BlobState::Spent && !known(&location.key) {
            return Err(format!("I7: spent {location:?} of a forgotten epoch"));
        }
    }
    for epoch in &epochs {
        if let EpochState::Closed { sweeps, .. } = &epoch.state
            && sweeps.iter().any(|sweep| sweep.done == 0)
        {
            return Err(format!("I7: epoch {} records a sweep that was not done", epoch.id));
        }
    }
    Ok(())
}

/// I9: a placement was chosen at least once; transitions only raise it.
pub fn i9_place_epochs_are_positive(reader: &dyn Reader) -> Result<(), Violation> {
    match versions(reader).iter().find(|(_, _, version)| version.place_epoch == 0) {
        Some((_, key, version)) => Err(format!("I9: {key} {} has no place epoch", version.id)),
        None => Ok(()),
    }
}

/// I10: a shard holds nothing of a bucket it was never told of.
pub fn i10_objects_have_their_bucket(reader: &dyn Reader) -> Result<(), Violation> {
    for (bucket, key, _) in versions(reader) {
        if rows::get::<ShardBucket>(reader, &key::shard_bucket(bucket)).is_none() {
            return Err(format!("I10: {key} in unknown bucket {bucket}"));
        }
    }
    Ok(())
}

/// The head of a key is its newest version; where that is a delete marker there is no head.
pub fn heads_are_the_newest(reader: &dyn Reader) -> Result<(), Violation> {
    for (row_key, _) in scan(reader, &key::all(Prefix::Version)) {
        let Some((bucket, key, _)) = key::split_version(&row_key) else {
            return Err(format!("unreadable version row {}", hex::encode(&row_key)));
        };
        let head = version::head(reader, bucket, &key).map(|head| head.id);
        let newest = match version::newest(reader, bucket, &key) {
            Some(VersionEntry::Object(version)) => Some(version.id),
            Some(VersionEntry::DeleteMarker(_)) | None => None,
        };
        if head != newest {
            return Err(format!("head of {key} is {head:?}, its newest version {newest:?}"));
        }
    }
    Ok(())
}

/// What the shard counts of backends is what it holds there: removal relies on it.
pub fn counters_are_exact(reader: &dyn Reader) -> Result<(), Violation> {
    let mut live: BTreeMap<BackendId, (u64, u64)> = BTreeMap::new();
    for (location, row) in blob_rows(reader) {
        if matches!(row.state, BlobState::Live(_)) {
            let (count, bytes) = live.entry(location.backend).or_default();
            *count = count.saturating_add(1);
            *bytes = bytes.saturating_add(row.size_bytes);
        }
    }
    for (id, row) in scans::shard_backends(reader) {
        // Taken out, so that what is left belongs to a backend that the shard was never told of.
        let held = live.remove(&id).unwrap_or_default();
        if (row.live_blobs, row.live_bytes) != held {
            let stated = (row.live_blobs, row.live_bytes);
            return Err(format!("backend {id}: counted {stated:?}, holds {held:?}"));
        }
    }
    if let Some((id, held)) = live.first_key_value() {
        return Err(format!("backend {id} has no row and holds {held:?}"));
    }
    Ok(())
}

/// What the shard counts of buckets is what it holds of them: billing relies on it.
pub fn bucket_counters_are_exact(reader: &dyn Reader) -> Result<(), Violation> {
    let mut sizes: BTreeMap<BucketId, u64> = BTreeMap::new();
    for (bucket, _, version) in versions(reader) {
        let size = sizes.entry(bucket).or_default();
        *size = size.saturating_add(version.size_bytes);
    }
    for (row_key, value) in scan(reader, &key::all(Prefix::ShardBucket)) {
        let row: ShardBucket = rows::decode(&row_key, &value);
        let id = row_key.get(1..).and_then(|id| id.try_into().ok()).map(u64::from_be_bytes);
        let bucket = BucketId(id.unwrap_or_default());
        let heads = scan(reader, &key::of_bucket(Prefix::Head, bucket)).count();
        let held = (
            u64::try_from(heads).unwrap_or(u64::MAX),
            sizes.get(&bucket).copied().unwrap_or_default(),
        );
        if (row.objects, row.size_bytes) != held {
            return Err(format!(
                "bucket {bucket}: counted {:?}, holds {held:?}",
                (row.objects, row.size_bytes)
            ));
        }
    }
    Ok(())
}

/// A name and a node mean one backend, and a pool is of one kind: a node that starts finds its disk by them.
pub fn backends_are_told_apart(reader: &dyn Reader) -> Result<(), Violation> {
    let mut known = BTreeSet::new();
    let mut kinds = BTreeMap::new();
    let named = backend::all(reader).into_iter().filter(|row| !row.state.is_gone());
    for row in named {
        if !known.insert((row.name.clone(), row.node)) {
            return Err(format!("backend {}: two rows of node {:?}", row.name, row.node));
        }
        let kind = kinds.entry(row.name.clone()).or_insert_with(|| row.kind.clone());
        if *kind != row.kind {
            return Err(format!("backend {}: is {kind} and {}", row.name, row.kind));
        }
    }
    Ok(())
}
