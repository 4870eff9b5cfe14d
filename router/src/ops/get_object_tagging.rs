//! GetObjectTagging: the tags of a version; an empty set where it has none.

use s3s::dto;

use crate::call::{Call, Context};
use crate::error::Error;
use crate::lookup::{self, Manifest};
use crate::reply::{self, Reply};
use crate::access;

/// Answers GetObjectTagging.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let selector = lookup::selector(call.query.get("versionId"))?;
    let version = lookup::version(ctx, &bucket, call.object_key()?, selector, Manifest::LeaveOut).await?;
    let tags = version.attributes.tags.into_iter();
    let tag_set = tags.map(|(key, value)| dto::Tag { key: Some(key), value: Some(value) }).collect();
    reply::xml(&dto::GetObjectTaggingOutput { tag_set, version_id: None })
}
