//! PutBucketAcl and PutObjectAcl: what says no more than what is so anyway, the owner has full control,
//! succeeds and changes nothing; anything else is refused, as by S3 where ACLs are disabled.

use http::StatusCode;
use s3s::dto;

use crate::access;
use crate::body::xml;
use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::code::Code;
use crate::lookup::{self, Manifest};
use crate::reply::{self, Reply};

/// Answers both.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    if let Some(key) = &call.key {
        let selector = lookup::selector(call.query.get("versionId"))?;
        lookup::version(ctx, &bucket, key, selector, Manifest::LeaveOut).await?;
    }
    let owner = bucket.owner.to_string();
    let policy: Option<dto::AccessControlPolicy> = xml::read(ctx, &mut call).await?;
    match policy {
        // The gate has let pass only canned ACLs that give the owner everything.
        None if call.headers.contains_key("x-amz-acl") => {}
        None => {
            return Err(Error::with(
                Code::InvalidRequest,
                "Send x-amz-acl, or an access control policy.",
            ));
        }
        Some(policy) => {
            let grants = policy.grants.unwrap_or_default();
            if grants.is_empty() || !grants.iter().all(|grant| gives_owner_all(grant, &owner)) {
                return Err(Error::new(Code::AccessControlListNotSupported));
            }
        }
    }
    Ok(reply::empty(StatusCode::OK))
}

fn gives_owner_all(grant: &dto::Grant, owner: &str) -> bool {
    let grantee = grant.grantee.as_ref().and_then(|grantee| grantee.id.as_deref());
    let permission = grant.permission.as_ref().map(dto::Permission::as_str);
    grantee == Some(owner) && permission == Some(dto::Permission::FULL_CONTROL)
}
