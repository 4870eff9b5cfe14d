//! Workers: they make the world agree with the rows, each in its own file, all stopped by one owner.
//! What is to be done is rows of the state machine; a worker that forgets everything loses nothing.

pub mod brake;
pub mod epochs;
pub mod fences;
pub mod garbage;
pub mod leaders;
pub mod membership;
pub mod pace;
pub mod repair;
pub mod settle;
pub mod sweep;

#[cfg(test)]
mod hanging;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vaultaire_proto::GroupId;
use vaultaire_router::epochs::Epochs;
use vaultaire_router::targets::Targets;
use vaultaire_storage::registry::Registry;

use crate::metrics::Metrics;
use crate::propose::Proposer;
use crate::settings::Garbage;
use crate::workers::brake::Brake;

/// How long a stop waits for workers that are in the middle of a step.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Whether this node leads a group at the moment.
pub type Leads = Arc<dyn Fn(GroupId) -> bool + Send + Sync>;

/// What every worker needs.
#[derive(Clone)]
pub struct Context {
    pub proposer: Proposer,
    pub registry: Arc<Registry>,
    pub leads: Leads,
    pub garbage: Garbage,
    pub brake: Arc<Brake>,
    pub targets: Arc<Targets>,
    /// Under which this node writes, also what it moves.
    pub epochs: Arc<Epochs>,
    pub metrics: Arc<Metrics>,
}

/// The owner of every background task of a node.
#[derive(Debug, Default)]
pub struct Workers {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Workers {
    /// Repeats a step with a pause in between, until the owner stops. A step that is under way is
    /// dropped at its next await: every step can be repeated from the start. So one that panics, which
    /// the panic hook has told, does not end the others to come.
    pub fn every<F>(&self, pause: Duration, mut step: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let steps = async {
                loop {
                    if AssertUnwindSafe(step()).catch_unwind().await.is_err() {
                        tracing::error!(
                            "a worker's step panicked, which is a bug; it is tried again"
                        );
                    }
                    tokio::time::sleep(pause).await;
                }
            };
            stop.run_until_cancelled(steps).await;
        });
    }

    /// Ends every worker and waits for it, within a bound.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_MAX, self.tasks.wait()).await.is_err() {
            let left = self.tasks.len();
            tracing::warn!(left, "workers did not stop in time");
        }
    }
}

#[cfg(test)]
mod ownership {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_owner_stops_every_worker() {
        let workers = Workers::default();
        let steps = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&steps);
        workers.every(Duration::from_millis(1), move || {
            let counted = Arc::clone(&counted);
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        workers.every(Duration::ZERO, std::future::pending);
        let panics = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&panics);
        workers.every(Duration::from_millis(1), move || {
            let count = counted.fetch_add(1, Ordering::SeqCst);
            async move { assert!(count > 0, "the first step fails, the worker goes on") }
        });
        while steps.load(Ordering::SeqCst) < 3 || panics.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        workers.stop().await;
        let after = steps.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(steps.load(Ordering::SeqCst), after);
    }
}
