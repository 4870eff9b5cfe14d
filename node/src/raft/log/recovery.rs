//! Opening a journal: replay every segment, tell a torn tail from damage, cut the one and refuse
//! the other. It writes nothing before it has decided, and nothing but the tail, the last seal, and a
//! first segment.
//!
//! A killed process leaves what it had not synced in the kernel's memory, to be read here. So what is
//! accepted is made durable first: names, the last seal, the last batch.
//!
//! How damage is told: a mark is written only after everything before it was synced, so a bad byte
//! with any good mark, header or seal after it was promised to someone. A bad byte with none after
//! it was not (or cannot be told from that, in the last batch).

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, File};
use super::index::{Index, Location, Place, Slot};
use super::ledger::Ledger;
use super::queue::Segment;
use super::record::{
    BLOCK_BYTES, Checksum, Flavor, Kind, MARK_BYTES, Mark, Record, align_up, is_zero,
};
use super::rotation::seal_block;
use super::segment::{
    self, Header, HeaderFault, LastBatch, SPARE_NAME, VERSION, Walked, file_name,
};
use super::supply::{prepare, publish};
use super::writer::Active;
use super::{Cut, Error, Options, Report};

pub struct Recovered {
    pub ledger: Ledger,
    pub index: Index,
    pub segments: BTreeMap<u64, Segment>,
    pub active: Active,
    /// Whether a mark covers everything.
    pub marked: bool,
    pub report: Report,
}

pub fn recover(disk: &dyn Disk, directory: &Path, options: &Options) -> Result<Recovered, Error> {
    let mut report = Report::default();
    // Before anything is accepted: a name that a later power failure takes back would be a hole.
    disk.sync_directory(directory).map_err(Error::io("sync", directory))?;
    let Found { mut numbers, spare } = existing(disk, directory)?;
    if numbers.is_empty() {
        create_first(disk, directory, options)?;
        report.created = true;
        numbers.push(1);
    }
    let mut replay = Replay {
        directory,
        options,
        report,
        ledger: Ledger::default(),
        slots: BTreeMap::new(),
        segments: BTreeMap::new(),
        previous: None,
    };
    for (number, expected) in numbers.iter().zip(numbers[0]..) {
        if *number != expected {
            return Err(replay.damaged(expected, 0, "its file is missing"));
        }
        replay.segment(disk, *number)?;
    }
    let recovered = replay.finish(numbers.len() as u64)?;
    if spare == Spare::Left && !recovered.report.created {
        let removed =
            disk.remove(&directory.join(SPARE_NAME)).and_then(|()| disk.sync_directory(directory));
        removed.map_err(Error::io("remove the spare segment in", directory))?;
    }
    Ok(recovered)
}

/// What the directory holds.
struct Found {
    /// Of segments, in order.
    numbers: Vec<u64>,
    spare: Spare,
}

/// Whether a spare is there that never became a segment. A refused journal keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spare {
    None,
    Left,
}

fn existing(disk: &dyn Disk, directory: &Path) -> Result<Found, Error> {
    let names = disk.list(directory).map_err(Error::io("list", directory))?;
    let left = names.iter().any(|name| name == SPARE_NAME);
    let mut numbers = names.iter().filter_map(|name| segment::parse_name(name)).collect::<Vec<_>>();
    numbers.sort_unstable();
    Ok(Found { numbers, spare: if left { Spare::Left } else { Spare::None } })
}

fn create_first(disk: &dyn Disk, directory: &Path, options: &Options) -> Result<(), Error> {
    let header = Header {
        identity: options.identity,
        number: 1,
        segment_bytes: options.segment_bytes,
        previous_end: 0,
        sequence: 1,
        states: Vec::new(),
    };
    let spare = prepare(disk, directory, options.segment_bytes);
    let created = spare.and_then(|spare| publish(disk, directory, &*spare, &header));
    created.map_err(Error::io("create the first segment in", directory))
}

/// A segment that was walked.
struct Visited {
    number: u64,
    file: Arc<dyn File>,
    checksum: Checksum,
    bytes: Vec<u8>,
    walked: Walked,
    /// Of the segment before.
    seal: Option<Seal>,
}

/// The seal of a segment, to be written again if the next one proves to be empty: it may be missing,
/// and one that is there may not be durable.
struct Seal {
    file: Arc<dyn File>,
    at: u64,
    block: Vec<u8>,
    lost: bool,
}

struct Replay<'a> {
    directory: &'a Path,
    options: &'a Options,
    report: Report,
    ledger: Ledger,
    slots: BTreeMap<u16, BTreeMap<u64, Slot>>,
    segments: BTreeMap<u64, Segment>,
    previous: Option<Visited>,
}

