//! Turns queued changes into batches: encode everything that waits, one write, one sync, then every
//! completion in order. It is the only one that writes segments after recovery. Segment changes and
//! copies are in `rotation`.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use vaultaire_proto::planted::{self, Planted};
use vaultaire_proto::steps::{self, Step};

use super::disk::{Disk, File, Lock};
use super::index::Location;
use super::ledger::Ledger;
use super::queue::{Change, Drained, Queued, Shared};
use super::record::{BLOCK_BYTES, Checksum, Flavor, Kind, MARK_BYTES, Mark, Record, align_up};
use super::segment::{capacity, file_name};
use super::supply::Supply;
use super::{Completion, Entry, Error, Options, Position};

/// A batch is written when it has this many bytes, whatever still waits.
const BATCH_BYTES_MAX: u64 = 4 << 20;

/// Gets each completion with its result; the caller decides on which stack it runs.
pub type Finish<'a> = &'a mut dyn FnMut(Completion, io::Result<()>);

/// The segment being written.
pub struct Active {
    pub number: u64,
    pub file: Arc<dyn File>,
    pub checksum: Checksum,
    pub segment_bytes: u64,
    /// Exact end of the last synced batch.
    pub end: u64,
    /// Of the next batch.
    pub sequence: u64,
}

/// What to tell the index once the batch is synced.
pub enum Effect {
    Nothing,
    Stored { ticket: u64 },
    Relocated { from: Location },
}

/// A record of the batch, as the ledger and the index need it after the sync.
struct Written {
    kind: Kind,
    group: u16,
    position: Option<Position>,
    /// Kept for votes alone; the ledger looks at no other payload.
    payload: Bytes,
    offset: u64,
    effect: Effect,
}

#[derive(Default)]
struct Batch {
    /// Offset of the mark in the segment.
    start: u64,
    /// Mark, then records.
    bytes: Vec<u8>,
    written: Vec<Written>,
    completions: Vec<Completion>,
}

pub struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) directory: PathBuf,
    pub(super) options: Options,
    pub(super) supply: Supply,
    pub(super) active: Active,
    /// Of the segments to come; never smaller than the ones there are, so that a copied record
    /// fits.
    pub(super) segment_bytes: u64,
    pub(super) ledger: Ledger,
    /// Numbers of all segments, the active one last.
    pub(super) segments: VecDeque<u64>,
    /// Bytes that may be copied forward: as many as were appended, so copying never takes more than
    /// half of the writes.
    pub(super) copy_credit_bytes: u64,
    /// Whether a mark covers everything written.
    marked: bool,
    batch: Batch,
    todo: VecDeque<Queued>,
    /// Given back when the last byte is written: the next owner may open the directory then.
    _lock: Lock,
}

/// What a writer starts from.
pub struct Start {
    pub shared: Arc<Shared>,
    pub disk: Arc<dyn Disk>,
    pub directory: PathBuf,
    pub options: Options,
    pub supply: Supply,
    pub active: Active,
    pub segment_bytes: u64,
    pub ledger: Ledger,
    pub segments: VecDeque<u64>,
    pub marked: bool,
    pub lock: Lock,
}

impl Writer {
    pub fn new(start: Start) -> Writer {
        Writer {
            shared: start.shared,
            disk: start.disk,
            directory: start.directory,
            options: start.options,
            supply: start.supply,
            active: start.active,
            segment_bytes: start.segment_bytes,
            ledger: start.ledger,
            segments: start.segments,
            copy_credit_bytes: 0,
            marked: start.marked,
            batch: Batch::default(),
            todo: VecDeque::new(),
            _lock: start.lock,
        }
    }

    /// Whether an idle mark is due once nothing comes for a while.
    pub fn wants_mark(&self) -> bool {
        !self.marked
    }

    /// Everything that waits.
    pub fn drain(&self) -> Drained {
        self.shared.drain()
    }

    /// Writes everything drained and completes it.
    pub fn turn(&mut self, drained: Drained, finish: Finish<'_>) {
        self.todo = drained.changes;
        let result = self.at_work(|writer| writer.commit(drained.committed, finish));
        self.settle(result, finish);
    }

    /// Says meanwhile that the disk is waited for.
    fn at_work(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        self.shared.counters.busy.store(true, Ordering::Relaxed);
        let result = work(self);
        self.shared.counters.busy.store(false, Ordering::Relaxed);
        result
    }

