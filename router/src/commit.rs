//! Commits a command and brings it to a definite end: repeated under the same request id while the
//! outcome is unknown, re-checked and repeated while the bucket's configuration moves. Nothing is
//! repeated for ever, and nothing whose outcome is unknown is reported as failed.

use std::time::Duration;

use tokio::time::Instant;
use vaultaire_proto::command::Target;
use vaultaire_proto::row::Bucket;
use vaultaire_proto::{
    CatalogError, Command, GroupId, ObjectKey, Operation, Rejection, RequestId, Response, UserId,
};

use crate::access;
use crate::call::Context;
use crate::error::Error;
use crate::limits;

/// Commits one command. A rejection is an answer, not an error, and is left to the caller.
pub async fn commit(
    ctx: &Context,
    group: GroupId,
    request: RequestId,
    operation: Operation,
) -> Result<Response, Error> {
    let not_after = ctx.clock.now().plus_ms(millis(limits::COMMIT_NOT_AFTER));
    let command = Command { group, request, not_after, operation };
    let mut pause = Backoff::new();
    let mut maybe_done = false;
    loop {
        let error = match ctx.catalog.commit(command.clone()).await {
            Ok(Response::Rejected(Rejection::ConfigAhead)) => {
                if pause.spent(limits::NO_LEADER_PATIENCE) {
                    return Ok(Response::Rejected(Rejection::ConfigAhead));
                }
                pause.wait().await;
                continue;
            }
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        maybe_done |= matches!(error, CatalogError::OutcomeUnknown { .. });
        let patience = match &error {
            CatalogError::Stopped | CatalogError::Unsupported => Duration::ZERO,
            _ if maybe_done => limits::COMMIT_PATIENCE,
            CatalogError::NoLeader { .. } | CatalogError::Busy { .. } => limits::NO_LEADER_PATIENCE,
            CatalogError::OutcomeUnknown { .. } => limits::COMMIT_PATIENCE,
        };
        if pause.spent(patience) {
            tracing::warn!(%group, %request, %error, maybe_done, "a command was given up");
            return Err(
                if maybe_done { CatalogError::OutcomeUnknown { group } } else { error }.into()
            );
        }
        pause.wait().await;
    }
}

/// An object command: which object, for whom.
#[derive(Debug)]
pub struct OnObject<'a> {
    pub bucket: &'a Bucket,
    pub key: &'a ObjectKey,
    pub user: UserId,
    pub request: RequestId,
}

/// Commits a command on an object. When the bucket changed meanwhile, its row is read and the right to
/// it checked again before the command is repeated. Rejections become errors.
pub async fn on_object(
    ctx: &Context,
    on: OnObject<'_>,
    operation: impl Fn(Target) -> Operation,
) -> Result<Response, Error> {
    let mut bucket = on.bucket.clone();
    for _ in 0..limits::STALE_CONFIG_ATTEMPTS_MAX {
        let target =
            Target { bucket: bucket.id, bucket_generation: bucket.generation, key: on.key.clone() };
        match commit(ctx, ctx.shard(&bucket, on.key), on.request, operation(target)).await? {
            Response::Rejected(Rejection::StaleConfig) => {
                let now = access::again(ctx, &bucket.name, on.user).await?;
                if now.id != bucket.id {
                    // Deleted and created again: another bucket, in other shards perhaps, and other blobs.
                    return Err(Rejection::NoSuchBucket.into());
                }
                bucket = now;
            }
            Response::Rejected(rejection) => return Err(rejection.into()),
            response => return Ok(response),
        }
    }
    Err(Rejection::StaleConfig.into())
}

/// Commits a command to the control group. Rejections become errors.
pub async fn control(
    ctx: &Context,
    request: RequestId,
    operation: Operation,
) -> Result<Response, Error> {
    match commit(ctx, GroupId::CONTROL, request, operation).await? {
        Response::Rejected(rejection) => Err(rejection.into()),
        response => Ok(response),
    }
}

struct Backoff {
    began: Instant,
    next: Duration,
}

impl Backoff {
    fn new() -> Self {
        Self { began: Instant::now(), next: limits::BACKOFF_FIRST }
    }

    fn spent(&self, patience: Duration) -> bool {
        self.began.elapsed() >= patience
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(limits::BACKOFF_MAX);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
