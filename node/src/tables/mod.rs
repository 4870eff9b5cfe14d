//! The replicated rows of a node: one who writes, snapshots for everybody who reads. It knows neither Raft's library nor what
//! rows mean; `raft::state_machine` applies entries through it.
//!
//! How it reads: `meta` (what a group has applied), `engine` (what keeps rows, behind a seam), `on_disk` (this machine's disk), with
//! `pointer` (which keyspace counts) and `tail` (an end that the disk lost), `view` (reads), `overlay` (one transaction), `recent`
//! (what is looked at again and again), `writer` (who applies), `stream` (a snapshot as bytes), `pinned` (the one that is sent), `table` (one group), `digest` (what replicas are
//! compared by), and the store below.
//!
//! A store that cannot read or write any more stops the process: half an entry applied would make this replica another
//! state than its peers.

pub mod digest;
pub mod engine;
pub mod meta;
pub mod on_disk;
pub mod overlay;
pub mod pinned;
pub mod pointer;
pub mod recent;
pub mod stream;
pub mod table;
pub mod tail;
pub mod view;
pub mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vaultaire_proto::GroupId;

use crate::error::Error;
use crate::files;
use crate::place::Place;
use engine::Engine;
use on_disk::OnDisk;
use table::{Parts, Table};
use writer::Writer;

/// Files that stay open: enough for the tables of 65 groups' upper levels.
const OPEN_FILES_MAX: usize = 512;

/// At most this part of what the process may open.
const OPEN_FILES_PART: usize = 4;

/// All groups' tables.
pub struct Store {
    engine: Arc<dyn Engine>,
    directory: PathBuf,
    place: Place,
    writer: Writer,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the tables on this machine's disk, or creates them where there are none. Blocks on it.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        files::create_private_dir(directory)
            .map_err(|source| Error::file("create", directory, source))?;
        Self::over(Arc::new(OnDisk::open(directory)?), directory, Place::Threads)
    }

    /// The tables that an engine keeps. Work of `Place::Here` needs the runtime that this is called in.
    pub fn over(engine: Arc<dyn Engine>, directory: &Path, place: Place) -> Result<Self, Error> {
        let writer = Writer::start(Arc::clone(&engine), &place)
            .map_err(|source| Error::file("start the writing thread of", directory, source))?;
        Ok(Self { engine, directory: directory.to_owned(), place, writer })
    }

    /// A group's rows, created empty where the group is new. Blocks on the disk.
    pub fn table(&self, group: GroupId) -> Result<Arc<Table>, Error> {
        let parts = Parts {
            engine: Arc::clone(&self.engine),
            directory: self.directory.clone(),
            place: self.place.clone(),
            queue: self.writer.queue(),
        };
        Table::open(group, parts).map(Arc::new)
    }

    /// Makes everything applied so far survive a power cut. Blocks on the disk.
    pub fn persist(&self) {
        self.engine.persist();
    }

    /// Finishes what is queued, persists it and stops who writes. Blocks on the disk.
    pub fn close(&self) {
        self.writer.stop();
        self.engine.persist();
    }
}

/// How many files stay open where the process may open `limit`.
pub fn files_max(limit: usize) -> usize {
    OPEN_FILES_MAX.min(limit / OPEN_FILES_PART)
}

/// Stops the process: the tables' contract has no errors (see the top of this file).
fn stop_process(action: &'static str, error: &dyn std::fmt::Display) -> ! {
    tracing::error!(action, %error, "the tables failed; this process stops rather than answer or apply what it cannot read");
    std::process::abort();
}

#[cfg(test)]
mod tests;
