//! How often something happens to objects of a group, by how long it has not happened: events, and the time in which they could
//! have happened, for each length (a piecewise exponential hazard; Friedman, "Piecewise exponential models for survival
//! data with covariates", 1982). What has not ended yet counts for as long as it is known to have lasted.
//!
//! What is known of a group when a step begins is what lies before, the older the less; of few objects nothing much is known,
//! and their bucket says more, and of little in it all buckets together.

use std::collections::HashMap;

use vaultaire_proto::prices::calendar::DAY_S;

use crate::hazards::{BOUNDS_DAYS, SPANS};
use crate::model::grid::Grid;

/// Lengths are told apart at these days: at the spans of a forecast, and around those at which people let things expire.
const EDGES_DAYS: [u64; LENGTHS] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 14, 16, 21, 28, 31, 35, 45, 60, 75, 90, 93, 120, 180, 270, 365,
    540,
];
const LENGTHS: usize = 26;

/// How much less is thought of what is ten days older.
const FADES: f64 = 0.9;

/// So many days of an object's weigh as much as what the larger group says.
const DOUBT_DAYS: f64 = 20.0;

/// Where nothing at all is known of a length, it is as the one before it, a little less.
const LONGER: f64 = 0.7;

/// And at the beginning an event in so many days.
const SELDOM_DAYS: f64 = 100.0;

/// What happens, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first read after a PUT.
    ReadAfterPut,
    /// A read on a day after one with reads.
    ReadAfterRead,
    /// Any day with reads, by age.
    ReadByAge,
    /// A DELETE, or a PUT over it, by age.
    EndByAge,
}

const KINDS: usize = 4;

/// What was counted in one step.
#[derive(Clone, Debug, Default)]
struct Counted {
    events: [[u32; LENGTHS]; KINDS],
    seconds: [[u64; LENGTHS]; KINDS],
}

/// Counts.
#[derive(Debug)]
pub struct Counter {
    grid: Grid,
    of_groups: HashMap<u32, Vec<Option<Box<Counted>>>>,
}

impl Counter {
    pub fn new(grid: Grid) -> Self {
        Self { grid, of_groups: HashMap::new() }
    }

    /// Something could have happened from a time on, and did at the other one, or did not until then.
    pub fn lasted(
        &mut self,
        groups: [u32; 2],
        kind: Kind,
        since_s: u64,
        from_to_s: (u64, u64),
        happened: bool,
    ) {
        let grid = self.grid;
        let (from_s, to_s) = (from_to_s.0, from_to_s.1.min(grid.until_s));
        let mut now = from_s;
        while now < to_s {
            let step = grid.step(now);
            let length = length(now - since_s);
            let edge = EDGES_DAYS.get(length + 1).map_or(u64::MAX, |days| since_s + days * DAY_S);
            let next = to_s.min(edge).min(grid.begins(step + 1));
            for group in groups {
                self.of(group, step).seconds[kind as usize][length] += next - now;
            }
            now = next;
        }
        if happened && from_to_s.1 < grid.until_s {
            let (step, length) = (grid.step(to_s), length((to_s - since_s).saturating_sub(1)));
            for group in groups {
                self.of(group, step).events[kind as usize][length] += 1;
            }
        }
    }

    fn of(&mut self, group: u32, step: usize) -> &mut Counted {
        let steps = self.of_groups.entry(group).or_default();
        if steps.len() <= step {
            steps.resize(step + 1, None);
        }
        steps[step].get_or_insert_default()
    }

    pub fn merge(&mut self, other: Self) {
        for (group, steps) in other.of_groups {
            for (step, theirs) in steps.into_iter().enumerate() {
                let Some(theirs) = theirs else { continue };
                let own = self.of(group, step);
                for kind in 0..KINDS {
                    for length in 0..LENGTHS {
                        own.events[kind][length] += theirs.events[kind][length];
                        own.seconds[kind][length] += theirs.seconds[kind][length];
                    }
                }
            }
        }
    }
}

/// Which length this is.
fn length(seconds: u64) -> usize {
    EDGES_DAYS.partition_point(|days| days * DAY_S <= seconds) - 1
}

/// Expected events until each edge, for each kind: what is known of one group in one step.
type Known = [[f32; LENGTHS]; KINDS];

/// Everything that is known of groups.
#[derive(Debug, Default)]
pub struct Rates {
    known: HashMap<u32, Vec<Known>>,
}

/// Events, and days.
type Sums = [[(f64, f64); LENGTHS]; KINDS];

/// Stands for all buckets together.
const EVERYTHING: u32 = u32::MAX;

