//! Who may do what: a user may use the buckets it owns, and nobody else may. Every operation on a
//! bucket begins here, and so does every repetition after the bucket's configuration changed.

use vaultaire_proto::row::{Bucket, BucketPhase};
use vaultaire_proto::{Answer, BucketName, Consistency, Query, UserId};

use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::unexpected;

/// The bucket that the call names, if its user may use it.
pub async fn bucket(ctx: &Context, call: &mut Call) -> Result<Bucket, Error> {
    let row = match call.row.take() {
        Some(row) => Some(row),
        None => read(ctx, call.bucket_name()?).await?,
    };
    let bucket = allow(row, call.bucket_name()?, call.identity.user)?;
    expect_owner(call, "x-amz-expected-bucket-owner", &bucket)?;
    Ok(bucket)
}

/// Checks whom a copy expects to own its source.
pub fn as_source(call: &Call, bucket: &Bucket) -> Result<(), Error> {
    expect_owner(call, "x-amz-source-expected-bucket-owner", bucket)
}

/// Reads the row afresh and checks the right to it again.
pub async fn again(ctx: &Context, name: &BucketName, user: UserId) -> Result<Bucket, Error> {
    allow(read(ctx, name).await?, name, user)
}

/// The row as it is, whoever owns it.
pub async fn read(ctx: &Context, name: &BucketName) -> Result<Option<Bucket>, Error> {
    match ctx.catalog.query(Query::Bucket(name.clone()), Consistency::Linearizable).await? {
        Answer::Bucket(row) => Ok(row),
        _ => Err(unexpected("bucket")),
    }
}

fn allow(row: Option<Bucket>, name: &BucketName, user: UserId) -> Result<Bucket, Error> {
    let absent = || Error::new(Code::NoSuchBucket).detail("BucketName", name.as_str());
    let bucket = row.ok_or_else(absent)?;
    match bucket.phase {
        BucketPhase::Deleted => return Err(absent()),
        BucketPhase::Open | BucketPhase::Deleting => {}
    }
    if bucket.owner != user {
        return Err(Error::with(
            Code::AccessDenied,
            "Access Denied: the bucket belongs to another user.",
        ));
    }
    Ok(bucket)
}

fn expect_owner(call: &Call, header: &str, bucket: &Bucket) -> Result<(), Error> {
    match call.headers.get(header) {
        Some(expected) if expected.as_bytes() != bucket.owner.to_string().as_bytes() => {
            Err(Error::with(
                Code::AccessDenied,
                format!("Access Denied: {header} names another owner."),
            ))
        }
        Some(_) | None => Ok(()),
    }
}
