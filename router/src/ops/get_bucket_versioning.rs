//! GetBucketVersioning: empty for a bucket that never was versioned.

use s3s::dto;
use vaultaire_proto::row::Versioning;

use crate::access;
use crate::call::{Call, Context};
use crate::error::Error;
use crate::reply::{self, Reply};

/// Answers GetBucketVersioning.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let status = match bucket.versioning {
        Versioning::Off => None,
        Versioning::Enabled => Some(dto::BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(dto::BucketVersioningStatus::SUSPENDED),
    };
    let status = status.map(dto::BucketVersioningStatus::from_static);
    reply::xml(&dto::GetBucketVersioningOutput { status, ..Default::default() })
}
