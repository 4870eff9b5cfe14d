//! When a policy may decide about an object: when it is created, and at midnights (UTC) after that, the same ones for every
//! policy: of the day on which the window begins, of each day with a read, and where it has been idle for so many days.

use vaultaire_proto::prices::calendar::DAY_S;

use crate::history::Life;

/// Idle ages at which a decision is made.
pub const IDLE_DAYS: [u64; 13] = [1, 3, 7, 14, 30, 45, 60, 90, 120, 180, 270, 365, 540];

/// A decision about an object that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub at_s: u64,
    /// The last read or write before.
    pub idle_since_s: u64,
    /// How many of the life's reads were before.
    pub reads: usize,
}

/// All points of a life after its creation, in order.
pub fn of(life: &Life) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    let first_day = (!life.is_new).then(|| end_of_day(life.from_s));
    let mut idle_since_s = life.idle_since_s;
    // Between each read and the next one, and after the last.
    for reads in 0..=life.reads.len() {
        let next_s = life.reads.get(reads).map_or(life.until_s, |read| read.at_s);
        let is_last = reads == life.reads.len();
        // A midnight at which it ends is none of its own.
        let counts =
            |at_s: u64| at_s > life.from_s && if is_last { at_s < next_s } else { at_s <= next_s };
        let idle =
            IDLE_DAYS.iter().map(|days| (idle_since_s + days * DAY_S).next_multiple_of(DAY_S));
        let begins = if reads == 0 { first_day } else { Some(end_of_day(idle_since_s)) };
        let mut here: Vec<u64> =
            begins.into_iter().chain(idle).filter(|at_s| counts(*at_s)).collect();
        here.sort_unstable();
        here.dedup();
        points.extend(here.into_iter().map(|at_s| Point { at_s, idle_since_s, reads }));
        if let Some(read) = life.reads.get(reads) {
            idle_since_s = read.at_s;
        }
    }
    points
}

/// The midnight after this time.
pub fn end_of_day(at_s: u64) -> u64 {
    (at_s / DAY_S + 1) * DAY_S
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Read;

    fn days(life: &Life) -> Vec<u64> {
        of(life).iter().map(|point| point.at_s / DAY_S).collect()
    }

    #[test]
    fn points_are_the_ends_of_days_with_reads_and_idle_ages() {
        let read = |day: u64| Read { at_s: day * DAY_S + 100, bytes: 1, requests: 1 };
        let mut life = Life {
            object: 0,
            size_bytes: 1,
            from_s: 10 * DAY_S + 50,
            seen_s: 10 * DAY_S + 50,
            is_new: true,
            idle_since_s: 10 * DAY_S + 50,
            until_s: 60 * DAY_S,
            reads: vec![read(15), read(15), read(50)],
        };
        assert_eq!(days(&life), [12, 14, 16, 17, 19, 23, 30, 46, 51, 52, 54, 58]);
        life.is_new = false;
        life.idle_since_s = 0;
        life.reads.clear();
        // The day on which the window begins, and ages of 14, 30 and 45 days.
        assert_eq!(days(&life), [11, 14, 30, 45]);
    }
}
