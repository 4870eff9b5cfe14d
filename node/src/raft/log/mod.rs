//! The one journal that all Raft groups of a node share: plain bytes, one writing thread, one sync
//! for everything that waits. It does not know Raft's library; `raft::log_store` adapts it.
//!
//! Promise: what was completed with `Ok` is there after any crash, and where the disk broke that
//! promise the journal refuses to open instead of forgetting silently. A position given to a reader
//! may still be unsynced; only the completion says so.
//!
//! How it reads: `record` (bytes of a record), `segment` (bytes of a file), `state` and `ledger`
//! (what the records add up to), `index` (what readers see), `disk` (files), `supply` (files ahead
//! and files behind), `queue` (what threads share), `writer` and `rotation` (batches and segments),
//! `recovery` (start), `drive` (who runs the writer), `journal` (calls).

pub mod disk;
mod drive;
pub mod index;
pub mod journal;
pub mod ledger;
pub mod queue;
pub mod record;
pub mod recovery;
mod rotation;
pub mod segment;
pub mod state;
pub mod supply;
pub mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::advice;
use crate::place::Latency;

/// A log id: with one leader per term, term and index are the whole of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub term: u64,
    pub index: u64,
}

/// One log entry; the payload is opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub position: Position,
    pub payload: Bytes,
}

/// What a Raft group has in the journal, queued changes included. An unknown group is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupState {
    pub vote: Option<Bytes>,
    pub committed: Option<Position>,
    pub purged: Option<Position>,
    /// The last entry; the purged position when no entry is left.
    pub last: Option<Position>,
}

/// Whose journal this is; stamped into every segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster: [u8; 16],
    pub node: u64,
}

impl Identity {
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&self.cluster);
        bytes[16..].copy_from_slice(&self.node.to_le_bytes());
        bytes
    }
}

/// Called once, in order, on the journal's thread: with `Ok` after the sync that covers the change.
/// Keep it short.
pub type Completion = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Called with a reason when the disk failed; the process must not go on acknowledging anything.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// Who writes the batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// A thread of the journal's own, and a second one that prepares and removes files.
    Thread,
    /// The caller, within each call: deterministic, for simulations.
    Inline,
    /// The caller, when it calls `Journal::turn` (or when the queue is full): simulations that want
    /// batches.
    Manual,
    /// A task of the runtime in which the journal is opened: simulations of whole nodes. Each batch
    /// takes what `Options::latency` says.
    Task,
}

/// Bytes of a segment unless options say otherwise.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// Bytes of payload kept in memory, so that replication of fresh entries never reads the disk.
pub const CACHE_BYTES: u64 = 64 << 20;

#[derive(Clone)]
pub struct Options {
    /// A multiple of 4096, at least 16384. A record can take half of it, less one block.
    pub segment_bytes: u64,
    pub cache_bytes: u64,
    pub identity: Identity,
    pub drive: Drive,
    pub on_fatal: OnFatal,
    /// How long a batch waits for the disk where a task writes; a thread takes the time it takes.
    pub latency: Latency,
}

impl Options {
    pub fn new(identity: Identity) -> Options {
        Options {
            segment_bytes: SEGMENT_BYTES,
            cache_bytes: CACHE_BYTES,
            identity,
            drive: Drive::Thread,
            on_fatal: Arc::new(abort),
            latency: Arc::new(|| Duration::ZERO),
        }
    }
}

/// A failed sync leaves pages that the kernel calls clean and the disk never got: going on would
/// acknowledge lost writes.
fn abort(reason: &str) {
    tracing::error!(
        reason,
        "journal failed; this process stops here, since it can no longer promise durability"
    );
    std::process::abort();
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// There was no journal: a first start, or a lost directory. The caller knows which.
    pub created: bool,
    /// The last thing written was the mark of a clean close.
    pub clean: bool,
    pub segments: u64,
    pub records: u64,
    /// A torn tail that was cut off. Nothing of it was acknowledged, unless the disk lost the very last
    /// batch after it had called it durable: that looks the same.
    pub cut: Option<Cut>,
    /// Last index per group, after the cut.
    pub last: BTreeMap<u16, Option<u64>>,
}

/// Where and how much of a torn tail was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub segment: u64,
    pub offset: u64,
    pub bytes: u64,
}

/// Counters since the journal was opened, and gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Syncs of segment data, those of marks and rotations included.
    pub syncs: u64,
    /// Batches that carried records.
    pub batches: u64,
    pub records: u64,
    /// Bytes of batches, padding included.
    pub bytes: u64,
    /// Entries copied forward out of old segments.
    pub copied: u64,
    pub last_sync: Duration,
    pub slowest_sync: Duration,
    pub sync_under_way: Option<Duration>,
    /// Something is being written, or waits for that.
    pub is_waiting: bool,
    pub segments: u64,
    pub live_bytes: u64,
    pub queued_bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "journal cannot {action} {}: {source}; check the disk (space, rights, health), then start the \
         node again",
        path.display()
    )]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "this node's log is damaged at segment {segment} offset {offset}: {reason}; {} (journal in {})",
        advice::RESTORE,
        directory.display()
    )]
    Damaged { directory: PathBuf, segment: u64, offset: u64, reason: String },
    #[error(
        "this node's log is damaged: entry {index} of group {group} is missing, though nothing \
         says it was purged; {} (journal in {})",
        advice::RESTORE,
        directory.display()
    )]
    Hole { directory: PathBuf, group: u16, index: u64 },
    #[error(
        "{} belongs to another cluster or node (found cluster {found_cluster} node {found_node}): \
         point this node at its own data directory",
        path.display()
    )]
    Foreign { path: PathBuf, found_cluster: String, found_node: u64 },
    #[error(
        "{} has journal format {found}, this build reads up to {supported}: start it with the \
         newer build that wrote it",
        path.display()
    )]
    Newer { path: PathBuf, found: u32, supported: u32 },
    #[error("journal options: {0}")]
    Options(String),
    #[error("journal refuses a change of group {group}: {reason}")]
    Refused { group: u16, reason: String },
    #[error("journal has failed and takes nothing more: {0}")]
    Failed(String),
}

impl Error {
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { action, path, source }
    }
}
