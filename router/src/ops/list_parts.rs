//! ListParts: what an upload has so far.

use s3s::dto;
use vaultaire_proto::ETag;
use vaultaire_proto::object::{Checksum, ChecksumAlgorithm, ChecksumScope};
use vaultaire_proto::row::UploadPart;

use crate::call::{Call, Context};
use crate::checksum::Shown;
use crate::error::Error;
use crate::reply::{self, Reply};
use crate::{access, checksum, headers, http_date, limits, listing, lookup};

/// Answers ListParts.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let key = call.object_key()?;
    let id = lookup::upload_id(&call)?;
    let limit = call.count("max-parts", limits::LIST_PAGE_MAX)?;
    let marker = call.count("part-number-marker", usize::from(limits::PART_NUMBER_MAX))?;
    let after = match call.query.get("part-number-marker") {
        None | Some("") => 0,
        Some(_) => u16::try_from(marker).unwrap_or(limits::PART_NUMBER_MAX),
    };
    let found = lookup::parts(ctx, &bucket, key, id, (after, limit.saturating_add(1))).await?;
    let (upload, mut parts) = found.ok_or_else(|| lookup::no_such_upload(id))?;
    let truncated = parts.len() > limit && limit > 0;
    parts.truncate(limit);
    let owner = listing::owner(ctx, upload.owner).await?;
    let next = parts.last().filter(|_| truncated).map(|last| i32::from(last.part.number));
    let algorithm = upload.checksum.map(|(algorithm, _)| algorithm);
    let class = headers::shown_class(&upload.attributes.storage_class).to_owned();
    reply::xml(&dto::ListPartsOutput {
        abort_date: None,
        abort_rule_id: None,
        bucket: Some(bucket.name.as_str().to_owned()),
        checksum_algorithm: algorithm
            .map(|one| dto::ChecksumAlgorithm::from_static(checksum::name(one))),
        checksum_type: upload
            .checksum
            .map(|(_, scope)| dto::ChecksumType::from_static(checksum::scope_name(scope))),
        initiator: Some(dto::Initiator {
            display_name: owner.display_name.clone(),
            id: owner.id.clone(),
        }),
        is_truncated: Some(truncated),
        key: Some(key.as_str().to_owned()),
        max_parts: listing::int(limit),
        next_part_number_marker: next,
        owner: Some(owner),
        part_number_marker: Some(i32::from(after)),
        parts: Some(parts.iter().map(|part| line(part, algorithm)).collect()),
        request_charged: None,
        storage_class: Some(dto::StorageClass::from(class)),
        upload_id: Some(id.to_string()),
    })
}

fn line(stored: &UploadPart, algorithm: Option<ChecksumAlgorithm>) -> dto::Part {
    let part = &stored.part;
    let sum = algorithm.zip(part.checksum.clone()).map(|(algorithm, value)| Checksum {
        algorithm,
        scope: ChecksumScope::FullObject,
        value,
    });
    let sums = Shown::of(sum.as_ref(), 0);
    dto::Part {
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        e_tag: Some(dto::ETag::Strong(ETag::whole(part.md5).to_string())),
        last_modified: Some(http_date::timestamp(stored.modified)),
        part_number: Some(i32::from(part.number)),
        size: i64::try_from(part.blob.size_bytes).ok(),
    }
}
