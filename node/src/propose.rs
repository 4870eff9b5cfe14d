//! How this node's own work (start, workers, admin API) commits commands: each under one request id until
//! the outcome is definite. The S3 path has its own ids and deadlines, in the router.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use ring::digest;
use vaultaire_proto::{
    Catalog, CatalogError, Clock, Command, GroupId, Operation, Rejection, RequestId, Response,
};

use crate::error::Error;

/// How long a command may wait in a log before it changes nothing any more.
const VALID_MS: u64 = 10 * 60 * 1000;

/// How often a command is offered before its error is passed on: about ten seconds.
const ATTEMPTS_MAX: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// Commits commands for this node.
#[derive(Clone, Debug)]
pub struct Proposer {
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
}

impl Proposer {
    /// Over a catalog and the clock that dates the commands.
    pub fn new(catalog: Arc<dyn Catalog>, clock: Arc<dyn Clock>) -> Self {
        Self { catalog, clock }
    }

    /// The catalog beneath, for questions.
    pub fn catalog(&self) -> &dyn Catalog {
        self.catalog.as_ref()
    }

    /// The clock beneath.
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// The catalog, to share.
    pub fn shared_catalog(&self) -> Arc<dyn Catalog> {
        Arc::clone(&self.catalog)
    }

    /// The index shards of this cluster, in order.
    pub fn shards(&self) -> impl Iterator<Item = GroupId> + use<> {
        (1..=self.catalog.cluster().shards).map(GroupId)
    }

    /// Commits under a fresh request id. A rejection is an answer here.
    pub async fn commit(
        &self,
        group: GroupId,
        operation: Operation,
    ) -> Result<Response, CatalogError> {
        self.commit_as(fresh_request(), group, operation).await
    }

    /// Commits under a given request id, so that a caller's repetition has one effect.
    pub async fn commit_as(
        &self,
        request: RequestId,
        group: GroupId,
        operation: Operation,
    ) -> Result<Response, CatalogError> {
        let not_after = self.clock.now().plus_ms(VALID_MS);
        let command = Command { group, request, not_after, operation };
        let mut attempt = 1;
        loop {
            match self.catalog.commit(command.clone()).await {
                Err(CatalogError::Stopped) => return Err(CatalogError::Stopped),
                Err(error) if attempt == ATTEMPTS_MAX => return Err(error),
                // The same command again: step 5a and the request id make a repetition harmless.
                Err(error) => {
                    tracing::debug!(%group, %error, attempt, "a command is offered again")
                }
                Ok(response) => return Ok(response),
            }
            attempt += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Commits, and makes an error of a rejection; `subject` says of what.
    pub async fn commit_accepted(
        &self,
        subject: &str,
        group: GroupId,
        operation: Operation,
    ) -> Result<Response, Error> {
        accepted(subject, self.commit(group, operation).await?)
    }
}

/// Makes an error of a rejection; `subject` says of what.
pub fn accepted(subject: &str, response: Response) -> Result<Response, Error> {
    match response {
        Response::Rejected(rejection) => Err(rejected(subject, rejection)),
        other => Ok(other),
    }
}

/// A rejection as an error.
pub fn rejected(subject: &str, rejection: Rejection) -> Error {
    Error::Rejected { subject: subject.to_owned(), rejection }
}

fn fresh_request() -> RequestId {
    RequestId(rand::rng().random())
}

/// The request id of an admin call that its caller may repeat; a fresh one where the caller named none.
pub fn request_id(call: &str, subject: &str, named: &str) -> RequestId {
    if named.is_empty() {
        return fresh_request();
    }
    let mut context = digest::Context::new(&digest::SHA256);
    for field in [call, subject, named] {
        // Lengths keep two fields from reading as one.
        context.update(&field.len().to_be_bytes());
        context.update(field.as_bytes());
    }
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    RequestId(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_call_has_one_id_and_an_unnamed_one_has_many() {
        let once = request_id("CreateBucket", "photos", "7f");
        assert_eq!(once, request_id("CreateBucket", "photos", "7f"));
        assert_ne!(once, request_id("CreateBucket", "photo", "s7f"));
        assert_ne!(once, request_id("DeleteBucket", "photos", "7f"));
        assert_ne!(
            request_id("CreateBucket", "photos", ""),
            request_id("CreateBucket", "photos", "")
        );
    }
}
