//! DeleteBucket: control marks it, each shard says whether it holds nothing of it, and only then is it gone.
//! Uploads in progress do not keep a bucket, as at S3: they are aborted.

use http::StatusCode;
use vaultaire_proto::catalog::{Item, ListUploads, ListVersions};
use vaultaire_proto::row::{Bucket, BucketPhase};
use vaultaire_proto::settle::settle_bucket;
use vaultaire_proto::{Answer, Consistency, Operation, Query, Response, UserId};

use crate::call::{Call, Context};
use crate::commit::{self, OnObject};
use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::unexpected;
use crate::reply::{self, Reply};
use crate::{access, limits, request_id};

/// Answers DeleteBucket.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let not_empty = || Error::new(Code::BucketNotEmpty).detail("BucketName", bucket.name.as_str());
    // Most attempts that must fail fail here, without refusing writes to the bucket meanwhile.
    if has_versions(ctx, &bucket).await? {
        return Err(not_empty());
    }
    abort_uploads(ctx, &bucket, call.identity.user).await?;
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

/// Old versions and delete markers count as well as current objects.
async fn has_versions(ctx: &Context, bucket: &Bucket) -> Result<bool, Error> {
    let first = ListVersions {
        bucket: bucket.id,
        prefix: String::new(),
        delimiter: String::new(),
        key_marker: String::new(),
        version_marker: None,
        limit: 1,
    };
    match ctx.catalog.query(Query::ListVersions(first), Consistency::Linearizable).await? {
        Answer::ListVersions(page) => Ok(!page.items.is_empty()),
        _ => Err(unexpected("versions")),
    }
}

/// Each page is the first one anew, since what it named is gone. More pages than the bound mean that
/// uploads are begun as fast as they are aborted: then the shards say that the bucket is not empty.
async fn abort_uploads(ctx: &Context, bucket: &Bucket, user: UserId) -> Result<(), Error> {
    for _ in 0..limits::DELETE_BUCKET_PAGES_MAX {
        let first = ListUploads {
            bucket: bucket.id,
            prefix: String::new(),
            delimiter: String::new(),
            key_marker: String::new(),
            upload_marker: None,
            limit: limits::LIST_PAGE_MAX,
        };
        let query = ctx.catalog.query(Query::ListUploads(first), Consistency::Linearizable);
        let Answer::ListUploads(page) = query.await? else {
            return Err(unexpected("uploads"));
        };
        for item in &page.items {
            let Item::Entry(listed) = item else { continue };
            let request = request_id::fresh();
            let on = OnObject { bucket, key: &listed.key, user, request };
            let abort = |target| Operation::AbortUpload { target, upload: listed.id };
            match commit::on_object(ctx, on, abort).await {
                Ok(_) => {}
                // Completed or aborted by another request since the page was read.
                Err(error) if error.is(Code::NoSuchUpload) => {}
                Err(error) => return Err(error),
            }
        }
        if !page.truncated {
            break;
        }
    }
    Ok(())
}
