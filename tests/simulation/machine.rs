//! A machine of a simulated node: its disk, its rows, its clocks, and how it ends.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vaultaire::error::Error;
use vaultaire::machine::Machine;
use vaultaire::place::{Latency, Place};
use vaultaire::raft::log::disk::{Disk, File, Lock};
use vaultaire::raft::log::{Drive, Identity, Options};
use vaultaire::tables::engine::Engine;
use vaultaire_proto::{Clock, TimeMs};

use super::dice::Dice;
use super::rows::Memory;

/// Small, so that a run of seconds goes through many segments.
const SEGMENT_BYTES: u64 = 128 << 10;

/// When simulations begin.
const EPOCH: TimeMs = TimeMs(1_800_000_000_000);

/// Told why a process has ended by itself.
pub type End = Arc<dyn Fn(&str) + Send + Sync>;

/// What one process of a node runs on.
pub struct Simulated {
    pub disk: Arc<dyn Disk>,
    pub rows: Memory,
    pub latency: Latency,
    pub end: End,
}

impl fmt::Debug for Simulated {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Simulated").finish_non_exhaustive()
    }
}

impl Machine for Simulated {
    fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    fn journal(&self, identity: Identity) -> Options {
        Options {
            segment_bytes: SEGMENT_BYTES,
            // Nearly everything is read back from the disk.
            cache_bytes: 4 << 10,
            drive: Drive::Task,
            on_fatal: Arc::clone(&self.end),
            latency: Arc::clone(&self.latency),
            ..Options::new(identity)
        }
    }

    fn tables(&self, _directory: &Path) -> Result<Arc<dyn Engine>, Error> {
        Ok(Arc::new(self.rows.clone()))
    }

    fn place(&self) -> Place {
        Place::Here(Arc::clone(&self.latency))
    }

    /// So few that a snapshot has many chunks, and may break off between any two of them.
    fn snapshot_chunk_bytes(&self) -> usize {
        1 << 10
    }

    fn end(&self, why: &str) {
        (self.end)(why);
    }
}

/// A disk that is mostly quick and sometimes not.
pub fn latency(dice: Dice) -> Latency {
    Arc::new(move || match dice.below(10_000) {
        0..9000 => dice.ms(0, 3),
        9000..9940 => dice.ms(4, 25),
        9940..9998 => dice.ms(50, 400),
        // It hangs: longer than an election takes, and at times longer than a peer is waited for.
        _ => dice.ms(2000, 14_000),
    })
}

/// As `disk`, but that it hangs until a moment that somebody names, in milliseconds after `began`.
pub fn hanging(disk: Latency, began: Instant, until: Arc<AtomicU64>) -> Latency {
    Arc::new(move || {
        let left = Duration::from_millis(until.load(Ordering::SeqCst));
        disk().max(left.saturating_sub(began.elapsed()))
    })
}

/// Time that nobody sets.
#[derive(Debug)]
pub struct Steady(pub Instant);

impl Clock for Steady {
    fn now(&self) -> TimeMs {
        TimeMs(self.0.elapsed().as_millis() as u64)
    }
}

/// The wall clock of a node, which is wrong by something that changes.
#[derive(Debug)]
pub struct Wall {
    began: Instant,
    skew_ms: AtomicI64,
}

impl Wall {
    pub fn new(began: Instant) -> Self {
        Self { began, skew_ms: AtomicI64::new(0) }
    }

    pub fn set_skew(&self, ms: i64) {
        self.skew_ms.store(ms, Ordering::SeqCst);
    }
}

impl Clock for Wall {
    fn now(&self) -> TimeMs {
        let passed: Duration = self.began.elapsed();
        let skew = self.skew_ms.load(Ordering::SeqCst);
        let now = EPOCH.0 as i64 + passed.as_millis() as i64 + skew;
        TimeMs(now as u64)
    }
}

/// A process's hold on its disk: what has ended changes nothing any more, names of files least of all.
pub struct Held {
    pub disk: Arc<dyn Disk>,
    pub over: CancellationToken,
}

impl Held {
    fn disk(&self) -> io::Result<&dyn Disk> {
        match self.over.is_cancelled() {
            true => Err(io::Error::other("the process has ended")),
            false => Ok(&*self.disk),
        }
    }
}

impl Disk for Held {
    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        self.disk()?.create_directory(directory)
    }

    fn lock(&self, directory: &Path) -> io::Result<Lock> {
        self.disk()?.lock(directory)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.disk()?.list(directory)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.disk()?.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.disk()?.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk()?.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk()?.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.disk()?.sync_directory(directory)
    }
}
