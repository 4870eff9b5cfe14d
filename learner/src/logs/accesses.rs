//! All accesses of a log, by object and then by time: in memory if they are few, and in a file without a name if they are not. They
//! are handed out one object after the other, so only those of one object have to fit into memory, for each thread.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use crate::error::Error;
use crate::logs::{Access, Bytes, Operation};
use crate::spill::file::{Reader, Writer};
use crate::spill::{Record, take};

/// So many are in memory before they are written to a file: 128 MiB of them.
pub const IN_MEMORY_MAX: usize = 4 << 20;

/// So many places are remembered at which a share may begin.
const MARKS_MAX: usize = 1 << 16;

/// How long an access is in a file.
const ACCESS_BYTES: u64 = 32;

/// All of them.
#[derive(Debug, Default)]
pub struct Accesses {
    kept: Kept,
    len: u64,
    marks: Marks,
}

#[derive(Debug)]
enum Kept {
    Memory(Vec<Access>),
    File(Arc<File>),
}

impl Default for Kept {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

/// Where objects begin: all of them, or, where they are many, one of so many.
#[derive(Debug)]
struct Marks {
    places: Vec<u64>,
    objects: u64,
    one_of: u64,
}

impl Default for Marks {
    fn default() -> Self {
        Self { places: Vec::new(), objects: 0, one_of: 1 }
    }
}

impl Marks {
    fn object_begins(&mut self, place: u64) {
        if self.objects.is_multiple_of(self.one_of) {
            self.places.push(place);
        }
        self.objects += 1;
        if self.places.len() > MARKS_MAX {
            self.places = self.places.iter().step_by(2).copied().collect();
            self.one_of *= 2;
        }
    }
}

impl Accesses {
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn whole(&self) -> Share<'_> {
        Share { accesses: self, places: 0..self.len }
    }

    /// Shares of about the same size; an object is never cut. They are the same ones wherever accesses are kept.
    pub fn shares(&self, shares: usize) -> Vec<Share<'_>> {
        let mut from = 0;
        let cut = (1..=shares as u64).rev().map(|left| {
            let wanted = from + (self.len - from) / left;
            let marks = &self.marks.places;
            let next = marks.get(marks.partition_point(|place| *place < wanted));
            let to = next.copied().filter(|_| left > 1).unwrap_or(self.len);
            Share { accesses: self, places: std::mem::replace(&mut from, to)..to }
        });
        cut.collect()
    }

    /// All of them at once: for tests, whose logs are small.
    #[cfg(test)]
    pub fn to_vec(&self) -> Vec<Access> {
        let mut all = Vec::new();
        let mut objects = self.whole().objects();
        while let Some(of_one) = objects.next_object().expect("a temporary file is readable") {
            all.extend_from_slice(of_one);
        }
        all
    }

    #[cfg(test)]
    pub fn is_in_memory(&self) -> bool {
        matches!(self.kept, Kept::Memory(_))
    }
}

/// The accesses of some objects.
#[derive(Clone, Debug)]
pub struct Share<'a> {
    accesses: &'a Accesses,
    places: Range<u64>,
}

impl<'a> Share<'a> {
    /// One object after the other.
    pub fn objects(&self) -> Objects<'a> {
        let Range { start, end } = self.places;
        let rest = match &self.accesses.kept {
            Kept::Memory(all) => Rest::Memory(&all[start as usize..end as usize]),
            Kept::File(file) => {
                let bytes = start * ACCESS_BYTES..end * ACCESS_BYTES;
                Rest::File { reader: Reader::new(file, bytes), next: None }
            }
        };
        Objects { rest, object: Vec::new() }
    }
}

/// Hands out objects.
#[derive(Debug)]
pub struct Objects<'a> {
    rest: Rest<'a>,
    /// What was read of a file and is handed out.
    object: Vec<Access>,
}

#[derive(Debug)]
enum Rest<'a> {
    Memory(&'a [Access]),
    File {
        reader: Reader,
        /// The first of the next object, as soon as one was read.
        next: Option<Access>,
    },
}

