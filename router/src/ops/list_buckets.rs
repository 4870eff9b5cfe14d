//! ListBuckets: the buckets of whoever asks, by name.

use s3s::dto;
use vaultaire_proto::row::{Bucket, BucketPhase};
use vaultaire_proto::{Answer, BucketName, Consistency, Query};

use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::map::unexpected;
use crate::reply::{self, Reply};
use crate::{http_date, limits, listing, token};

/// What its tokens are for.
const LIST: &str = "buckets";

/// Answers ListBuckets.
pub async fn handle(ctx: &Context, call: Call) -> Result<Reply, Error> {
    let cluster = ctx.catalog.cluster();
    let limit = call.count("max-buckets", limits::LIST_BUCKETS_MAX)?;
    let prefix = listing::text(&call, "prefix");
    let after = match call.query.get("continuation-token") {
        None | Some("") => None,
        Some(text) => BucketName::parse(&token::read(&cluster.token_key, LIST, text)?).ok(),
    };
    let other_region =
        call.query.get("bucket-region").is_some_and(|region| region != cluster.region);
    let mut buckets = if other_region || limit == 0 {
        Vec::new()
    } else {
        read(ctx, &call, after, prefix.clone(), limit).await?
    };
    let truncated = buckets.len() > limit;
    buckets.truncate(limit);
    let next = buckets.last().filter(|_| truncated).map(|last| last.name.as_str());
    let output = dto::ListBucketsOutput {
        continuation_token: next.map(|name| token::write(&cluster.token_key, LIST, name)),
        owner: Some(listing::owner(ctx, call.identity.user).await?),
        prefix: (!prefix.is_empty()).then_some(prefix),
        buckets: Some(buckets.into_iter().map(line).collect()),
    };
    reply::xml(&output)
}

async fn read(
    ctx: &Context,
    call: &Call,
    after: Option<BucketName>,
    prefix: String,
    limit: usize,
) -> Result<Vec<Bucket>, Error> {
    let owner = Some(call.identity.user);
    let query = Query::Buckets { owner, after, prefix, limit: limit.saturating_add(1) };
    match ctx.catalog.query(query, Consistency::Linearizable).await? {
        Answer::Buckets(mut buckets) => {
            buckets.retain(|bucket| bucket.phase != BucketPhase::Deleted);
            Ok(buckets)
        }
        _ => Err(unexpected("buckets")),
    }
}

fn line(bucket: Bucket) -> dto::Bucket {
    dto::Bucket {
        bucket_region: Some(bucket.region),
        creation_date: Some(http_date::timestamp(bucket.created)),
        name: Some(bucket.name.as_str().to_owned()),
    }
}
