//! How one record lies in a segment: its bytes, its checksum, and the mark that opens a batch. It
//! knows neither files nor the meaning of a payload.
//!
//! ```text
//! len u32 | crc32c u32 | group u16 | kind u8 | present u8 | term u64 | index u64 | payload
//! (little endian; len counts all of it)
//! ```
//! The checksum also covers where the record lies (identity, segment, offset), so a block that the
//! disk wrote to or read from the wrong place is never taken for a good one.

use super::{Identity, Position};

/// Batches start on a multiple of this, so a later write never touches a block that was already
/// synced.
pub const BLOCK_BYTES: u64 = 4096;

/// Bytes of a record before its payload.
pub const HEADER_BYTES: usize = 28;

/// Bytes of a mark: a record with a fixed payload (flavor, bytes of the batch after it).
pub const MARK_BYTES: usize = HEADER_BYTES + 12;

/// Bytes at the head of a record that the checksum does not cover: `len` (covered by value) and the
/// checksum itself.
const CHECKSUM_FROM: usize = 8;

/// What a record says. The numbers are stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A log entry; follows the group's last one.
    Entry = 1,
    /// The group's vote, as opaque bytes.
    Vote = 2,
    /// The committed position; none when the record has no position.
    Committed = 3,
    /// Everything after the position is gone; everything at all when the record has no position.
    Truncate = 4,
    /// Everything up to the position is gone.
    Purge = 5,
    /// An entry written before, moved here so that its old segment can go. It fills or relocates,
    /// never truncates.
    Copied = 6,
    /// Opens a batch; its existence proves that everything before it was synced.
    Mark = 7,
}

impl Kind {
    fn from_number(number: u8) -> Option<Kind> {
        Some(match number {
            1 => Kind::Entry,
            2 => Kind::Vote,
            3 => Kind::Committed,
            4 => Kind::Truncate,
            5 => Kind::Purge,
            6 => Kind::Copied,
            7 => Kind::Mark,
            _ => return None,
        })
    }
}

/// One record, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub kind: Kind,
    pub group: u16,
    pub position: Option<Position>,
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// Bytes it takes in a segment.
    pub fn size(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }
}

/// Why a mark was written. The numbers are stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// It opens a batch of records.
    Batch = 1,
    /// Nothing came for a while.
    Idle = 2,
    /// The journal was closed cleanly.
    Close = 3,
    /// The segment is full and the next one exists.
    Seal = 4,
}

impl Flavor {
    fn from_number(number: u8) -> Option<Flavor> {
        Some(match number {
            1 => Flavor::Batch,
            2 => Flavor::Idle,
            3 => Flavor::Close,
            4 => Flavor::Seal,
            _ => return None,
        })
    }
}

/// The first record of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub flavor: Flavor,
    /// Counts batches over all segments.
    pub sequence: u64,
    /// Exact end of the batch before in this segment: the highest synced offset when this mark was
    /// written.
    pub synced_to: u64,
    /// Bytes of records that follow in this batch.
    pub batch_bytes: u64,
}

/// Checksums of one segment: seeded with whose it is and which it is.
#[derive(Clone, Copy, Debug)]
pub struct Checksum {
    seed: u32,
}

impl Checksum {
    pub fn new(identity: Identity, segment: u64) -> Checksum {
        let seed = crc32c::crc32c(&identity.to_bytes());
        Checksum { seed: crc32c::crc32c_append(seed, &segment.to_le_bytes()) }
    }

    fn of(self, offset: u64, record: &[u8]) -> u32 {
        let mut place = [0; 12];
        place[..8].copy_from_slice(&offset.to_le_bytes());
        place[8..].copy_from_slice(&record[..4]);
        let crc = crc32c::crc32c_append(self.seed, &place);
        crc32c::crc32c_append(crc, &record[CHECKSUM_FROM..])
    }

