//! Tests of the whole journal through its calls, on the simulated disk and on real files. Each
//! fault test says its seed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod announced;
mod damage;
mod faults;
mod killed;
mod model;
mod rotation;
mod threads;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::disk::simulated::{Image, Simulated};
use super::journal::Journal;
use super::{Completion, Drive, Entry, Error, Identity, Options, Position, Report};

const DIRECTORY: &str = "/journal";

const IDENTITY: Identity = Identity { cluster: [0xc1; 16], node: 3 };

/// What happened to the calls so far: results of completions in the order they came, and fatal
/// reasons.
#[derive(Clone, Default)]
struct Outcomes {
    done: Arc<Mutex<Vec<(usize, bool)>>>,
    fatal: Arc<Mutex<Vec<String>>>,
}

impl Outcomes {
    fn completion(&self, id: usize) -> Completion {
        let done = self.done.clone();
        Box::new(move |result| done.lock().push((id, result.is_ok())))
    }

    fn acknowledged(&self) -> usize {
        self.done.lock().iter().filter(|(_, ok)| *ok).count()
    }
}

fn options(drive: Drive, segment_bytes: u64, outcomes: &Outcomes) -> Options {
    let fatal = outcomes.fatal.clone();
    Options {
        segment_bytes,
        drive,
        on_fatal: Arc::new(move |reason: &str| fatal.lock().push(reason.to_owned())),
        ..Options::new(IDENTITY)
    }
}

fn open(disk: &Simulated, drive: Drive, segment_bytes: u64) -> Result<(Journal, Report), Error> {
    open_with(disk, options(drive, segment_bytes, &Outcomes::default()))
}

fn open_with(disk: &Simulated, options: Options) -> Result<(Journal, Report), Error> {
    Journal::open(Arc::new(disk.clone()), Path::new(DIRECTORY), options)
}

fn open_image(image: &Image, segment_bytes: u64) -> Result<(Journal, Report), Error> {
    open(&Simulated::from_image(0, image), Drive::Inline, segment_bytes)
}

fn at(term: u64, index: u64) -> Position {
    Position { term, index }
}

fn entry(term: u64, index: u64, len: usize) -> Entry {
    let seed = (term * 31 + index * 7) as u8;
    Entry {
        position: at(term, index),
        payload: (0..len).map(|byte| seed.wrapping_add(byte as u8)).collect(),
    }
}

fn entries(term: u64, indexes: std::ops::Range<u64>, len: usize) -> Vec<Entry> {
    indexes.map(|index| entry(term, index, len)).collect()
}

/// For calls whose success is asserted elsewhere, or that must succeed.
fn must() -> Completion {
    Box::new(|result| result.unwrap())
}

fn all(journal: &Journal, group: u16) -> Vec<Entry> {
    journal.read(group, 0..u64::MAX, u64::MAX).unwrap()
}

/// Everything a group promises, for comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Everything {
    vote: Option<Bytes>,
    purged: Option<Position>,
    last: Option<Position>,
    entries: Vec<Entry>,
}

fn everything(journal: &Journal, group: u16) -> Everything {
    let state = journal.state(group);
    Everything {
        vote: state.vote,
        purged: state.purged,
        last: state.last,
        entries: all(journal, group),
    }
}