impl Replay<'_> {
    fn damaged(&self, segment: u64, offset: u64, reason: impl Into<String>) -> Error {
        Error::Damaged {
            directory: self.directory.to_owned(),
            segment,
            offset,
            reason: reason.into(),
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(file_name(number))
    }

    fn segment(&mut self, disk: &dyn Disk, number: u64) -> Result<(), Error> {
        let (file, bytes) = self.read(disk, number)?;
        let (header, start) = self.header(number, &bytes)?;
        let seal = match self.previous.take() {
            None => {
                self.ledger = Ledger::from_states(header.states.clone());
                None
            }
            Some(previous) => Some(self.follows(&previous, &header)?),
        };
        let checksum = Checksum::new(self.options.identity, number);
        let (ledger, slots, report) = (&mut self.ledger, &mut self.slots, &mut self.report);
        let walked = segment::walk(&bytes, checksum, (start, header.sequence), |offset, record| {
            ledger.record(number, &record).map_err(|reason| (offset, reason))?;
            let slots = slots.entry(record.group).or_default();
            let location = Location { segment: number, offset };
            place(slots, location, &record).map_err(|reason| (offset, reason))?;
            report.records += 1;
            Ok(())
        });
        let walked = walked
            .map_err(|(offset, reason): (u64, String)| self.damaged(number, offset, reason))?;
        let segment = Segment { number, file: file.clone(), checksum };
        self.segments.insert(number, segment);
        self.previous = Some(Visited { number, file, checksum, bytes, walked, seal });
        Ok(())
    }

    fn read(&self, disk: &dyn Disk, number: u64) -> Result<(Arc<dyn File>, Vec<u8>), Error> {
        let path = self.path(number);
        let file = disk.open(&path).map_err(Error::io("open", &path))?;
        let size = file.size_bytes().map_err(Error::io("look at", &path))?;
        let mut bytes = vec![0; size as usize];
        file.read_at(&mut bytes, 0).map_err(Error::io("read", &path))?;
        Ok((file, bytes))
    }

    fn header(&self, number: u64, bytes: &[u8]) -> Result<(Header, u64), Error> {
        let (header, start) = Header::decode(bytes).map_err(|fault| match fault {
            HeaderFault::Damaged(reason) => self.damaged(number, 0, reason),
            HeaderFault::Newer(found) => {
                Error::Newer { path: self.path(number), found, supported: VERSION }
            }
        })?;
        if header.identity != self.options.identity {
            return Err(Error::Foreign {
                path: self.path(number),
                found_cluster: hex(&header.identity.cluster),
                found_node: header.identity.node,
            });
        }
        if header.number != number {
            let reason = format!("its header says that it is segment {}", header.number);
            return Err(self.damaged(number, 0, reason));
        }
        if header.segment_bytes != bytes.len() as u64 {
            let reason =
                format!("its file has {} bytes, not {}", bytes.len(), header.segment_bytes);
            return Err(self.damaged(number, bytes.len() as u64, reason));
        }
        Ok((header, start))
    }

    /// Everything in the segment before was synced when this header was written.
    fn follows(&mut self, previous: &Visited, header: &Header) -> Result<Seal, Error> {
        let (number, walked) = (previous.number, &previous.walked);
        let lost_before = previous.seal.as_ref().is_some_and(|seal| seal.lost);
        if lost_before || !walked.whole || walked.end != header.previous_end {
            let reason = format!(
                "its bytes are bad from here on, though they were synced up to {}",
                header.previous_end
            );
            return Err(self.damaged(number, walked.end, reason));
        }
        let expected = header.sequence - u64::from(!walked.sealed);
        if expected != walked.sequence || !self.ledger.agrees(&header.states) {
            return Err(self.damaged(
                header.number,
                0,
                "its header contradicts the segments before it",
            ));
        }
        // The seal took the sequence before this header's.
        let (at, block) = seal_block(previous.checksum, walked.end, header.sequence - 1);
        Ok(Seal { file: previous.file.clone(), at, block, lost: !walked.sealed })
    }

    fn finish(mut self, count: u64) -> Result<Recovered, Error> {
        let last = self.previous.take().expect("there is at least the first segment");
        let Walked { end, sealed, sequence, .. } = last.walked;
        if sealed {
            return Err(self.damaged(
                last.number + 1,
                0,
                "its file is missing, though the segment before it was sealed",
            ));
        }
        if let Some(mark) = segment::mark_from(&last.bytes, last.checksum, end) {
            let reason = format!(
                "its bytes are bad from here on, though a mark at {mark} says that they were synced"
            );
            return Err(self.damaged(last.number, end, reason));
        }
        if let Some((group, index)) = self.ledger.hole() {
            return Err(Error::Hole { directory: self.directory.to_owned(), group, index });
        }
        if let Some(seal) = &last.seal {
            self.settle_seal(&last, seal)?;
        }
        self.report.cut = last.cut();
        self.report.clean = self.report.cut.is_none()
            && last.walked.batch.is_some_and(|batch| batch.mark.flavor == Flavor::Close);
        last.settle_tail().map_err(Error::io("cut the tail of", self.path(last.number)))?;
        self.report.segments = count;
        let marked = last.walked.batch.is_none_or(|batch| end == batch.start + MARK_BYTES as u64);
        let active = Active {
            number: last.number,
            segment_bytes: last.bytes.len() as u64,
            file: last.file,
            checksum: last.checksum,
            end,
            sequence,
        };
        let index = self.index();
        Ok(Recovered {
            ledger: self.ledger,
            index,
            segments: self.segments,
            active,
            marked,
            report: self.report,
        })
    }

    /// A batch in the new segment was written after the old one's seal was synced. While there is
    /// none, the crash may have come before that sync, or before the seal was written at all.
    fn settle_seal(&self, last: &Visited, seal: &Seal) -> Result<(), Error> {
        let number = last.number - 1;
        let rest = &last.bytes[last.walked.end as usize..];
        let in_use = last.walked.batch.is_some() || !is_zero(rest);
        if in_use && !seal.lost {
            return Ok(());
        }
        if in_use {
            return Err(self.damaged(
                number,
                seal.at,
                "its seal is bad, though the next segment is in use",
            ));
        }
        let written = seal.file.write_at(&seal.block, seal.at).and_then(|()| seal.file.sync());
        written.map_err(Error::io("seal", self.path(number)))
    }

    fn index(&mut self) -> Index {
        let mut index = Index::new(self.options.cache_bytes);
        for (group, state) in self.ledger.states() {
            let slots = self.slots.remove(&group).unwrap_or_default();
            self.report.last.insert(group, state.last.map(|last| last.index));
            index.restore(group, state, slots.into_values().collect::<VecDeque<_>>());
        }
        index
    }
}

