//! DeleteBucket: control marks it, each shard says whether it holds nothing of it, and only then is it gone.

use http::StatusCode;
use vaultaire_proto::catalog::List;
use vaultaire_proto::row::BucketPhase;
use vaultaire_proto::settle::settle_bucket;
use vaultaire_proto::{Answer, Consistency, Operation, Query, Response};

use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::unexpected;
use crate::reply::{self, Reply};
use crate::{access, commit, request_id};

/// Answers DeleteBucket.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let not_empty = || Error::new(Code::BucketNotEmpty).detail("BucketName", bucket.name.as_str());
    // Most attempts that must fail fail here, without refusing writes to the bucket meanwhile.
    let first = List {
        bucket: bucket.id,
        prefix: String::new(),
        delimiter: String::new(),
        after: String::new(),
        limit: 1,
    };
    match ctx.catalog.query(Query::List(first), Consistency::Linearizable).await? {
        Answer::List(page) if !page.items.is_empty() => return Err(not_empty()),
        Answer::List(_) => {}
        _ => return Err(unexpected("list")),
    }
    let delete = Operation::DeleteBucket { bucket: bucket.id };
    let Response::Bucket(row) = commit::control(ctx, request_id::of(&call), delete).await? else {
        return Err(unexpected("delete bucket"));
    };
    match settle_bucket(&*ctx.catalog, row).await?.phase {
        BucketPhase::Deleted => Ok(reply::empty(StatusCode::NO_CONTENT)),
        BucketPhase::Open => Err(not_empty()),
        BucketPhase::Deleting => Err(Error::new(Code::OperationAborted)),
    }
}
