//! A disk that does not answer. Followers cannot see it: a leader whose log hangs still sends heartbeats and entries, and commits
//! nothing. So it notices by itself, hands its leads over, is silent and stands in no election until its disk answers again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::log::Stats;
use super::log::journal::Journal;
use super::replica::Replica;

/// So many looks in a row found that something waits and nothing was written: five seconds, where a busy disk takes one at worst.
/// Looks are counted and not seconds, since a process that was stopped for a while has not waited for its disk.
const LOOKS_MAX: u32 = 20;

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
    let mut progress = Progress::default();
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let stalled = progress.is_stalled(&journal.stats());
        if stalled == stall.0.swap(stalled, Ordering::Relaxed) {
            continue;
        }
        groups.iter().for_each(|group| group.stand(!stalled));
        if stalled {
            tracing::error!(
                "the disk of the log has not answered for {} s: this node acknowledges nothing until it does, and other voters \
                 lead meanwhile, where there are any. Look at the disk's health and load",
                (LOOK_EVERY * LOOKS_MAX).as_secs()
            );
            let handed = groups.iter().map(|group| group.hand_over_to_any(HAND_OVER_WAIT));
            stop.run_until_cancelled(join_all(handed)).await;
        } else {
            tracing::info!("the disk of the log answers again");
        }
    }
}

/// How many looks in a row found none.
#[derive(Default)]
struct Progress {
    syncs: u64,
    looks: u32,
}

impl Progress {
    fn is_stalled(&mut self, stats: &Stats) -> bool {
        self.looks = match stats.is_waiting && stats.syncs == self.syncs {
            true => self.looks.saturating_add(1),
            false => 0,
        };
        self.syncs = stats.syncs;
        self.looks >= LOOKS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_waits_and_does_not_move_is_stalled() {
        let mut progress = Progress::default();
        let mut look = |is_waiting, syncs, times: u32| {
            let stats = Stats { is_waiting, syncs, ..Stats::default() };
            (0..times).map(|_| progress.is_stalled(&stats)).last()
        };
        assert_eq!(look(false, 0, 10 * LOOKS_MAX), Some(false), "nothing to do");
        assert_eq!(look(true, 0, LOOKS_MAX - 1), Some(false));
        assert_eq!(look(true, 0, 1), Some(true));
        assert_eq!(look(true, 1, LOOKS_MAX), Some(false), "one sync is over");
        assert_eq!(look(true, 1, 1), Some(true));
        assert_eq!(look(false, 1, 1), Some(false), "all is written");
    }
}
