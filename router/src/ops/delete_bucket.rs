//! DeleteBucket: control marks it, each shard says whether it holds nothing of it, and only then is it gone.
//! Uploads in progress do not keep a bucket, as at S3: they are aborted.

use http::StatusCode;
use vaultaire_proto::catalog::{Item, ListUploads, ListVersions};
use vaultaire_proto::row::{Bucket, BucketPhase};
use vaultaire_proto::settle::settle_bucket;
use vaultaire_proto::{Answer, Consistency, Operation, Query, RequestId, Response, UserId};

use crate::call::{Call, Context};
use crate::commit::{self, OnObject};
use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::unexpected;
use crate::reply::{self, Reply};
use crate::{access, limits, request_id};

/// How often an empty bucket is asked to go. One that is open again each time is being written to.
const ATTEMPTS_MAX: usize = 3;

/// Answers DeleteBucket.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let mut request = request_id::of(&call);
    for _ in 0..ATTEMPTS_MAX {
        // Most attempts that must fail fail here, without refusing writes to the bucket meanwhile.
        if has_versions(ctx, &bucket).await? {
            return Err(Error::new(Code::BucketNotEmpty).detail("BucketName", bucket.name.as_str()));
        }
        abort_uploads(ctx, &bucket, call.identity.user).await?;
        match attempt(ctx, &bucket, request).await? {
            BucketPhase::Deleted => return Ok(reply::empty(StatusCode::NO_CONTENT)),
            // A retry of a request is answered with what the first attempt began, which may have ended
            // with a bucket that was not empty then: look again, and ask anew.
            BucketPhase::Open => request = request_id::fresh(),
            BucketPhase::Deleting => break,
        }
    }
    Err(Error::new(Code::OperationAborted))
}

/// One delete to its end; answers what became of the bucket.
async fn attempt(ctx: &Context, bucket: &Bucket, request: RequestId) -> Result<BucketPhase, Error> {
    let delete = Operation::DeleteBucket { bucket: bucket.id };
    match commit::control(ctx, request, delete).await? {
        Response::Bucket(row) => Ok(settle_bucket(&*ctx.catalog, row).await?.phase),
        _ => Err(unexpected("delete bucket")),
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
