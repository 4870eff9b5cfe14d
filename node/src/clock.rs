//! The time of this node: the wall clock, kept from doing harm. `apply` never lets time go back, so a node whose clock
//! does would find each of its commands expired; and an entry stamped in the far future would do the same to every node.
//!
//! So the time told here never goes back, is never before what a group has applied, and does not follow a wall clock
//! that jumps ahead. Whether a majority agrees with this machine's clock is not asked: that needs other nodes.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use vaultaire_proto::{Clock, TimeMs};

/// How far the wall clock may get ahead of the time that passed. Far above what NTP corrects at once, far below the ten
/// minutes that a command may be on its way.
pub const JUMP_MAX_MS: u64 = 60_000;

/// How far what was applied may lie ahead of the wall clock before somebody should know.
pub const BEHIND_MAX_MS: u64 = 60_000;

/// Wall time of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> TimeMs {
        // A clock before 1970 is a broken clock: zero is less than whatever was applied before.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        TimeMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Time since the machine started. Nobody sets it, and it goes on while the machine sleeps.
#[derive(Clone, Copy, Debug, Default)]
pub struct SteadyClock;

impl Clock for SteadyClock {
    fn now(&self) -> TimeMs {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let millis = u64::try_from(time.tv_nsec / 1_000_000).unwrap_or_default();
        TimeMs(seconds.saturating_mul(1000).saturating_add(millis))
    }
}

/// What stamps entries, dates commands and tells workers the time.
pub struct NodeClock {
    wall: Arc<dyn Clock>,
    steady: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// Whether the wall clock is believed, so that a change is said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wall {
    Believed,
    /// It jumped ahead of the time that passed.
    Ahead,
    /// It lies before what was told or applied already.
    Behind,
}

#[derive(Debug)]
struct State {
    /// When the wall clock was last taken at its word, by both clocks.
    wall: TimeMs,
    steady: TimeMs,
    /// The latest time told or applied.
    told: TimeMs,
    said: Wall,
}

impl fmt::Debug for NodeClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("NodeClock").field(&*self.state.lock()).finish()
    }
}

impl NodeClock {
    /// This machine's clocks.
    pub fn system() -> Arc<Self> {
        Self::new(Arc::new(SystemClock), Arc::new(SteadyClock))
    }

    /// Over a clock that somebody may set, and one that nobody sets. Both are believed now.
    pub fn new(wall: Arc<dyn Clock>, steady: Arc<dyn Clock>) -> Arc<Self> {
        let state =
            State { wall: wall.now(), steady: steady.now(), told: TimeMs(0), said: Wall::Believed };
        Arc::new(Self { wall, steady, state: Mutex::new(state) })
    }

    /// A group has applied this time: nothing earlier is told from now on.
    pub fn applied(&self, at: TimeMs) {
        let mut state = self.state.lock();
        state.told = state.told.max(at);
    }
}

impl Clock for NodeClock {
    fn now(&self) -> TimeMs {
        // Read under the lock: two readings that overtake each other would look like a step.
        let mut state = self.state.lock();
        let (wall, steady) = (self.wall.now(), self.steady.now());
        state.tell(wall, steady)
    }
}

impl State {
    fn tell(&mut self, wall: TimeMs, steady: TimeMs) -> TimeMs {
        let expected = self.wall.plus_ms(steady.since_ms(self.steady));
        let believed = wall <= expected.plus_ms(JUMP_MAX_MS);
        let candidate = if believed { wall } else { expected };
        if believed && wall > expected {
            // A clock that is set back is not followed here: that time was lived through, and may come again.
            (self.wall, self.steady) = (wall, steady);
        }
        let behind_ms = self.told.since_ms(wall);
        self.told = self.told.max(candidate);
        self.say(match believed {
            false => (Wall::Ahead, wall.since_ms(expected)),
            true if behind_ms > BEHIND_MAX_MS => (Wall::Behind, behind_ms),
            true => (Wall::Believed, 0),
        });
        self.told
    }

