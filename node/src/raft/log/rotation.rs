//! How the writer changes segments and lets old ones go: seal and begin, copy a straggler's live
//! entries forward, release what nothing needs. It never decides what a record means.
//!
//! Order of a change, each step synced before the next: header of the new segment, its name, the
//! seal of the old one, batches. So a segment's name proves a good header, a seal proves that the
//! next segment exists, and a segment without a seal behind it has nothing that anyone was
//! promised.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use vaultaire_proto::steps::{self, Step};

use super::index::{Location, Place};
use super::queue::Segment;
use super::record::{BLOCK_BYTES, Checksum, Flavor, HEADER_BYTES, Kind, Mark, align_up};
use super::segment::{Header, file_name};
use super::supply::publish;
use super::writer::{Active, Effect, Finish, Writer, record};
use super::{Error, Position};

/// Segments below which nothing is copied.
const SEGMENTS_KEPT: usize = 4;

/// Entries and bytes that one batch copies at most: callers wait for it.
const COPY_ENTRIES_MAX: usize = 64;
const COPY_BYTES_MAX: u64 = 256 << 10;

/// A header may take this part of a segment.
const HEADER_PART: u64 = 4;

impl Writer {
    /// Goes on in a fresh segment. The batch must be flushed.
    pub(super) fn rotate(&mut self) -> Result<(), Error> {
        let spare = self
            .supply
            .take()
            .map_err(Error::io("prepare the next segment in", &self.directory))?;
        let segment_bytes = self.segment_bytes;
        let header = Header {
            identity: self.options.identity,
            number: self.active.number + 1,
            segment_bytes,
            previous_end: self.active.end,
            // The seal takes one.
            sequence: self.active.sequence + 1,
            states: self.ledger.states(),
        };
        let start = header.encode().len() as u64;
        if start > segment_bytes / HEADER_PART {
            let reason =
                format!("the state of all groups takes {start} bytes: raise the segment size");
            return Err(Error::Options(reason));
        }
        let published = publish(&*self.disk, &self.directory, &*spare, &header);
        published
            .map_err(Error::io("begin segment", self.directory.join(file_name(header.number))))?;
        self.supply.taken();
        steps::reach(Step::SegmentBegun);
        self.seal()?;
        steps::reach(Step::SegmentSealed);
        let checksum = Checksum::new(self.options.identity, header.number);
        let segment = Segment { number: header.number, file: spare.clone(), checksum };
        self.shared.lock().segments.insert(header.number, segment);
        self.segments.push_back(header.number);
        self.active = Active {
            number: header.number,
            file: spare,
            checksum,
            segment_bytes,
            end: start,
            sequence: header.sequence,
        };
        Ok(())
    }

    fn seal(&mut self) -> Result<(), Error> {
        let Active { number, end, sequence, .. } = self.active;
        let path = self.directory.join(file_name(number));
        let (at, block) = seal_block(self.active.checksum, end, sequence);
        self.active.file.write_at(&block, at).map_err(Error::io("seal", &path))?;
        let synced = self.shared.counters.timed_sync(&*self.active.file);
        synced.map_err(Error::io("sync", &path))?;
        self.sealed();
        Ok(())
    }

    /// Adds live entries of the oldest segment to the batch, so that it can go. Old segments are
    /// worth it once at most half of what the journal holds is live.
    pub(super) fn copy_forward(&mut self, finish: Finish<'_>) -> Result<(), Error> {
        let sealed = self.segments.len() - 1;
        let Some(&oldest) = self.segments.front().filter(|_| sealed >= SEGMENTS_KEPT) else {
            return Ok(());
        };
        let live_bytes = self.shared.lock().index.live_bytes();
        if live_bytes * 2 > sealed as u64 * self.segment_bytes {
            return Ok(());
        }
        let Some(segment) = self.shared.lock().segments.get(&oldest).cloned() else {
            return Ok(());
        };
        for copy in self.choose_copies(oldest) {
            let payload =
                segment.fetch(copy.group, copy.position, copy.from.offset, copy.payload_bytes)?;
            let record = record(Kind::Copied, copy.group, Some(copy.position), &payload);
            self.copy_credit_bytes = self.copy_credit_bytes.saturating_sub(record.size() as u64);
            self.put(record, Bytes::new(), Effect::Relocated { from: copy.from }, finish)?;
            self.shared.counters.copied.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Entries that are live for the ledger and for the index: one that only the ledger still has
    /// is about to go by a queued record, and copying it after that record would bring it back.
    fn choose_copies(&self, oldest: u64) -> Vec<Copy> {
        let state = self.shared.lock();
        let (mut copies, mut bytes) = (Vec::new(), 0);
        let runs = self.ledger.runs_in(oldest);
        for (group, index) in
            runs.iter().flat_map(|(group, run)| (run.from..=run.to).map(|index| (*group, index)))
        {
            let Some(slot) = state.index.slot(group, index) else { continue };
            let Place::Stored(from) = slot.place else { continue };
            if from.segment != oldest {
                continue;
            }
            bytes += u64::from(slot.payload_bytes) + HEADER_BYTES as u64;
            let enough =
                copies.len() >= COPY_ENTRIES_MAX || (bytes > COPY_BYTES_MAX && !copies.is_empty());
            if enough || bytes > self.copy_credit_bytes {
                break;
            }
            let term = slot.term;
            copies.push(Copy {
                group,
                position: Position { term, index },
                from,
                payload_bytes: slot.payload_bytes,
            });
        }
        copies
    }

    /// Lets go of the oldest segments that hold nothing live. All that says so is synced by now.
    pub(super) fn release(&mut self) -> Result<(), Error> {
        while let Some(&oldest) = self.segments.front()
            && self.segments.len() > 1
            && !self.ledger.uses(oldest)
        {
            self.segments.pop_front();
            self.shared.lock().segments.remove(&oldest);
            let removed = self.supply.remove(oldest);
            removed.map_err(Error::io("sync the removal of a segment in", &self.directory))?;
            steps::reach(Step::SegmentRemoved);
        }
        Ok(())
    }
}

struct Copy {
    group: u16,
    position: Position,
    from: Location,
    payload_bytes: u32,
}

/// Where the seal of a segment lies whose last batch ends at `end`, and its block.
pub fn seal_block(checksum: Checksum, end: u64, sequence: u64) -> (u64, Vec<u8>) {
    let at = align_up(end);
    let mark = Mark { flavor: Flavor::Seal, sequence, synced_to: end, batch_bytes: 0 };
    let mut block = checksum.encode_mark(at, mark);
    block.resize(BLOCK_BYTES as usize, 0);
    (at, block)
}
