//! Bytes spread evenly over time, for many tasks at once.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

#[derive(Debug)]
pub struct Throttle {
    bytes_per_second: u64,
    next: Mutex<Instant>,
}

impl Throttle {
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), next: Mutex::new(Instant::now()) }
    }

    /// Waits until these bytes are due, in the order of the calls.
    pub async fn take(&self, bytes: u64) {
        // Whole microseconds are enough: what is rounded off is less than a part in a thousand of a small chunk's share.
        let micros = bytes.saturating_mul(1_000_000) / self.bytes_per_second;
        let due = {
            let mut next = self.next.lock();
            let due = (*next).max(Instant::now());
            *next = due + Duration::from_micros(micros);
            due
        };
        tokio::time::sleep_until(due).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_the_time_that_they_are_due() {
        let throttle = Throttle::new(1000);
        let start = Instant::now();
        for _ in 0..5 {
            throttle.take(500).await;
        }
        // The first goes at once.
        assert_eq!(start.elapsed().as_millis(), 2000);
    }
}
