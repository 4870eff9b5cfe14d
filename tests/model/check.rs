//! Runs the checker over one world and says what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::action::Action;
use crate::model::Protocol;

/// How long a shortest way is looked for.
const STEPS_MAX: usize = 40;

/// What a search found.
#[derive(Debug)]
pub struct Outcome {
    /// Different worlds, and steps that led to one.
    pub worlds: usize,
    pub steps: usize,
    /// Worlds on the longest path that was looked at.
    pub depth: usize,
    pub took: Duration,
    /// Properties that do not hold, with the steps that show it.
    pub broken: BTreeMap<&'static str, Vec<Action>>,
    /// Situations that were reached, and how.
    pub reached: BTreeMap<&'static str, Vec<Action>>,
    /// Situations that were not. It says something only where nothing is broken.
    pub missed: BTreeSet<&'static str>,
}

/// How far a search goes.
#[derive(Clone, Copy, Debug)]
pub enum Until<'a> {
    /// Every world was looked at, or something is broken.
    Exhausted,
    /// All of these properties are broken.
    Broken(&'a [&'static str]),
}

/// Looks at the worlds in order of their distance from the first.
pub fn search(protocol: &Protocol, until: Until<'_>, threads: usize) -> Outcome {
    search_to(protocol, until, threads, None)
}

/// The shortest way to break a property that is known to be broken. None: it is not, within `STEPS_MAX`.
pub fn shortest(protocol: &Protocol, name: &'static str) -> Option<Vec<Action>> {
    // The checker goes on for a while after it has found something, and keeps what it found last.
    (1..=STEPS_MAX).find_map(|steps| {
        let mut outcome = search_to(protocol, Until::Broken(&[name]), 1, Some(steps));
        outcome.broken.remove(name)
    })
}

fn search_to(
    protocol: &Protocol,
    until: Until<'_>,
    threads: usize,
    steps_max: Option<usize>,
) -> Outcome {
    let started = Instant::now();
    let finish = match until {
        Until::Exhausted => HasDiscoveries::AnyFailures,
        Until::Broken(names) => HasDiscoveries::AllOf(names.iter().copied().collect()),
    };
    let mut builder = protocol.clone().checker().threads(threads).finish_when(finish);
    if let Some(steps) = steps_max {
        // It counts worlds, the first one included, and looks only at those before this one.
        builder = builder.target_max_depth(steps + 2);
    }
    let checker = builder.spawn_bfs().join();
    let mut outcome = Outcome {
        worlds: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        took: started.elapsed(),
        broken: BTreeMap::new(),
        reached: BTreeMap::new(),
        missed: BTreeSet::new(),
    };
    let mut found = checker.discoveries();
    for property in protocol.properties() {
        let path = found.remove(property.name).map(stateright::Path::into_actions);
        match (property.expectation, path) {
            (Expectation::Sometimes, Some(path)) => {
                outcome.reached.insert(property.name, path);
            }
            (Expectation::Sometimes, None) => {
                outcome.missed.insert(property.name);
            }
            (Expectation::Always | Expectation::Eventually, Some(path)) => {
                outcome.broken.insert(property.name, path);
            }
            (Expectation::Always | Expectation::Eventually, None) => {}
        }
    }
    outcome
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worlds, steps, depth, took, .. } = self;
        writeln!(f, "{worlds} worlds, {steps} steps, depth {depth}, {:.1} s", took.as_secs_f64())?;
        for (name, path) in &self.broken {
            writeln!(f, "  BROKEN in {} steps: {name}", path.len())?;
        }
        for (name, path) in &self.reached {
            writeln!(f, "  reached in {} steps: {name}", path.len())?;
        }
        for name in &self.missed {
            writeln!(f, "  NOT REACHED: {name}")?;
        }
        Ok(())
    }
}
