//! A limit on how fast workers delete.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::time::Instant;
use vaultaire_proto::BackendKey;
use vaultaire_storage::backend::Backend;
use vaultaire_storage::error::Error;

/// How many deletions run at the same time on one backend.
pub const DELETES_IN_FLIGHT: usize = 16;

/// Spreads deletions evenly over time.
#[derive(Debug)]
pub struct Pace {
    gap: Duration,
    next: Instant,
}

impl Pace {
    /// At most `per_second` deletions in a second.
    pub fn new(per_second: u32) -> Self {
        let gap = Duration::from_secs(1) / per_second.max(1);
        Self { gap, next: Instant::now() }
    }

    /// Waits until one more deletion is due.
    pub async fn one(&mut self) {
        let now = Instant::now();
        if self.next > now {
            tokio::time::sleep_until(self.next).await;
        }
        self.next = self.next.max(now) + self.gap;
    }
}

/// Deletes a batch at once; answers how each ended, in no order.
pub async fn delete_all<T: Send + 'static>(
    backend: &Arc<dyn Backend>,
    batch: Vec<(T, BackendKey)>,
) -> Vec<(T, Result<(), Error>)> {
    let deletions = stream::iter(batch).map(|(of, key)| {
        let backend = Arc::clone(backend);
        async move { (of, backend.delete(&key).await) }
    });
    deletions.buffer_unordered(DELETES_IN_FLIGHT).collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_has_no_more_than_its_share() {
        let mut pace = Pace::new(10);
        let start = Instant::now();
        for _ in 0..21 {
            pace.one().await;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(2));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let later = Instant::now();
        for _ in 0..11 {
            pace.one().await;
        }
        assert!(later.elapsed() >= Duration::from_millis(999), "idle time may not be saved up");
    }
}
