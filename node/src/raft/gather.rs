//! Commands of all groups that come at nearly the same time share one sync of the journal: while many writes are on
//! their way, the first command waits a moment for others, as PostgreSQL's `commit_delay` and `commit_siblings` have it.
//! The journal is told how many entries a round brings, so that it syncs them together.
//!
//! How many others it waits for follows from how many writes have begun, so a client that writes alone never waits,
//! and what a round waits for takes about that share of what a write takes anyway. Writes that begin and do not end
//! (long uploads) look the same from here; so a round that waited in vain makes the next ones go at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::log::journal::Journal;

/// A round waits for one in so many of the writes that have begun.
const SHARE: u64 = 3;

/// More commands than this are not waited for.
const COMMANDS_MAX: u64 = 24;

/// The longest wait of a round.
const WAIT_MAX: Duration = Duration::from_millis(6);

/// A round whose deadline passed has waited in vain if fewer than one in so many of the others came.
const IN_VAIN_SHARE: u64 = 2;

/// After rounds that waited in vain, at most so many go at once before one waits again.
const PAUSE_MAX: u32 = 63;

/// Tells how many writes have begun and have no answer yet, most of which have no command yet.
pub type Writes = Box<dyn Fn() -> u64 + Send + Sync>;

/// One for all groups of a node.
#[derive(Default)]
pub struct Gather {
    /// Weak, since a journal is closed by whoever holds it last.
    journal: Weak<Journal>,
    /// Commands that have no answer yet.
    commands: AtomicU64,
    state: Mutex<State>,
    /// A round goes: those who wait are woken in their order.
    gone: Notify,
    writes: OnceLock<Writes>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the round that is gathering.
    round: u64,
    waiting: u64,
    /// Groups that wait.
    groups: u32,
    deadline: Option<Instant>,
    /// Turns that go at once from now on.
    pause: u32,
    /// How long the last pause was.
    last_pause: u32,
}

/// A group's place in the round that is gathering.
#[derive(Debug)]
pub struct Turn {
    round: u64,
    deadline: Instant,
}

/// What a group does with the commands that it has.
#[derive(Debug)]
pub enum Next {
    Go,
    Wait(Turn),
}

/// Counts a command for as long as nobody knows its outcome.
pub struct Begun<'a>(&'a AtomicU64);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Gather {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Gather").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Gather {
    pub fn new(journal: Weak<Journal>) -> Self {
        Self { journal, ..Self::default() }
    }

