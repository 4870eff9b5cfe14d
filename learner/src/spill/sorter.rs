//! Sorts more records than fit into memory: what is full is sorted and written, and what was written is merged. What has the same
//! key stays in the order in which it came, so the result is the same however much fits.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::vec;

use crate::error::Error;
use crate::spill::Record;
use crate::spill::file::{Reader, Writer};

/// So many runs are merged at once: each has a buffer and a record in memory. More of them are made one run first.
pub const RUNS_MAX: usize = 256;

/// Takes records in any order.
#[derive(Debug)]
pub struct Sorter<R> {
    /// So many are in memory at once, and half as much again while they are sorted.
    in_memory_max: usize,
    /// The newest ones.
    recent: Vec<R>,
    /// None: all are recent.
    spilled: Option<Runs>,
}

/// What was written: runs of records, each of them in order, the oldest first.
#[derive(Debug)]
struct Runs {
    writer: Writer,
    runs: Vec<Range<u64>>,
}

impl<R: Record> Sorter<R> {
    /// At least one record is in memory.
    pub fn new(in_memory_max: usize) -> Self {
        Self { in_memory_max: in_memory_max.max(1), recent: Vec::new(), spilled: None }
    }

    pub fn push(&mut self, record: R) -> Result<(), Error> {
        if self.recent.len() >= self.in_memory_max {
            self.spill()?;
        }
        self.recent.push(record);
        Ok(())
    }

    /// All of them, in order.
    pub fn finish(mut self) -> Result<Sorted<R>, Error> {
        if self.spilled.is_some() {
            self.spill()?;
        }
        match self.spilled {
            Some(runs) => Merge::new(runs.writer.file(), &runs.runs).map(Sorted::Spilled),
            None => {
                self.recent.sort_by_key(Record::key);
                Ok(Sorted::Memory(self.recent.into_iter()))
            }
        }
    }

    fn spill(&mut self) -> Result<(), Error> {
        let mut runs = match self.spilled.take() {
            Some(runs) if runs.runs.len() >= RUNS_MAX => runs.merged::<R>()?,
            Some(runs) => runs,
            None => Runs { writer: Writer::new()?, runs: Vec::new() },
        };
        self.recent.sort_by_key(Record::key);
        runs.add(self.recent.drain(..).map(Ok))?;
        self.spilled = Some(runs);
        Ok(())
    }
}

impl Runs {
    fn add<R: Record>(
        &mut self,
        records: impl Iterator<Item = Result<R, Error>>,
    ) -> Result<(), Error> {
        let begins = self.writer.position();
        for record in records {
            self.writer.write(&record?)?;
        }
        self.writer.flush()?;
        self.runs.push(begins..self.writer.position());
        Ok(())
    }

    /// All of them as one, in a file of its own.
    fn merged<R: Record>(self) -> Result<Self, Error> {
        let mut merged = Self { writer: Writer::new()?, runs: Vec::new() };
        merged.add(Merge::<R>::new(self.writer.file(), &self.runs)?)?;
        Ok(merged)
    }
}

/// Records in order, one after another.
#[derive(Debug)]
pub enum Sorted<R: Record> {
    Memory(vec::IntoIter<R>),
    Spilled(Merge<R>),
}

impl<R: Record> Iterator for Sorted<R> {
    type Item = Result<R, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Memory(records) => records.next().map(Ok),
            Self::Spilled(merge) => merge.next(),
        }
    }
}

/// Runs that are read at once.
#[derive(Debug)]
pub struct Merge<R: Record> {
    runs: Vec<Run<R>>,
    /// The key of each run's next record, and which run it is: of the same key the oldest run comes first.
    next: BinaryHeap<Reverse<(R::Key, usize)>>,
}

#[derive(Debug)]
struct Run<R> {
    reader: Reader,
    next: Option<R>,
}

impl<R: Record> Merge<R> {
    fn new(file: &Arc<File>, runs: &[Range<u64>]) -> Result<Self, Error> {
        let mut merge = Self { runs: Vec::new(), next: BinaryHeap::new() };
        for (place, bytes) in runs.iter().enumerate() {
            let mut reader = Reader::new(file, bytes.clone());
            let next: Option<R> = reader.next_record()?;
            merge.next.extend(next.as_ref().map(|record| Reverse((record.key(), place))));
            merge.runs.push(Run { reader, next });
        }
        Ok(merge)
    }

    fn take(&mut self) -> Result<Option<R>, Error> {
        let Some(mut first) = self.next.peek_mut() else { return Ok(None) };
        let place = first.0.1;
        let run = &mut self.runs[place];
        let following = run.reader.next_record()?;
        let taken = std::mem::replace(&mut run.next, following);
        match &run.next {
            Some(record) => first.0.0 = record.key(),
            None => drop(PeekMut::pop(first)),
        }
        Ok(taken)
    }
}

impl<R: Record> Iterator for Merge<R> {
    type Item = Result<R, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take().transpose()
    }
}
