//! Access logs as files, and what is read of them.
//!
//! ```text
//! files      what a path may be: a file or a folder, plain or compressed, in any of the formats
//! csv, s3, cloudtrail   one file -> its accesses          inventory   what is stored -> objects that a log may not know
//! builder    accesses of all files -> a log: stored adds what an inventory knows, sizes tells what lines do not,
//!            ranges makes one read of its parts
//! accesses   those of a whole log, in memory or not
//! ```

pub mod accesses;
pub mod builder;
pub mod cloudtrail;
pub mod csv;
pub mod files;
pub mod inventory;
pub mod keys;
pub mod lines;
pub mod ranges;
pub mod s3;
pub mod sizes;
pub mod stored;
pub mod times;
pub mod told;

#[cfg(test)]
mod tests;

use crate::logs::accesses::Accesses;
use crate::logs::told::Told;

/// The last second that is counted, in 2106: what is later is no second since 1970, but a millisecond.
pub const TIME_MAX_S: u64 = u32::MAX as u64;

/// An exabyte is more than any object has.
pub const SIZE_MAX: u64 = 1 << 60;

/// What was done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Put,
    Get,
    Delete,
    /// Nothing was done: an inventory lists it, and the log does not know who wrote it. Always an object's first.
    Seen,
}

impl Operation {
    /// As S3 calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Get => "GET",
            Self::Delete => "DELETE",
            Self::Seen => "in the inventory",
        }
    }

    /// Whether a version begins here.
    pub fn begins(self) -> bool {
        matches!(self, Self::Put | Self::Seen)
    }
}

/// A number of bytes that may not be known, in as much memory as one that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bytes(u64);

impl Bytes {
    fn new(bytes: Option<u64>) -> Self {
        Self(bytes.unwrap_or(u64::MAX))
    }

    fn get(self) -> Option<u64> {
        (self.0 != u64::MAX).then_some(self.0)
    }
}

/// One recorded request, or some that were one read. There may be many millions, so it is kept small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    at_s: u32,
    /// A name of the log's.
    pub object: u32,
    /// Where it stands, counted through all files of the log.
    pub line: u32,
    requests: u16,
    pub operation: Operation,
    is_part: bool,
    size: Bytes,
    sent: Bytes,
}

impl Access {
    /// One request. Times are at most `TIME_MAX_S`.
    pub fn new(at_s: u64, object: u32, operation: Operation, line: u32) -> Self {
        Self {
            at_s: u32::try_from(at_s).unwrap_or(u32::MAX),
            object,
            line,
            requests: 1,
            operation,
            is_part: false,
            size: Bytes::new(None),
            sent: Bytes::new(None),
        }
    }

    #[must_use]
    pub fn with_bytes(self, size_bytes: Option<u64>, sent_bytes: Option<u64>) -> Self {
        Self { size: Bytes::new(size_bytes), sent: Bytes::new(sent_bytes), ..self }
    }

    /// It reads a part of the object, and nothing tells how large a part.
    #[must_use]
    pub fn of_a_part(self) -> Self {
        Self { is_part: true, ..self }
    }

    /// Seconds since 1970.
    pub fn at_s(&self) -> u64 {
        u64::from(self.at_s)
    }

    /// Of the whole object. None: the line does not say.
    pub fn size_bytes(&self) -> Option<u64> {
        self.size.get()
    }

    /// Of those that were sent. None: all.
    pub fn sent_bytes(&self) -> Option<u64> {
        self.sent.get()
    }

    /// How many requests it was.
    pub fn requests(&self) -> u32 {
        u32::from(self.requests)
    }
}

/// What objects are called: each bucket and key once.
#[derive(Debug, Default)]
pub struct Names {
    pub buckets: Vec<String>,
    /// The bucket and the key of each object.
    pub objects: Vec<(u32, String)>,
}

impl Names {
    pub fn bucket_of(&self, object: u32) -> u32 {
        self.objects[object as usize].0
    }

    pub fn bucket(&self, object: u32) -> &str {
        &self.buckets[self.bucket_of(object) as usize]
    }

    pub fn key(&self, object: u32) -> &str {
        &self.objects[object as usize].1
    }
}

/// A file of a log, and how many lines were before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub path: String,
    pub lines_before: u32,
}

/// A whole log. What its objects are called is in memory, about 100 bytes for each; its accesses are there only if they are few.
#[derive(Debug, Default)]
pub struct Log {
    pub names: Names,
    /// By object, and then by time; of one second in the order of the files and their lines.
    pub accesses: Accesses,
    pub first_s: u64,
    pub last_s: u64,
    pub told: Told,
    /// In the order in which they were read.
    pub sources: Vec<Source>,
}

impl Log {
    /// Where an access stands, in words.
    pub fn place(&self, line: u32) -> String {
        let files = self.sources.partition_point(|source| source.lines_before < line);
        match (files.checked_sub(1).and_then(|file| self.sources.get(file)), self.sources.len()) {
            (Some(source), 2..) => {
                format!("line {} of {}", line - source.lines_before, source.path)
            }
            (Some(source), _) => format!("line {}", line - source.lines_before),
            (None, _) => format!("line {line}"),
        }
    }
}
