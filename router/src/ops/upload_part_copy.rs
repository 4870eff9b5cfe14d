//! UploadPartCopy: a part from the bytes of a stored object, or a range of them.

use std::sync::Arc;

use http::header::HeaderName;
use s3s::dto;
use vaultaire_proto::ETag;
use vaultaire_proto::row::Versioning;

use crate::body::store::{self, Source};
use crate::call::{Call, Context};
use crate::checksum::Shown;
use crate::error::Error;
use crate::ops::get_object::upload_part_number;
use crate::ops::put_object::describe_copy;
use crate::ops::upload_part::{self, NewPart};
use crate::reply::{self, Reply};
use crate::{access, copy, headers, http_date, lookup};

/// Answers UploadPartCopy.
pub async fn handle(ctx: &Arc<Context>, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let key = call.object_key()?.clone();
    let id = lookup::upload_id(&call)?;
    let number = upload_part_number(call.query.get("partNumber").unwrap_or_default())?;
    let upload = lookup::upload(ctx, &bucket, &key, id).await?;
    let source = copy::find(ctx, &call, &bucket).await?;
    let range = copy::part_range(&call, source.version.size_bytes)?;
    let size = range.end - range.start;
    let bytes =
        Source::of_stored(source.stream(ctx, range)?, size, upload_part::algorithm(&upload));
    let copy = describe_copy(&bucket, &key, &upload.attributes, Some(size));
    let written = store::write(ctx, (&bucket, &key), &copy, bytes).await?;
    let (md5, sum) = (written.md5, written.checksum.clone());
    let part = NewPart { bucket: &bucket, key: &key, id, number, upload: &upload, written };
    let modified = upload_part::finish(ctx, &call, part).await?;
    let sums = Shown::of(Some(&sum), 0);
    let result = dto::CopyPartResult {
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        e_tag: Some(dto::ETag::Strong(ETag::whole(md5).to_string())),
        last_modified: Some(http_date::timestamp(modified)),
    };
    let mut answer = reply::xml(&result)?;
    if source.bucket.versioning != Versioning::Off {
        let name = HeaderName::from_static("x-amz-copy-source-version-id");
        reply::set(&mut answer, name, headers::version_text(&source.version));
    }
    Ok(answer)
}
