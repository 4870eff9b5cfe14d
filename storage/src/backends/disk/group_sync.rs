//! One flush for many waiters: concurrent writers into one folder share its fsync. A flush serves everyone who
//! asked before it *began*; who asks while it runs waits for the next. It does not decide what a flush is.

use std::io;

use parking_lot::{Condvar, Mutex};

/// Merges concurrent flushes of one thing. Blocks its caller: for blocking threads only.
#[derive(Debug, Default)]
pub struct GroupSync {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the last flush that began; they are numbered from 1.
    begun: u64,
    /// The number of the last flush that ended.
    ended: u64,
    running: bool,
    /// The last flush that failed, and why. A flush after a failed one proves nothing about
    /// what the failed one was to write, so everyone who asked before it gets its error.
    failed: Option<(u64, io::ErrorKind)>,
}

impl GroupSync {
    /// Returns once a flush that began after this call has ended.
    pub fn sync(&self, flush: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock();
        let ticket = state.begun + 1;
        while state.ended < ticket {
            if state.running {
                self.ended.wait(&mut state);
                continue;
            }
            state.running = true;
            state.begun += 1;
            let mine = state.begun;
            drop(state);
            let outcome = flush();
            state = self.state.lock();
            state.running = false;
            state.ended = mine;
            if let Err(error) = &outcome {
                state.failed = Some((mine, error.kind()));
            }
            self.ended.notify_all();
            return outcome;
        }
        match state.failed {
            Some((flush, kind)) if flush >= ticket => Err(io::Error::from(kind)),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Barrier};
    use std::time::Duration;

    use super::*;

    const THREADS: usize = 16;
    const ROUNDS: u64 = 50;

    /// Each writer raises `written` and asks for a flush; a flush copies `written` to `flushed`
    /// as it begins. So a writer whose own mark is not flushed on return was betrayed.
    #[test]
    fn a_flush_covers_all_that_was_written_before_it_was_asked_for() {
        let group = Arc::new(GroupSync::default());
        let written = Arc::new(AtomicU64::new(0));
        let flushed = Arc::new(AtomicU64::new(0));
        let flushes = Arc::new(AtomicU64::new(0));
        let start = Arc::new(Barrier::new(THREADS));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (group, written, flushed) = (group.clone(), written.clone(), flushed.clone());
                let (flushes, start) = (flushes.clone(), start.clone());
                std::thread::spawn(move || {
                    start.wait();
                    for _ in 0..ROUNDS {
                        let mark = written.fetch_add(1, Ordering::SeqCst) + 1;
                        let flush = || {
                            let seen = written.load(Ordering::SeqCst);
                            std::thread::sleep(Duration::from_micros(200));
                            flushed.fetch_max(seen, Ordering::SeqCst);
                            flushes.fetch_add(1, Ordering::SeqCst);
                            Ok(())
                        };
                        group.sync(flush).unwrap();
                        assert!(flushed.load(Ordering::SeqCst) >= mark);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let asked = THREADS as u64 * ROUNDS;
        let ran = flushes.load(Ordering::SeqCst);
        assert!(ran < asked / 2, "{ran} flushes served {asked} requests: they were not merged");
    }

    #[test]
    fn a_failed_flush_fails_everyone_it_served() {
        let group = Arc::new(GroupSync::default());
        let begun = Arc::new(Barrier::new(2));
        let leader = {
            let (group, begun) = (group.clone(), begun.clone());
            std::thread::spawn(move || {
                group.sync(|| {
                    begun.wait();
                    std::thread::sleep(Duration::from_millis(50));
                    Ok(())
                })
            })
        };
        begun.wait();
        // Both ask while the first flush runs: one leads the second flush, the other is served by it or by a third.
        let followers: Vec<_> = (0..2)
            .map(|_| {
                let group = group.clone();
                std::thread::spawn(move || {
                    group.sync(|| Err(io::Error::from(io::ErrorKind::StorageFull)))
                })
            })
            .collect();
        leader.join().unwrap().unwrap();
        for follower in followers {
            let error = follower.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
    }
}
