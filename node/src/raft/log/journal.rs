//! The calls of the journal: each takes effect in memory at once and is queued for the writer,
//! which completes it after the sync. Bytes and files are elsewhere.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::disk::Disk;
use super::drive::Driver;
use super::index::{Found, Index, Place};
use super::queue::{Change, Queued, Segment, Shared};
use super::record::{BLOCK_BYTES, HEADER_BYTES};
use super::segment::{SEGMENT_BYTES_MIN, record_bytes_max};
use super::supply::{self, Supply};
use super::writer::{Start, Writer};
use super::{Completion, Entry, Error, GroupState, Options, Position, Report, Stats, recovery};

/// A vote is a term and a node id; every segment repeats it for every group.
const VOTE_BYTES_MAX: usize = 256;

pub struct Journal {
    shared: Arc<Shared>,
    on_fatal: super::OnFatal,
    payload_bytes_max: usize,
    driver: Option<Driver>,
}

impl Journal {
    /// Opens the journal in `directory`, or creates it. Refuses a damaged one, and what belongs to
    /// someone else.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: Options,
    ) -> Result<(Journal, Report), Error> {
        check(&options)?;
        disk.create_directory(directory).map_err(Error::io("create", directory))?;
        let lock = disk.lock(directory).map_err(Error::io("lock", directory))?;
        let recovered = recovery::recover(&*disk, directory, &options)?;
        let report = recovered.report;
        log_report(directory, &report);
        let segment_bytes = recovered.active.segment_bytes.max(options.segment_bytes);
        let segments = recovered.segments.keys().copied().collect();
        let shared = Arc::new(Shared::new(recovered.index, recovered.segments));
        let on_fatal = options.on_fatal.clone();
        let supply = {
            let (shared, on_fatal) = (shared.clone(), on_fatal.clone());
            let fail: super::OnFatal = Arc::new(move |reason| shared.fail_all(reason, &on_fatal));
            Supply::start(
                disk.clone(),
                directory.to_owned(),
                segment_bytes,
                supply::PACE,
                options.drive,
                fail,
            )
        };
        let supply = supply.map_err(Error::io("start the file thread of", directory))?;
        let (drive, latency) = (options.drive, options.latency.clone());
        let writer = Writer::new(Start {
            shared: shared.clone(),
            disk,
            directory: directory.to_owned(),
            options,
            supply,
            active: recovered.active,
            segment_bytes,
            ledger: recovered.ledger,
            segments,
            marked: recovered.marked,
            lock,
        });
        let driver = Driver::start(writer, shared.clone(), drive, latency)
            .map_err(Error::io("start the thread of", directory))?;
        let journal = Journal {
            shared,
            on_fatal,
            payload_bytes_max: record_bytes_max(segment_bytes) as usize - HEADER_BYTES,
            driver: Some(driver),
        };
        Ok((journal, report))
    }

    /// What the group has, queued changes included.
    pub fn state(&self, group: u16) -> GroupState {
        let state = self.shared.lock().index.state(group);
        GroupState {
            vote: state.vote,
            committed: state.committed,
            purged: state.purged,
            last: state.last,
        }
    }

    /// The log id of a live entry, without reading its payload.
    pub fn position(&self, group: u16, index: u64) -> Option<Position> {
        let term = self.shared.lock().index.term(group, index)?;
        Some(Position { term, index })
    }

    /// Largest payload of an entry.
    pub fn payload_bytes_max(&self) -> usize {
        self.payload_bytes_max
    }

    /// Appends entries that follow the group's last one (the first of an empty log may have any
    /// index). All or none are taken; they can be read at once, and are durable when `done` gets
    /// `Ok`. Blocks while the queue is full.
    pub fn append(&self, group: u16, entries: Vec<Entry>, done: Completion) {
        if let Some(entry) =
            entries.iter().find(|entry| entry.payload.len() > self.payload_bytes_max)
        {
            let reason = format!(
                "entry {} has more than {} bytes",
                entry.position.index, self.payload_bytes_max
            );
            return refuse(group, reason, done);
        }
        self.submit(group, done, |index| {
            let ticket = index.append(group, &entries)?;
            Ok(Change::Entries { group, entries, ticket })
        });
    }

    pub fn save_vote(&self, group: u16, vote: Bytes, done: Completion) {
        if vote.len() > VOTE_BYTES_MAX {
            return refuse(group, format!("a vote has more than {VOTE_BYTES_MAX} bytes"), done);
        }
        self.submit(group, done, |index| {
            index.set_vote(group, vote.clone());
            Ok(Change::Vote { group, vote })
        });
    }

    /// Drops every entry after `last_kept`; all of them for `None`. Purged entries cannot come
    /// back.
    pub fn truncate_after(&self, group: u16, last_kept: Option<Position>, done: Completion) {
        self.submit(group, done, |index| {
            let next =
                |position: Option<Position>| position.map_or(0, |position| position.index + 1);
            let last = index.state(group).last;
            if last == last_kept || next(last_kept) > next(last) {
                return Ok(Change::Nothing);
            }
            index.truncate(group, last_kept)?;
            Ok(Change::Truncate { group, last_kept })
        });
    }

    /// Drops every entry up to `upto`, which may lie after the last one (a snapshot was installed).
    /// An older purge is repeated for nothing.
    pub fn purge(&self, group: u16, upto: Position, done: Completion) {
        self.submit(group, done, |index| {
            if index.state(group).purged.is_some_and(|purged| upto.index <= purged.index) {
                return Ok(Change::Nothing);
            }
            index.purge(group, upto)?;
            Ok(Change::Purge { group, upto })
        });
    }

    /// Whether nothing of the entry waits to be synced; also of one that is not in the log.
    pub fn is_durable(&self, group: u16, index: u64) -> bool {
        let state = self.shared.lock();
        let slot = state.index.slot(group, index);
        !slot.is_some_and(|slot| matches!(slot.place, Place::Queued(_)))
    }

    /// Completes after everything that was queued before.
    pub fn flush(&self, group: u16, done: Completion) {
        self.submit(group, done, |_| Ok(Change::Nothing));
    }

    /// Remembered with the next batch, without a sync of its own: after a crash an older one may be
    /// back.
    pub fn save_committed(&self, group: u16, committed: Option<Position>) {
        let mut state = self.shared.lock();
        if state.index.set_committed(group, committed) {
            state.committed_changed.insert(group);
        }
    }

    /// Announces that about so many entries come now: they are synced together where they come in time.
    pub fn expect(&self, entries: u32) {
        self.shared.announce(entries);
    }

    /// The live entries of `range`, from the first of them on, until `max_bytes` of payload; at
    /// least one if there is any. A read that fails or a checksum that is wrong is fatal.
    pub fn read(&self, group: u16, range: Range<u64>, max_bytes: u64) -> Result<Vec<Entry>, Error> {
        let found = {
            let state = self.shared.lock();
            if let Some(reason) = state.failure() {
                return Err(Error::Failed(reason.to_owned()));
            }
            let found = state.index.find(group, range, max_bytes).into_iter();
            let with_segment = |found| match found {
                Found::Disk { location, .. } => (found, state.segment(location)),
                Found::Memory(_) => (found, None),
            };
            found.map(with_segment).collect::<Vec<_>>()
        };
        let entries = found.into_iter().map(|(found, segment)| fetch(group, found, segment));
        let entries = entries.collect::<Result<Vec<_>, Error>>();
        entries.inspect_err(|error| self.fail(error))
    }

    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// With `Drive::Manual`: writes everything queued as one batch (or several large ones) and
    /// completes it.
    pub fn turn(&self) {
        self.drive(Driver::turn);
    }

    /// With `Drive::Manual` or `Inline`: what the thread does after a while of nothing.
    pub fn idle(&self) {
        self.drive(Driver::idle);
    }

    /// Writes what is queued and the mark of a clean close. Dropping does the same.
    pub fn close(mut self) {
        self.shut();
    }

    fn submit(
        &self,
        group: u16,
        done: Completion,
        change: impl FnOnce(&mut Index) -> Result<Change, String>,
    ) {
        self.drive(|driver| driver.make_room(&self.shared));
        let mut state = self.shared.wait_for_space();
        if let Some(refusal) = state.refusal() {
            drop(state);
            return done(Err(refusal));
        }
        match change(&mut state.index) {
            Ok(change) => state.push(Queued::new(change, done)),
            Err(reason) => {
                drop(state);
                return refuse(group, reason, done);
            }
        }
        self.drive(|driver| driver.wake(&self.shared, &state));
        drop(state);
        self.drive(Driver::submitted);
    }

    fn drive(&self, run: impl FnOnce(&Driver)) {
        if let Some(driver) = &self.driver {
            run(driver);
        }
    }

    fn fail(&self, error: &Error) {
        self.shared.fail_all(&error.to_string(), &self.on_fatal);
    }

    fn shut(&mut self) {
        self.shared.start_closing();
        if let Some(driver) = self.driver.take() {
            driver.close(&self.shared);
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.driver.is_some() {
            self.shut();
        }
    }
}

