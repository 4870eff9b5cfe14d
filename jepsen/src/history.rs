//! The history: every operation of every client with what it was told, and every fault, one JSON object a
//! line. It judges nothing; the checkers read it, while it grows and again from the file.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The file inside the history's directory.
const FILE: &str = "history.jsonl";

/// The longest line that is read back; a listing of all of one client's keys is the largest.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One body that was sent once. Bodies are random and unique, so a digest names the operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    pub number: u64,
    pub size_bytes: u64,
    pub sha256: String,
    pub etag: String,
}

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `parts` is 0 for a plain PUT.
    Put {
        value: Value,
        condition: Condition,
        parts: u32,
    },
    Delete,
    Get,
    Head,
    /// The key is the prefix.
    List,
}

/// What a PUT demands of the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    None,
    Absent,
    Etag(String),
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A write was acknowledged, a PUT with this entity tag.
    Done {
        etag: Option<String>,
    },
    Found(Seen),
    Missing,
    Listed(Vec<Entry>),
    /// Definite: the operation did not and will not happen.
    Refused {
        status: u16,
        code: String,
    },
    /// A step before the one that counts failed, and that one was never sent.
    NotSent {
        why: String,
    },
    /// It may have happened, and may still happen while the server that took it lives.
    Unknown {
        why: String,
    },
}

/// What a read saw; HEAD sees no bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub size_bytes: u64,
    pub etag: String,
    pub sha256: Option<String>,
}

/// One key of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub key: String,
    pub size_bytes: u64,
    pub etag: String,
}

/// One operation from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub client: u32,
    pub start_us: u64,
    pub end_us: u64,
    /// The life of the server that the operation was sent to; every earlier one was dead by then.
    pub start_life: u32,
    /// The newest life that had begun when the operation ended: no later one can know of it.
    pub end_life: u32,
    pub key: String,
    pub action: Action,
    pub outcome: Outcome,
}

/// What was done to the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    Started { life: u32 },
    Ready { life: u32, took_ms: u64 },
    Killed { life: u32 },
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Run { seed: u64, clients: u32, kills: u32 },
    Operation(Event),
    Fault { at_us: u64, fault: Fault },
}

/// Writes the history of one run.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    began: Instant,
    writer: Mutex<BufWriter<File>>,
}

impl Recorder {
    pub fn create(directory: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
        let path = directory.join(FILE);
        let file = File::create(&path).map_err(Error::file("create", &path))?;
        Ok(Self { path, began: Instant::now(), writer: Mutex::new(BufWriter::new(file)) })
    }

    /// Time since the run began.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub fn write(&self, line: &Line) -> Result<(), Error> {
        let mut text = serde_json::to_vec(line)
            .map_err(|source| Error::Json { what: "a line of the history".to_owned(), source })?;
        text.push(b'\n');
        // A poisoned lock means that another writer panicked between two whole lines at worst.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(&text).map_err(Error::file("write", &self.path))
    }

    pub fn fault(&self, fault: Fault) -> Result<(), Error> {
        self.write(&Line::Fault { at_us: self.now_us(), fault })
    }

    pub fn flush(&self) -> Result<(), Error> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.flush().map_err(Error::file("write", &self.path))
    }
}

/// Reads a history back, line by line.
pub fn read(directory: &Path, mut each: impl FnMut(Line)) -> Result<(), Error> {
    let path = directory.join(FILE);
    let file = File::open(&path).map_err(Error::file("open", &path))?;
    for line in BufReader::new(file).lines() {
        let line = line.map_err(Error::file("read", &path))?;
        if line.len() > LINE_BYTES_MAX {
            return Err(Error::History { path, why: "a line is longer than 64 MiB" });
        }
        let line = serde_json::from_str(&line).map_err(|source| Error::Json {
            what: format!("a line of {}", path.display()),
            source,
        })?;
        each(line);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_history_reads_back_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let value =
            Value { number: 7, size_bytes: 3, sha256: "ab".to_owned(), etag: "cd".to_owned() };
        let event = |action, outcome| {
            Line::Operation(Event {
                client: 1,
                start_us: 10,
                end_us: 20,
                start_life: 1,
                end_life: 2,
                key: "a/ü \u{1F980}".to_owned(),
                action,
                outcome,
            })
        };
        let condition = Condition::Etag("x".to_owned());
        let lines = [
            Line::Run { seed: 1, clients: 2, kills: 3 },
            event(
                Action::Put { value, condition, parts: 2 },
                Outcome::Unknown { why: "gone".to_owned() },
            ),
            event(Action::Get, Outcome::Missing),
            Line::Fault { at_us: 5, fault: Fault::Killed { life: 1 } },
        ];
        let recorder = Recorder::create(directory.path()).unwrap();
        for line in &lines {
            recorder.write(line).unwrap();
        }
        recorder.flush().unwrap();
        let mut found = Vec::new();
        read(directory.path(), |line| found.push(line)).unwrap();
        assert_eq!(found, lines);
    }
}