    fn say(&mut self, (now, off_ms): (Wall, u64)) {
        if now == self.said {
            return;
        }
        self.said = now;
        match now {
            Wall::Ahead => tracing::error!(
                ahead_ms = off_ms,
                "this machine's clock jumped ahead; entries are stamped as if it had not. If the new time is right, restart this node; if not, set the clock"
            ),
            Wall::Behind => tracing::error!(
                behind_ms = off_ms,
                "this machine's clock is behind what was stamped before; time stands still until it catches up, and nothing is collected meanwhile. Set the clock if it is wrong"
            ),
            Wall::Believed => tracing::info!("this machine's clock is right again"),
        }
    }
}

/// A clock that tests set by hand, also backward.
#[cfg(test)]
#[derive(Debug, Default)]
pub struct Hand(std::sync::atomic::AtomicU64);

#[cfg(test)]
impl Hand {
    pub fn set(&self, to: u64) {
        self.0.store(to, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(test)]
impl Clock for Hand {
    fn now(&self) -> TimeMs {
        TimeMs(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: u64 = 1_000_000_000;

    fn clocks() -> (Arc<Hand>, Arc<Hand>, Arc<NodeClock>) {
        let (wall, steady) = (Arc::new(Hand::default()), Arc::new(Hand::default()));
        wall.set(START);
        let clock = NodeClock::new(wall.clone(), steady.clone());
        (wall, steady, clock)
    }

    #[test]
    fn the_present_is_after_this_was_written_and_passes() {
        assert!(SystemClock.now() > TimeMs(1_760_000_000_000));
        let before = SteadyClock.now();
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(SteadyClock.now() > before);
    }

    #[test]
    fn a_clock_that_is_set_back_stands_still_until_it_catches_up() {
        let (wall, steady, clock) = clocks();
        assert_eq!(clock.now(), TimeMs(START));
        wall.set(START - 300_000);
        steady.set(1000);
        assert_eq!(clock.now(), TimeMs(START));
        // Set right again, an hour later: this is no jump.
        wall.set(START + 3_600_000);
        steady.set(3_600_000);
        assert_eq!(clock.now(), TimeMs(START + 3_600_000));
    }

    #[test]
    fn a_jump_ahead_is_not_followed() {
        let (wall, steady, clock) = clocks();
        wall.set(START + JUMP_MAX_MS + 2);
        steady.set(1);
        assert_eq!(clock.now(), TimeMs(START + 1));
        wall.set(START + JUMP_MAX_MS + 1002);
        steady.set(1001);
        assert_eq!(clock.now(), TimeMs(START + 1001), "at the pace of time itself");
        wall.set(START + 2000);
        steady.set(2001);
        assert_eq!(clock.now(), TimeMs(START + 2000), "the clocks agree again");
        let restarted = NodeClock::new(wall.clone(), steady);
        wall.set(START + 2000 + JUMP_MAX_MS);
        assert_eq!(restarted.now(), TimeMs(START + 2000 + JUMP_MAX_MS), "small steps are");
    }

    #[test]
    fn what_was_applied_is_the_past() {
        let (wall, _, clock) = clocks();
        clock.applied(TimeMs(START + 86_400_000));
        assert_eq!(clock.now(), TimeMs(START + 86_400_000));
        wall.set(START + 1);
        assert_eq!(clock.now(), TimeMs(START + 86_400_000));
    }

    proptest! {
        /// Whatever hands do to the wall clock.
        #[test]
        fn time_never_goes_back_nor_jumps(steps in prop::collection::vec((0_u64..2_000_000_000, 0_u64..100_000, any::<bool>()), 1..50)) {
            let (wall, steady, clock) = clocks();
            let (mut last, mut passed) = (clock.now(), 0);
            let steps_max = u64::try_from(steps.len()).unwrap_or(u64::MAX);
            for (at, pause_ms, applies) in steps {
                passed += pause_ms;
                wall.set(at);
                steady.set(passed);
                if applies {
                    clock.applied(TimeMs(last.0));
                }
                let now = clock.now();
                prop_assert!(now >= last, "{now} after {last}");
                prop_assert!(now.0 <= START + passed + JUMP_MAX_MS * steps_max);
                last = now;
            }
        }
    }
}
