//! What is remembered of one object: counts and times, in integers, so that whoever folds the same accesses remembers the
//! same.

use vaultaire_proto::prices::calendar::DAY_S;

use crate::history::{Life, Read};

/// Counters fade to a half in so many days.
pub const HALF_LIVES_DAYS: [usize; 4] = [1, 7, 30, 90];

/// What is left after a day, in 1/2^32: 2^(-1/days).
const LEFT_Q32: [u64; 4] = [2_147_483_648, 3_890_053_517, 4_196_870_107, 4_262_016_076];

/// Nothing is left after so many half-lives.
const HALVINGS_MAX: u64 = 32;

/// What is known of an object of its past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Versions before this one, and how long the last of them lived.
    pub former: u32,
    pub former_life_s: u64,
    /// When this version was written, or the log began.
    pub created_s: u64,
    pub was_put: bool,
    /// Something of it was seen.
    pub is_seen: bool,
    pub last_s: u64,
    /// The last access was a read.
    pub last_was_read: bool,
    /// Days with reads, and what was sent on them.
    pub days: u32,
    pub requests: u64,
    pub sent_bytes: u64,
    /// Days with reads, fading, in 1/2^32.
    pub faded_q32: [u64; 4],
    faded_day: u64,
    /// The last gaps before a day with reads, the latest first. None: there were not so many.
    pub gaps_s: [Option<u64>; 3],
}

impl Memory {
    /// A version begins.
    pub fn begin(&mut self, life: &Life) {
        self.created_s = life.from_s;
        self.was_put = life.is_new;
        self.is_seen = self.is_seen || life.is_new || life.seen_s < first_access_s(life);
        self.last_s = life.from_s;
        self.last_was_read = false;
        self.days = 0;
        self.requests = 0;
        self.sent_bytes = 0;
    }

    /// It ended.
    pub fn end(&mut self, life: &Life) {
        self.former += 1;
        self.former_life_s = life.until_s - life.from_s;
        self.is_seen = true;
    }

    pub fn read(&mut self, read: Read) {
        let is_same_day = self.last_was_read && read.at_s / DAY_S == self.last_s / DAY_S;
        self.requests += u64::from(read.requests);
        self.sent_bytes = self.sent_bytes.saturating_add(read.bytes);
        if !is_same_day {
            let gap_s = read.at_s - self.last_s;
            // What lies before the log is not known.
            if self.is_seen {
                self.gaps_s = [Some(gap_s), self.gaps_s[0], self.gaps_s[1]];
            }
            self.days += 1;
            self.fade(read.at_s / DAY_S);
            for faded in &mut self.faded_q32 {
                *faded += 1 << 32;
            }
        }
        self.is_seen = true;
        self.last_s = read.at_s;
        self.last_was_read = true;
    }

    /// Until this day.
    pub fn fade(&mut self, day: u64) {
        let days = day.saturating_sub(self.faded_day);
        self.faded_day = self.faded_day.max(day);
        for (place, faded) in self.faded_q32.iter_mut().enumerate() {
            let gone = HALVINGS_MAX * HALF_LIVES_DAYS[place] as u64;
            *faded = if days >= gone { 0 } else { left(*faded, LEFT_Q32[place], days) };
        }
    }
}

/// When something is first done to a version that the log did not see written.
fn first_access_s(life: &Life) -> u64 {
    life.reads.first().map_or(life.until_s, |read| read.at_s)
}

/// What is left after some days.
fn left(amount: u64, of_a_day_q32: u64, mut days: u64) -> u64 {
    let product = |one: u64, other: u64| {
        u64::try_from((u128::from(one) * u128::from(other)) >> 32).unwrap_or(u64::MAX)
    };
    let (mut amount, mut power) = (amount, of_a_day_q32);
    while days > 0 {
        if days & 1 == 1 {
            amount = product(amount, power);
        }
        power = product(power, power);
        days >>= 1;
    }
    amount
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_fade_to_a_half_in_their_half_lives() {
        for (place, days) in HALF_LIVES_DAYS.iter().enumerate() {
            let half = left(1 << 32, LEFT_Q32[place], *days as u64);
            assert!(half.abs_diff(1 << 31) < 100, "{days} days: {half}");
            let day = 2.0_f64.powf(32.0 - 1.0 / *days as f64).round() as u64;
            assert_eq!(LEFT_Q32[place], day);
        }
    }

    #[test]
    fn reads_of_one_day_are_one() {
        let mut memory = Memory { is_seen: true, ..Memory::default() };
        for at_s in [5 * DAY_S, 5 * DAY_S + 9, 8 * DAY_S] {
            memory.read(Read { at_s, bytes: 7, requests: 1 });
        }
        assert_eq!((memory.days, memory.requests, memory.sent_bytes), (2, 3, 21));
        assert_eq!(memory.gaps_s, [Some(3 * DAY_S - 9), Some(5 * DAY_S), None]);
        memory.fade(9);
        assert_eq!(memory.faded_q32[0], (1 << 31) + (1 << 28));
    }
}