    /// Nothing came for a while: prove that the last batch was synced.
    pub fn idle(&mut self, finish: Finish<'_>) {
        let drained = self.shared.drain();
        self.turn(drained, finish);
        if self.marked || self.shared.lock().failure().is_some() {
            return;
        }
        let result = self.at_work(|writer| writer.mark(Flavor::Idle, finish));
        self.settle(result, finish);
    }

    /// Writes the rest and the mark of a clean close. A failed journal stays as it is.
    pub fn close(&mut self, drained: Drained, finish: Finish<'_>) {
        self.turn(drained, finish);
        if self.shared.lock().failure().is_none() {
            let result = self.mark(Flavor::Close, finish);
            self.settle(result, finish);
        }
        self.supply.stop();
    }

    fn settle(&mut self, result: Result<(), Error>, finish: Finish<'_>) {
        let Err(error) = result else { return };
        let reason = error.to_string();
        let waiting = self.shared.fail(&reason, &self.options.on_fatal);
        // Nothing is written any more, a mark least of all.
        self.marked = true;
        let rest = self.todo.drain(..).chain(waiting).map(|queued| queued.done);
        for done in self.batch.completions.drain(..).chain(rest) {
            finish(done, Err(io::Error::other(Error::Failed(reason.clone()))));
        }
    }

    fn commit(
        &mut self,
        committed: Vec<(u16, Option<Position>)>,
        finish: Finish<'_>,
    ) -> Result<(), Error> {
        if let Some(reason) = self.shared.lock().failure() {
            return Err(Error::Failed(reason.to_owned()));
        }
        while let Some(queued) = self.todo.pop_front() {
            let result = self.encode(queued.change, finish);
            // Before the error is looked at: a completion is never dropped.
            self.batch.completions.push(queued.done);
            result?;
        }
        for (group, position) in committed {
            let record = record(Kind::Committed, group, position, b"");
            self.put(record, Bytes::new(), Effect::Nothing, finish)?;
        }
        self.copy_forward(finish)?;
        self.flush(Flavor::Batch, finish)?;
        self.release()
    }

    fn encode(&mut self, change: Change, finish: Finish<'_>) -> Result<(), Error> {
        match change {
            Change::Entries { group, entries, ticket } => {
                for (entry, ticket) in entries.iter().zip(ticket..) {
                    let Entry { position, payload } = entry;
                    let record = record(Kind::Entry, group, Some(*position), payload);
                    self.put(record, Bytes::new(), Effect::Stored { ticket }, finish)?;
                }
                Ok(())
            }
            Change::Vote { group, vote } => {
                let record = record(Kind::Vote, group, None, &vote);
                self.put(record, vote.clone(), Effect::Nothing, finish)
            }
            Change::Truncate { group, last_kept } => {
                let record = record(Kind::Truncate, group, last_kept, b"");
                self.put(record, Bytes::new(), Effect::Nothing, finish)
            }
            Change::Purge { group, upto } => {
                let record = record(Kind::Purge, group, Some(upto), b"");
                self.put(record, Bytes::new(), Effect::Nothing, finish)
            }
            Change::Nothing => Ok(()),
        }
    }

    /// Adds a record to the batch; flushes it and changes the segment when there is no room.
    pub(super) fn put(
        &mut self,
        record: Record<'_>,
        kept: Bytes,
        effect: Effect,
        finish: Finish<'_>,
    ) -> Result<(), Error> {
        let size = record.size() as u64;
        if !self.batch.bytes.is_empty()
            && (!self.fits(size) || self.batch.bytes.len() as u64 + size > BATCH_BYTES_MAX)
        {
            self.flush(Flavor::Batch, finish)?;
        }
        if !self.fits(size) {
            self.rotate()?;
        }
        self.begin();
        let offset = self.batch.start + self.batch.bytes.len() as u64;
        self.active.checksum.encode(&mut self.batch.bytes, offset, record);
        self.batch.written.push(Written {
            kind: record.kind,
            group: record.group,
            position: record.position,
            payload: kept,
            offset,
            effect,
        });
        Ok(())
    }

    fn fits(&self, size: u64) -> bool {
        let end = match self.batch.bytes.len() as u64 {
            0 => align_up(self.active.end) + MARK_BYTES as u64,
            len => self.batch.start + len,
        };
        end + size <= capacity(self.active.segment_bytes)
    }

    /// Room for the mark; its bytes are known when the batch is whole.
    fn begin(&mut self) {
        if self.batch.bytes.is_empty() {
            self.batch.start = align_up(self.active.end);
            self.batch.bytes.resize(MARK_BYTES, 0);
        }
    }

