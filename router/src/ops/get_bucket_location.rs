//! GetBucketLocation. us-east-1 is the region without a name, as at AWS.

use s3s::dto;

use crate::access;
use crate::call::{Call, Context};
use crate::error::Error;
use crate::reply::{self, Reply};

/// Answers GetBucketLocation.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let named = Some(bucket.region).filter(|region| region != "us-east-1");
    reply::xml(&dto::GetBucketLocationOutput {
        location_constraint: named.map(dto::BucketLocationConstraint::from),
    })
}
