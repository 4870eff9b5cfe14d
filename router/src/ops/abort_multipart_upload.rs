//! AbortMultipartUpload: the upload and its parts are garbage.

use http::StatusCode;
use vaultaire_proto::Operation;

use crate::call::{Call, Context};
use crate::commit::{self, OnObject};
use crate::error::Error;
use crate::reply::{self, Reply};
use crate::{access, lookup, request_id};

/// Answers AbortMultipartUpload.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let id = lookup::upload_id(&call)?;
    let key = call.object_key()?;
    let on =
        OnObject { bucket: &bucket, key, user: call.identity.user, request: request_id::of(&call) };
    commit::on_object(ctx, on, |target| Operation::AbortUpload { target, upload: id }).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
