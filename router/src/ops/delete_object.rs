//! DeleteObject: removes an object or a version of it, or adds a delete marker, as the bucket's versioning says.

use http::StatusCode;
use http::header::HeaderName;
use vaultaire_proto::command::DeleteVersion;
use vaultaire_proto::response::Deleted;
use vaultaire_proto::{Operation, Response};

use crate::call::{Call, Context};
use crate::commit::{self, OnObject};
use crate::error::Error;
use crate::error::map::unexpected;
use crate::reply::{self, Reply};
use crate::{access, condition, headers, lookup, request_id};

/// Answers DeleteObject.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let version = lookup::selector(call.query.get("versionId"))?;
    let condition = condition::write(&call.headers)?;
    let key = call.object_key()?;
    let on =
        OnObject { bucket: &bucket, key, user: call.identity.user, request: request_id::of(&call) };
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
    let mut answer = reply::empty(StatusCode::NO_CONTENT);
    if let Some(id) = version_text(&deleted) {
        reply::set(&mut answer, headers::VERSION_ID, id);
    }
    if deleted.marker {
        reply::set(&mut answer, HeaderName::from_static("x-amz-delete-marker"), "true");
    }
    Ok(answer)
}

/// The version that was removed or added, where S3 shows it.
pub fn version_text(deleted: &Deleted) -> Option<String> {
    match deleted.version {
        None => None,
        Some(_) if deleted.null => Some(headers::NULL_VERSION.to_owned()),
        Some(version) => Some(version.to_string()),
    }
}
