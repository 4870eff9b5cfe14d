//! Access logs as files.

pub mod csv;

/// What was done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Put,
    Get,
    Delete,
}

impl Operation {
    /// As S3 calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Get => "GET",
            Self::Delete => "DELETE",
        }
    }
}

/// One recorded request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Seconds since 1970.
    pub at_s: u64,
    /// A name of the log's.
    pub object: u32,
    pub operation: Operation,
    /// Of the whole object. None: the line does not say.
    pub size_bytes: Option<u64>,
    /// Of those that were sent. None: all.
    pub sent_bytes: Option<u64>,
    /// Where it stands in its file.
    pub line: u64,
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

/// A whole log.
#[derive(Debug, Default)]
pub struct Log {
    pub names: Names,
    /// By object, and then by time; of one second in the order of the file.
    pub accesses: Vec<Access>,
    pub first_s: u64,
    pub last_s: u64,
    pub told: Told,
}

/// What was noticed while reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Told {
    pub lines: u64,
    /// Lines that are no accesses, and were skipped.
    pub garbage: u64,
    /// The first of them.
    pub first_garbage: Option<String>,
    /// Lines that were earlier than the one before them.
    pub backwards: u64,
}
