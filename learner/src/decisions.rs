//! Decisions as many threads make them, and as they are kept to be written down: in the order of time, and only so many of them
//! in memory.

use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;
use crate::planner::record::Record as Planned;
use crate::pricing::Step;
use crate::spill::sorter::{Sorted, Sorter};
use crate::spill::{Record, take};
use crate::written::write_records;

/// A decision, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub object: u32,
    pub policy: usize,
    /// None: it was new.
    pub from: Option<usize>,
    pub step: Step,
}

/// What is kept beside the bills.
#[derive(Clone, Copy, Default)]
pub struct Keep<'a> {
    /// Every decision.
    pub decisions: bool,
    /// Takes a record of every decision that was planned: a line of JSON each, in no order.
    pub records: Option<&'a Mutex<dyn Write + Send>>,
}

/// What some objects were decided, as far as it is kept.
#[derive(Default)]
pub struct Made {
    pub decisions: Vec<Decision>,
    pub planned: Vec<Planned>,
}

/// Where threads bring it.
pub struct Kept<'a> {
    keep: Keep<'a>,
    decisions: Mutex<Sorter<Decision>>,
}

impl<'a> Kept<'a> {
    /// So many decisions are in memory.
    pub fn new(keep: Keep<'a>, in_memory_max: usize) -> Self {
        Self { keep, decisions: Mutex::new(Sorter::new(in_memory_max)) }
    }

    pub fn has_decisions(&self) -> bool {
        self.keep.decisions
    }

    pub fn has_records(&self) -> bool {
        self.keep.records.is_some()
    }

    /// Decisions about one object come in their order.
    pub fn add(&self, made: Made) -> Result<(), Error> {
        let mut sorter = self.decisions.lock().unwrap_or_else(PoisonError::into_inner);
        made.decisions.into_iter().try_for_each(|decision| sorter.push(decision))?;
        drop(sorter);
        match self.keep.records {
            Some(out) => write_records(out, &made.planned),
            None => Ok(()),
        }
    }

    pub fn finish(self) -> Result<Sorted<Decision>, Error> {
        self.decisions.into_inner().unwrap_or_else(PoisonError::into_inner).finish()
    }
}

impl Record for Decision {
    /// When, about what, and whose.
    type Key = (u64, u32, usize);

    fn key(&self) -> Self::Key {
        (self.step.at_s, self.object, self.policy)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.step.at_s.to_le_bytes());
        out.extend(self.object.to_le_bytes());
        // No tier is called zero then.
        let from = self.from.map_or(0, |tier| tier + 1);
        [self.policy, from, self.step.tier]
            .into_iter()
            .for_each(|place| out.extend((place as u64).to_le_bytes()));
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        let at_s = u64::from_le_bytes(take(from)?);
        let object = u32::from_le_bytes(take(from)?);
        let mut place =
            || usize::try_from(u64::from_le_bytes(take(from)?)).map_err(io::Error::other);
        let (policy, from, tier) = (place()?, place()?, place()?);
        Ok(Self { object, policy, from: from.checked_sub(1), step: Step { at_s, tier } })
    }
}
