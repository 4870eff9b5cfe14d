//! ListObjectVersions: every version and delete marker. In a bucket that never was versioned each
//! object is one version called `null`, which is what tools clean up by.

use s3s::dto;
use vaultaire_proto::catalog::{Item, ListVersions, ListedVersion, Page};
use vaultaire_proto::object::{DeleteMarker, Version, VersionEntry};
use vaultaire_proto::{Answer, Consistency, Query};

use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::unexpected;
use crate::listing::{self, Encoding};
use crate::reply::{self, Reply};
use crate::{access, checksum, headers, http_date, limits, lookup};

/// Answers ListObjectVersions.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let encoding = Encoding::of(&call)?;
    let limit = call.count("max-keys", limits::LIST_PAGE_MAX)?;
    let key_marker = listing::text(&call, "key-marker");
    let marker_text = call.query.get("version-id-marker").filter(|text| !text.is_empty());
    if marker_text.is_some() && key_marker.is_empty() {
        return Err(Error::with(
            Code::InvalidArgument,
            "A version-id marker cannot be specified without a key marker.",
        ));
    }
    let list = ListVersions {
        bucket: bucket.id,
        prefix: listing::text(&call, "prefix"),
        delimiter: listing::text(&call, "delimiter"),
        key_marker: key_marker.clone(),
        version_marker: lookup::selector(marker_text)?,
        limit,
    };
    let (prefix, delimiter) = (list.prefix.clone(), list.delimiter.clone());
    let page = page(ctx, list).await?;
    let owner = listing::owner(ctx, bucket.owner).await?;
    let (mut versions, mut markers) = (Vec::new(), Vec::new());
    for listed in listing::entries(&page) {
        match &listed.entry {
            VersionEntry::Object(version) => {
                versions.push(version_line(listed, version, encoding, &owner))
            }
            VersionEntry::DeleteMarker(marker) => {
                markers.push(marker_line(listed, marker, encoding, &owner))
            }
        }
    }
    let (next_key, next_version) = next(&page);
    reply::xml(&dto::ListObjectVersionsOutput {
        common_prefixes: listing::prefixes(&page, encoding),
        delete_markers: Some(markers),
        delimiter: encoding.named(&delimiter),
        encoding_type: encoding.echo(),
        is_truncated: Some(page.truncated),
        key_marker: Some(encoding.name(&key_marker)),
        max_keys: listing::int(limit),
        name: Some(bucket.name.as_str().to_owned()),
        next_key_marker: next_key.map(|key| encoding.name(&key)),
        next_version_id_marker: next_version,
        prefix: Some(encoding.name(&prefix)),
        request_charged: None,
        version_id_marker: Some(marker_text.unwrap_or_default().to_owned()),
        versions: Some(versions),
    })
}

async fn page(ctx: &Context, list: ListVersions) -> Result<Page<ListedVersion>, Error> {
    if list.limit == 0 {
        return Ok(Page { items: Vec::new(), truncated: false });
    }
    match ctx.catalog.query(Query::ListVersions(list), Consistency::Linearizable).await? {
        Answer::ListVersions(page) => Ok(page),
        _ => Err(unexpected("versions")),
    }
}

/// The markers of the next page. A null version is named by its id here, which says where the page ended
/// even when that version is gone before the next page is asked for.
fn next(page: &Page<ListedVersion>) -> (Option<String>, Option<String>) {
    match page.items.last() {
        Some(Item::Entry(listed)) if page.truncated => {
            (Some(listed.key.as_str().to_owned()), Some(listed.entry.id().to_string()))
        }
        Some(Item::Prefix(prefix)) if page.truncated => (Some(prefix.clone()), None),
        Some(_) | None => (None, None),
    }
}

fn id(entry: &VersionEntry) -> String {
    if entry.null() { headers::NULL_VERSION.to_owned() } else { entry.id().to_string() }
}

fn version_line(
    listed: &ListedVersion,
    version: &Version,
    encoding: Encoding,
    owner: &dto::Owner,
) -> dto::ObjectVersion {
    let sum = version.checksum.as_ref();
    dto::ObjectVersion {
        checksum_algorithm: sum
            .map(|sum| vec![dto::ChecksumAlgorithm::from_static(checksum::name(sum.algorithm))]),
        checksum_type: sum
            .map(|sum| dto::ChecksumType::from_static(checksum::scope_name(sum.scope))),
        e_tag: Some(dto::ETag::Strong(version.etag.to_string())),
        is_latest: Some(listed.latest),
        key: Some(encoding.name(listed.key.as_str())),
        last_modified: Some(http_date::timestamp(version.modified)),
        owner: Some(owner.clone()),
        restore_status: None,
        size: i64::try_from(version.size_bytes).ok(),
        storage_class: Some(dto::ObjectVersionStorageClass::from(
            headers::shown_class(&version.attributes.storage_class).to_owned(),
        )),
        version_id: Some(id(&listed.entry)),
    }
}

fn marker_line(
    listed: &ListedVersion,
    marker: &DeleteMarker,
    encoding: Encoding,
    owner: &dto::Owner,
) -> dto::DeleteMarkerEntry {
    dto::DeleteMarkerEntry {
        is_latest: Some(listed.latest),
        key: Some(encoding.name(listed.key.as_str())),
        last_modified: Some(http_date::timestamp(marker.modified)),
        owner: Some(owner.clone()),
        version_id: Some(id(&listed.entry)),
    }
}
