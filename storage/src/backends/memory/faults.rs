//! Which operation fails, and how: a pure function of the seed, the operation, its subject and how
//! often that operation met that subject. So a run repeats from its seed, however its tasks interleave.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// How unreliable a backend is. Each chance is out of 1,000 operations that the fault can befall;
/// at most one fault befalls an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Decides everything; print it with a failed test.
    pub seed: u64,
    /// Any operation fails and has no effect.
    pub error_before: u16,
    /// A write, copy or delete happens and is reported as timed out.
    pub timeout_after: u16,
    /// Any operation takes `slow_for` longer.
    pub slow: u16,
    /// A read yields a flipped bit.
    pub corrupt_read: u16,
    /// A blob that is there is reported as missing.
    pub missing: u16,
    /// A write or copy is reported as timed out and happens `zombie_after_operations` operations later.
    pub zombie: u16,
    /// How long slow is.
    pub slow_for: Duration,
    /// How late a zombie is: so many operations, and so long.
    pub zombie_after_operations: u64,
    pub zombie_for: Duration,
}

impl Faults {
    /// Never fails.
    pub const NONE: Self = Self {
        seed: 0,
        error_before: 0,
        timeout_after: 0,
        slow: 0,
        corrupt_read: 0,
        missing: 0,
        zombie: 0,
        slow_for: Duration::from_millis(50),
        zombie_after_operations: 5,
        zombie_for: Duration::ZERO,
    };
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    ErrorBefore,
    TimeoutAfter,
    Slow,
    Corrupt,
    Missing,
    Zombie,
}

/// Remembers how often each operation met each subject: the only state that a draw needs.
#[derive(Debug, Default)]
pub struct Dice {
    attempts: BTreeMap<(&'static str, String), u64>,
}

impl Dice {
    /// The fault of this attempt, if any.
    pub fn draw(
        &mut self,
        faults: &Faults,
        operation: &'static str,
        subject: &str,
    ) -> Option<Fault> {
        let attempt = self.attempts.entry((operation, subject.to_owned())).or_default();
        *attempt += 1;
        let mut state = mix(faults.seed, operation.as_bytes());
        state = mix(state, subject.as_bytes());
        state = mix(state, &attempt.to_be_bytes());
        let (is_write, is_read) = match operation {
            "put" | "copy" => (true, false),
            "get" => (false, true),
            _ => (false, false),
        };
        let has_effect = is_write || operation == "delete";
        let finds = is_read || operation == "head";
        let chances = [
            (Fault::ErrorBefore, faults.error_before, true),
            (Fault::TimeoutAfter, faults.timeout_after, has_effect),
            (Fault::Slow, faults.slow, true),
            (Fault::Corrupt, faults.corrupt_read, is_read),
            (Fault::Missing, faults.missing, finds),
            (Fault::Zombie, faults.zombie, is_write),
        ];
        let mut roll = state % 1000;
        for (fault, chance, _) in chances.into_iter().filter(|(_, _, applies)| *applies) {
            match roll.checked_sub(u64::from(chance)) {
                Some(rest) => roll = rest,
                None => return Some(fault),
            }
        }
        None
    }
}

/// Flips one bit, which one is the seed's choice. Nothing can be flipped in nothing.
pub fn flip_a_bit(bytes: &Bytes, seed: u64) -> Bytes {
    let mut damaged = BytesMut::from(bytes.as_ref());
    let length = damaged.len() as u64;
    let place = if length == 0 { 0 } else { mix(seed, &length.to_be_bytes()) % length };
    if let Some(byte) = usize::try_from(place).ok().and_then(|place| damaged.get_mut(place)) {
        *byte ^= 1 << (seed % 8);
    }
    damaged.freeze()
}

/// FNV-1a over the bytes, finished with the mixer of SplitMix64, so that close inputs differ everywhere.
fn mix(state: u64, bytes: &[u8]) -> u64 {
    let mut hash = state ^ 0xcbf2_9ce4_8422_2325;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
