//! The replicated rows on disk: one keyspace per group and install, one thread that writes, snapshots for everybody who reads.
//! It knows neither Raft's library nor what rows mean; `raft::state_machine` applies entries through it.
//!
//! How it reads: `meta` (what a group has applied), `pointer` (which keyspace counts), `view` (reads), `overlay` (one
//! transaction), `writer` (the thread), `stream` (a snapshot as bytes), `tail` (an end that the disk lost), `table` (one group), and the store below.
//!
//! A store that cannot read or write any more stops the process: half an entry applied would make this replica another
//! state than its peers.

pub mod meta;
pub mod overlay;
pub mod pointer;
pub mod stream;
pub mod table;
pub mod tail;
pub mod view;
pub mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fjall::{Database, PersistMode};
use vaultaire_proto::GroupId;

use crate::advice;
use crate::error::Error;
use crate::{files, open_files};
use table::Table;
use writer::Writer;

/// Blocks kept in memory, shared by all groups. Metadata is not meant to fit; what is hot is.
const CACHE_BYTES: u64 = 64 << 20;

/// The smallest that fjall allows: more would only make a start after a crash slower.
const JOURNALS_BYTES_MAX: u64 = 64 << 20;

/// Flushing and compaction run beside one writing thread; more threads would take cores from requests.
const WORKER_THREADS: usize = 2;

/// Files that stay open: enough for the tables of 65 groups' upper levels.
const OPEN_FILES_MAX: usize = 512;

/// At most this part of what the process may open.
const OPEN_FILES_PART: usize = 4;

/// How long a lock that another holder is about to give back is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_POLL: Duration = Duration::from_millis(10);

/// All groups' tables in one directory.
pub struct Store {
    database: Database,
    directory: PathBuf,
    writer: Writer,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the tables, or creates them where there are none. Blocks on the disk.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        files::create_private_dir(directory)
            .map_err(|source| Error::file("create", directory, source))?;
        let rows = directory.join("rows");
        let opened = match open(&rows) {
            Err(fjall::Error::JournalRecovery(_)) if tail::cut(&rows, directory)? => open(&rows),
            opened => opened,
        };
        let database = opened.map_err(|error| engine("opening the tables", &error))?;
        let writer = Writer::start(database.clone())
            .map_err(|source| Error::file("start the writing thread of", directory, source))?;
        Ok(Self { database, directory: directory.to_owned(), writer })
    }

    /// A group's rows, created empty where the group is new. Blocks on the disk.
    pub fn table(&self, group: GroupId) -> Result<Arc<Table>, Error> {
        Table::open(group, &self.database, &self.directory, self.writer.queue()).map(Arc::new)
    }

    /// Makes everything applied so far survive a power cut. Blocks on the disk.
    pub fn persist(&self) {
        persist(&self.database);
    }

    /// Finishes what is queued, persists it and stops the thread. Blocks on the disk.
    pub fn close(&self) {
        self.writer.stop();
        persist(&self.database);
    }
}

/// How many files stay open where the process may open `limit`.
pub fn files_max(limit: usize) -> usize {
    OPEN_FILES_MAX.min(limit / OPEN_FILES_PART)
}

/// A process that is just ending, or a node that was just stopped in this one, may hold the lock a little longer.
fn open(path: &Path) -> Result<Database, fjall::Error> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        let opened = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .max_cached_files(Some(files_max(open_files::limit())))
            .worker_threads(WORKER_THREADS)
            .open();
        match opened {
            Err(fjall::Error::Locked) if Instant::now() < deadline => std::thread::sleep(LOCK_POLL),
            opened => return opened,
        }
    }
}

/// A failed sync leaves pages that the kernel calls clean and the disk never got. Trying again would succeed for nothing, and the
/// log would be purged up to rows that are not there.
fn persist(database: &Database) {
    if let Err(error) = database.persist(PersistMode::SyncAll) {
        stop_process("sync the tables", &error);
    }
}

/// A failure of the library beneath, with its causes.
fn engine(what: &'static str, error: &fjall::Error) -> Error {
    let why = match error {
        fjall::Error::Locked => "another process has them open; stop it first".to_owned(),
        other => format!("{other}; {}", advice::RESTORE),
    };
    Error::Engine { what, why }
}

/// Stops the process: the tables' contract has no errors (see the top of this file).
fn stop_process(action: &'static str, error: &dyn std::fmt::Display) -> ! {
    tracing::error!(action, %error, "the tables failed; this process stops rather than answer or apply what it cannot read");
    std::process::abort();
}

#[cfg(test)]
mod tests;
