//! PutBucketVersioning: turns versioning on, or suspends it. It can never be off again.

use http::StatusCode;
use s3s::dto;
use vaultaire_proto::row::Versioning;
use vaultaire_proto::settle::settle_bucket;
use vaultaire_proto::{Operation, Response};

use crate::body::xml;
use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::unexpected;
use crate::reply::{self, Reply};
use crate::{access, commit, request_id};

/// Answers PutBucketVersioning.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let asked: dto::VersioningConfiguration = xml::required(ctx, &mut call).await?;
    if asked.mfa_delete.is_some_and(|mfa| mfa.as_str() == dto::MFADelete::ENABLED) {
        return Err(Error::with(
            Code::NotImplemented,
            "MFA delete is not implemented; leave MfaDelete out. Nothing was done.",
        ));
    }
    let versioning = match asked.status.as_ref().map(dto::BucketVersioningStatus::as_str) {
        Some(dto::BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(dto::BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        Some(_) | None => {
            return Err(Error::with(Code::MalformedXML, "Status must be Enabled or Suspended."));
        }
    };
    let set = Operation::SetVersioning { bucket: bucket.id, versioning };
    let Response::Bucket(row) = commit::control(ctx, request_id::of(&call), set).await? else {
        return Err(unexpected("set versioning"));
    };
    // Answered only when every shard knows: the next PUT may go to any of them.
    settle_bucket(&*ctx.catalog, row).await?;
    Ok(reply::empty(StatusCode::OK))
}
