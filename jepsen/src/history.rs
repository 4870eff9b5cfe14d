//! The history: every operation of every client with what it was told, and every fault, one JSON object a
//! line. It judges nothing; the checkers read it, while it grows and again from the file.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::error::Error;
use crate::operation::{Answer, AskKind, Call};

/// The version of the format, which the first line says.
const FORMAT: u32 = 1;

/// The file inside the history's directory.
const FILE: &str = "history.jsonl";

/// The longest line that is read back; a listing of all of one client's keys is the largest.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

const READ_BYTES: usize = 1024 * 1024;

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

/// One line of the file. A process has one operation open at a time, so its number says what an end belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Format {
        version: u32,
    },
    Run {
        seed: u64,
        clients: u32,
        kills: u32,
    },
    /// A whole operation of `kill`.
    Operation(Event),
    Fault {
        at_us: u64,
        fault: Fault,
    },
    /// What a run on a cluster must have covered to be a pass.
    Wanted(Wanted),
    Invoke {
        process: u32,
        node: u32,
        at_ns: u64,
        call: Call,
    },
    Ok {
        process: u32,
        at_ns: u64,
        answer: Answer,
    },
    /// Definite: it did nothing.
    Fail {
        process: u32,
        at_ns: u64,
        status: u16,
        code: String,
    },
    /// It may have happened and may still happen. The process ends with it.
    Info {
        process: u32,
        at_ns: u64,
        why: String,
    },
    Nemesis {
        at_ns: u64,
        kind: String,
        node: Option<u32>,
        phase: Phase,
    },
}

/// Whether a fault begins or is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Begin,
    End,
}

/// What a run set out to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub seed: u64,
    pub workload: String,
    /// Each of these operations must have been acknowledged so often.
    pub acknowledged_min: u64,
    pub operations: Vec<AskKind>,
    /// Each of these faults must have been active while operations were acknowledged.
    pub nemeses: Vec<String>,
}

/// Writes the history of one run.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    began: Instant,
    writer: Mutex<BufWriter<File>>,
    /// How many operations were acknowledged so far.
    acknowledged: AtomicU64,
}

impl Recorder {
    pub fn create(directory: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
        let path = directory.join(FILE);
        let file = File::create(&path).map_err(Error::file("create", &path))?;
        let writer = Mutex::new(BufWriter::new(file));
        let (began, acknowledged) = (Instant::now(), AtomicU64::new(0));
        let recorder = Self { path, began, writer, acknowledged };
        recorder.write(&Line::Format { version: FORMAT })?;
        Ok(recorder)
    }

    /// Time since the run began.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub fn write(&self, line: &Line) -> Result<(), Error> {
        if matches!(line, Line::Ok { .. }) {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
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

/// The file of a history that is named by its directory or by itself.
pub fn file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(FILE) } else { path.to_owned() }
}

/// Reads a history back, line by line. A last line without its end was cut off by a crash, and is no line.
pub fn read(path: &Path, each: impl FnMut(Line)) -> Result<(), Error> {
    read_some(path, u64::MAX, each)
}

/// Reads the first lines of a history.
pub fn read_some(path: &Path, lines: u64, mut each: impl FnMut(Line)) -> Result<(), Error> {
    let path = file(path);
    let opened = File::open(&path).map_err(Error::file("open", &path))?;
    let mut reader = BufReader::with_capacity(READ_BYTES, opened);
    let mut text = Vec::new();
    let mut number = 0_u64;
    let mut told = 0;
    while told < lines {
        text.clear();
        let mut bounded = (&mut reader).take(LINE_BYTES_MAX);
        bounded.read_until(b'\n', &mut text).map_err(Error::file("read", &path))?;
        if text.last() != Some(&b'\n') {
            let is_long = u64::try_from(text.len()).is_ok_and(|bytes| bytes >= LINE_BYTES_MAX);
            let why = "a line is longer than 64 MiB";
            return if is_long { Err(Error::History { path, why }) } else { Ok(()) };
        }
        number += 1;
        let line = serde_json::from_slice(&text).map_err(|source| Error::Json {
            what: format!("line {number} of {}", path.display()),
            source,
        })?;
        match line {
            Line::Format { version: FORMAT } => {}
            Line::Format { .. } => {
                let why = "it was written in a newer format: use the program that wrote it";
                return Err(Error::History { path, why });
            }
            line => {
                told += 1;
                each(line);
            }
        }
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

    #[test]
    fn a_torn_end_is_left_out_and_a_newer_format_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("h.jsonl");
        let whole = "{\"format\":{\"version\":1}}\n{\"fault\":{\"at_us\":5,\"fault\":{\"killed\":{\"life\":1}}}}\n";
        std::fs::write(&path, format!("{whole}{{\"fault\":{{\"at")).unwrap();
        let mut found = 0;
        read(&path, |_| found += 1).unwrap();
        assert_eq!(found, 1);
        std::fs::write(&path, "{\"format\":{\"version\":2}}\n").unwrap();
        assert!(read(&path, |_| {}).is_err());
        std::fs::write(&path, "nonsense\n").unwrap();
        assert!(read(&path, |_| {}).unwrap_err().to_string().contains("line 1"));
    }
}
