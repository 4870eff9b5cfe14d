//! Multipart uploads. Each part is a blob of its own; completing copies no byte, and a failed
//! complete keeps the upload.

use md5::{Digest, Md5};

use crate::command::{CompleteUpload, CreateUpload, ListedPart, PutPart, Target};
use crate::etag::ETag;
use crate::id::UploadId;
use crate::object::{Part, Version};
use crate::response::{Rejection, Response};
use crate::row::{BlobOwner, Completed, ShardBucket, Upload, UploadPart, Versioning};
use crate::state::guard::{self, Intent};
use crate::state::{Context, blob, key, object, rows, version};
use crate::tables::{Reader, scan};

/// Every part but the last has at least this size
/// (docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
pub const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// The largest object.
pub const OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024 * 1024;
/// The largest part number.
pub const PART_NUMBER_MAX: u16 = 10_000;

/// Begins an upload; its id says which shard owns it.
pub(crate) fn create(context: &mut Context<'_>, create: &CreateUpload) -> Response {
    if let Err(rejection) = guard::bucket(context, &create.target, Intent::Add) {
        return Response::Rejected(rejection);
    }
    let upload = UploadId { shard: context.group, created: context.minted() };
    let row = Upload {
        owner: create.owner,
        created: context.now,
        attributes: create.attributes.clone(),
        checksum: create.checksum,
    };
    rows::put(context.tables, key::upload(create.target.bucket, &create.target.key, upload), &row);
    Response::UploadCreated { upload }
}

/// Records a part. A part put again replaces the former one.
pub(crate) fn put_part(context: &mut Context<'_>, put: &PutPart) -> Response {
    if let Err(rejection) = guard::bucket(context, &put.target, Intent::Add) {
        return Response::Rejected(rejection);
    }
    if let Err(rejection) = guard::new_bytes(context, &put.blob) {
        return Response::Rejected(rejection);
    }
    if put.number == 0 || put.number > PART_NUMBER_MAX {
        return Response::Rejected(Rejection::Malformed);
    }
    if find(context.tables, &put.target, put.upload).is_none() {
        blob::discard_new(context, &put.blob);
        return Response::Rejected(Rejection::NoSuchUpload);
    }
    let row_key = key::part(put.upload, put.number);
    if let Some(former) = rows::get::<UploadPart>(context.tables, &row_key) {
        blob::release(context, &former.part.blob);
    }
    let owner = BlobOwner::Part {
        bucket: put.target.bucket,
        key: put.target.key.clone(),
        upload: put.upload,
        number: put.number,
    };
    blob::make_live(context, &put.blob, &owner);
    let row = UploadPart {
        part: Part {
            number: put.number,
            md5: put.md5,
            checksum: put.checksum.clone(),
            blob: put.blob.clone(),
        },
        modified: context.now,
    };
    rows::put(context.tables, row_key, &row);
    Response::PartPut { modified: context.now }
}

/// An open upload of this very bucket and key.
fn find(reader: &(impl Reader + ?Sized), target: &Target, upload: UploadId) -> Option<Upload> {
    rows::get(reader, &key::upload(target.bucket, &target.key, upload))
}

/// The parts of an open upload, in order.
pub fn parts(reader: &dyn Reader, upload: UploadId) -> Vec<UploadPart> {
    scan(reader, &key::parts_of(upload))
        .map(|(row_key, value)| rows::decode(&row_key, &value))
        .collect()
}

/// Turns the listed parts into the current version. A repeat of a completed upload gets the same answer.
pub(crate) fn complete(context: &mut Context<'_>, complete: &CompleteUpload) -> Response {
    let digest = digest_of(complete);
    if let Some(done) = rows::get::<Completed>(context.tables, &key::completed(complete.upload)) {
        return if done.digest == digest {
            done.response
        } else {
            Response::Rejected(Rejection::NoSuchUpload)
        };
    }
    let prepared = guard::bucket(context, &complete.target, Intent::Add)
        .and_then(|bucket| prepare(context, complete).map(|version| (bucket, version)));
    let (bucket, (upload, listed)) = match prepared {
        Ok(prepared) => prepared,
        Err(rejection) => return Response::Rejected(rejection),
    };
    let response = finish(context, complete, bucket, upload, listed);
    let expires_at = context.now.plus_ms(context.settings.dedupe_ms);
    let row_key = key::completed(complete.upload);
    context.tables.put(key::expiry(expires_at, &row_key), Vec::new());
    rows::put(
        context.tables,
        row_key,
        &Completed { digest, response: response.clone(), expires_at },
    );
    response
}

