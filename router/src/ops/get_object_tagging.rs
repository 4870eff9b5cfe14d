//! GetObjectTagging: the tags of a version; an empty set where it has none.

use s3s::dto;

use crate::call::{Call, Context};
use crate::error::Error;
use crate::lookup::{self, Manifest};
use crate::reply::{self, Reply};
use crate::{access, headers};

/// Answers GetObjectTagging.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let selector = lookup::selector(call.query.get("versionId"))?;
    let version =
        lookup::version(ctx, &bucket, call.object_key()?, selector, Manifest::LeaveOut).await?;
    // A set has no order of its own, so it is always shown in the same one.
    let mut tags = version.attributes.tags.clone();
    tags.sort_unstable();
    let tags = tags.into_iter();
    let tag_set =
        tags.map(|(key, value)| dto::Tag { key: Some(key), value: Some(value) }).collect();
    let mut answer = reply::xml(&dto::GetObjectTaggingOutput { tag_set, version_id: None })?;
    headers::describe_id(&mut answer, &version, bucket.versioning);
    Ok(answer)
}
