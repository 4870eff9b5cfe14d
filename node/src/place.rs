//! Where work runs that waits for a disk: on threads of its own, so that it holds up nobody; or, in simulations, in turn with
//! everything else, so that it can be repeated.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

/// How long a piece of work takes.
pub type Latency = Arc<dyn Fn() -> Duration + Send + Sync>;

#[derive(Clone)]
pub enum Place {
    /// The runtime's threads for work that blocks.
    Threads,
    /// The task that asks, after a while.
    Here(Latency),
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Threads => "Threads",
            Self::Here(_) => "Here",
        })
    }
}

/// How far work of a node's own stands back behind requests where processors are short. It goes on even then: a thread of this
/// niceness gets a ninth of what a request's thread gets (the weights of the kernel's fair scheduler, `sched_prio_to_weight`).
const NICENESS: i32 = 10;

/// Work has no result: the runtime is being dropped, or it panicked, which is a bug that the log shows.
#[derive(Clone, Debug, thiserror::Error)]
#[error("a task failed: {0}")]
pub struct Failed(String);

impl Place {
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failed> {
        match self {
            Self::Threads => {
                tokio::task::spawn_blocking(work).await.map_err(|error| Failed(error.to_string()))
            }
            Self::Here(latency) => {
                tokio::time::sleep(latency()).await;
                Ok(work())
            }
        }
    }

    /// The same for long work that no request waits for: it leaves the processors to those that are waited for. Each takes a thread,
    /// so who asks sees to it that there are few: one snapshot arrives at a time, and a group has one digest.
    pub async fn run_aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failed> {
        if let Self::Here(_) = self {
            return self.run(work).await;
        }
        let (done, result) = oneshot::channel();
        // Who asked may be gone.
        aside(move || _ = done.send(work()))?;
        result.await.map_err(|_| Failed("it panicked".to_owned()))
    }

    /// What `items` gives, aside as well, read no more than `ahead` items ahead of whoever takes them.
    pub fn stream<T: Send + 'static>(
        &self,
        ahead: usize,
        items: impl Iterator<Item = T> + Send + 'static,
    ) -> BoxStream<'static, T> {
        if let Self::Here(_) = self {
            return stream::iter(items).boxed();
        }
        let (read, given) = mpsc::channel(ahead);
        let begun = aside(move || {
            for item in items {
                if read.blocking_send(item).is_err() {
                    // Nobody wants the rest.
                    return;
                }
            }
        });
        if let Err(error) = begun {
            tracing::warn!(%error, "nothing is read: what was to be given ends before it began");
        }
        ReceiverStream::new(given).boxed()
    }
}

/// A thread of its own, since one of the runtime's would have to become quick again, which the kernel refuses to most users.
fn aside(work: impl FnOnce() + Send + 'static) -> Result<(), Failed> {
    let thread = thread::Builder::new().name("aside".to_owned()).spawn(move || {
        // On Linux it is this thread's alone. Without it the work is done all the same.
        let own = rustix::process::getpriority_process(None).unwrap_or_default();
        let _ = rustix::process::setpriority_process(None, own.max(NICENESS));
        work();
    });
    thread.map(drop).map_err(|error| Failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn both_places_do_the_same_work() {
        let slow = Place::Here(Arc::new(|| Duration::from_millis(7)));
        for (place, takes) in [(Place::Threads, 0), (slow, 7)] {
            let began = Instant::now();
            assert_eq!(place.run(|| 3).await.unwrap(), 3);
            assert_eq!(began.elapsed(), Duration::from_millis(takes));
            assert_eq!(place.run_aside(|| 4).await.unwrap(), 4);
            assert_eq!(place.stream(2, 0..9).collect::<Vec<_>>().await, (0..9).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_of_that_work_alone() {
        let result = Place::Threads.run(|| panic!("a bug")).await;
        assert!(result.is_err());
        let result = Place::Threads.run_aside(|| panic!("a bug")).await;
        assert!(result.is_err());
    }

    #[tokio::test]
    async fn what_is_done_aside_stands_back_and_nothing_else() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        assert_eq!(Place::Threads.run_aside(niceness).await.unwrap(), before.max(NICENESS));
        assert_eq!(Place::Threads.run(niceness).await.unwrap(), before);
        assert_eq!(niceness(), before);
    }
}
