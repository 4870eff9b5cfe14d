//! PutObjectTagging: replaces the tags of a version. DeleteObjectTagging shares the commit.

use http::StatusCode;
use s3s::dto;
use vaultaire_proto::Operation;

use crate::body::xml;
use crate::call::{Call, Context};
use crate::commit::{self, OnObject};
use crate::error::Error;
use crate::error::code::Code;
use crate::reply::{self, Reply};
use crate::{access, attributes, lookup, request_id};

/// Answers PutObjectTagging.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let tagging: dto::Tagging = xml::required(ctx, &mut call).await?;
    set(ctx, call, tags(tagging)?).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// The tags of the XML, if S3's rules allow them.
pub fn tags(tagging: dto::Tagging) -> Result<Vec<(String, String)>, Error> {
    let tags = tagging.tag_set.into_iter().map(|tag| {
        let key = tag.key.ok_or_else(|| Error::new(Code::MalformedXML))?;
        Ok((key, tag.value.ok_or_else(|| Error::new(Code::MalformedXML))?))
    });
    attributes::check_tags(tags.collect::<Result<_, Error>>()?)
}

/// Commits a set of tags.
pub async fn set(ctx: &Context, mut call: Call, tags: Vec<(String, String)>) -> Result<(), Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let version = lookup::selector(call.query.get("versionId"))?;
    let key = call.object_key()?;
    let on =
        OnObject { bucket: &bucket, key, user: call.identity.user, request: request_id::of(&call) };
    commit::on_object(ctx, on, |target| Operation::SetTags { target, version, tags: tags.clone() })
        .await?;
    Ok(())
}
