//! A disk that does not answer. Followers cannot see it: a leader whose log hangs still sends heartbeats and entries, and commits
//! nothing. So it notices by itself, hands its leads over, is silent and stands in no election until its disk answers again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::log::Stats;
use super::log::journal::Journal;
use super::replica::Replica;

/// Nothing was written for so long though something waits. A busy disk takes a second at worst.
const STALLED_AFTER: Duration = Duration::from_secs(5);

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long another node is given to take a lead over. After that the silence makes the others elect one.
const HAND_OVER_WAIT: Duration = Duration::from_secs(2);

/// Whether this node's log waits for its disk.
#[derive(Debug, Default)]
pub struct Stall(AtomicBool);

impl Stall {
    pub fn is_stalled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Looks after the log's disk until told to stop.
pub async fn run(
    groups: Vec<Arc<Replica>>,
    journal: Arc<Journal>,
    stall: Arc<Stall>,
    stop: CancellationToken,
) {
    let mut progress = Progress { syncs: 0, since: Instant::now() };
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let stalled = progress.is_stalled(&journal.stats(), Instant::now());
        if stalled == stall.0.swap(stalled, Ordering::Relaxed) {
            continue;
        }
        groups.iter().for_each(|group| group.stand(!stalled));
        if stalled {
            tracing::error!(
                "the disk of the log has not answered for {} s; others lead until it does. Look at its health",
                STALLED_AFTER.as_secs()
            );
            let handed = groups.iter().map(|group| group.hand_over_to_any(HAND_OVER_WAIT));
            stop.run_until_cancelled(join_all(handed)).await;
        } else {
            tracing::info!("the disk of the log answers again");
        }
    }
}

/// Since when there was none.
struct Progress {
    syncs: u64,
    since: Instant,
}

impl Progress {
    fn is_stalled(&mut self, stats: &Stats, now: Instant) -> bool {
        if !stats.is_waiting || stats.syncs != self.syncs {
            *self = Self { syncs: stats.syncs, since: now };
        }
        now.duration_since(self.since) >= STALLED_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_waits_and_does_not_move_is_stalled() {
        let began = Instant::now();
        let mut progress = Progress { syncs: 0, since: began };
        let mut look = |is_waiting, syncs, seconds| {
            let stats = Stats { is_waiting, syncs, ..Stats::default() };
            progress.is_stalled(&stats, began + Duration::from_secs(seconds))
        };
        assert!(!look(false, 0, 60), "nothing to do");
        assert!(!look(true, 0, 61), "it has begun to wait");
        assert!(look(true, 0, 65));
        assert!(!look(true, 1, 66), "one sync is over");
        assert!(!look(true, 1, 70));
        assert!(look(true, 1, 71));
        assert!(!look(false, 1, 72), "all is written");
    }
}
