//! How many objects of a group there are on each day, and how many of them are read.

use std::collections::{BTreeMap, HashMap};

use vaultaire_proto::prices::calendar::DAY_S;

/// What changed in a group on one day.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    born: u64,
    gone: u64,
    read: u64,
    sent: [Sent; HABITS],
}

/// Until the end of a day.
#[derive(Clone, Copy, Debug, Default)]
struct Until {
    day: u64,
    born: u64,
    gone: u64,
    read: u64,
    sent: [Sent; HABITS],
    /// The last day with reads, and the last one on which a third of all was read.
    read_day: Option<u64>,
    crawl_day: Option<u64>,
}

/// Counts.
#[derive(Debug, Default)]
pub struct Counter {
    of_groups: HashMap<u32, BTreeMap<u64, Change>>,
}

impl Counter {
    /// An object is there from then on.
    pub fn born(&mut self, group: u32, at_s: u64) {
        self.of(group, at_s).born += 1;
    }

    pub fn gone(&mut self, group: u32, at_s: u64) {
        self.of(group, at_s).gone += 1;
    }

    /// An object is read on this day, after so many other days with reads.
    pub fn read(&mut self, group: u32, at_s: u64, days_before: u64, sent: Sent) {
        let day = self.of(group, at_s);
        day.read += sent.days;
        let of_habit = &mut day.sent[habit(days_before)];
        *of_habit = of_habit.and(sent);
    }

    fn of(&mut self, group: u32, at_s: u64) -> &mut Change {
        self.of_groups.entry(group).or_default().entry(at_s / DAY_S).or_default()
    }

    pub fn merge(&mut self, other: Self) {
        for (group, days) in other.of_groups {
            let own = self.of_groups.entry(group).or_default();
            for (day, change) in days {
                let day = own.entry(day).or_default();
                day.born += change.born;
                day.gone += change.gone;
                day.read += change.read;
                for (own, theirs) in day.sent.iter_mut().zip(change.sent) {
                    *own = own.and(theirs);
                }
            }
        }
    }
}

/// What is known of groups at the end of each day.
#[derive(Debug, Default)]
pub struct Days {
    of_groups: HashMap<u32, Vec<Until>>,
}

/// A group at the end of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Glance {
    pub live: f32,
    /// Days with reads of one of its objects, for each object that there is, within the last 1, 7, 30 and 90 days.
    pub read: [f32; 4],
    /// Days since something of it was read; and since a third of it was, on one day.
    pub idle_days: f32,
    pub crawl_days: f32,
    /// All days with reads of one of its objects, and what was asked for and sent on them, by how many such days that object had had.
    pub sent: [Sent; HABITS],
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Days with reads of one object.
    pub days: u64,
    pub requests: u64,
    /// Times the size of an object, in 1/256.
    pub sent_q8: u64,
}

impl Sent {
    fn and(self, other: Self) -> Self {
        Self {
            days: self.days + other.days,
            requests: self.requests + other.requests,
            sent_q8: self.sent_q8 + other.sent_q8,
        }
    }
}

/// What is seldom read is read less on a day: such days are counted apart by how many there were before.
pub const HABITS: usize = 4;

/// How those days are counted together: none before, one, two or three, and more.
pub fn habit(days_before: u64) -> usize {
    match days_before {
        0 => 0,
        1 => 1,
        2..=3 => 2,
        _ => 3,
    }
}

/// How far back one looks.
const BACK_DAYS: [u64; 4] = [1, 7, 30, 90];

/// As long ago as can be told.
const LONG_AGO_DAYS: u64 = 540;

/// Reads of so many of all objects on a day are one of all.
const CRAWLED: f32 = 0.3;

impl Days {
    pub fn new(counter: Counter) -> Self {
        let each = counter.of_groups.into_iter().map(|(group, days)| {
            let mut until = Until::default();
            let sums = days.into_iter().map(|(day, change)| {
                until = until.after(day, change);
                until
            });
            (group, sums.collect())
        });
        Self { of_groups: each.collect() }
    }

    /// How many were born between two times, for each one that there is.
    pub fn born(&self, group: u32, (from_s, to_s): (u64, u64)) -> f32 {
        let Some(days) = self.of_groups.get(&group) else { return 0.0 };
        let before = |at_s: u64| {
            let known = days.partition_point(|until| until.day < at_s / DAY_S);
            known.checked_sub(1).map(|last| days[last]).unwrap_or_default()
        };
        let (from, to) = (before(from_s + DAY_S), before(to_s));
        to.born.saturating_sub(from.born) as f32 / to.born.saturating_sub(to.gone).max(1) as f32
    }

    /// What was known at a midnight; of what is no midnight, at the one before.
    pub fn at(&self, group: u32, at_s: u64) -> Glance {
        let today = at_s / DAY_S;
        let Some(days) = self.of_groups.get(&group) else { return Glance::default() };
        let known = &days[..days.partition_point(|until| until.day < today)];
        let Some(last) = known.last() else { return Glance::default() };
        let live = last.born.saturating_sub(last.gone) as f32;
        let before = |days: u64| {
            let place = known.partition_point(|until| until.day + days < today);
            place.checked_sub(1).map_or(0, |place| known[place].read)
        };
        let read = BACK_DAYS.map(|back| (last.read - before(back)) as f32 / live.max(1.0));
        let ago = |day: Option<u64>| {
            day.map_or(LONG_AGO_DAYS, |day| (today - 1 - day).min(LONG_AGO_DAYS)) as f32
        };
        let (idle_days, crawl_days) = (ago(last.read_day), ago(last.crawl_day));
        Glance { live, read, idle_days, crawl_days, sent: last.sent }
    }
}

impl Until {
    fn after(self, day: u64, change: Change) -> Self {
        let (born, gone) = (self.born + change.born, self.gone + change.gone);
        let was_crawled = change.read as f32 >= CRAWLED * born.saturating_sub(gone).max(1) as f32;
        Self {
            day,
            born,
            gone,
            read: self.read + change.read,
            sent: std::array::from_fn(|habit| self.sent[habit].and(change.sent[habit])),
            read_day: if change.read > 0 { Some(day) } else { self.read_day },
            crawl_day: if was_crawled { Some(day) } else { self.crawl_day },
        }
    }
}
