//! Reads that come when they hurt most: just after the midnight at which an object has been idle for so long that policies
//! move it. Every two months the ages change, from short ones to long ones and back, so that what was learnt misleads.

use crate::traces::calendar::{DAY, HOUR};
use crate::traces::draft::Draft;
use crate::traces::random::Stream;

/// Ages after which objects are moved by lifecycle rules and by policies that decide at such ages, in days.
const SHORT_DAYS: [i64; 5] = [1, 3, 7, 14, 30];
const LONG_DAYS: [i64; 5] = [31, 45, 60, 90, 91];

/// How long the ages stay what they are.
const PERIOD_DAYS: i64 = 60;

/// An object is read so often in a period, and then left alone until it ends.
const READS_MAX: i64 = 5;

/// What does not live for so long is moved by nobody.
const SHORTEST_S: i64 = 2 * DAY;

/// Replaces all reads of objects that live long enough.
pub fn chase(draft: &mut Draft, stream: &mut Stream) {
    let length_s = draft.calendar.length_s();
    let starts_short = stream.below(2) as i64;
    let ages: Vec<i64> = (0..=draft.calendar.days / PERIOD_DAYS)
        .map(|period| match (period + starts_short) % 2 {
            0 => stream.pick(&SHORT_DAYS),
            _ => stream.pick(&LONG_DAYS),
        })
        .collect();
    let is_long: Vec<bool> = (0..draft.lives.len() as u32)
        .map(|life| {
            let (from_s, to_s) = draft.readable(life);
            to_s - from_s >= SHORTEST_S
        })
        .collect();
    draft.reads.retain(|read| !is_long[read.life as usize]);
    for life in (0..draft.lives.len() as u32).filter(|life| is_long[*life as usize]) {
        let (from_s, to_s) = draft.readable(life);
        // What was there before the log began was last read at some time before.
        let was_there = draft.lives[life as usize].born_s < 0;
        let mut idle_since_s =
            if was_there { -(stream.below(91 * DAY as u64) as i64) } else { from_s };
        let (mut period, mut reads) = (-1, 0);
        while idle_since_s < to_s.min(length_s) {
            let now = idle_since_s.max(0) / (PERIOD_DAYS * DAY);
            if now != period {
                (period, reads) = (now, 0);
            }
            if reads == READS_MAX {
                idle_since_s = (period + 1) * PERIOD_DAYS * DAY;
                continue;
            }
            // Policies decide at midnights.
            let ready_s = (idle_since_s + ages[period as usize] * DAY).div_euclid(DAY) * DAY + DAY;
            idle_since_s = ready_s + stream.whole(600, 6 * HOUR as u64) as i64;
            draft.read(life, idle_since_s);
            reads += 1;
        }
    }
}
