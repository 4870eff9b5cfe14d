//! Chances over the spans, in 1/2^20: that an object is still unread and there when a span begins, and that it is read or ends
//! within it.

use crate::hazards::{BOUNDS_DAYS, Hazards, SPANS};

/// What is certain.
pub const ONE: i64 = 1 << 20;

/// Where spans begin and end, in half days.
pub const BOUNDS: [i64; SPANS + 1] = bounds();

/// What happens within a span happens in its middle.
pub const MIDDLES: [i64; SPANS] = middles();

/// What happens to an object, span by span.
#[derive(Clone, Copy, Debug)]
pub struct Curve {
    /// When each span begins, and at last when all are over: nothing happened yet.
    pub waits: [i64; SPANS + 1],
    pub reads: [i64; SPANS],
    pub ends: [i64; SPANS],
}

impl Curve {
    pub fn new(read: &Hazards, end: &Hazards) -> Self {
        let mut curve = Self { waits: [ONE; SPANS + 1], reads: [0; SPANS], ends: [0; SPANS] };
        for span in 0..SPANS {
            let waits = curve.waits[span];
            curve.reads[span] = part(waits, read.0[span]);
            curve.ends[span] = part(waits - curve.reads[span], end.0[span]);
            curve.waits[span + 1] = waits - curve.reads[span] - curve.ends[span];
        }
        curve
    }
}

/// A share of a chance.
fn part(whole: i64, share: u16) -> i64 {
    // What is certain is all of it.
    let share = i64::from(share) + i64::from(share >> 15);
    (whole * share) >> 16
}

/// An amount that is paid with this chance.
pub fn expected(chance: i64, amount: i64) -> i64 {
    (chance * amount) >> 20
}

const fn bounds() -> [i64; SPANS + 1] {
    let mut bounds = [0; SPANS + 1];
    let mut place = 0;
    while place <= SPANS {
        bounds[place] = 2 * BOUNDS_DAYS[place] as i64;
        place += 1;
    }
    bounds
}

const fn middles() -> [i64; SPANS] {
    let bounds = bounds();
    let mut middles = [0; SPANS];
    let mut place = 0;
    while place < SPANS {
        middles[place] = i64::midpoint(bounds[place], bounds[place + 1]);
        place += 1;
    }
    middles
}
