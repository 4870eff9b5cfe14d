//! Copies that come and go while a version stays what it is: how lost copies are repaired and backends emptied. Bytes
//! come before metadata here as well, and an overwrite or a DELETE meanwhile wins.

use crate::command::PutCopy;
use crate::object::{Blob, Body, Location, Manifest, Part, Version};
use crate::response::{Rejection, Response};
use crate::row::{BlobOwner, BlobRow, BlobState, UploadPart};
use crate::state::{Context, blob, guard, key, rows, version};
use crate::tables::Reader;

/// Adds a copy to the bytes that `beside` is a copy of, or puts it in its place.
pub(crate) fn put(context: &mut Context<'_>, put: &PutCopy) -> Response {
    let [new] = put.blob.copies.as_slice() else {
        return Response::Rejected(Rejection::Malformed);
    };
    if let Err(rejection) = guard::new_bytes(context, &put.blob) {
        return Response::Rejected(rejection);
    }
    match place(context, put, *new) {
        Ok(()) => Response::Done,
        Err(rejection) => {
            blob::discard_new(context, &put.blob);
            Response::Rejected(rejection)
        }
    }
}

/// Changes nothing where it fails.
fn place(context: &mut Context<'_>, put: &PutCopy, new: Location) -> Result<(), Rejection> {
    let row: BlobRow =
        rows::get(context.tables, &key::blob(put.beside)).ok_or(Rejection::Superseded)?;
    let known = (row.size_bytes, row.crc64nvme);
    if matches!(row.state, BlobState::Live(_)) && known != (put.blob.size_bytes, put.blob.crc64nvme)
    {
        return Err(Rejection::BadDigest);
    }
    let owner = change(context, put.beside, &|blob| swap(blob, put, new))?;
    blob::make_live(context, &put.blob, &owner);
    if put.replaces {
        blob::release(context, &Blob { copies: vec![put.beside], ..put.blob.clone() });
    }
    Ok(())
}

/// Gives up one copy of several. The last one that is left stays: only its version can let go of it.
pub(crate) fn drop_one(context: &mut Context<'_>, copy: Location) -> Response {
    let Some(blob) = blob_of(context.tables, copy) else {
        return Response::Rejected(Rejection::Superseded);
    };
    let is_left =
        |other: &Location| *other != copy && !blob::is_gone(context.tables, other.backend);
    if !blob.copies.iter().any(is_left) {
        return Response::Rejected(Rejection::Superseded);
    }
    let without = |blob: &mut Blob| {
        blob.copies.retain(|other| *other != copy);
        Ok(())
    };
    match change(context, copy, &without) {
        Ok(_) => {
            blob::release(context, &Blob { copies: vec![copy], ..blob });
            Response::Done
        }
        Err(rejection) => Response::Rejected(rejection),
    }
}

/// The live blob that this is a copy of, with all its copies.
pub fn blob_of(reader: &dyn Reader, copy: Location) -> Option<Blob> {
    let row: BlobRow = rows::get(reader, &key::blob(copy))?;
    let BlobState::Live(owner) = row.state else {
        return None;
    };
    let blobs = match &owner {
        BlobOwner::Version { bucket, key, version } => {
            version::blobs(reader, &version::by_id(reader, *bucket, key, *version)?)
        }
        BlobOwner::Part { upload, number, .. } => {
            let row: UploadPart = rows::get(reader, &key::part(*upload, *number))?;
            vec![row.part.blob]
        }
    };
    blobs.into_iter().find(|blob| blob.copies.contains(&copy))
}

/// Puts the new copy among the others, or in the place of one. Two copies on one backend would be lost together.
fn swap(blob: &mut Blob, put: &PutCopy, new: Location) -> Result<(), Rejection> {
    let given_up = |copy: &Location| put.replaces && *copy == put.beside;
    let doubles = |copy: &Location| copy.backend == new.backend && !given_up(copy);
    if blob.copies.iter().any(doubles) {
        return Err(Rejection::Superseded);
    }
    match blob.copies.iter_mut().find(|copy| given_up(copy)) {
        Some(copy) => *copy = new,
        None => blob.copies.push(new),
    }
    Ok(())
}

/// A change to the list of copies of one blob. It changes nothing where it fails.
type Change<'a> = &'a dyn Fn(&mut Blob) -> Result<(), Rejection>;

/// Changes the copies of the live blob that has this one, in every row that names them, and answers whose it is.
fn change(
    context: &mut Context<'_>,
    copy: Location,
    change: Change<'_>,
) -> Result<BlobOwner, Rejection> {
    let row: BlobRow = rows::get(context.tables, &key::blob(copy)).ok_or(Rejection::Superseded)?;
    let BlobState::Live(owner) = row.state else {
        return Err(Rejection::Superseded);
    };
    match &owner {
        BlobOwner::Version { bucket, key, version } => {
            let found = version::by_id(context.tables, *bucket, key, *version);
            let changed = in_version(context, found.ok_or(Rejection::Superseded)?, copy, change)?;
            version::update(context, *bucket, key, &changed);
        }
        BlobOwner::Part { upload, number, .. } => {
            let row_key = key::part(*upload, *number);
            let mut row: UploadPart =
                rows::get(context.tables, &row_key).ok_or(Rejection::Superseded)?;
            in_blob(&mut row.part.blob, copy, change)?;
            rows::put(context.tables, row_key, &row);
        }
    }
    Ok(owner)
}

fn in_blob(blob: &mut Blob, copy: Location, change: Change<'_>) -> Result<(), Rejection> {
    match blob.copies.contains(&copy) {
        true => change(blob),
        false => Err(Rejection::Superseded),
    }
}

fn in_parts(parts: &mut [Part], copy: Location, change: Change<'_>) -> Result<(), Rejection> {
    let part = parts.iter_mut().find(|part| part.blob.copies.contains(&copy));
    in_blob(&mut part.ok_or(Rejection::Superseded)?.blob, copy, change)
}

/// Its parts, also where they have a row of their own, and its place epoch (I9).
fn in_version(
    context: &mut Context<'_>,
    mut version: Version,
    copy: Location,
    change: Change<'_>,
) -> Result<Version, Rejection> {
    match &mut version.body {
        Body::Whole(blob) => in_blob(blob, copy, change)?,
        Body::Parts(parts) => in_parts(parts, copy, change)?,
        Body::Manifest { .. } => {
            let row_key = key::manifest(version.id);
            let mut manifest: Manifest =
                rows::get(context.tables, &row_key).ok_or(Rejection::Superseded)?;
            in_parts(&mut manifest.0, copy, change)?;
            rows::put(context.tables, row_key, &manifest);
        }
    }
    version.place_epoch = version.place_epoch.saturating_add(1);
    Ok(version)
}
