//! What becomes of a command when the catalog is unwell, with time that stands still.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use vaultaire_proto::catalog::local::LocalCatalog;
use vaultaire_proto::row::{BucketPhase, ClusterRow, Versioning};
use vaultaire_proto::time::ManualClock;
use vaultaire_proto::{Answer, BucketId, BucketName, Catalog, Consistency, NodeId, Query, TimeMs};
use vaultaire_storage::registry::Registry;

use super::*;
use crate::config::Settings;
use crate::epochs::Epochs;

type Outcome = Result<Response, CatalogError>;

/// Answers as told; the last answer stays.
#[derive(Debug)]
struct Scripted {
    inner: LocalCatalog,
    answers: Mutex<VecDeque<Outcome>>,
    seen: Mutex<Vec<Command>>,
    bucket: Mutex<Option<Bucket>>,
}

#[async_trait]
impl Catalog for Scripted {
    fn cluster(&self) -> &ClusterRow {
        self.inner.cluster()
    }

    async fn query(&self, _: Query, _: Consistency) -> Result<Answer, CatalogError> {
        Ok(Answer::Bucket(self.bucket.lock().clone()))
    }

    async fn commit(&self, command: Command) -> Outcome {
        self.seen.lock().push(command);
        let mut answers = self.answers.lock();
        match answers.len() {
            1 => answers.front().cloned().unwrap(),
            _ => answers.pop_front().unwrap(),
        }
    }
}

const GROUP: GroupId = GroupId(1);
const REQUEST: RequestId = RequestId([7; 16]);

fn bucket(id: u64, generation: u64, owner: u64) -> Bucket {
    Bucket {
        id: BucketId(id),
        name: BucketName::parse("photos").unwrap(),
        owner: UserId(owner),
        region: "us-east-1".to_owned(),
        created: TimeMs(0),
        generation,
        phase: BucketPhase::Open,
        versioning: Versioning::Off,
        settled: true,
        copies: None,
    }
}

fn world(answers: Vec<Outcome>) -> (Arc<Scripted>, Context) {
    let clock = Arc::new(ManualClock::new(TimeMs(1000)));
    let catalog = Arc::new(Scripted {
        inner: LocalCatalog::new(1, clock.clone()),
        answers: Mutex::new(answers.into()),
        seen: Mutex::default(),
        bucket: Mutex::new(Some(bucket(1, 2, 1))),
    });
    let ctx = Context {
        epochs: Epochs::new(catalog.clone(), clock.clone(), NodeId(1), 1),
        catalog: catalog.clone(),
        registry: Arc::new(Registry::default()),
        clock,
        settings: Settings::new(Arc::default()),
        budget_in: Arc::new(Semaphore::new(1)),
        budget_out: Arc::new(Semaphore::new(1)),
        xml_budget: Semaphore::new(1),
    };
    (catalog, ctx)
}

fn operation() -> Operation {
    Operation::DeleteBucket { bucket: BucketId(1) }
}

async fn run(answers: Vec<Outcome>) -> (Vec<Command>, Result<Response, Error>) {
    let (catalog, ctx) = world(answers);
    let outcome = commit(&ctx, GROUP, REQUEST, operation()).await;
    let seen = catalog.seen.lock().clone();
    (seen, outcome)
}

async fn run_on_object(
    answers: Vec<Outcome>,
    now: Option<Bucket>,
) -> (usize, Result<Response, Error>) {
    let (catalog, ctx) = world(answers);
    *catalog.bucket.lock() = now;
    let (before, key) = (bucket(1, 1, 1), ObjectKey::parse("k").unwrap());
    let on = OnObject { bucket: &before, key: &key, user: UserId(1), request: REQUEST };
    let outcome = on_object(&ctx, on, |target| Operation::SetTags {
        target,
        version: None,
        tags: Vec::new(),
    });
    let outcome = outcome.await;
    let seen = catalog.seen.lock().len();
    (seen, outcome)
}

fn unknown() -> Outcome {
    Err(CatalogError::OutcomeUnknown { group: GROUP })
}

fn no_leader() -> Outcome {
    Err(CatalogError::NoLeader { group: GROUP })
}

fn rejected(rejection: Rejection) -> Outcome {
    Ok(Response::Rejected(rejection))
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_asked_for_again_under_the_same_id() {
    let (seen, outcome) = run(vec![unknown(), no_leader(), unknown(), Ok(Response::Done)]).await;
    assert_eq!(outcome.unwrap(), Response::Done);
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|command| *command == seen[0]), "every repetition is the same command");
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_is_never_called_failed() {
    let began = Instant::now();
    let (_, outcome) = run(vec![unknown(), no_leader()]).await;
    assert_eq!(
        outcome.unwrap_err().code(),
        "ServiceUnavailable",
        "SlowDown would say: nothing happened"
    );
    assert!(began.elapsed() >= limits::COMMIT_PATIENCE);
    assert!(began.elapsed() < limits::COMMIT_NOT_AFTER, "past that the answer could change");
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_patience_is_short() {
    let began = Instant::now();
    let (_, outcome) = run(vec![no_leader()]).await;
    assert_eq!(outcome.unwrap_err().code(), "SlowDown");
    assert!(began.elapsed() < limits::NO_LEADER_PATIENCE * 2);
    let (seen, outcome) = run(vec![Err(CatalogError::Stopped)]).await;
    assert_eq!((seen.len(), outcome.unwrap_err().code()), (1, "SlowDown"));
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_behind_is_waited_for() {
    let (seen, outcome) = run(vec![rejected(Rejection::ConfigAhead), Ok(Response::Done)]).await;
    assert_eq!((seen.len(), outcome.unwrap()), (2, Response::Done));
    let (_, outcome) = run(vec![rejected(Rejection::ConfigAhead)]).await;
    assert_eq!(outcome.unwrap(), Response::Rejected(Rejection::ConfigAhead), "but not for ever");
}

#[tokio::test(start_paused = true)]
async fn a_changed_bucket_is_read_and_checked_again() {
    let stale = || vec![rejected(Rejection::StaleConfig), Ok(Response::Done)];
    let (seen, outcome) = run_on_object(stale(), Some(bucket(1, 2, 1))).await;
    assert_eq!((seen, outcome.unwrap()), (2, Response::Done));
    let (seen, outcome) = run_on_object(stale(), Some(bucket(1, 2, 9))).await;
    assert_eq!((seen, outcome.unwrap_err().code()), (1, "AccessDenied"), "it changed hands");
    for gone in [None, Some(bucket(2, 1, 1))] {
        let (seen, outcome) = run_on_object(stale(), gone).await;
        assert_eq!((seen, outcome.unwrap_err().code()), (1, "NoSuchBucket"));
    }
    let (seen, outcome) =
        run_on_object(vec![rejected(Rejection::StaleConfig)], Some(bucket(1, 2, 1))).await;
    assert_eq!(
        (seen, outcome.unwrap_err().code()),
        (limits::STALE_CONFIG_ATTEMPTS_MAX, "SlowDown")
    );
}
