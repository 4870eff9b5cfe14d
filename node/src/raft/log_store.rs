//! One group's log as openraft wants it, over the journal that all groups share. Positions and bytes go in, entries come out;
//! how they are written is the journal's business.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{Stream, stream};
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{OptionalSend, entry::RaftEntry};
use tokio::sync::oneshot;
use vaultaire_proto::GroupId;
use vaultaire_proto::steps::{self, Step};

use super::codec;
use super::log::journal::Journal;
use super::log::{Completion, Entry as Record, Position};
use super::types::{Entry, LogId, TypeConfig, Vote};

/// Payload that one page of a stream of entries holds in memory: a restart may have gigabytes to apply.
const PAGE_BYTES_MAX: u64 = 4 << 20;

/// openraft asks here for a few entries by their number and needs every one of them: a bound would drop some. What may be long
/// goes through `limited_get_log_entries` and `entries_stream`, in pages.
const READ_BYTES_MAX: u64 = u64::MAX;

/// A group's log. Clones read the same one.
#[derive(Clone)]
pub struct LogStore {
    journal: Arc<Journal>,
    group: GroupId,
    /// Payload bytes appended since the start: what the purge policy counts by.
    appended_bytes: Arc<AtomicU64>,
}

impl Debug for LogStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LogStore").field("group", &self.group).finish_non_exhaustive()
    }
}

impl LogStore {
    pub fn new(journal: Arc<Journal>, group: GroupId) -> Self {
        Self { journal, group, appended_bytes: Arc::default() }
    }

    /// Counts payload bytes, for as long as the process runs.
    pub fn appended_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.appended_bytes)
    }

    /// Runs a change of the journal and waits until it is durable.
    async fn durably(&self, change: impl FnOnce(&Journal, Completion)) -> io::Result<()> {
        let (done, durable) = oneshot::channel();
        change(
            &self.journal,
            Box::new(move |result| {
                // openraft gave up waiting only if it is being dropped.
                let _ = done.send(result);
            }),
        );
        durable.await.map_err(|_| io::Error::other("the journal was closed"))?
    }

    /// Returns once the entry at `index` is durable here. Mostly it is; one that is not in the log any more was, before.
    pub async fn wait_durable(&self, index: u64) -> io::Result<()> {
        let group = self.group.0;
        if self.journal.is_durable(group, index) {
            return Ok(());
        }
        self.durably(move |journal, done| journal.flush(group, done)).await
    }

    fn read(&self, from: u64, to: u64, bytes_max: u64) -> io::Result<Vec<Entry>> {
        let records =
            self.journal.read(self.group.0, from..to, bytes_max).map_err(io::Error::other)?;
        records.into_iter().map(entry).collect()
    }
}

fn entry(record: Record) -> io::Result<Entry> {
    let payload = codec::decode_payload(record.payload).map_err(io::Error::other)?;
    Ok(Entry::new(codec::log_id_at(record.position), payload))
}

fn record(entry: Entry) -> Record {
    let position = codec::position(&entry.log_id);
    Record { position, payload: codec::encode_payload(entry.payload) }
}

/// `from..to` of any range of indexes.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(index) => index.saturating_add(1),
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let (from, to) = bounds(&range);
        self.read(from, to, READ_BYTES_MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, PAGE_BYTES_MAX)
    }

    /// Page by page, so that applying a long log needs no more memory than a page.
    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = bounds(&range);
        let pages = Pages { store: self.clone(), next: from, to, page: Vec::new().into_iter() };
        stream::iter(pages)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let vote = self.journal.state(self.group.0).vote;
        vote.map(|bytes| codec::decode_vote(&bytes).map_err(io::Error::other)).transpose()
    }
}

/// Entries of a range, read ahead by one page.
struct Pages {
    store: LogStore,
    next: u64,
    to: u64,
    page: std::vec::IntoIter<Entry>,
}

impl Iterator for Pages {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.page.next() {
            return Some(Ok(entry));
        }
        if self.next >= self.to {
            return None;
        }
        match self.store.read(self.next, self.to, PAGE_BYTES_MAX) {
            Ok(page) => {
                self.next = page.last().map_or(self.to, |last| last.log_id.index() + 1);
                self.page = page.into_iter();
                self.page.next().map(Ok)
            }
            Err(error) => {
                self.next = self.to;
                Some(Err(error))
            }
        }
    }
}

impl LogStore {
    /// Up to where the log has forgotten its entries.
    pub fn purged(&self) -> u64 {
        self.journal.state(self.group.0).purged.map_or(0, |purged| purged.index)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let state = self.journal.state(self.group.0);
        Ok(LogState {
            last_purged_log_id: state.purged.map(codec::log_id_at),
            last_log_id: state.last.map(codec::log_id_at),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let bytes: Bytes = codec::encode_vote(vote);
        let group = self.group.0;
        self.durably(move |journal, done| journal.save_vote(group, bytes, done)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let committed: Option<Position> = committed.as_ref().map(codec::position);
        self.journal.save_committed(self.group.0, committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.journal.state(self.group.0).committed.map(codec::log_id_at))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let records: Vec<Record> = entries.into_iter().map(record).collect();
        let bytes: usize = records.iter().map(|record| record.payload.len()).sum();
        self.appended_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let done: Completion = Box::new(move |result| callback.io_completed(result));
        self.journal.append(self.group.0, records, done);
        Ok(())
    }

    async fn truncate_after(&mut self, last_kept: Option<LogId>) -> io::Result<()> {
        let last_kept = last_kept.as_ref().map(codec::position);
        let group = self.group.0;
        self.durably(move |journal, done| journal.truncate_after(group, last_kept, done)).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let upto = codec::position(&upto);
        let group = self.group.0;
        self.durably(move |journal, done| journal.purge(group, upto, done)).await?;
        steps::reach(Step::LogPurged);
        Ok(())
    }
}
