//! How this node's own work (start, workers, admin API) commits commands: each under one request id until
//! the outcome is definite. The S3 path has its own ids and deadlines, in the router.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use ring::digest;
use tokio::time::{Instant, timeout_at};
use vaultaire_proto::{
    Catalog, CatalogError, Clock, Command, GroupId, Operation, Rejection, RequestId, Response,
};

use crate::chance::Chance;
use crate::error::Error;

/// How long a command may wait in a log before it changes nothing any more.
const VALID_MS: u64 = 10 * 60 * 1000;

/// How long a command is offered before its error is passed on. The catalog beneath repeats too, so what counts is the clock
/// and not the attempts.
const OFFERED_MAX: Duration = Duration::from_secs(30);

/// Between two offers.
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
        let deadline = Instant::now() + OFFERED_MAX;
        let mut unknown = None;
        loop {
            // An offer that is cut off may have been carried out.
            let offered = timeout_at(deadline, self.catalog.commit(command.clone())).await;
            let error = match offered.unwrap_or(Err(CatalogError::OutcomeUnknown { group })) {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let again = match &error {
                CatalogError::OutcomeUnknown { .. } => {
                    unknown = Some(error.clone());
                    true
                }
                CatalogError::NoLeader { .. } | CatalogError::Busy { .. } => true,
                CatalogError::Stopped | CatalogError::Unsupported => false,
            };
            if !again || Instant::now() + PAUSE >= deadline {
                // Of an offer whose outcome is unknown, no later failure says that nothing was changed.
                return Err(unknown.unwrap_or(error));
            }
            // The same command again: the request id makes a repetition harmless.
            tracing::debug!(%group, %error, "a command is offered again");
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

/// One that nobody has used.
pub fn fresh_request() -> RequestId {
    RequestId(Chance.random())
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
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use async_trait::async_trait;
    use parking_lot::Mutex;
    use vaultaire_proto::row::ClusterRow;
    use vaultaire_proto::{Answer, ClusterId, Consistency, Query};

    use super::*;
    use crate::clock::SystemClock;

    const GROUP: GroupId = GroupId(1);
    const NO_LEADER: CatalogError = CatalogError::NoLeader { group: GROUP };
    const UNKNOWN: CatalogError = CatalogError::OutcomeUnknown { group: GROUP };

    /// Answers slowly, and never with yes.
    #[derive(Debug)]
    struct Slow {
        cluster: ClusterRow,
        takes: Duration,
        errors: Mutex<Vec<CatalogError>>,
        last: CatalogError,
    }

    #[async_trait]
    impl Catalog for Slow {
        fn cluster(&self) -> &ClusterRow {
            &self.cluster
        }

        async fn query(&self, _: Query, _: Consistency) -> Result<Answer, CatalogError> {
            Err(CatalogError::Stopped)
        }

        async fn commit(&self, _: Command) -> Result<Response, CatalogError> {
            tokio::time::sleep(self.takes).await;
            Err(self.errors.lock().pop().unwrap_or_else(|| self.last.clone()))
        }
    }

    async fn outcome(takes: u64, first: &[CatalogError], last: CatalogError) -> CatalogError {
        let cluster = ClusterRow {
            cluster: ClusterId([1; 16]),
            generation: 1,
            shards: 1,
            region: String::new(),
            token_key: Vec::new(),
        };
        let takes = Duration::from_secs(takes);
        let catalog = Slow { cluster, takes, errors: Mutex::new(first.to_vec()), last };
        let proposer = Proposer::new(Arc::new(catalog), Arc::new(SystemClock));
        let began = Instant::now();
        let operation = Operation::OpenEpoch { node: vaultaire_proto::NodeId(1), incarnation: 1 };
        let error = proposer.commit(GROUP, operation).await.unwrap_err();
        assert!(began.elapsed() <= OFFERED_MAX + PAUSE, "it took {:?}", began.elapsed());
        error
    }

    #[tokio::test(start_paused = true)]
    async fn one_deadline_bounds_every_offer_together() {
        assert_eq!(outcome(0, &[], NO_LEADER).await, NO_LEADER);
        assert_eq!(outcome(20, &[], UNKNOWN).await, UNKNOWN);
        assert_eq!(outcome(20, &[], NO_LEADER).await, UNKNOWN, "the last offer was cut off");
        assert_eq!(outcome(3600, &[], NO_LEADER).await, UNKNOWN);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_outcome_is_remembered() {
        assert_eq!(outcome(0, &[UNKNOWN], NO_LEADER).await, UNKNOWN);
        assert_eq!(outcome(0, &[UNKNOWN], CatalogError::Stopped).await, UNKNOWN);
        assert_eq!(outcome(0, &[NO_LEADER], CatalogError::Stopped).await, CatalogError::Stopped);
    }

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
