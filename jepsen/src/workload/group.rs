//! Which keys the clients of a group share: few clients work on a key, and it is given up after a while, so that the search of
//! the checker stays small. What may be concluded from a key is not touched by that.

use std::sync::{Arc, Mutex, PoisonError};

/// How many clients work on the same keys.
pub const CLIENTS_PER_KEY: u32 = 3;

/// How many calls a group makes before it goes on to new keys.
const CALLS_PER_GENERATION: u32 = 450;

/// After how many writes of unknown outcome it does. Each of them may happen at any later time, so the orders that have to be
/// searched grow with the power of their number.
pub const UNKNOWN_PER_GENERATION: u32 = 4;

/// Which keys the clients of a group share just now.
#[derive(Debug, Default)]
pub struct Group {
    generation: Mutex<Generation>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Generation {
    number: u32,
    calls: u32,
    unknown: u32,
}

impl Group {
    /// Counts a call, and answers the generation of its keys.
    pub fn call(&self) -> u32 {
        self.with(|generation| generation.calls += 1)
    }

    /// A write ended without anybody knowing whether it happened.
    pub fn unknown(&self) {
        self.with(|generation| generation.unknown += 1);
    }

    fn with(&self, change: impl FnOnce(&mut Generation)) -> u32 {
        // A poisoned lock means that another client panicked, which ends the run.
        let mut generation = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut generation);
        if generation.calls > CALLS_PER_GENERATION || generation.unknown >= UNKNOWN_PER_GENERATION {
            *generation = Generation { number: generation.number + 1, ..Generation::default() };
        }
        generation.number
    }
}

/// A group for every few clients.
pub fn groups(clients: u32) -> Vec<Arc<Group>> {
    (0..clients.div_ceil(CLIENTS_PER_KEY)).map(|_| Arc::default()).collect()
}
