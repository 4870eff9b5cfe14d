//! ListObjectsV2: pages go on after a token that only this cluster can have made.

use s3s::dto;

use crate::call::{Call, Context};
use crate::error::Error;
use crate::listing::{self, Encoding};
use crate::ops::list_objects::{last, page, question};
use crate::reply::{self, Reply};
use crate::{access, limits, token};

/// Answers ListObjectsV2.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    if call.query.get("list-type") != Some("2") {
        return Err(Error::argument("list-type", "must be 2"));
    }
    let encoding = Encoding::of(&call)?;
    let limit = call.count("max-keys", limits::LIST_PAGE_MAX)?;
    let start_after = call.query.get("start-after").map(str::to_owned);
    let given = call.query.get("continuation-token").map(str::to_owned);
    let key = &ctx.catalog.cluster().token_key;
    let list_name = bucket.id.to_string();
    let after = match given.as_deref() {
        Some(text) if !text.is_empty() => token::read(key, &list_name, text)?,
        Some(_) | None => start_after.clone().unwrap_or_default(),
    };
    let list = question(&call, &bucket, after, limit);
    let (prefix, delimiter) = (list.prefix.clone(), list.delimiter.clone());
    let page = page(ctx, list).await?;
    let owner = match call.query.get("fetch-owner") {
        Some("true") => Some(listing::owner(ctx, bucket.owner).await?),
        Some(_) | None => None,
    };
    let contents: Vec<_> = listing::entries(&page)
        .map(|entry| listing::object(entry.key.as_str(), &entry.version, encoding, owner.as_ref()))
        .collect();
    let next = page.truncated.then(|| last(&page)).flatten();
    reply::xml(&dto::ListObjectsV2Output {
        name: Some(bucket.name.as_str().to_owned()),
        prefix: Some(encoding.name(&prefix)),
        max_keys: listing::int(limit),
        key_count: listing::int(page.items.len()),
        continuation_token: given,
        is_truncated: Some(page.truncated),
        next_continuation_token: next.map(|position| token::write(key, &list_name, &position)),
        common_prefixes: listing::prefixes(&page, encoding),
        contents: Some(contents),
        delimiter: encoding.named(&delimiter),
        encoding_type: encoding.echo(),
        start_after: start_after.map(|key| encoding.name(&key)),
        request_charged: None,
    })
}
