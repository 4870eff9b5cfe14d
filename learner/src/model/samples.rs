//! What a network learns from: decisions of the past, what was seen then, and what came of it.

use vaultaire_proto::prices::calendar::DAY_S;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::Error;
use crate::forecasts::Moment;
use crate::hazards::{BOUNDS_DAYS, SPANS};
use crate::history::{self, Life, Window};
use crate::logs::Log;
use crate::logs::accesses::Share;
use crate::model::features::{self, Features, Scene};
use crate::model::memory::Memory;
use crate::model::statistics::{ReadDay, Statistics};
use crate::points::{self, end_of_day};
use crate::shares;

/// What is foretold: of the next read, of the end, and of both after that read.
pub const HEADS: usize = 4;

/// Everything that is foretold.
pub const OUTPUTS: usize = HEADS * SPANS;

/// A network learns from about so many.
pub const SAMPLES_MAX: u64 = 150_000;

/// A decision, and what came of it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Random, and the same whatever else is in the log: samples are taken and ordered by it.
    pub lot: u64,
    /// The same for all of one object.
    pub object_lot: u64,
    pub at_s: u64,
    pub size_bytes: u64,
    /// The same for objects of a group that were written and last read on the same days: what happens to one of them happens to all,
    /// where they are parts of one whole.
    pub alike: u64,
    /// The same for all of a group within two months.
    pub season: u64,
    pub features: Features,
    pub came: Came,
}

/// What came of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came {
    /// The first read of the next day with reads. None: there was none.
    pub next_s: Option<u64>,
    /// The first of the day with reads after that one.
    pub later_s: Option<u64>,
    pub end_s: Option<u64>,
}

/// What came of it, as far as it was known at some time: for each output what happened, and whether that says anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Labels {
    pub happened: [f32; OUTPUTS],
    pub is_known: [f32; OUTPUTS],
}

impl Came {
    /// As far as it was known at some time.
    pub fn labels(&self, at_s: u64, known_s: u64) -> Labels {
        let known = |at_s: Option<u64>| at_s.filter(|at_s| *at_s < known_s);
        let mut labels = Labels { happened: [0.0; OUTPUTS], is_known: [0.0; OUTPUTS] };
        let (next_s, end_s) = (known(self.next_s), known(self.end_s));
        labels.of_gap(0, Gap { from_s: at_s, read_s: next_s, end_s, known_s });
        let midnight_s = next_s.map(end_of_day);
        let there_until_s = known_s.min(end_s.unwrap_or(known_s));
        if let Some(from_s) = midnight_s.filter(|at_s| *at_s < there_until_s) {
            labels.of_gap(2, Gap { from_s, read_s: known(self.later_s), end_s, known_s });
        }
        labels
    }
}

/// From some time on, what came first.
struct Gap {
    from_s: u64,
    read_s: Option<u64>,
    end_s: Option<u64>,
    known_s: u64,
}

impl Labels {
    fn of_gap(&mut self, head: usize, gap: Gap) {
        // A read may come in the very second of a decision, but not before.
        let days = |at_s: u64| at_s.saturating_sub(gap.from_s) as f64 / DAY_S as f64;
        let (read, end, known) = (gap.read_s.map(days), gap.end_s.map(days), days(gap.known_s));
        for span in 0..SPANS {
            let ends = f64::from(BOUNDS_DAYS[span + 1]);
            let within = |at: Option<f64>| at.is_some_and(|at| at <= ends);
            let (of_read, of_end) = (head * SPANS + span, (head + 1) * SPANS + span);
            // Only a span that is over says anything: of one that is not, those would count to which something happened already.
            if known < ends {
                return;
            }
            self.is_known[of_read] = 1.0;
            if within(read) {
                self.happened[of_read] = 1.0;
                return;
            }
            self.is_known[of_end] = 1.0;
            if within(end) {
                self.happened[of_end] = 1.0;
                return;
            }
        }
    }
}

/// Takes samples for every network that will be trained.
#[derive(Debug)]
pub struct Sampler<'a> {
    log: &'a Log,
    window: Window,
    statistics: &'a Statistics,
    seed: u64,
    /// For each network: of which lots it takes.
    below: Vec<u64>,
}

impl<'a> Sampler<'a> {
    pub fn new(log: &'a Log, window: Window, statistics: &'a Statistics, seed: u64) -> Self {
        let below = (0..statistics.grid.models()).map(|model| {
            let known = statistics.points_before(statistics.grid.trained(model));
            match SAMPLES_MAX >= known {
                true => u64::MAX,
                false => u64::MAX / known * SAMPLES_MAX,
            }
        });
        let below = below.collect();
        Self { log, window, statistics, seed, below }
    }

