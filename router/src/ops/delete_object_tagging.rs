//! DeleteObjectTagging: a version without tags.

use http::StatusCode;

use crate::call::{Call, Context};
use crate::error::Error;
use crate::ops::put_object_tagging;
use crate::reply::{self, Reply};

/// Answers DeleteObjectTagging.
pub async fn handle(ctx: &Context, call: Call) -> Result<Reply, Error> {
    put_object_tagging::set(ctx, call, Vec::new()).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
