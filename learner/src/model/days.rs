//! How many objects of a group there are on each day, and how many of them are read.

use std::collections::{BTreeMap, HashMap};

use vaultaire_proto::prices::calendar::DAY_S;

/// What changed in a group on one day.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    born: i64,
    read: u64,
    requests: u64,
    sent_q8: u64,
}

/// Until the end of a day.
#[derive(Clone, Copy, Debug, Default)]
struct Until {
    day: u64,
    live: i64,
    read: u64,
    requests: u64,
    sent_q8: u64,
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
        self.of(group, at_s).born -= 1;
    }

    /// An object is read on this day, with so many requests for so many times its size, in 1/256.
    pub fn read(&mut self, group: u32, at_s: u64, requests: u64, sent_q8: u64) {
        let day = self.of(group, at_s);
        day.read += 1;
        day.requests += requests;
        day.sent_q8 += sent_q8;
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
                day.read += change.read;
                day.requests += change.requests;
                day.sent_q8 += change.sent_q8;
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
    /// All days with reads of one of its objects, and what was asked for and sent on them.
    pub all: Sent,
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

    /// What was known at a midnight; of what is no midnight, at the one before.
    pub fn at(&self, group: u32, at_s: u64) -> Glance {
        let today = at_s / DAY_S;
        let Some(days) = self.of_groups.get(&group) else { return Glance::default() };
        let known = &days[..days.partition_point(|until| until.day < today)];
        let Some(last) = known.last() else { return Glance::default() };
        let live = last.live.max(0) as f32;
        let before = |days: u64| {
            let place = known.partition_point(|until| until.day + days < today);
            place.checked_sub(1).map_or(0, |place| known[place].read)
        };
        let read = BACK_DAYS.map(|back| (last.read - before(back)) as f32 / live.max(1.0));
        let ago = |day: Option<u64>| {
            day.map_or(LONG_AGO_DAYS, |day| (today - 1 - day).min(LONG_AGO_DAYS)) as f32
        };
        let all = Sent { days: last.read, requests: last.requests, sent_q8: last.sent_q8 };
        Glance { live, read, idle_days: ago(last.read_day), crawl_days: ago(last.crawl_day), all }
    }
}

impl Until {
    fn after(self, day: u64, change: Change) -> Self {
        let live = self.live + change.born;
        let was_crawled = change.read as f32 >= CRAWLED * live.max(1) as f32;
        Self {
            day,
            live,
            read: self.read + change.read,
            requests: self.requests + change.requests,
            sent_q8: self.sent_q8 + change.sent_q8,
            read_day: if change.read > 0 { Some(day) } else { self.read_day },
            crawl_day: if was_crawled { Some(day) } else { self.crawl_day },
        }
    }
}
