//! HeadBucket: whether the bucket is there and may be used, and its region.

use http::StatusCode;
use http::header::HeaderName;

use crate::access;
use crate::call::{Call, Context};
use crate::error::Error;
use crate::reply::{self, Reply};

/// Answers HeadBucket.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let mut answer = reply::empty(StatusCode::OK);
    reply::set(&mut answer, HeaderName::from_static("x-amz-bucket-region"), bucket.region.as_str());
    reply::set(&mut answer, HeaderName::from_static("x-amz-access-point-alias"), "false");
    Ok(answer)
}