    /// A batch of the mark alone. A segment without room for it is sealed instead, which proves as
    /// much.
    fn mark(&mut self, flavor: Flavor, finish: Finish<'_>) -> Result<(), Error> {
        if align_up(self.active.end) + BLOCK_BYTES > capacity(self.active.segment_bytes) {
            self.rotate()?;
        }
        self.begin();
        self.flush(flavor, finish)
    }

    /// Writes and syncs the batch, then tells ledger, index and callers, in this order.
    fn flush(&mut self, flavor: Flavor, finish: Finish<'_>) -> Result<(), Error> {
        if !self.batch.bytes.is_empty() {
            self.write_batch(flavor)?;
            self.apply_written()?;
            self.batch.bytes.clear();
        }
        for done in self.batch.completions.drain(..) {
            finish(done, Ok(()));
        }
        Ok(())
    }

    fn write_batch(&mut self, flavor: Flavor) -> Result<(), Error> {
        let batch = &mut self.batch;
        let len = batch.bytes.len();
        let mark = Mark {
            flavor,
            sequence: self.active.sequence,
            synced_to: self.active.end,
            batch_bytes: (len - MARK_BYTES) as u64,
        };
        batch.bytes[..MARK_BYTES]
            .copy_from_slice(&self.active.checksum.encode_mark(batch.start, mark));
        // Whole blocks: a part of one would have to be read first.
        batch.bytes.resize(align_up(len as u64) as usize, 0);
        let path = || self.directory.join(file_name(self.active.number));
        let written = self.active.file.write_at(&batch.bytes, batch.start);
        written.map_err(|error| Error::io("write", path())(error))?;
        steps::reach(Step::BatchWritten);
        if !is_sync_left_out(&batch.written) {
            let synced = self.shared.counters.timed_sync(&*self.active.file);
            synced.map_err(|error| Error::io("sync", path())(error))?;
        }
        steps::reach(match batch.written.iter().any(|written| written.kind == Kind::Vote) {
            true => Step::VoteSynced,
            false => Step::BatchSynced,
        });
        self.active.end = batch.start + len as u64;
        self.active.sequence += 1;
        self.marked = mark.batch_bytes == 0;
        let counters = &self.shared.counters;
        counters.bytes.fetch_add(batch.bytes.len() as u64, Ordering::Relaxed);
        counters.records.fetch_add(batch.written.len() as u64, Ordering::Relaxed);
        counters.batches.fetch_add(u64::from(!self.marked), Ordering::Relaxed);
        let credit = self.copy_credit_bytes + batch.bytes.len() as u64;
        self.copy_credit_bytes = credit.min(self.active.segment_bytes);
        Ok(())
    }

    fn apply_written(&mut self) -> Result<(), Error> {
        let number = self.active.number;
        let mut state = self.shared.lock();
        for written in self.batch.written.drain(..) {
            let record = record(written.kind, written.group, written.position, &written.payload);
            // The index took this change by the same rules before it was queued.
            self.ledger
                .record(number, &record)
                .map_err(|reason| Error::Refused { group: written.group, reason })?;
            let to = Location { segment: number, offset: written.offset };
            let index = written.position.map_or(0, |position| position.index);
            match written.effect {
                Effect::Nothing => {}
                Effect::Stored { ticket } => state.index.stored(written.group, index, ticket, to),
                Effect::Relocated { from } => state.index.relocated(written.group, index, from, to),
            }
        }
        Ok(())
    }

    /// The seal of a segment covers everything.
    pub(super) fn sealed(&mut self) {
        self.marked = true;
    }
}

/// Only where a fault is planted that does.
fn is_sync_left_out(batch: &[Written]) -> bool {
    let is_vote = |written: &Written| written.kind == Kind::Vote;
    let is_hint = |written: &Written| written.kind == Kind::Committed;
    let votes_alone = || batch.iter().all(|written| is_vote(written) || is_hint(written));
    planted::is(Planted::AckBeforeSync)
        || (planted::is(Planted::VoteUnsynced) && batch.iter().any(is_vote) && votes_alone())
}

/// A panic here leaves callers waiting for ever and must not pass for a slow disk.
impl Drop for Writer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.options.on_fatal)("the journal's thread panicked");
        }
    }
}

pub(super) fn record(
    kind: Kind,
    group: u16,
    position: Option<Position>,
    payload: &[u8],
) -> Record<'_> {
    Record { kind, group, position, payload }
}
