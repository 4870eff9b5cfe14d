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
    let BlobState::Live(owner) = row.state else {
        return Err(Rejection::Superseded);
    };
    if (row.size_bytes, row.crc64nvme) != (put.blob.size_bytes, put.blob.crc64nvme) {
        return Err(Rejection::BadDigest);
    }
    let swap = Swap { beside: put.beside, replaces: put.replaces, new };
    match &owner {
        BlobOwner::Version { bucket, key, version } => {
            let found = version::by_id(context.tables, *bucket, key, *version);
            let moved = swap.in_version(context, found.ok_or(Rejection::Superseded)?)?;
            version::update(context, *bucket, key, &moved);
        }
        BlobOwner::Part { upload, number, .. } => {
            let row_key = key::part(*upload, *number);
            let mut row: UploadPart =
                rows::get(context.tables, &row_key).ok_or(Rejection::Superseded)?;
            swap.in_blob(&mut row.part.blob)?;
            rows::put(context.tables, row_key, &row);
        }
    }
    blob::make_live(context, &put.blob, &owner);
    if put.replaces {
        blob::release(context, &Blob { copies: vec![put.beside], ..put.blob.clone() });
    }
    Ok(())
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

/// The change to the list of copies of one blob.
struct Swap {
    beside: Location,
    replaces: bool,
    new: Location,
}

impl Swap {
    fn is_in(&self, blob: &Blob) -> bool {
        blob.copies.contains(&self.beside)
    }

    /// Two copies on one backend would be lost together.
    fn in_blob(&self, blob: &mut Blob) -> Result<(), Rejection> {
        let given_up = |copy: &Location| self.replaces && *copy == self.beside;
        let doubles = |copy: &Location| copy.backend == self.new.backend && !given_up(copy);
        if !self.is_in(blob) || blob.copies.iter().any(doubles) {
            return Err(Rejection::Superseded);
        }
        match blob.copies.iter_mut().find(|copy| given_up(copy)) {
            Some(copy) => *copy = self.new,
            None => blob.copies.push(self.new),
        }
        Ok(())
    }

    fn in_parts(&self, parts: &mut [Part]) -> Result<(), Rejection> {
        let part = parts.iter_mut().find(|part| self.is_in(&part.blob));
        self.in_blob(&mut part.ok_or(Rejection::Superseded)?.blob)
    }

    /// Its parts, also where they have a row of their own, and its place epoch (I9).
    fn in_version(
        &self,
        context: &mut Context<'_>,
        mut version: Version,
    ) -> Result<Version, Rejection> {
        match &mut version.body {
            Body::Whole(blob) => self.in_blob(blob)?,
            Body::Parts(parts) => self.in_parts(parts)?,
            Body::Manifest { .. } => {
                let row_key = key::manifest(version.id);
                let mut manifest: Manifest =
                    rows::get(context.tables, &row_key).ok_or(Rejection::Superseded)?;
                self.in_parts(&mut manifest.0)?;
                rows::put(context.tables, row_key, &manifest);
            }
        }
        version.place_epoch = version.place_epoch.saturating_add(1);
        Ok(version)
    }
}