/// Where entries lie, by the same rules that the ledger just accepted the record under.
fn place(
    slots: &mut BTreeMap<u64, Slot>,
    location: Location,
    record: &Record<'_>,
) -> Result<(), String> {
    match (record.kind, record.position) {
        (Kind::Entry | Kind::Copied, Some(position)) => {
            let slot = Slot {
                term: position.term,
                place: Place::Stored(location),
                payload_bytes: record.payload.len() as u32,
                payload: None,
            };
            let replaced = slots.insert(position.index, slot);
            match replaced.filter(|replaced| replaced.term != position.term) {
                Some(other) => Err(format!(
                    "entry {} is there with term {} and {}",
                    position.index, other.term, position.term
                )),
                None => Ok(()),
            }
        }
        (Kind::Truncate, last_kept) => {
            slots.split_off(&last_kept.map_or(0, |kept| kept.index + 1));
            Ok(())
        }
        (Kind::Purge, Some(upto)) => {
            *slots = slots.split_off(&(upto.index + 1));
            Ok(())
        }
        (
            Kind::Entry | Kind::Copied | Kind::Purge | Kind::Vote | Kind::Committed | Kind::Mark,
            _,
        ) => Ok(()),
    }
}

impl Visited {
    /// What lies after the last good record and was never promised.
    fn cut(&self) -> Option<Cut> {
        let end = self.walked.end;
        let promised = self
            .walked
            .batch
            .map_or(0, |batch| batch.start + MARK_BYTES as u64 + batch.mark.batch_bytes);
        let zeros = |block: &&[u8]| is_zero(block);
        let clean_blocks = self.bytes.chunks(BLOCK_BYTES as usize).rev().take_while(zeros).count();
        let dirty = &self.bytes[..self.bytes.len() - clean_blocks * BLOCK_BYTES as usize];
        let dirty = dirty.iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1);
        let bytes = promised.max(dirty).saturating_sub(end);
        (bytes > 0).then_some(Cut { segment: self.number, offset: end, bytes })
    }

    /// Writes the good part of the last batch again (after a failed sync the kernel may show pages
    /// that the disk never got), zeros everything after it, and syncs both before anything is
    /// appended.
    fn settle_tail(&self) -> std::io::Result<()> {
        let end = self.walked.end;
        if let Some(LastBatch { mark, start }) = self.walked.batch {
            let records = start + MARK_BYTES as u64;
            let mark = Mark { batch_bytes: end - records, ..mark };
            let mut bytes = self.checksum.encode_mark(start, mark);
            bytes.extend_from_slice(&self.bytes[records as usize..end as usize]);
            bytes.resize(align_up(bytes.len() as u64) as usize, 0);
            self.file.write_at(&bytes, start)?;
        }
        let rest = align_up(end) as usize;
        for (number, block) in self.bytes[rest..].chunks(BLOCK_BYTES as usize).enumerate() {
            if !is_zero(block) {
                let at = rest + number * BLOCK_BYTES as usize;
                self.file.write_at(&vec![0; block.len()], at as u64)?;
            }
        }
        self.file.sync()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