    /// A command is on its way until the answer is dropped.
    pub fn begun(&self) -> Begun<'_> {
        self.commands.fetch_add(1, Ordering::Relaxed);
        Begun(&self.commands)
    }

    /// Says where to ask for the writes that have begun; until then only commands count.
    pub fn expect(&self, writes: Writes) {
        if self.writes.set(writes).is_err() {
            tracing::error!("the writes on their way are counted twice, which is a bug");
        }
    }

    /// A group has its first commands for an entry.
    pub fn join(&self, commands: usize) -> Next {
        let target = self.target();
        let mut state = self.state.lock();
        if target < 2 {
            return Next::Go;
        }
        if state.pause > 0 {
            state.pause -= 1;
            return Next::Go;
        }
        state.waiting += commands as u64;
        state.groups += 1;
        if state.waiting >= target {
            state.last_pause = 0;
            self.release(&mut state);
            return Next::Go;
        }
        let deadline = *state.deadline.get_or_insert_with(|| Instant::now() + WAIT_MAX);
        Next::Wait(Turn { round: state.round, deadline })
    }

    /// A waiting group got more commands.
    pub fn add(&self, turn: &Turn, commands: usize) {
        let target = self.target();
        let mut state = self.state.lock();
        if state.round != turn.round {
            return;
        }
        state.waiting += commands as u64;
        if state.waiting >= target {
            state.last_pause = 0;
            self.release(&mut state);
        }
    }

    /// Returns when the round of this turn goes.
    pub async fn released(&self, turn: &Turn) {
        let round = turn.round;
        if tokio::time::timeout_at(turn.deadline, self.gone(round)).await.is_err() {
            let mut state = self.state.lock();
            if state.round == round {
                let in_vain = state.waiting < self.target() / IN_VAIN_SHARE;
                state.last_pause =
                    if in_vain { (state.last_pause * 2 + 1).min(PAUSE_MAX) } else { 0 };
                state.pause = state.last_pause;
                self.release(&mut state);
            }
        }
    }

    async fn gone(&self, round: u64) {
        loop {
            let mut told = std::pin::pin!(self.gone.notified());
            // Before the look: what goes after it is told.
            told.as_mut().enable();
            if self.state.lock().round > round {
                return;
            }
            told.await;
        }
    }

    fn target(&self) -> u64 {
        let writes = self.writes.get().map_or(0, |writes| writes());
        let begun = writes.max(self.commands.load(Ordering::Relaxed));
        (begun / SHARE).min(COMMANDS_MAX)
    }

    /// Every group of the round proposes one entry now.
    fn release(&self, state: &mut State) {
        if let Some(journal) = self.journal.upgrade() {
            journal.expect(state.groups);
        }
        state.groups = 0;
        state.waiting = 0;
        state.deadline = None;
        state.round += 1;
        self.gone.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(writes: u64) -> Gather {
        let gather = Gather::default();
        gather.expect(Box::new(move || writes));
        gather
    }

    fn waits(next: Next) -> Option<Turn> {
        match next {
            Next::Go => None,
            Next::Wait(turn) => Some(turn),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_writes_alone_never_waits() {
        assert!(waits(Gather::default().join(1)).is_none(), "nobody said what to expect");
        for writes in [0, 1, 2 * SHARE - 1] {
            assert!(waits(gather(writes).join(1)).is_none(), "{writes} writes have begun");
        }
        assert!(waits(gather(2 * SHARE).join(1)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn commands_without_answer_count_as_writes() {
        let gather = Gather::default();
        let begun: Vec<_> = (0..2 * SHARE).map(|_| gather.begun()).collect();
        assert!(waits(gather.join(1)).is_some());
        drop(begun);
        assert!(waits(gather.join(1)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn all_groups_go_when_enough_have_come() {
        let gather = gather(SHARE * 4);
        let first = waits(gather.join(1)).expect("one of four");
        let second = waits(gather.join(1)).expect("two of four");
        gather.add(&second, 1);
        let began = Instant::now();
        let waiting = async { tokio::join!(gather.released(&first), gather.released(&second)) };
        let last = async { assert!(waits(gather.join(1)).is_none(), "four of four") };
        tokio::join!(waiting, last);
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody waited for the deadline");
        assert!(waits(gather.join(1)).is_some(), "the next round begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_of_a_round_that_is_gone_counts_no_more() {
        let gather = gather(SHARE * 3);
        let first = waits(gather.join(1)).expect("one of three");
        assert!(waits(gather.join(2)).is_none(), "three of three");
        gather.add(&first, 2);
        assert_eq!(gather.state.lock().waiting, 0, "they travel with the round that goes");
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_a_round_is_worth_the_wait() {
        for (came, pause) in [(1, 1), (2, 0), (3, 0)] {
            let gather = gather(SHARE * 4);
            let turn = waits(gather.join(came)).expect("fewer than four");
            gather.released(&turn).await;
            assert_eq!(gather.state.lock().pause, pause, "{came} of four");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_in_vain_is_done_ever_more_rarely() {
        let gather = gather(u64::MAX);
        let mut pauses = Vec::new();
        for _round in 0..8 {
            let began = Instant::now();
            let turn = waits(gather.join(1)).expect("many have begun");
            gather.released(&turn).await;
            assert!(began.elapsed() >= WAIT_MAX, "the deadline ended it");
            let mut pause = 0;
            while gather.state.lock().pause > 0 {
                assert!(waits(gather.join(1)).is_none());
                pause += 1;
            }
            pauses.push(pause);
        }
        assert_eq!(pauses, [1, 3, 7, 15, 31, PAUSE_MAX, PAUSE_MAX, PAUSE_MAX]);
        let count = usize::try_from(COMMANDS_MAX).expect("a small number");
        assert!(waits(gather.join(count)).is_none(), "a full round goes");
        assert_eq!(gather.state.lock().last_pause, 0, "and waiting is worth it again");
    }
}