impl Rates {
    /// `parent` tells the larger group of each; that of a bucket is everything.
    pub fn new(counter: &Counter, parent: impl Fn(u32) -> Option<u32>) -> Self {
        let steps = counter.grid.steps();
        let mut groups: Vec<u32> = counter.of_groups.keys().copied().collect();
        groups.sort_unstable();
        let nothing: Sums = [[(0.0, 0.0); LENGTHS]; KINDS];
        // The largest of all are the buckets: their sums are of everything.
        let mut everything = vec![nothing; steps];
        let mut buckets: HashMap<u32, Vec<Sums>> = HashMap::new();
        for bucket in groups.iter().copied().filter(|group| parent(*group).is_none()) {
            let sums = faded(&counter.of_groups[&bucket], steps);
            everything.iter_mut().zip(&sums).for_each(|(all, own)| add(all, own));
            buckets.insert(bucket, sums);
        }
        let mut known = HashMap::new();
        for group in groups {
            let own = match buckets.get(&group) {
                Some(sums) => sums,
                None => &faded(&counter.of_groups[&group], steps),
            };
            let of_bucket = parent(group).and_then(|bucket| buckets.get(&bucket));
            let each = (0..steps).map(|step| {
                let of_bucket = of_bucket.map_or(&nothing, |steps| &steps[step]);
                until_edges([&own[step], of_bucket, &everything[step]])
            });
            known.insert(group, each.collect());
        }
        let all = (0..steps).map(|step| until_edges([&nothing, &nothing, &everything[step]]));
        known.insert(EVERYTHING, all.collect());
        Self { known }
    }

    /// The chance of each span from a length on.
    pub fn chances(&self, group: u32, step: usize, kind: Kind, seconds: u64) -> [f32; SPANS] {
        let steps = self.known.get(&group).or_else(|| self.known.get(&EVERYTHING));
        let Some(known) = steps.and_then(|steps| steps.get(step)) else { return [0.0; SPANS] };
        let known = &known[kind as usize];
        let days = seconds as f32 / DAY_S as f32;
        let bounds = BOUNDS_DAYS.map(|bound| until(known, days + bound as f32));
        std::array::from_fn(|span| 1.0 - (bounds[span] - bounds[span + 1]).exp())
    }
}

/// Expected events until so many days.
fn until(known: &[f32; LENGTHS], days: f32) -> f32 {
    let place = EDGES_DAYS.partition_point(|edge| *edge as f32 <= days).clamp(1, LENGTHS - 1) - 1;
    let (from, to) = (EDGES_DAYS[place] as f32, EDGES_DAYS[place + 1] as f32);
    known[place] + (known[place + 1] - known[place]) * (days - from) / (to - from)
}

/// What lies before each step, the older the less.
fn faded(counted: &[Option<Box<Counted>>], steps: usize) -> Vec<Sums> {
    let mut sums: Sums = [[(0.0, 0.0); LENGTHS]; KINDS];
    let mut each = Vec::with_capacity(steps);
    for step in 0..steps {
        each.push(sums);
        for row in sums.iter_mut().flatten() {
            *row = (row.0 * FADES, row.1 * FADES);
        }
        if let Some(counted) = counted.get(step).and_then(Option::as_ref) {
            for (kind, sums) in sums.iter_mut().enumerate() {
                for (length, (events, days)) in sums.iter_mut().enumerate() {
                    *events += f64::from(counted.events[kind][length]);
                    *days += counted.seconds[kind][length] as f64 / DAY_S as f64;
                }
            }
        }
    }
    each
}

fn add(to: &mut Sums, from: &Sums) {
    for (to, from) in to.iter_mut().flatten().zip(from.iter().flatten()) {
        *to = (to.0 + from.0, to.1 + from.1);
    }
}

/// Of a group, its bucket and everything.
fn until_edges([own, bucket, all]: [&Sums; 3]) -> Known {
    let mut known = [[0.0; LENGTHS]; KINDS];
    for kind in 0..KINDS {
        let mut before = 1.0 / SELDOM_DAYS;
        let mut sum = 0.0;
        for length in 0..LENGTHS - 1 {
            let doubt = |rate: f64, (events, days): (f64, f64)| {
                (events + rate * DOUBT_DAYS) / (days + DOUBT_DAYS)
            };
            let general = doubt(before * LONGER, all[kind][length]);
            let rate = doubt(doubt(general, bucket[kind][length]), own[kind][length]);
            let days = EDGES_DAYS[length + 1] - EDGES_DAYS[length];
            known[kind][length] = sum as f32;
            sum += rate * days as f64;
            before = general;
        }
        known[kind][LENGTHS - 1] = sum as f32;
    }
    known
}
