//! The table of contents: which file answers which operation.
//!
//! It hangs in s3s as a custom route, behind its signature checks, and not as its `S3` trait: the
//! trait's own parsing refuses what S3 ignores (a malformed Range or date), hides the XML whose checksum must
//! be verified, cannot read XML that is aws-chunked, and routes by rules that let sub-resources fall through.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Extensions, HeaderMap, Method, Uri};
use s3s::route::S3Route;
use s3s::{Body, S3Request, S3Response, S3Result};

use crate::auth::FOUND;
use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::code::Code;
use crate::gate::Passed;
use crate::operation::Operation;
use crate::ops;
use crate::reply::Reply;

/// The operations, behind s3s.
#[derive(Debug)]
pub struct Front {
    ctx: Arc<Context>,
}

impl Front {
    /// Over what all requests share.
    pub fn new(ctx: Arc<Context>) -> Self {
        Self { ctx }
    }

    async fn answer(&self, request: S3Request<Body>) -> Result<Reply, Error> {
        let denied = || {
            Error::with(Code::AccessDenied, "Access Denied: sign the request with an access key.")
        };
        if request.service.as_deref().is_some_and(|service| service != "s3") {
            return Err(Error::with(Code::AccessDenied, "Access Denied: sign for the service s3."));
        }
        let S3Request { input, headers, mut extensions, credentials, trailing_headers, .. } =
            request;
        let credentials = credentials.ok_or_else(denied)?;
        let found = FOUND.try_with(|found| found.take()).ok().flatten();
        let (identity, row) = found.ok_or_else(denied)?;
        if identity.access_key != credentials.access_key {
            return Err(denied());
        }
        let passed: Passed = extensions.remove().ok_or_else(|| Error::new(Code::NotImplemented))?;
        let Passed { operation, bucket, key, query } = passed;
        let trailers = trailing_headers;
        dispatch(
            &self.ctx,
            Call { operation, bucket, key, query, headers, body: input, trailers, identity, row },
        )
        .await
    }
}

async fn dispatch(ctx: &Arc<Context>, call: Call) -> Result<Reply, Error> {
    match call.operation {
        Operation::ListBuckets => ops::list_buckets::handle(ctx, call).await,
        Operation::CreateBucket => ops::create_bucket::handle(ctx, call).await,
        Operation::DeleteBucket => ops::delete_bucket::handle(ctx, call).await,
        Operation::HeadBucket => ops::head_bucket::handle(ctx, call).await,
        Operation::GetBucketLocation => ops::get_bucket_location::handle(ctx, call).await,
        Operation::GetBucketVersioning => ops::get_bucket_versioning::handle(ctx, call).await,
        Operation::PutBucketVersioning => ops::put_bucket_versioning::handle(ctx, call).await,
        Operation::GetBucketAcl | Operation::GetObjectAcl => ops::get_acl::handle(ctx, call).await,
        Operation::PutBucketAcl | Operation::PutObjectAcl => ops::put_acl::handle(ctx, call).await,
        Operation::GetBucketPolicy
        | Operation::GetBucketPolicyStatus
        | Operation::GetBucketCors
        | Operation::GetBucketTagging
        | Operation::GetBucketLifecycleConfiguration
        | Operation::GetBucketEncryption
        | Operation::GetBucketLogging
        | Operation::GetBucketNotificationConfiguration
        | Operation::GetBucketWebsite
        | Operation::GetBucketRequestPayment
        | Operation::GetBucketAccelerateConfiguration
        | Operation::GetBucketReplication
        | Operation::GetBucketOwnershipControls
        | Operation::GetPublicAccessBlock
        | Operation::GetObjectLockConfiguration
        | Operation::DeleteBucketPolicy
        | Operation::DeleteBucketCors
        | Operation::DeleteBucketTagging
        | Operation::DeleteBucketLifecycle
        | Operation::DeleteBucketWebsite => ops::absent_configuration::handle(ctx, call).await,
        Operation::GetObjectLegalHold
        | Operation::GetObjectRetention
        | Operation::PutObjectLegalHold
        | Operation::PutObjectRetention => ops::object_lock::handle(ctx, call).await,
        Operation::ListObjects => ops::list_objects::handle(ctx, call).await,
        Operation::ListObjectsV2 => ops::list_objects_v2::handle(ctx, call).await,
        Operation::ListObjectVersions => ops::list_object_versions::handle(ctx, call).await,
        Operation::ListMultipartUploads => ops::list_multipart_uploads::handle(ctx, call).await,
        Operation::DeleteObjects => ops::delete_objects::handle(ctx, call).await,
        Operation::GetObject | Operation::HeadObject => ops::get_object::handle(ctx, call).await,
        Operation::PutObject => ops::put_object::handle(ctx, call).await,
        // Answered before s3s, which would buffer it.
        Operation::PostObject => Err(Error::new(Code::NotImplemented)),
        Operation::CopyObject => ops::copy_object::handle(ctx, call).await,
        Operation::DeleteObject => ops::delete_object::handle(ctx, call).await,
        Operation::GetObjectAttributes => ops::get_object_attributes::handle(ctx, call).await,
        Operation::GetObjectTagging => ops::get_object_tagging::handle(ctx, call).await,
        Operation::PutObjectTagging => ops::put_object_tagging::handle(ctx, call).await,
        Operation::DeleteObjectTagging => ops::delete_object_tagging::handle(ctx, call).await,
        Operation::CreateMultipartUpload => ops::create_multipart_upload::handle(ctx, call).await,
        Operation::UploadPart => ops::upload_part::handle(ctx, call).await,
        Operation::UploadPartCopy => ops::upload_part_copy::handle(ctx, call).await,
        Operation::ListParts => ops::list_parts::handle(ctx, call).await,
        Operation::CompleteMultipartUpload => {
            ops::complete_multipart_upload::handle(ctx, call).await
        }
        Operation::AbortMultipartUpload => ops::abort_multipart_upload::handle(ctx, call).await,
    }
}

#[async_trait]
impl S3Route for Front {
    /// Everything that passed the gate is ours, and nothing else reaches s3s.
    fn is_match(&self, _: &Method, _: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        true
    }

    /// Rights are checked by each operation, against rows that it reads.
    async fn check_access(&self, _: &mut S3Request<Body>) -> S3Result<()> {
        Ok(())
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        // An error travels as an extension: `service` completes it, knowing the resource and the request id.
        let reply = self.answer(request).await.unwrap_or_else(|error| {
            let mut reply = Reply::new(Body::empty());
            reply.extensions_mut().insert(error);
            reply
        });
        let (parts, body) = reply.into_parts();
        let mut response = S3Response::with_status(body, parts.status);
        response.headers = parts.headers;
        response.extensions = parts.extensions;
        Ok(response)
    }
}

/// s3s wants an implementation of its trait; with every operation left out, whatever would slip past
/// the route is 501.
#[derive(Debug)]
pub struct Unrouted;

impl s3s::S3 for Unrouted {}
