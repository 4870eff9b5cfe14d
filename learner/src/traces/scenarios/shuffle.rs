//! Reads without memory: the time of each stays, but any object that is there then may be the one that is read. How often the
//! prefix is read, and when, is as it was; what one object will do cannot be known from what it did.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU64;

use crate::traces::draft::Draft;
use crate::traces::random::Stream;

/// Versions that can be read at some time.
#[derive(Default)]
struct Living {
    lives: Vec<u32>,
    /// Where each is among them.
    places: Vec<usize>,
    /// By their ends.
    ends: BinaryHeap<Reverse<(i64, u32)>>,
}

impl Living {
    fn add(&mut self, life: u32, end_s: i64) {
        self.places[life as usize] = self.lives.len();
        self.lives.push(life);
        self.ends.push(Reverse((end_s, life)));
    }

    /// Forgets what has ended by now.
    fn end(&mut self, now_s: i64) {
        while let Some(Reverse((end_s, life))) = self.ends.peek().copied() {
            if end_s > now_s {
                return;
            }
            self.ends.pop();
            let place = self.places[life as usize];
            self.lives.swap_remove(place);
            if let Some(moved) = self.lives.get(place) {
                self.places[*moved as usize] = place;
            }
        }
    }
}

/// Deals the reads out anew.
pub fn deal(draft: &mut Draft, stream: &mut Stream) {
    let mut begins: Vec<(i64, i64, u32)> = (0..draft.lives.len() as u32)
        .map(|life| (draft.readable(life), life))
        .filter(|((from_s, to_s), _)| from_s < to_s)
        .map(|((from_s, to_s), life)| (from_s, to_s, life))
        .collect();
    begins.sort_unstable();
    draft.reads.sort_unstable_by_key(|read| (read.at_s, read.life, read.sent_bytes));
    let mut living = Living { places: vec![0; draft.lives.len()], ..Living::default() };
    let mut next = begins.into_iter().peekable();
    for read in &mut draft.reads {
        while let Some((_, to_s, life)) = next.next_if(|(from_s, _, _)| *from_s <= read.at_s) {
            living.add(life, to_s);
        }
        living.end(read.at_s);
        // The one that it was of is there, so there is always one.
        read.life = stream.pick(&living.lives);
        let size_bytes = draft.lives[read.life as usize].size_bytes;
        let fits = |bytes: &NonZeroU64| bytes.get() < size_bytes;
        read.sent_bytes = read.sent_bytes.filter(fits);
    }
}
