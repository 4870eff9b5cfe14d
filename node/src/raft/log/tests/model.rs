//! Random changes of several groups, power failures and kills at random points, and a small model. The
//! journal is one sequence over all groups, so what comes back must be exactly some first part of
//! what was issued, and all that was acknowledged is in it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use super::super::disk::simulated::{Faults, Simulated};
use super::*;

const GROUPS: u16 = 4;
const SEGMENT_BYTES: u64 = 16 << 10;
const SEEDS: u64 = 2_000;
const LIVES: usize = 4;
const STEPS: usize = 40;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// One record's worth of change.
#[derive(Clone, Debug)]
enum Change {
    Entry(Entry),
    Vote(Bytes),
    Truncate(Option<Position>),
    Purge(Position),
    /// The end of a call: everything before it is acknowledged together.
    Done,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model(BTreeMap<u16, Everything>);

impl Model {
    fn group(&mut self, group: u16) -> &mut Everything {
        self.0.entry(group).or_default()
    }

    fn apply(&mut self, group: u16, change: &Change) {
        let state = self.group(group);
        match change {
            Change::Entry(entry) => {
                state.last = Some(entry.position);
                state.entries.push(entry.clone());
            }
            Change::Vote(vote) => state.vote = Some(vote.clone()),
            Change::Truncate(kept) => {
                state.last = *kept;
                let next = kept.map_or(0, |kept| kept.index + 1);
                state.entries.retain(|entry| entry.position.index < next);
            }
            Change::Purge(upto) => {
                state.purged = Some(*upto);
                state.entries.retain(|entry| entry.position.index > upto.index);
                if state.last.is_none_or(|last| last.index <= upto.index) {
                    state.last = Some(*upto);
                }
            }
            Change::Done => {}
        }
    }
}

/// A run of one seed.
struct Run {
    random: Random,
    disk: Simulated,
    /// As issued, on top of `base`.
    issued: Vec<(u16, Change)>,
    base: Model,
    now: Model,
    committed: BTreeMap<u16, Vec<Option<Position>>>,
    term: u64,
    seen: Seen,
}

/// That the faults were met at all: a test that never cuts a tail proves little.
#[derive(Default)]
struct Seen {
    acknowledged: u64,
    cuts: u64,
    interrupted: u64,
    killed: u64,
    rotations: u64,
    copied: u64,
}

impl Run {
    fn new(seed: u64) -> Run {
        Run {
            random: Random(seed ^ 0x5eed),
            disk: Simulated::new(seed),
            issued: Vec::new(),
            base: Model::default(),
            now: Model::default(),
            committed: BTreeMap::new(),
            term: 1,
            seen: Seen::default(),
        }
    }

    /// The power fails, or only the process dies.
    fn end(&mut self) {
        if self.random.below(3) == 0 {
            self.seen.killed += 1;
            return self.disk.kill();
        }
        let image = self.disk.image_after_power_failure();
        self.disk.restart(&image);
    }

    fn issue(&mut self, group: u16, changes: Vec<Change>) {
        for change in changes.into_iter().chain([Change::Done]) {
            self.now.apply(group, &change);
            self.issued.push((group, change));
        }
    }

    fn step(&mut self, journal: &Journal, outcomes: &Outcomes, id: usize) {
        let group = self.random.below(u64::from(GROUPS)) as u16;
        let state = self.now.group(group).clone();
        let next = state.last.map_or(0, |last| last.index + 1);
        let done = outcomes.completion(id);
        match self.random.below(10) {
            0 => {
                let vote = Bytes::from(format!("vote {} of {group}", self.random.below(1000)));
                journal.save_vote(group, vote.clone(), done);
                self.issue(group, vec![Change::Vote(vote)]);
            }
            1 => {
                let back = self.random.below(4) as usize;
                let kept = match state.entries.len().checked_sub(back + 1) {
                    Some(at) => Some(state.entries[at].position),
                    None => state.purged,
                };
                self.term += 1;
                journal.truncate_after(group, kept, done);
                self.issue(group, vec![Change::Truncate(kept)]);
            }
            2 => {
                let upto = match state.entries.get(self.random.below(12) as usize) {
                    Some(entry) => entry.position,
                    None => at(self.term, next + self.random.below(3)),
                };
                journal.purge(group, upto, done);
                self.issue(group, vec![Change::Purge(upto)]);
            }
            _ => {
                let count = 1 + self.random.below(4);
                let len = self.random.below(600) as usize;
                let entries = entries(self.term, next..next + count, len);
                journal.append(group, entries.clone(), done);
                self.issue(group, entries.into_iter().map(Change::Entry).collect());
                let committed = self.now.group(group).last;
                journal.save_committed(group, committed);
                self.committed.entry(group).or_default().push(committed);
            }
        }
        if self.random.below(3) == 0 {
            journal.turn();
        }
        if self.random.below(12) == 0 {
            journal.idle();
        }
    }