impl Objects<'_> {
    /// All accesses of the next object. None: there is no more.
    pub fn next_object(&mut self) -> Result<Option<&[Access]>, Error> {
        match &mut self.rest {
            Rest::Memory(rest) => {
                let Some(of_one) = rest.chunk_by(is_same).next() else { return Ok(None) };
                *rest = &rest[of_one.len()..];
                Ok(Some(of_one))
            }
            Rest::File { reader, next } => {
                self.object.clear();
                self.object.extend(next.take());
                while let Some(access) = reader.next_record()? {
                    if self.object.first().is_some_and(|first| !is_same(first, &access)) {
                        *next = Some(access);
                        break;
                    }
                    self.object.push(access);
                }
                Ok((!self.object.is_empty()).then_some(self.object.as_slice()))
            }
        }
    }
}

fn is_same(one: &Access, next: &Access) -> bool {
    one.object == next.object
}

/// Takes accesses, object by object.
#[derive(Debug)]
pub struct Keeper {
    in_memory_max: usize,
    memory: Vec<Access>,
    /// None: all are in memory.
    file: Option<Writer>,
    len: u64,
    marks: Marks,
}

impl Keeper {
    pub fn new(in_memory_max: usize) -> Self {
        let (memory, marks) = (Vec::new(), Marks::default());
        Self { in_memory_max, memory, file: None, len: 0, marks }
    }

    /// All accesses of the next object.
    pub fn object(&mut self, of_one: &[Access]) -> Result<(), Error> {
        if of_one.is_empty() {
            return Ok(());
        }
        self.marks.object_begins(self.len);
        self.len += of_one.len() as u64;
        if self.file.is_none() && self.len > self.in_memory_max as u64 {
            let file = self.file.insert(Writer::new()?);
            std::mem::take(&mut self.memory).iter().try_for_each(|access| file.write(access))?;
        }
        match &mut self.file {
            Some(file) => of_one.iter().try_for_each(|access| file.write(access)),
            None => {
                self.memory.extend_from_slice(of_one);
                Ok(())
            }
        }
    }

    pub fn finish(self) -> Result<Accesses, Error> {
        let Self { memory, file, len, marks, .. } = self;
        let kept = match file {
            Some(mut file) => {
                file.flush()?;
                Kept::File(Arc::clone(file.file()))
            }
            None => Kept::Memory(memory),
        };
        Ok(Accesses { kept, len, marks })
    }
}

/// Stands beside the operation: it reads a part of the object.
const IS_PART: u8 = 128;

impl Record for Access {
    type Key = (u32, u32, u32);

    fn key(&self) -> Self::Key {
        (self.object, self.at_s, self.line)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Self { at_s, object, line, requests, operation, is_part, size, sent } = self;
        let operation = match operation {
            Operation::Put => 0,
            Operation::Get => 1,
            Operation::Delete => 2,
            Operation::Seen => 3,
        };
        [at_s, object, line].into_iter().for_each(|number| out.extend(number.to_le_bytes()));
        out.extend(requests.to_le_bytes());
        // One byte is left over, as it is in memory.
        out.extend([operation | if *is_part { IS_PART } else { 0 }, 0]);
        [size, sent].into_iter().for_each(|bytes| out.extend(bytes.0.to_le_bytes()));
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut number = || take(from).map(u32::from_le_bytes);
        let (at_s, object, line) = (number()?, number()?, number()?);
        let requests = u16::from_le_bytes(take(from)?);
        let [operation, _] = take(from)?;
        let mut bytes = || take(from).map(|bytes| Bytes(u64::from_le_bytes(bytes)));
        let (size, sent) = (bytes()?, bytes()?);
        let is_part = operation & IS_PART != 0;
        let operation = match operation & !IS_PART {
            0 => Operation::Put,
            1 => Operation::Get,
            2 => Operation::Delete,
            3 => Operation::Seen,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        Ok(Self { at_s, object, line, requests, operation, is_part, size, sent })
    }
}
