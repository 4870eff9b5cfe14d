//! Where work runs that waits for a disk: on threads of its own, so that it holds up nobody; or, in simulations, in turn with
//! everything else, so that it can be repeated.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;
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

    /// What `items` gives, read no more than `ahead` items ahead of whoever takes them.
    pub fn stream<T: Send + 'static>(
        &self,
        ahead: usize,
        items: impl Iterator<Item = T> + Send + 'static,
    ) -> BoxStream<'static, T> {
        match self {
            Self::Threads => {
                let (read, given) = mpsc::channel(ahead);
                tokio::task::spawn_blocking(move || {
                    for item in items {
                        if read.blocking_send(item).is_err() {
                            // Nobody wants the rest.
                            return;
                        }
                    }
                });
                ReceiverStream::new(given).boxed()
            }
            Self::Here(_) => stream::iter(items).boxed(),
        }
    }
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
            assert_eq!(place.stream(2, 0..9).collect::<Vec<_>>().await, (0..9).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_of_that_work_alone() {
        let result = Place::Threads.run(|| panic!("a bug")).await;
        assert!(result.is_err());
    }
}
