//! When nothing may get colder in a bucket: where what was paid in seven days for objects that are not hot (reads of them, the
//! rest of their stays, their return) is more than what their rent saved. Moves that were just accepted are not counted, and what gets
//! warmer goes on.

use vaultaire_proto::prices::exact::Exact;

/// Days that are looked at.
pub const DAYS: u64 = 7;

/// Of one bucket.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    /// What was paid on each of the last days.
    fees: [Exact; DAYS as usize],
    today: u64,
}

impl Breaker {
    /// It is this day now.
    pub fn on(&mut self, day: u64) {
        for next in (self.today + 1..=day).rev().take(self.fees.len()) {
            self.fees[place(next)] = Exact::ZERO;
        }
        self.today = self.today.max(day);
    }

    pub fn paid(&mut self, fee: Exact) {
        self.fees[place(self.today)] += fee;
    }

    /// Whether nothing may get colder, where rent saves so much in as many days.
    pub fn is_open(&self, saved: Exact) -> bool {
        let fees: Exact = self.fees.iter().copied().sum();
        fees > saved.max(Exact::ZERO)
    }
}

fn place(day: u64) -> usize {
    usize::try_from(day % DAYS).unwrap_or(0)
}
