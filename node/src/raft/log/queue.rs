//! What callers, readers and the writer share: the queue of changes, the index, the open files, the
//! counters and the failure. One lock, held only for work in memory. Nothing here touches a disk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::disk::File;
use super::index::{Index, Location};
use super::record::{Checksum, HEADER_BYTES, Kind};
use super::{Completion, Entry, Error, OnFatal, Position, Stats};

/// Bytes of queued changes beyond which callers wait.
pub const QUEUE_BYTES_MAX: u64 = 64 << 20;

/// Bytes that a queued change counts besides its payloads.
const CHANGE_BYTES: u64 = 64;

/// How long the writer waits for entries that were announced: longer than they take on a core that many requests
/// share (where 1 ms was too short for every third round), unless their group has just lost its leader.
const ANNOUNCED_WAIT_MAX: Duration = Duration::from_millis(6);

/// A change that waits to be written; the index already has it.
pub enum Change {
    Entries {
        group: u16,
        entries: Vec<Entry>,
        /// Ticket of the first entry; the others' follow.
        ticket: u64,
    },
    Vote {
        group: u16,
        vote: Bytes,
    },
    Truncate {
        group: u16,
        last_kept: Option<Position>,
    },
    Purge {
        group: u16,
        upto: Position,
    },
    /// Nothing to write, but its completion waits for the ones before.
    Nothing,
}

pub struct Queued {
    pub change: Change,
    pub bytes: u64,
    pub done: Completion,
}

impl Queued {
    pub fn new(change: Change, done: Completion) -> Queued {
        let bytes = match &change {
            Change::Entries { entries, .. } => {
                let entry = |entry: &Entry| entry.payload.len() as u64 + HEADER_BYTES as u64;
                entries.iter().map(entry).sum()
            }
            Change::Vote { vote, .. } => vote.len() as u64,
            Change::Truncate { .. } | Change::Purge { .. } | Change::Nothing => 0,
        };
        Queued { change, bytes: bytes + CHANGE_BYTES, done }
    }
}

/// Everything that waited, taken at one moment.
#[derive(Default)]
pub struct Drained {
    pub changes: VecDeque<Queued>,
    /// Committed positions that changed since the last drain. They never precede the entries they
    /// speak of.
    pub committed: Vec<(u16, Option<Position>)>,
}

/// What woke the writer.
pub enum Wake {
    Work(Drained),
    Idle,
    Close(Drained),
}

/// An open segment, for reads.
#[derive(Clone)]
pub struct Segment {
    pub number: u64,
    pub file: Arc<dyn File>,
    pub checksum: Checksum,
}

impl Segment {
    /// The payload of an entry that lies here; anything else at that place is an error.
    pub fn fetch(
        &self,
        group: u16,
        position: Position,
        offset: u64,
        payload_bytes: u32,
    ) -> Result<Bytes, Error> {
        let failed = |reason: String| {
            let place = format!(
                "entry {} of group {group}, segment {} offset {offset}",
                position.index, self.number
            );
            Error::Failed(format!("cannot read back {place}: {reason}"))
        };
        let mut bytes = vec![0; HEADER_BYTES + payload_bytes as usize];
        self.file.read_at(&mut bytes, offset).map_err(|error| failed(error.to_string()))?;
        let record = self.checksum.decode(&bytes, offset);
        let right = record.is_some_and(|record| {
            let entry = matches!(record.kind, Kind::Entry | Kind::Copied);
            entry
                && record.group == group
                && record.position == Some(position)
                && record.size() == bytes.len()
        });
        match right {
            true => Ok(Bytes::from(bytes).slice(HEADER_BYTES..)),
            false => Err(failed("the bytes there fail their checksum".into())),
        }
    }
}

pub struct State {
    pub index: Index,
    pub segments: BTreeMap<u64, Segment>,
    pub committed_changed: BTreeSet<u16>,
    queue: VecDeque<Queued>,
    queued_bytes: u64,
    /// Entries that are worth waiting for.
    announced: u32,
    closing: bool,
    failed: Option<String>,
}

pub struct Shared {
    state: Mutex<State>,
    work: Condvar,
    space: Condvar,
    pub counters: Counters,
    pub announced_wait_max: Duration,
    writer_thread: OnceLock<ThreadId>,
}

