//! ListObjects, the first version: pages go on after a marker that is a key.

use s3s::dto;
use vaultaire_proto::catalog::{List, ListedObject, Page};
use vaultaire_proto::row::Bucket;
use vaultaire_proto::{Answer, Consistency, Query};

use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::map::unexpected;
use crate::listing::{self, Encoding};
use crate::reply::{self, Reply};
use crate::{access, limits};

/// Answers ListObjects.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let encoding = Encoding::of(&call)?;
    let limit = call.count("max-keys", limits::LIST_PAGE_MAX)?;
    let marker = listing::text(&call, "marker");
    let list = question(&call, &bucket, marker.clone(), limit);
    let (prefix, delimiter) = (list.prefix.clone(), list.delimiter.clone());
    let page = page(ctx, list).await?;
    let owner = listing::owner(ctx, bucket.owner).await?;
    let contents: Vec<_> = listing::entries(&page)
        .map(|entry| listing::object(entry.key.as_str(), &entry.version, encoding, Some(&owner)))
        .collect();
    // Without a delimiter S3 leaves it to the client to take the last key.
    let next = (page.truncated && !delimiter.is_empty()).then(|| last(&page)).flatten();
    reply::xml(&dto::ListObjectsOutput {
        name: Some(bucket.name.as_str().to_owned()),
        // S3 leaves it as it came, and clients take it so.
        prefix: Some(prefix),
        marker: Some(encoding.name(&marker)),
        max_keys: listing::int(limit),
        is_truncated: Some(page.truncated),
        common_prefixes: listing::prefixes(&page, encoding),
        contents: Some(contents),
        delimiter: encoding.named(&delimiter),
        next_marker: next.map(|next| encoding.name(&next)),
        encoding_type: encoding.echo(),
        request_charged: None,
    })
}

/// What the query asks of the catalog.
pub fn question(call: &Call, bucket: &Bucket, after: String, limit: usize) -> List {
    List {
        bucket: bucket.id,
        prefix: listing::text(call, "prefix"),
        delimiter: listing::text(call, "delimiter"),
        after,
        limit,
    }
}

/// One page; a page of nothing is not truncated.
pub async fn page(ctx: &Context, list: List) -> Result<Page<ListedObject>, Error> {
    if list.limit == 0 {
        return Ok(Page { items: Vec::new(), truncated: false });
    }
    match ctx.catalog.query(Query::List(list), Consistency::Linearizable).await? {
        Answer::List(page) => Ok(page),
        _ => Err(unexpected("list")),
    }
}

/// Where the page ends.
pub fn last(page: &Page<ListedObject>) -> Option<String> {
    listing::last(page, |entry| entry.key.as_str())
}
