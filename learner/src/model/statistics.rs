//! What is known of groups at any time: one look at every object of a log.

use vaultaire_proto::prices::calendar::DAY_S;

use crate::error::Error;
use crate::history::{self, Life, Read, Window};
use crate::logs::Log;
use crate::logs::accesses::Share;
use crate::model::days::{self, Days, Sent};
use crate::model::grid::Grid;
use crate::model::rates::{self, Kind, Rates};
use crate::points;
use crate::prefixes::Prefixes;
use crate::shares;

/// What is known of groups.
#[derive(Debug)]
pub struct Statistics {
    pub grid: Grid,
    pub prefixes: Prefixes,
    pub rates: Rates,
    pub days: Days,
    /// Decisions before the end of each step.
    points: Vec<u64>,
}

/// A day on which an object was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadDay {
    pub first_s: u64,
    pub last_s: u64,
    pub requests: u64,
    pub bytes: u64,
}

impl ReadDay {
    /// In order.
    pub fn of(reads: &[Read]) -> impl Iterator<Item = Self> {
        let of_a_day = reads.chunk_by(|one, next| one.at_s / DAY_S == next.at_s / DAY_S);
        of_a_day.map(|reads| Self {
            first_s: reads[0].at_s,
            last_s: reads[reads.len() - 1].at_s,
            requests: reads.iter().map(|read| u64::from(read.requests)).sum(),
            bytes: reads.iter().fold(0, |sum, read| sum.saturating_add(read.bytes)),
        })
    }
}

/// Times its size that were sent, in 1/256; a log may be wrong about sizes.
pub fn times_q8(bytes: u64, size_bytes: u64) -> u64 {
    let times = (u128::from(bytes) << 8) / u128::from(size_bytes.max(1));
    u64::try_from(times).unwrap_or(u64::MAX).min(1 << 24)
}

impl Statistics {
    pub fn new(log: &Log, window: Window, shares: &[Share<'_>]) -> Result<Self, Error> {
        let grid = Grid::new(log, window);
        let prefixes = Prefixes::new(&log.names);
        let count = |share: &Share<'_>| -> Result<Counters, Error> {
            let mut counters = Counters::new(grid);
            let mut objects = share.objects();
            while let Some(accesses) = objects.next_object()? {
                for life in history::lives(log, window.until_s, accesses)? {
                    let bucket = log.names.bucket_of(life.object);
                    counters.life(&life, [bucket, prefixes.of(life.object)]);
                }
            }
            Ok(counters)
        };
        let mut all = Counters::new(grid);
        for part in shares::each(shares, count)? {
            all.rates.merge(part.rates);
            all.days.merge(part.days);
            all.points.iter_mut().zip(part.points).for_each(|(own, theirs)| *own += theirs);
        }
        for step in 1..all.points.len() {
            all.points[step] += all.points[step - 1];
        }
        let rates = Rates::new(&all.rates, |group| prefixes.bucket(group));
        Ok(Self { grid, rates, days: Days::new(all.days), prefixes, points: all.points })
    }

    /// Decisions before the beginning of a step.
    pub fn points_before(&self, step: usize) -> u64 {
        step.checked_sub(1).map_or(0, |before| self.points[before])
    }
}

struct Counters {
    grid: Grid,
    rates: rates::Counter,
    days: days::Counter,
    points: Vec<u64>,
}

impl Counters {
    fn new(grid: Grid) -> Self {
        Self {
            grid,
            rates: rates::Counter::new(grid),
            days: days::Counter::default(),
            points: vec![0; grid.steps()],
        }
    }

    fn life(&mut self, life: &Life, groups: [u32; 2]) {
        let ended = life.until_s < self.grid.until_s;
        let seen_s = life.seen_s;
        groups.iter().for_each(|group| self.days.born(*group, seen_s));
        let points = points::of(life).into_iter().map(|point| point.at_s);
        for at_s in points.chain([seen_s]).filter(|at_s| *at_s >= seen_s) {
            self.points[self.grid.step(at_s)] += 1;
        }
        // What was before anybody saw it says nothing.
        let created_s = life.from_s;
        let (mut kind, mut since_s, mut from_s) = (Kind::ReadAfterPut, created_s, seen_s);
        let mut lasted = |kind, since_s, from_to_s: (u64, u64), happened| {
            // It was seen because something happened: that it did is no surprise.
            if from_to_s.0 < from_to_s.1 || life.is_new {
                self.rates.lasted(groups, kind, since_s, from_to_s, happened);
            }
        };
        for day in ReadDay::of(&life.reads) {
            lasted(kind, since_s, (from_s, day.first_s), true);
            lasted(Kind::ReadByAge, created_s, (from_s, day.first_s), true);
            (kind, since_s, from_s) = (Kind::ReadAfterRead, day.last_s, day.last_s);
        }
        lasted(kind, since_s, (from_s, life.until_s), false);
        lasted(Kind::ReadByAge, created_s, (from_s, life.until_s), false);
        lasted(Kind::EndByAge, created_s, (seen_s, life.until_s), ended);
        for (before, day) in ReadDay::of(&life.reads).enumerate() {
            let sent_q8 = times_q8(day.bytes, life.size_bytes);
            let sent = Sent { days: 1, requests: day.requests, sent_q8 };
            for group in groups {
                self.days.read(group, day.first_s, before as u64, sent);
            }
        }
        if ended {
            groups.iter().for_each(|group| self.days.gone(*group, life.until_s));
        }
    }
}