impl Shared {
    pub fn new(index: Index, segments: BTreeMap<u64, Segment>) -> Shared {
        Shared {
            state: Mutex::new(State {
                index,
                segments,
                committed_changed: BTreeSet::new(),
                queue: VecDeque::new(),
                queued_bytes: 0,
                announced: 0,
                closing: false,
                failed: None,
            }),
            work: Condvar::new(),
            space: Condvar::new(),
            counters: Counters::new(),
            announced_wait_max: ANNOUNCED_WAIT_MAX,
            writer_thread: OnceLock::new(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The calling thread writes: its own calls, made by completions, must not wait for space that
    /// only it can free.
    pub fn this_thread_writes(&self) {
        self.writer_thread.get_or_init(|| std::thread::current().id());
    }

    pub fn is_writer_thread(&self) -> bool {
        self.writer_thread.get() == Some(&std::thread::current().id())
    }

    pub fn is_full(&self) -> bool {
        self.lock().queued_bytes > QUEUE_BYTES_MAX
    }

    /// Waits until the queue has room.
    pub fn wait_for_space(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let writes_itself = self.is_writer_thread();
        while !writes_itself && state.queued_bytes > QUEUE_BYTES_MAX && state.failed.is_none() {
            self.space.wait(&mut state);
        }
        state
    }

    /// So many entries will come at nearly the same time: one sync is to serve them all.
    pub fn announce(&self, entries: u32) {
        self.lock().announced = entries;
    }

    /// Wakes the writer for the first change, which starts its patience, and for the last entry announced.
    pub fn wake_writer(&self, state: &State) {
        if state.queue.len() == 1 || state.announced == 0 {
            self.work.notify_one();
        }
    }

    /// Waits for changes, for the end, or for `idle_after` of nothing.
    pub fn wait_for_work(&self, idle_after: Option<Duration>) -> Wake {
        let mut state = self.lock();
        while state.queue.is_empty() && !state.closing {
            match idle_after {
                None => self.work.wait(&mut state),
                Some(patience) if self.work.wait_for(&mut state, patience).timed_out() => {
                    return Wake::Idle;
                }
                Some(_) => {}
            }
        }
        while state.announced > 0 && !state.closing {
            if self.work.wait_for(&mut state, self.announced_wait_max).timed_out() {
                state.announced = 0;
            }
        }
        let closing = state.closing;
        let drained = state.drain();
        drop(state);
        self.space.notify_all();
        match closing {
            true => Wake::Close(drained),
            false => Wake::Work(drained),
        }
    }

    pub fn drain(&self) -> Drained {
        self.lock().drain()
    }

    pub fn start_closing(&self) {
        self.lock().closing = true;
        self.work.notify_one();
    }

    /// From now on nothing is taken. The first failure goes to `on_fatal`, which as a rule does not
    /// return. Then the changes that waited are returned, to be completed with an error.
    pub fn fail(&self, reason: &str, on_fatal: &OnFatal) -> VecDeque<Queued> {
        let mut state = self.lock();
        let first = state.failed.is_none();
        state.failed.get_or_insert_with(|| reason.to_owned());
        let drained = state.drain();
        drop(state);
        if first {
            on_fatal(reason);
        }
        self.space.notify_all();
        drained.changes
    }

    /// Fails, and completes what waited on this stack.
    pub fn fail_all(&self, reason: &str, on_fatal: &OnFatal) {
        for queued in self.fail(reason, on_fatal) {
            (queued.done)(Err(io::Error::other(Error::Failed(reason.to_owned()))));
        }
    }

    pub fn stats(&self) -> Stats {
        let mut stats = self.counters.stats();
        let state = self.lock();
        stats.segments = state.segments.len() as u64;
        stats.live_bytes = state.index.live_bytes();
        stats.queued_bytes = state.queued_bytes;
        stats.is_waiting = !state.queue.is_empty() || self.counters.busy.load(Ordering::Relaxed);
        stats
    }
}

impl State {
    /// Why nothing more is taken, if so.
    pub fn refusal(&self) -> Option<io::Error> {
        match (&self.failed, self.closing) {
            (Some(reason), _) => Some(io::Error::other(Error::Failed(reason.clone()))),
            (None, true) => Some(io::Error::other("the journal is closed")),
            (None, false) => None,
        }
    }

    pub fn failure(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    pub fn push(&mut self, queued: Queued) {
        self.queued_bytes += queued.bytes;
        if let Change::Entries { entries, .. } = &queued.change {
            let came = u32::try_from(entries.len()).unwrap_or(u32::MAX);
            self.announced = self.announced.saturating_sub(came);
        }
        self.queue.push_back(queued);
    }

    fn drain(&mut self) -> Drained {
        self.queued_bytes = 0;
        let index = &self.index;
        let groups = std::mem::take(&mut self.committed_changed);
        let committed = groups.into_iter().map(|group| (group, index.state(group).committed));
        Drained { committed: committed.collect(), changes: std::mem::take(&mut self.queue) }
    }

    pub fn segment(&self, location: Location) -> Option<Segment> {
        self.segments.get(&location.segment).cloned()
    }
}

/// Counters that need no lock.
pub struct Counters {
    born: Instant,
    pub syncs: AtomicU64,
    pub batches: AtomicU64,
    pub records: AtomicU64,
    pub bytes: AtomicU64,
    pub copied: AtomicU64,
    last_sync_nanos: AtomicU64,
    slowest_sync_nanos: AtomicU64,
    /// Nanoseconds after birth at which the sync under way began, plus one; zero when none is.
    sync_began: AtomicU64,
    /// The writer is at work.
    pub busy: AtomicBool,
}

impl Counters {
    fn new() -> Counters {
        Counters {
            born: Instant::now(),
            syncs: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            copied: AtomicU64::new(0),
            last_sync_nanos: AtomicU64::new(0),
            slowest_sync_nanos: AtomicU64::new(0),
            sync_began: AtomicU64::new(0),
            busy: AtomicBool::new(false),
        }
    }

    fn now_nanos(&self) -> u64 {
        self.born.elapsed().as_nanos() as u64
    }

    /// Syncs a file and keeps the time.
    pub fn timed_sync(&self, file: &dyn File) -> io::Result<()> {
        let began = self.now_nanos();
        self.sync_began.store(began + 1, Ordering::Relaxed);
        let result = file.sync();
        let nanos = self.now_nanos() - began;
        self.sync_began.store(0, Ordering::Relaxed);
        self.last_sync_nanos.store(nanos, Ordering::Relaxed);
        self.slowest_sync_nanos.fetch_max(nanos, Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        result
    }

    fn stats(&self) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let under_way = load(&self.sync_began).checked_sub(1);
        Stats {
            syncs: load(&self.syncs),
            batches: load(&self.batches),
            records: load(&self.records),
            bytes: load(&self.bytes),
            copied: load(&self.copied),
            last_sync: Duration::from_nanos(load(&self.last_sync_nanos)),
            slowest_sync: Duration::from_nanos(load(&self.slowest_sync_nanos)),
            sync_under_way: under_way
                .map(|began| Duration::from_nanos(self.now_nanos().saturating_sub(began))),
            ..Stats::default()
        }
    }
}
