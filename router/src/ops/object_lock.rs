//! Reading and setting an object's legal hold and retention: no bucket here has object lock, and S3 says it
//! like this.

use crate::access;
use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::code::Code;
use crate::lookup::{self, Manifest};
use crate::reply::Reply;

/// Answers all four.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let selector = lookup::selector(call.query.get("versionId"))?;
    lookup::version(ctx, &bucket, call.object_key()?, selector, Manifest::LeaveOut).await?;
    Err(Error::with(Code::InvalidRequest, "Bucket is missing Object Lock Configuration"))
}