/// Every check of a complete; nothing is changed.
fn prepare(
    context: &Context<'_>,
    complete: &CompleteUpload,
) -> Result<(Upload, Vec<Part>), Rejection> {
    let Target { bucket, key, .. } = &complete.target;
    let upload =
        find(context.tables, &complete.target, complete.upload).ok_or(Rejection::NoSuchUpload)?;
    let listed = listed_parts(context.tables, complete.upload, &complete.parts)?;
    let mut size_bytes: u64 = 0;
    for part in &listed {
        size_bytes = size_bytes.saturating_add(part.blob.size_bytes);
    }
    if size_bytes > OBJECT_BYTES_MAX {
        return Err(Rejection::EntityTooLarge);
    }
    if complete.size_bytes.is_some_and(|announced| announced != size_bytes) {
        return Err(Rejection::BadDigest);
    }
    let head = version::head(context.tables, *bucket, key);
    guard::condition(&complete.condition, head.as_ref())?;
    Ok((upload, listed))
}

/// The stored parts that a complete lists, if they are what it says, in order and large enough.
fn listed_parts(
    reader: &dyn Reader,
    upload: UploadId,
    listed: &[ListedPart],
) -> Result<Vec<Part>, Rejection> {
    if listed.is_empty() {
        return Err(Rejection::InvalidPart);
    }
    if !listed.is_sorted_by(|one, next| one.number < next.number) {
        return Err(Rejection::InvalidPartOrder);
    }
    let mut found = Vec::with_capacity(listed.len());
    for wanted in listed {
        let row: UploadPart =
            rows::get(reader, &key::part(upload, wanted.number)).ok_or(Rejection::InvalidPart)?;
        let other_checksum = wanted.checksum.is_some() && wanted.checksum != row.part.checksum;
        if row.part.md5 != wanted.md5 || other_checksum {
            return Err(Rejection::InvalidPart);
        }
        found.push(row.part);
    }
    let all_but_last = found.split_last().map_or(&[][..], |(_, rest)| rest);
    if all_but_last.iter().any(|part| part.blob.size_bytes < PART_BYTES_MIN) {
        return Err(Rejection::EntityTooSmall);
    }
    Ok(found)
}

fn finish(
    context: &mut Context<'_>,
    complete: &CompleteUpload,
    bucket: ShardBucket,
    upload: Upload,
    listed: Vec<Part>,
) -> Response {
    let etag = etag_of(&listed);
    let kept: Vec<u16> = listed.iter().map(|part| part.number).collect();
    remove(context, &complete.target, complete.upload, &kept);
    let size_bytes = listed.iter().fold(0u64, |sum, part| sum.saturating_add(part.blob.size_bytes));
    let Target { bucket: id, key, .. } = &complete.target;
    let owner = BlobOwner::Version { bucket: *id, key: key.clone(), version: context.minted() };
    for part in &listed {
        blob::hand_over(context, &part.blob, &owner);
    }
    let new = Version {
        id: context.minted(),
        null: bucket.versioning != Versioning::Enabled,
        owner: upload.owner,
        size_bytes,
        etag,
        checksum: complete.checksum.clone(),
        modified: context.now,
        place_epoch: 1,
        attributes: upload.attributes,
        body: version::body_of_parts(context, listed),
    };
    object::install(context, &complete.target, bucket.versioning, &new)
}

/// The MD5 of the parts' MD5s, as S3 computes it.
fn etag_of(parts: &[Part]) -> ETag {
    let mut hasher = Md5::new();
    for part in parts {
        hasher.update(part.md5);
    }
    ETag { md5: hasher.finalize().into(), parts: u16::try_from(parts.len()).unwrap_or(u16::MAX) }
}

/// Ends an upload: its row and part rows go; parts not in `kept` (sorted) become garbage.
fn remove(context: &mut Context<'_>, target: &Target, upload: UploadId, kept: &[u16]) {
    for row in parts(context.tables, upload) {
        if kept.binary_search(&row.part.number).is_err() {
            blob::release(context, &row.part.blob);
        }
        context.tables.delete(&key::part(upload, row.part.number));
    }
    context.tables.delete(&key::upload(target.bucket, &target.key, upload));
}

/// Gives an upload up: every part becomes garbage.
pub(crate) fn abort(context: &mut Context<'_>, target: &Target, upload: UploadId) -> Response {
    if let Err(rejection) = guard::bucket(context, target, Intent::Remove) {
        return Response::Rejected(rejection);
    }
    if find(context.tables, target, upload).is_none() {
        return Response::Rejected(Rejection::NoSuchUpload);
    }
    remove(context, target, upload, &[]);
    Response::Done
}

/// What a repeated complete must have in common with the first. The key comes last, since its length
/// is not fixed.
fn digest_of(complete: &CompleteUpload) -> [u8; 16] {
    let mut hasher = Md5::new();
    hasher.update(complete.target.bucket.0.to_be_bytes());
    for part in &complete.parts {
        hasher.update(part.number.to_be_bytes());
        hasher.update(part.md5);
    }
    hasher.update(complete.target.key.as_str());
    hasher.finalize().into()
}
