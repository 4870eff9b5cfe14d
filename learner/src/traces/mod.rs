//! Access logs that are made up: of known kinds of workload, from a seed. Policies are tuned and judged on them, so the same
//! options give the same bytes, on every machine, and what is held out of tuning does not change what is not.
//!
//! ```text
//! prefixes    options -> parts of a log, and which of them are held out
//! classes/*   a prefix of a workload -> a draft        draft       versions of objects and their reads
//! scenarios/* a draft -> another draft                 events      drafts -> one log, in order of time
//! random, calendar: numbers and days, the same everywhere
//! ```
//!
//! It makes up no requests that failed, no lists and no heads: what costs money here is what is stored and what is read.

pub mod calendar;
pub mod classes;
pub mod draft;
pub mod events;
pub mod prefixes;
pub mod random;
pub mod scenarios;

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;
use vaultaire_proto::prices::calendar::DAY_S;

use crate::error::Error;
use crate::traces::calendar::Calendar;
use crate::traces::classes::Class;
use crate::traces::draft::Draft;
use crate::traces::events::Events;
use crate::traces::prefixes::Prefix;
use crate::traces::random::Stream;
use crate::traces::scenarios::Scenario;

/// Kinds of workload, in the order of all.
pub const CLASSES: [&str; 8] =
    ["media", "backup", "logs", "lake", "ml-datasets", "web", "documents", "iot"];

/// What may happen, in the order of all.
pub const SCENARIOS: [&str; 6] =
    ["plain", "regime-change", "crawler", "cold-turns-hot", "adversarial", "shuffled"];

/// 2025-01-01T00:00Z.
pub const START_S: u64 = 20_089 * DAY_S;

/// Which part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldOut {
    /// All of it.
    All,
    /// What may be tuned on: not `prefixes::HELD_OUT_CLASS`, and of each other class not the last fifth of its prefixes.
    Exclude,
    /// What `Exclude` leaves out.
    Only,
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Each is there once, however often it is named.
    pub classes: Vec<Class>,
    /// About so many, shared by the classes; part of them is held out.
    pub objects: u64,
    pub days: u32,
    /// A midnight (UTC), in seconds since 1970.
    pub start_s: u64,
    pub seed: u64,
    pub scenario: Scenario,
    pub hold_out: HoldOut,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            classes: Class::ALL.to_vec(),
            objects: 100_000,
            days: 400,
            start_s: START_S,
            seed: 1,
            scenario: Scenario::Plain,
            hold_out: HoldOut::All,
        }
    }
}

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// That are in the log.
    pub objects: u64,
    /// Lines of the log.
    pub events: u64,
    /// Of each class by its name.
    pub classes: BTreeMap<&'static str, ClassSummary>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClassSummary {
    pub objects: u64,
    pub events: u64,
    pub puts: u64,
    pub gets: u64,
    pub deletes: u64,
    /// Of all objects, each in its largest version.
    pub bytes: u64,
}

/// How far it is: so many of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Prefixes that were made up.
    Prefixes { done: u64, of: u64 },
    /// Lines that were written.
    Lines { done: u64, of: u64 },
}

/// What a prefix's streams of random numbers are for: one for each purpose, so that none changes another.
pub(crate) mod purpose {
    /// How large it is among the prefixes of its class.
    pub const WEIGHT: u64 = 1;
    /// What it does.
    pub const CHARACTER: u64 = 2;
    /// When it does it.
    pub const LOG: u64 = 3;
    /// What a scenario does to it.
    pub const SCENARIO: u64 = 4;
    /// What a scenario does to all.
    pub const WORLD: u64 = 5;
}

/// Makes up a log and writes it as `logs::csv` reads it.
pub fn generate(
    options: &Options,
    out: impl Write,
    mut progress: impl FnMut(Progress),
) -> Result<Summary, Error> {
    let prefixes = options.prefixes()?;
    let calendar = Calendar::new(options.start_s, options.days);
    let mut events = Events::default();
    for (done, prefix) in prefixes.iter().enumerate() {
        progress(Progress::Prefixes { done: done as u64, of: prefixes.len() as u64 });
        let stream = |purpose: u64| {
            Stream::of(options.seed, &[prefix.class as u64, u64::from(prefix.number), purpose])
        };
        let workload = prefix.class.draw(calendar, &mut stream(purpose::CHARACTER));
        let mut draft = Draft::new(calendar);
        workload.fill(&mut draft, prefix.objects, &mut stream(purpose::LOG));
        draft.finish();
        scenarios::apply(options, prefix, &mut draft, &mut stream(purpose::SCENARIO));
        events.add(*prefix, workload, &draft);
    }
    let counted = events.write(options.start_s, out, progress)?;
    Ok(summary(&prefixes, &counted))
}

fn summary(prefixes: &[Prefix], counted: &[ClassSummary]) -> Summary {
    let mut whole = Summary::default();
    for (prefix, counted) in prefixes.iter().zip(counted) {
        let class = whole.classes.entry(Class::name(prefix.class)).or_default();
        class.objects += counted.objects;
        class.events += counted.events;
        class.puts += counted.puts;
        class.gets += counted.gets;
        class.deletes += counted.deletes;
        class.bytes += counted.bytes;
        whole.objects += counted.objects;
        whole.events += counted.events;
    }
    whole
}

#[cfg(test)]
mod tests;