    /// Appends the record to `buffer`; `offset` is where its first byte will lie in the segment.
    pub fn encode(self, buffer: &mut Vec<u8>, offset: u64, record: Record<'_>) {
        let start = buffer.len();
        let position = record.position.unwrap_or_default();
        let len =
            u32::try_from(record.size()).expect("the journal refuses records above its limit");
        buffer.extend_from_slice(&len.to_le_bytes());
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(&record.group.to_le_bytes());
        buffer.push(record.kind as u8);
        buffer.push(u8::from(record.position.is_some()));
        buffer.extend_from_slice(&position.term.to_le_bytes());
        buffer.extend_from_slice(&position.index.to_le_bytes());
        buffer.extend_from_slice(record.payload);
        let crc = self.of(offset, &buffer[start..]);
        buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    /// The record whose first byte is `bytes[0]`, which lies at `offset` of the segment; `None`
    /// when there is no good one.
    pub fn decode(self, bytes: &[u8], offset: u64) -> Option<Record<'_>> {
        let len = u32_at(bytes, 0)? as usize;
        let record = bytes.get(..len).filter(|record| record.len() >= HEADER_BYTES)?;
        if u32_at(record, 4)? != self.of(offset, record) {
            return None;
        }
        let position = Position { term: u64_at(record, 12)?, index: u64_at(record, 20)? };
        Some(Record {
            kind: Kind::from_number(record[10])?,
            group: u16::from_le_bytes([record[8], record[9]]),
            position: (record[11] == 1).then_some(position),
            payload: &record[HEADER_BYTES..],
        })
    }

    /// The bytes of a mark that will lie at `offset`.
    pub fn encode_mark(self, offset: u64, mark: Mark) -> Vec<u8> {
        let mut payload = [0; MARK_BYTES - HEADER_BYTES];
        payload[0] = mark.flavor as u8;
        payload[4..].copy_from_slice(&mark.batch_bytes.to_le_bytes());
        let position = Position { term: mark.sequence, index: mark.synced_to };
        let record =
            Record { kind: Kind::Mark, group: 0, position: Some(position), payload: &payload };
        let mut buffer = Vec::with_capacity(MARK_BYTES);
        self.encode(&mut buffer, offset, record);
        buffer
    }

    /// The mark at `offset`, when there is a good one.
    pub fn decode_mark(self, bytes: &[u8], offset: u64) -> Option<Mark> {
        if u32_at(bytes, 0)? as usize != MARK_BYTES {
            return None;
        }
        let record = self.decode(bytes, offset)?;
        let (Kind::Mark, Some(position)) = (record.kind, record.position) else {
            return None;
        };
        Some(Mark {
            flavor: Flavor::from_number(record.payload[0])?,
            sequence: position.term,
            synced_to: position.index,
            batch_bytes: u64_at(record.payload, 4)?,
        })
    }
}

/// The next multiple of a block.
pub fn align_up(offset: u64) -> u64 {
    offset.next_multiple_of(BLOCK_BYTES)
}

/// Whether every byte is zero; compares a block at a time, since whole segments are looked through.
pub fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; BLOCK_BYTES as usize] = [0; BLOCK_BYTES as usize];
    bytes.chunks(ZEROS.len()).all(|chunk| chunk == &ZEROS[..chunk.len()])
}

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn checksum(segment: u64) -> Checksum {
        let identity = Identity { cluster: [7; 16], node: 3 };
        Checksum::new(identity, segment)
    }

    #[test]
    fn a_record_comes_back_only_from_its_own_place() {
        let record = Record {
            kind: Kind::Entry,
            group: 9,
            position: Some(Position { term: 4, index: 11 }),
            payload: b"payload",
        };
        let mut bytes = Vec::new();
        checksum(1).encode(&mut bytes, 4096, record);
        assert_eq!(checksum(1).decode(&bytes, 4096), Some(record));
        assert_eq!(checksum(1).decode(&bytes, 8192), None);
        assert_eq!(checksum(2).decode(&bytes, 4096), None);
        assert_eq!(checksum(1).decode(&bytes[..bytes.len() - 1], 4096), None);
    }

    #[test]
    fn no_flipped_bit_passes() {
        let mark = Mark { flavor: Flavor::Seal, sequence: 5, synced_to: 4200, batch_bytes: 77 };
        let bytes = checksum(1).encode_mark(8192, mark);
        assert_eq!(checksum(1).decode_mark(&bytes, 8192), Some(mark));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(checksum(1).decode_mark(&flipped, 8192), None, "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(checksum(1).decode(&[0; 64], 0), None);
        assert!(is_zero(&[0; 5000]));
        let mut bytes = [0; 5000];
        bytes[4999] = 1;
        assert!(!is_zero(&bytes));
    }
}