    /// All that any network will need, in the order of their lots.
    pub fn take(&self, shares: &[Share<'_>]) -> Result<Vec<Sample>, Error> {
        let mut samples: Vec<Sample> =
            shares::each(shares, |share| self.share(share))?.into_iter().flatten().collect();
        samples.sort_unstable_by_key(|sample| (sample.lot, sample.at_s));
        Ok(samples)
    }

    /// How many networks are trained.
    pub fn models(&self) -> usize {
        self.below.len()
    }

    /// Until when one of them knows everything.
    pub fn known_s(&self, model: usize) -> u64 {
        let grid = &self.statistics.grid;
        grid.begins(grid.trained(model))
    }

    /// Of those, what one network takes.
    pub fn of_model<'b>(
        &self,
        model: usize,
        samples: &'b [Sample],
    ) -> impl Iterator<Item = &'b Sample> {
        let (below, known_s) = (self.below[model], self.known_s(model));
        samples
            .iter()
            .take_while(move |sample| sample.lot < below)
            .filter(move |sample| sample.at_s < known_s)
    }

    fn share(&self, share: &Share<'_>) -> Result<Vec<Sample>, Error> {
        let mut samples = Vec::new();
        let mut objects = share.objects();
        while let Some(accesses) = objects.next_object()? {
            let lives = history::lives(self.log, self.window.until_s, accesses)?;
            self.object(&lives, &mut samples);
        }
        Ok(samples)
    }

    fn object(&self, lives: &[Life], samples: &mut Vec<Sample>) {
        let Some(object) = lives.first().map(|life| life.object) else { return };
        let names = &self.log.names;
        // The same key in another bucket is another object.
        let bucket_lot = xxh3_64_with_seed(names.bucket(object).as_bytes(), self.seed);
        let object_lot = xxh3_64_with_seed(names.key(object).as_bytes(), bucket_lot);
        let mut memory = Memory::default();
        for life in lives {
            let ends_s = (life.until_s < self.window.until_s).then_some(life.until_s);
            let days: Vec<ReadDay> = ReadDay::of(&life.reads).collect();
            let points = points::of(life).into_iter();
            let points = points.map(|point| Moment { at_s: point.at_s, reads: point.reads });
            let created = life.is_new.then_some(Moment { at_s: life.from_s, reads: 0 });
            let moments: Vec<Moment> = created.into_iter().chain(points).collect();
            remember(&mut memory, life, &moments, |memory, moment| {
                let Moment { at_s, reads } = moment;
                let model = match self.statistics.grid.knows(at_s) {
                    Some(model) if memory.is_seen && self.statistics.grid.step(at_s) > 0 => model,
                    _ => return,
                };
                let lot = lot(object_lot, at_s);
                if lot >= self.below[model] {
                    return;
                }
                let next = next_day(&days, life, reads);
                let prefix = self.statistics.prefixes.of(object);
                let scene = Scene {
                    memory,
                    size_bytes: life.size_bytes,
                    at_s,
                    bucket: names.bucket_of(object),
                    prefix,
                };
                samples.push(Sample {
                    lot,
                    object_lot,
                    at_s,
                    size_bytes: life.size_bytes,
                    alike: alike(prefix, memory, at_s),
                    season: season(prefix, at_s),
                    features: features::of(scene, self.statistics),
                    came: Came {
                        next_s: days.get(next).map(|day| day.first_s),
                        later_s: days.get(next + 1).map(|day| day.first_s),
                        end_s: ends_s,
                    },
                });
            });
        }
    }
}

/// The next day with reads, where so many reads were before. What comes later on a day of which something was seen is of that day.
fn next_day(days: &[ReadDay], life: &Life, reads: usize) -> usize {
    match life.reads.get(reads) {
        Some(next) => days.partition_point(|day| day.last_s < next.at_s),
        None => days.len(),
    }
}

/// Goes through a whole life, and stops at some moments.
pub fn remember(
    memory: &mut Memory,
    life: &Life,
    moments: &[Moment],
    mut at: impl FnMut(&Memory, Moment),
) {
    memory.begin(life);
    let mut known = 0;
    for moment in moments {
        for read in &life.reads[known..moment.reads] {
            memory.read(*read);
        }
        known = moment.reads;
        memory.fade(moment.at_s / DAY_S);
        at(memory, *moment);
    }
    for read in &life.reads[known..] {
        memory.read(*read);
    }
    memory.end(life);
}

fn alike(prefix: u32, memory: &Memory, at_s: u64) -> u64 {
    let days = [at_s, memory.created_s, memory.last_s].map(|at_s| (at_s / DAY_S).to_le_bytes());
    xxh3_64_with_seed(days.as_flattened(), u64::from(prefix))
}

/// Two months.
const SEASON_S: u64 = 60 * DAY_S;

fn season(prefix: u32, at_s: u64) -> u64 {
    xxh3_64_with_seed(&(at_s / SEASON_S).to_le_bytes(), u64::from(prefix))
}

/// Random, of an object and a time.
fn lot(object_lot: u64, at_s: u64) -> u64 {
    xxh3_64_with_seed(&at_s.to_le_bytes(), object_lot)
}
