//! How long nobody has used something: those who do hold a guard each.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// Held by who uses it.
pub type InUse = Arc<()>;

#[derive(Debug)]
pub struct Idle {
    users: InUse,
    since: Instant,
}

impl Default for Idle {
    fn default() -> Self {
        Self { users: InUse::default(), since: Instant::now() }
    }
}

impl Idle {
    pub fn uses(&self) -> InUse {
        Arc::clone(&self.users)
    }

    /// Whether nobody has used it for so long, as far as calls of this have seen.
    pub fn is_over(&mut self, max: Duration) -> bool {
        if Arc::strong_count(&self.users) > 1 {
            self.since = Instant::now();
        }
        self.since.elapsed() >= max
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_counts_from_the_last_use() {
        let (mut idle, max) = (Idle::default(), Duration::from_secs(10));
        let used = idle.uses();
        sleep(Duration::from_secs(60)).await;
        assert!(!idle.is_over(max));
        drop(used);
        sleep(Duration::from_secs(9)).await;
        assert!(!idle.is_over(max));
        sleep(Duration::from_secs(1)).await;
        assert!(idle.is_over(max));
    }
}
