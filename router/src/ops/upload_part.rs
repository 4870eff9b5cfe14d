//! UploadPart: the bytes of one part, then its row.

use http::StatusCode;
use http::header::{ETAG, HeaderName};
use vaultaire_proto::command::PutPart;
use vaultaire_proto::object::ChecksumAlgorithm;
use vaultaire_proto::row::{Bucket, Upload};
use vaultaire_proto::{ETag, ObjectKey, Operation, Response, TimeMs, UploadId};

use crate::body::store::{self, Source, Written};
use crate::call::{Call, Context};
use crate::checksum::Announced;
use crate::commit::{self, OnObject};
use crate::error::Error;
use crate::error::map::unexpected;
use crate::ops::get_object::upload_part_number;
use crate::ops::put_object::{describe_copy, forget_closed};
use crate::reply::{self, Reply};
use crate::request_id::{self, Fields};
use crate::{access, checksum, headers, lookup};

/// Answers UploadPart.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let key = call.object_key()?.clone();
    let id = lookup::upload_id(&call)?;
    let number = upload_part_number(call.query.get("partNumber").unwrap_or_default())?;
    // Before a byte is read: an upload that is gone takes no part.
    let upload = lookup::upload(ctx, &bucket, &key, id).await?;
    let source = Source::of_call(&mut call, algorithm(&upload))?;
    check_algorithm(&upload, &source.announced)?;
    let copy = describe_copy(&bucket, &key, &upload.attributes, source.size_bytes);
    let written = store::write(ctx, (&bucket, &key), &copy, source).await?;
    let part = NewPart { bucket: &bucket, key: &key, id, number, upload: &upload, written };
    let shown = (part.written.md5, part.written.checksum.clone());
    finish(ctx, &call, part).await?;
    let mut answer = reply::empty(StatusCode::OK);
    answer.headers_mut().insert(ETAG, headers::etag(ETag::whole(shown.0)));
    let name = HeaderName::from_static(checksum::header(shown.1.algorithm));
    reply::set(&mut answer, name, checksum::encode(&shown.1, 0));
    Ok(answer)
}

/// What is computed of a part that announces nothing.
pub fn algorithm(upload: &Upload) -> ChecksumAlgorithm {
    upload.checksum.map_or(ChecksumAlgorithm::Crc64Nvme, |(algorithm, _)| algorithm)
}

fn check_algorithm(upload: &Upload, announced: &Announced) -> Result<(), Error> {
    match (upload.checksum, announced.algorithm()) {
        (Some((expected, _)), Some(found)) if expected != found => {
            Err(checksum::other_algorithm(expected, found))
        }
        _ => Ok(()),
    }
}

/// Bytes that are to become a part.
#[derive(Debug)]
pub struct NewPart<'a> {
    pub bucket: &'a Bucket,
    pub key: &'a ObjectKey,
    pub id: UploadId,
    pub number: u16,
    pub upload: &'a Upload,
    pub written: Written,
}

/// Commits written bytes as a part; answers when.
pub async fn finish(ctx: &Context, call: &Call, part: NewPart<'_>) -> Result<TimeMs, Error> {
    let NewPart { bucket, key, id, number, upload, written } = part;
    // Kept only under the upload's own algorithm: what Complete is to join.
    let kept = upload.checksum.map(|_| written.checksum.value.clone());
    let mut fields = Fields::default();
    fields.bytes(&written.md5);
    fields.number(written.blob.size_bytes);
    fields.checksum(Some(&written.checksum));
    let digest = fields.digest();
    let on = OnObject { bucket, key, user: call.identity.user, request: request_id::of(call) };
    let committed = commit::on_object(ctx, on, |target| {
        Operation::PutPart(PutPart {
            target,
            upload: id,
            number,
            md5: written.md5,
            checksum: kept.clone(),
            blob: written.blob.clone(),
            digest,
        })
    });
    match committed.await {
        Ok(Response::PartPut { modified }) => Ok(modified),
        Ok(_) => Err(unexpected("put part")),
        Err(error) => {
            forget_closed(ctx, &error, &written);
            Err(error)
        }
    }
}
