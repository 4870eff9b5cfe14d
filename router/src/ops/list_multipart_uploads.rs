//! ListMultipartUploads: uploads that were begun and neither completed nor aborted.

use s3s::dto;
use vaultaire_proto::catalog::{Item, ListUploads, ListedUpload, Page};
use vaultaire_proto::{Answer, Consistency, Query, UploadId};

use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::map::unexpected;
use crate::listing::{self, Encoding};
use crate::reply::{self, Reply};
use crate::{access, checksum, headers, http_date, limits};

/// Answers ListMultipartUploads.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let encoding = Encoding::of(&call)?;
    let limit = call.count("max-uploads", limits::LIST_PAGE_MAX)?;
    let key_marker = listing::text(&call, "key-marker");
    // S3 ignores an upload marker without its key.
    let marker_text = call
        .query
        .get("upload-id-marker")
        .filter(|text| !text.is_empty() && !key_marker.is_empty());
    let upload_marker = marker_text.map(UploadId::parse).transpose();
    let list = ListUploads {
        bucket: bucket.id,
        prefix: listing::text(&call, "prefix"),
        delimiter: listing::text(&call, "delimiter"),
        key_marker: key_marker.clone(),
        upload_marker: upload_marker
            .map_err(|_| Error::argument("upload-id-marker", "Invalid uploadId marker"))?,
        limit,
    };
    let (prefix, delimiter) = (list.prefix.clone(), list.delimiter.clone());
    let page = page(ctx, list).await?;
    let owner = listing::owner(ctx, bucket.owner).await?;
    let uploads: Vec<_> =
        listing::entries(&page).map(|listed| line(listed, encoding, &owner)).collect();
    let (next_key, next_upload) = next(&page);
    reply::xml(&dto::ListMultipartUploadsOutput {
        bucket: Some(bucket.name.as_str().to_owned()),
        common_prefixes: listing::prefixes(&page, encoding),
        delimiter: encoding.named(&delimiter),
        encoding_type: encoding.echo(),
        is_truncated: Some(page.truncated),
        key_marker: Some(encoding.name(&key_marker)),
        max_uploads: listing::int(limit),
        next_key_marker: next_key.map(|key| encoding.name(&key)),
        next_upload_id_marker: next_upload,
        prefix: Some(encoding.name(&prefix)),
        request_charged: None,
        upload_id_marker: Some(marker_text.unwrap_or_default().to_owned()),
        uploads: Some(uploads),
    })
}

async fn page(ctx: &Context, list: ListUploads) -> Result<Page<ListedUpload>, Error> {
    if list.limit == 0 {
        return Ok(Page { items: Vec::new(), truncated: false });
    }
    match ctx.catalog.query(Query::ListUploads(list), Consistency::Linearizable).await? {
        Answer::ListUploads(page) => Ok(page),
        _ => Err(unexpected("uploads")),
    }
}

/// The markers of the next page.
fn next(page: &Page<ListedUpload>) -> (Option<String>, Option<String>) {
    match page.items.last() {
        Some(Item::Entry(listed)) if page.truncated => {
            (Some(listed.key.as_str().to_owned()), Some(listed.id.to_string()))
        }
        Some(Item::Prefix(prefix)) if page.truncated => (Some(prefix.clone()), None),
        Some(_) | None => (None, None),
    }
}

fn line(listed: &ListedUpload, encoding: Encoding, owner: &dto::Owner) -> dto::MultipartUpload {
    let sum = listed.upload.checksum;
    let class = headers::shown_class(&listed.upload.attributes.storage_class).to_owned();
    dto::MultipartUpload {
        checksum_algorithm: sum
            .map(|(sum, _)| dto::ChecksumAlgorithm::from_static(checksum::name(sum))),
        checksum_type: sum
            .map(|(_, scope)| dto::ChecksumType::from_static(checksum::scope_name(scope))),
        initiated: Some(http_date::timestamp(listed.upload.created)),
        initiator: Some(dto::Initiator {
            display_name: owner.display_name.clone(),
            id: owner.id.clone(),
        }),
        key: Some(encoding.name(listed.key.as_str())),
        owner: Some(owner.clone()),
        storage_class: Some(dto::StorageClass::from(class)),
        upload_id: Some(listed.id.to_string()),
    }
}
