//! GetBucketAcl and GetObjectAcl: the owner has full control and nobody else has anything, which is what
//! S3 says of buckets whose ACLs are disabled.

use s3s::dto;

use crate::call::{Call, Context};
use crate::error::Error;
use crate::lookup::{self, Manifest};
use crate::reply::{self, Reply};
use crate::{access, listing};

/// Answers both.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    if let Some(key) = &call.key {
        let selector = lookup::selector(call.query.get("versionId"))?;
        lookup::version(ctx, &bucket, key, selector, Manifest::LeaveOut).await?;
    }
    let owner = listing::owner(ctx, bucket.owner).await?;
    let grantee = dto::Grantee {
        display_name: owner.display_name.clone(),
        email_address: None,
        id: owner.id.clone(),
        type_: dto::Type::from_static(dto::Type::CANONICAL_USER),
        uri: None,
    };
    let grant = dto::Grant {
        grantee: Some(grantee),
        permission: Some(dto::Permission::from_static(dto::Permission::FULL_CONTROL)),
    };
    reply::xml(&dto::GetBucketAclOutput { grants: Some(vec![grant]), owner: Some(owner) })
}
