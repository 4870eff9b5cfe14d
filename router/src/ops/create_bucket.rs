//! CreateBucket. Creating one's own bucket again succeeds in us-east-1 and is 409 elsewhere, as at AWS.

use http::StatusCode;
use http::header::LOCATION;
use s3s::dto;
use vaultaire_proto::row::{Bucket, BucketPhase};
use vaultaire_proto::settle::settle_bucket;
use vaultaire_proto::{Operation, Rejection, Response};

use crate::body::xml;
use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::unexpected;
use crate::reply::{self, Reply};
use crate::{access, commit, request_id};

/// The region whose rules are lenient.
const US_EAST_1: &str = "us-east-1";

/// Answers CreateBucket.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let region = ctx.catalog.cluster().region.clone();
    let configuration: Option<dto::CreateBucketConfiguration> = xml::read(ctx, &mut call).await?;
    let constraint = configuration.and_then(|configuration| configuration.location_constraint);
    check_region(constraint.as_ref().map_or("", |constraint| constraint.as_str()), &region)?;
    let name = call.bucket_name()?.clone();
    let create = Operation::CreateBucket {
        name: name.clone(),
        owner: call.identity.user,
        region: region.clone(),
    };
    let response =
        commit::commit(ctx, vaultaire_proto::GroupId::CONTROL, request_id::of(&call), create)
            .await?;
    let bucket = match response {
        Response::Bucket(bucket) => bucket,
        Response::Rejected(Rejection::BucketAlreadyOwnedByYou) => {
            let bucket = access::again(ctx, &name, call.identity.user).await?;
            settle(ctx, bucket).await?;
            if region != US_EAST_1 {
                return Err(
                    Error::new(Code::BucketAlreadyOwnedByYou).detail("BucketName", name.as_str())
                );
            }
            return Ok(created(&name));
        }
        Response::Rejected(rejection) => {
            return Err(Error::from(rejection).detail("BucketName", name.as_str()));
        }
        _ => return Err(unexpected("create bucket")),
    };
    settle(ctx, bucket).await?;
    Ok(created(&name))
}

/// A bucket is usable when every shard knows of it.
async fn settle(ctx: &Context, bucket: Bucket) -> Result<(), Error> {
    match settle_bucket(&*ctx.catalog, bucket).await?.phase {
        BucketPhase::Open => Ok(()),
        BucketPhase::Deleting | BucketPhase::Deleted => Err(Error::new(Code::OperationAborted)),
    }
}

fn created(name: &vaultaire_proto::BucketName) -> Reply {
    let mut answer = reply::empty(StatusCode::OK);
    reply::set(&mut answer, LOCATION, format!("/{name}"));
    answer
}

fn check_region(asked: &str, region: &str) -> Result<(), Error> {
    // "EU" is what eu-west-1 was called before regions had names.
    if asked.is_empty() || asked == region || (asked == "EU" && region == "eu-west-1") {
        return Ok(());
    }
    Err(Error::with(
        Code::IllegalLocationConstraintException,
        format!(
            "The {asked} location constraint is incompatible for the region specific endpoint this request was sent to; this is {region}."
        ),
    ))
}
