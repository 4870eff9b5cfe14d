//! The one source of chance for what decides anything: election timeouts and request ids. It is the operating system's, unless
//! this thread was given a seed: then all that happens on it can be repeated. Secrets never come from here.

use std::cell::Cell;
use std::convert::Infallible;

use rand::TryRng;

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on every draw on this thread follows from `seed`: for simulations.
pub fn seed(seed: u64) {
    STATE.set(Some(seed));
}

/// Draws from this thread's source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chance;

impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        // The upper half: a truncation on purpose.
        self.try_next_u64().map(|drawn| (drawn >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let Some(state) = STATE.get() else {
            return rand::rng().try_next_u64();
        };
        let (state, drawn) = split_mix(state);
        STATE.set(Some(state));
        Ok(drawn)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.try_next_u64()?.to_le_bytes();
            chunk.iter_mut().zip(drawn).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}

/// SplitMix64: the next state and what it gives. The same with every version of every library.
fn split_mix(state: u64) -> (u64, u64) {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state, z ^ (z >> 31))
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    fn drawn() -> ([u8; 13], u64) {
        (Chance.random(), Chance.random_range(600..1500))
    }

    #[test]
    fn a_seed_repeats_everything_and_only_on_its_thread() {
        seed(7);
        let first = [drawn(), drawn()];
        seed(7);
        assert_eq!([drawn(), drawn()], first);
        seed(8);
        assert_ne!([drawn(), drawn()], first);
        let other = || std::thread::spawn(drawn).join().expect("it only draws");
        assert_ne!(other(), other(), "nobody gave those threads a seed");
    }
}
