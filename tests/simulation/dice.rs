//! Chance that follows from a seed. Whoever draws has dice of its own, so that one more draw here changes nothing there.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// Clones draw from the same sequence.
#[derive(Clone, Debug)]
pub struct Dice(Arc<Mutex<u64>>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    /// Dice of their own, for the purpose of that name.
    pub fn fork(&self, purpose: &str) -> Self {
        let mixed = purpose.bytes().fold(self.draw(), |mixed, byte| {
            (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self::new(mixed)
    }

    /// SplitMix64: the same with every version of every library.
    pub fn draw(&self) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From zero to `end`, which is not among them.
    pub fn below(&self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }

    pub fn between(&self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// Whether something happens that does in so many of a thousand cases.
    pub fn permille(&self, cases: u64) -> bool {
        self.below(1000) < cases
    }

    pub fn ms(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.between(from, to))
    }

    pub fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    pub fn bytes(&self) -> [u8; 16] {
        (u128::from(self.draw()) << 64 | u128::from(self.draw())).to_be_bytes()
    }
}