    /// Recovery writes too, and the power may fail again while it does.
    fn interrupt_recovery(&mut self, context: &str) -> bool {
        self.disk.set_faults(Faults {
            power_off_after: Some(self.random.below(6)),
            ..Faults::default()
        });
        let interrupted = match open(&self.disk, Drive::Manual, SEGMENT_BYTES) {
            Ok((_, report)) => {
                self.seen.cuts += u64::from(report.cut.is_some());
                false
            }
            Err(Error::Io { .. }) => true,
            Err(error) => panic!("{context}: {error}"),
        };
        self.end();
        interrupted
    }

    /// The model after the first part of what was issued that the journal holds, which must have
    /// all that was acknowledged.
    fn match_recovered(&mut self, journal: &Journal, acknowledged: usize, context: &str) {
        let found = Model((0..GROUPS).map(|group| (group, everything(journal, group))).collect());
        let mut model = self.base.clone();
        (0..GROUPS).for_each(|group| _ = model.group(group));
        let mut calls = 0;
        let mut matched = (acknowledged == 0 && model == found).then(|| model.clone());
        for (group, change) in &self.issued {
            model.apply(*group, change);
            calls += usize::from(matches!(change, Change::Done));
            if calls >= acknowledged && model == found {
                matched = Some(model.clone());
            }
        }
        let matched = matched.unwrap_or_else(|| {
            panic!("{context}: {acknowledged} calls were acknowledged, found {found:#?}")
        });
        for group in 0..GROUPS {
            let committed = journal.state(group).committed;
            let known = self.committed.entry(group).or_default();
            assert!(
                committed.is_none() || known.contains(&committed),
                "{context}: committed {committed:?}"
            );
        }
        self.base = matched.clone();
        self.now = matched;
        self.issued.clear();
    }

    fn live(&mut self, seed: u64, life: usize) {
        let outcomes = Outcomes::default();
        let options =
            Options { cache_bytes: 4096, ..options(Drive::Manual, SEGMENT_BYTES, &outcomes) };
        let (journal, _) = open_with(&self.disk, options)
            .unwrap_or_else(|error| panic!("seed {seed} life {life}: {error}"));
        let power_off_after = Some(self.random.below(60));
        self.disk.set_faults(Faults { power_off_after, ..Faults::default() });
        for id in 0..STEPS {
            self.step(&journal, &outcomes, id);
            if !outcomes.fatal.lock().is_empty() {
                break;
            }
        }
        let stats = journal.stats();
        self.seen.copied += stats.copied;
        // Every sync but those of batches and marks is a seal's.
        self.seen.rotations += u64::from(stats.segments > 1);
        let clean = outcomes.fatal.lock().is_empty() && self.random.below(2) == 0;
        let context = format!("seed {seed} life {life} power off after {power_off_after:?}");
        if clean {
            self.disk.set_faults(Faults::default());
            journal.close();
        }
        self.seen.acknowledged += outcomes.acknowledged() as u64;
        let done = outcomes.done.lock().clone();
        assert!(
            done.is_sorted_by_key(|(id, _)| *id),
            "{context}: completed out of order: {done:?}"
        );
        self.end();
        let interrupted = !clean && self.interrupt_recovery(&context);
        let (journal, report) = match open(&self.disk, Drive::Manual, SEGMENT_BYTES) {
            Ok(opened) => opened,
            Err(error) => panic!("{context}: {error}"),
        };
        assert!(!clean || (report.clean && report.cut.is_none()), "{context}: {report:?}");
        self.seen.cuts += u64::from(report.cut.is_some());
        self.seen.interrupted += u64::from(interrupted);
        self.match_recovered(&journal, outcomes.acknowledged(), &context);
        // The process ends here without a close.
        self.end();
    }
}

fn run_seeds(seeds: std::ops::Range<u64>) -> Seen {
    let mut seen = Seen::default();
    for seed in seeds {
        let mut run = Run::new(seed);
        for life in 0..LIVES {
            run.live(seed, life);
        }
        seen.acknowledged += run.seen.acknowledged;
        seen.cuts += run.seen.cuts;
        seen.interrupted += run.seen.interrupted;
        seen.killed += run.seen.killed;
        seen.rotations += run.seen.rotations;
        seen.copied += run.seen.copied;
    }
    seen
}

#[test]
fn what_was_acknowledged_survives_power_failures() {
    let half = SEEDS / 2;
    let halves = std::thread::scope(|scope| {
        let first = scope.spawn(move || run_seeds(0..half));
        let second = scope.spawn(move || run_seeds(half..SEEDS));
        [first.join().unwrap(), second.join().unwrap()]
    });
    for seen in halves {
        assert!(seen.acknowledged > 10 * half, "{} calls were acknowledged", seen.acknowledged);
        assert!(seen.cuts > half / 10, "{} tails were cut", seen.cuts);
        assert!(seen.interrupted > half / 10, "{} recoveries were interrupted", seen.interrupted);
        assert!(seen.killed > half, "{} processes were killed", seen.killed);
        assert!(seen.rotations > half / 10, "{} lives had several segments", seen.rotations);
        assert!(seen.copied > 0, "nothing was copied forward");
    }
}
