//! DeleteObjects: up to 1,000 keys, each with its own outcome.

use futures::StreamExt;
use s3s::dto;
use vaultaire_proto::command::{Condition, DeleteVersion};
use vaultaire_proto::row::Bucket;
use vaultaire_proto::{Operation, Response};

use crate::body::xml;
use crate::call::{Call, Context};
use crate::commit::{self, OnObject};
use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::unexpected;
use crate::ops::delete_object;
use crate::reply::{self, Reply};
use crate::{access, condition, gate, http_date, limits, lookup, request_id};

/// Answers DeleteObjects.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let request: dto::Delete = xml::required(ctx, &mut call).await?;
    if request.objects.is_empty() || request.objects.len() > limits::DELETE_KEYS_MAX {
        return Err(Error::with(Code::MalformedXML, "DeleteObjects takes 1 to 1,000 keys."));
    }
    let quiet = request.quiet.unwrap_or(false);
    let deletions: Vec<_> = request
        .objects
        .into_iter()
        .enumerate()
        .map(|(ordinal, object)| {
            let (bucket, call) = (&bucket, &call);
            async move {
                let outcome = delete(ctx, call, bucket, ordinal, &object).await;
                (object, outcome)
            }
        })
        .collect();
    let outcomes: Vec<_> =
        futures::stream::iter(deletions).buffered(limits::DELETE_CONCURRENCY).collect().await;
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for (object, outcome) in outcomes {
        match outcome {
            Ok(line) if !quiet => deleted.push(line),
            Ok(_) => {}
            Err(error) => errors.push(dto::Error {
                code: Some(error.code().to_owned()),
                key: Some(object.key.clone()),
                message: Some(error.message().to_owned()),
                version_id: object.version_id.clone(),
            }),
        }
    }
    reply::xml(&dto::DeleteObjectsOutput {
        deleted: (!deleted.is_empty()).then_some(deleted),
        errors: (!errors.is_empty()).then_some(errors),
        request_charged: None,
    })
}

async fn delete(
    ctx: &Context,
    call: &Call,
    bucket: &Bucket,
    ordinal: usize,
    object: &dto::ObjectIdentifier,
) -> Result<dto::DeletedObject, Error> {
    let key = gate::object_key(&object.key)?;
    let version = lookup::selector(object.version_id.as_deref())?;
    let condition = condition_of(object)?;
    let ordinal = u32::try_from(ordinal).unwrap_or(u32::MAX);
    let request = request_id::of_item(call, ordinal, &object.key);
    let on = OnObject { bucket, key: &key, user: call.identity.user, request };
    let response = commit::on_object(ctx, on, |target| {
        Operation::DeleteVersion(DeleteVersion {
            target,
            owner: bucket.owner,
            version,
            condition: condition.clone(),
        })
    });
    let Response::Deleted(deleted) = response.await? else {
        return Err(unexpected("delete version"));
    };
    let id = delete_object::version_text(&deleted);
    Ok(dto::DeletedObject {
        delete_marker: deleted.marker.then_some(true),
        delete_marker_version_id: id.filter(|_| deleted.marker),
        key: Some(object.key.clone()),
        version_id: object.version_id.clone(),
    })
}

fn condition_of(object: &dto::ObjectIdentifier) -> Result<Condition, Error> {
    let size =
        object.size.map(|size| u64::try_from(size).map_err(|_| Error::new(Code::MalformedXML)));
    let modified = object
        .last_modified_time
        .as_ref()
        .map(|time| http_date::of_timestamp(time).ok_or_else(|| Error::new(Code::MalformedXML)));
    Ok(Condition {
        if_match: object.e_tag.as_ref().map(|tag| condition::tag(tag.value())),
        if_none_match: None,
        if_modified_at: modified.transpose()?,
        if_size_bytes: size.transpose()?,
    })
}
