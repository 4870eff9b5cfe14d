//! Faults of others, planted in the world around a node, that a simulation must find: if it does not, it would not find ours.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vaultaire::raft::log::disk::{Disk, File, Lock};
use vaultaire::raft::log::record::{HEADER_BYTES, Kind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The disk says that it has synced and has not.
    SyncLies,
    /// Votes are not synced; entries are.
    VotesUnsynced,
    /// Reads ask for no barrier.
    ReadsWithoutBarrier,
    /// A command that is repeated has another request id and other blobs each time.
    RepeatsAnew,
    /// What a leader once confirmed is taken for every later read.
    ReadIndexReused,
    /// A power failure leaves part of a batch of rows.
    RowsTorn,
    /// A snapshot is written over the rows that are there.
    InstallKeepsOld,
}

pub const ALL: [Bug; 7] = [
    Bug::SyncLies,
    Bug::VotesUnsynced,
    Bug::ReadsWithoutBarrier,
    Bug::RepeatsAnew,
    Bug::ReadIndexReused,
    Bug::RowsTorn,
    Bug::InstallKeepsOld,
];

impl fmt::Display for Bug {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::SyncLies => "sync-lies",
            Self::VotesUnsynced => "votes-unsynced",
            Self::ReadsWithoutBarrier => "reads-without-barrier",
            Self::RepeatsAnew => "repeats-anew",
            Self::ReadIndexReused => "read-index-reused",
            Self::RowsTorn => "rows-torn",
            Self::InstallKeepsOld => "install-keeps-old",
        })
    }
}

impl FromStr for Bug {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = ALL.into_iter().find(|bug| bug.to_string() == name);
        named.ok_or_else(|| {
            format!("{name} is none of {}", ALL.map(|bug| bug.to_string()).join(", "))
        })
    }
}

/// Which syncs a disk leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    All,
    Votes,
}

/// The disk with the bug in it, if the bug is one of disks.
pub fn disk(inner: Arc<dyn Disk>, bug: Option<Bug>) -> Arc<dyn Disk> {
    let skip = match bug {
        Some(Bug::SyncLies) => Skip::All,
        Some(Bug::VotesUnsynced) => Skip::Votes,
        Some(
            Bug::ReadsWithoutBarrier
            | Bug::RepeatsAnew
            | Bug::ReadIndexReused
            | Bug::RowsTorn
            | Bug::InstallKeepsOld,
        )
        | None => return inner,
    };
    Arc::new(Lying { inner, skip })
}

struct Lying {
    inner: Arc<dyn Disk>,
    skip: Skip,
}

impl Lying {
    fn file(&self, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(LyingFile { inner, skip: self.skip, votes: AtomicBool::new(false) })
    }
}

impl Disk for Lying {
    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        self.inner.create_directory(directory)
    }

    fn lock(&self, directory: &Path) -> io::Result<Lock> {
        self.inner.lock(directory)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.inner.list(directory)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.inner.create(path).map(|file| self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.inner.open(path).map(|file| self.file(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.inner.sync_directory(directory)
    }
}

struct LyingFile {
    inner: Arc<dyn File>,
    skip: Skip,
    /// The last write was a batch of votes alone.
    votes: AtomicBool,
}

impl File for LyingFile {
    fn size_bytes(&self) -> io::Result<u64> {
        self.inner.size_bytes()
    }

    fn allocate(&self, size_bytes: u64) -> io::Result<()> {
        self.inner.allocate(size_bytes)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.votes.store(is_votes(bytes), Ordering::SeqCst);
        self.inner.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        match self.skip {
            Skip::All => Ok(()),
            Skip::Votes if self.votes.load(Ordering::SeqCst) => Ok(()),
            Skip::Votes => self.inner.sync(),
        }
    }
}

/// Whether a batch has votes and nothing else that anybody waits for.
fn is_votes(batch: &[u8]) -> bool {
    let (mut rest, mut votes) = (batch, false);
    while rest.len() >= HEADER_BYTES {
        let len = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        let kind = rest[10];
        if len < HEADER_BYTES || len > rest.len() {
            // Padding.
            break;
        }
        votes |= kind == Kind::Vote as u8;
        if ![Kind::Mark as u8, Kind::Vote as u8, Kind::Committed as u8].contains(&kind) {
            return false;
        }
        rest = &rest[len..];
    }
    votes
}