fn check(options: &Options) -> Result<(), Error> {
    let bytes = options.segment_bytes;
    if bytes < SEGMENT_BYTES_MIN || !bytes.is_multiple_of(BLOCK_BYTES) {
        let wanted = format!("a multiple of {BLOCK_BYTES}, at least {SEGMENT_BYTES_MIN}");
        let reason = format!("a segment of {bytes} bytes does not work; it must be {wanted}");
        return Err(Error::Options(reason));
    }
    Ok(())
}

fn fetch(group: u16, found: Found, segment: Option<Segment>) -> Result<Entry, Error> {
    let (position, location, payload_bytes) = match found {
        Found::Memory(entry) => return Ok(entry),
        Found::Disk { position, location, payload_bytes } => (position, location, payload_bytes),
    };
    let segment = segment.ok_or_else(|| {
        Error::Failed(format!("segment {} is gone, though entries need it", location.segment))
    })?;
    let payload = segment.fetch(group, position, location.offset, payload_bytes)?;
    Ok(Entry { position, payload })
}

fn refuse(group: u16, reason: String, done: Completion) {
    let error = Error::Refused { group, reason };
    tracing::error!(%error, "a change contradicts the journal");
    done(Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, error)));
}

fn log_report(directory: &Path, report: &Report) {
    let directory = directory.display();
    match report.cut {
        Some(cut) => tracing::warn!(
            %directory, segment = cut.segment, offset = cut.offset, cut_bytes = cut.bytes,
            last = ?report.last, "journal opened; a torn tail was cut off: an unfinished write as a rule, \
             never acknowledged. The very last batch cannot be told from it: if this machine lost no power \
             and the process was not killed, check the disk"
        ),
        None => tracing::info!(
            %directory, segments = report.segments, records = report.records, clean = report.clean,
            created = report.created, "journal opened"
        ),
    }
}
