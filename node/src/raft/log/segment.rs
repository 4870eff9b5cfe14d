//! How a segment file is laid out: a header with every group's state, then batches. Bytes only, no
//! files.
//!
//! ```text
//! header: magic 8 | version u32 | crc32c of both u32
//!         body length u32 | crc32c of the body u32 | body | zeros to a block
//! batch:  mark | records | zeros to a block
//! end:    a seal mark once the next segment exists; its block is kept free
//! ```
//! The version has a checksum of its own, at a place that never moves, so that an older build can
//! tell newer from damaged.

use bytes::Bytes;

use super::record::{
    BLOCK_BYTES, Checksum, Flavor, MARK_BYTES, Mark, Record, align_up, u32_at, u64_at,
};
use super::state::State;
use super::{Identity, Position};

const MAGIC: [u8; 8] = *b"vltjourn";

/// The format that this build writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// Bytes before the header's body.
const PREFIX_BYTES: usize = 24;

/// No smaller segment holds a header, a record and a seal.
pub const SEGMENT_BYTES_MIN: u64 = 4 * BLOCK_BYTES;

/// File name endings; the spare becomes a segment when it is renamed.
const SUFFIX: &str = ".segment";
pub const SPARE_NAME: &str = "spare";

pub fn file_name(number: u64) -> String {
    format!("{number:016x}{SUFFIX}")
}

/// The segment number in a file name, if it is one of ours.
pub fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Where batches must end, so that the seal still fits.
pub fn capacity(segment_bytes: u64) -> u64 {
    segment_bytes - BLOCK_BYTES
}

/// Largest record: with a header of a quarter and a seal, one always fits into a fresh segment.
pub fn record_bytes_max(segment_bytes: u64) -> u64 {
    (segment_bytes / 2 - BLOCK_BYTES).min(u64::from(u32::MAX))
}

/// The head of a segment: whose it is, where the one before ended, and every group's state at that
/// moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub identity: Identity,
    pub number: u64,
    pub segment_bytes: u64,
    /// Exact end of the last batch of the segment before; all of it was synced.
    pub previous_end: u64,
    /// Sequence of this segment's first batch.
    pub sequence: u64,
    pub states: Vec<(u16, State)>,
}

/// Why a header cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub enum HeaderFault {
    Damaged(&'static str),
    Newer(u32),
}

impl Header {
    /// The whole header, padded to a block.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend_from_slice(&self.identity.to_bytes());
        for number in [self.number, self.segment_bytes, self.previous_end, self.sequence] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        body.extend_from_slice(&(self.states.len() as u64).to_le_bytes());
        for (group, state) in &self.states {
            encode_state(&mut body, *group, state);
        }
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes[..12]).to_le_bytes());
        let len = u32::try_from(body.len()).expect("a vote is small and groups fit in 16 bits");
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes.resize(align_up(bytes.len() as u64) as usize, 0);
        bytes
    }

    /// The header, and where the first batch starts.
    pub fn decode(bytes: &[u8]) -> Result<(Header, u64), HeaderFault> {
        let damaged = HeaderFault::Damaged;
        let word =
            |at| u32_at(bytes, at).ok_or(HeaderFault::Damaged("the file is shorter than a header"));
        let (version, version_crc, len, body_crc) =
            (word(8)?, word(12)?, word(16)? as usize, word(20)?);
        if bytes[..8] != MAGIC || crc32c::crc32c(&bytes[..12]) != version_crc {
            return Err(damaged("the header's first bytes are not a journal's"));
        }
        if version > VERSION {
            return Err(HeaderFault::Newer(version));
        }
        let body = bytes.get(PREFIX_BYTES..PREFIX_BYTES.saturating_add(len));
        let body = body.filter(|body| crc32c::crc32c(body) == body_crc);
        let body = body.ok_or(damaged("the header fails its checksum"))?;
        let header = Cursor(body).header().ok_or(damaged("the header does not parse"))?;
        Ok((header, align_up((PREFIX_BYTES + len) as u64)))
    }
}

fn encode_state(body: &mut Vec<u8>, group: u16, state: &State) {
    body.extend_from_slice(&group.to_le_bytes());
    body.extend_from_slice(&state.first.to_le_bytes());
    for position in [state.committed, state.purged, state.last] {
        body.push(u8::from(position.is_some()));
        let position = position.unwrap_or_default();
        body.extend_from_slice(&position.term.to_le_bytes());
        body.extend_from_slice(&position.index.to_le_bytes());
    }
    body.push(u8::from(state.vote.is_some()));
    let vote = state.vote.as_deref().unwrap_or_default();
    body.extend_from_slice(&(vote.len() as u64).to_le_bytes());
    body.extend_from_slice(vote);
}

/// Reads a header's body from front to back.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn u64(&mut self) -> Option<u64> {
        u64_at(self.take(8)?, 0)
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)?[0] == 1)
    }

    fn position(&mut self) -> Option<Option<Position>> {
        let present = self.flag()?;
        let (term, index) = (self.u64()?, self.u64()?);
        Some(present.then_some(Position { term, index }))
    }

    fn state(&mut self) -> Option<(u16, State)> {
        let group = self.take(2)?;
        let first = self.u64()?;
        let (committed, purged, last) = (self.position()?, self.position()?, self.position()?);
        let present = self.flag()?;
        let len = usize::try_from(self.u64()?).ok()?;
        let vote = Bytes::copy_from_slice(self.take(len)?);
        let state = State { vote: present.then_some(vote), committed, purged, last, first };
        Some((u16::from_le_bytes([group[0], group[1]]), state))
    }

    fn header(&mut self) -> Option<Header> {
        let identity = Identity { cluster: self.take(16)?.try_into().ok()?, node: self.u64()? };
        let (number, segment_bytes, previous_end) = (self.u64()?, self.u64()?, self.u64()?);
        let (sequence, count) = (self.u64()?, self.u64()?);
        let states = (0..count).map(|_| self.state()).collect::<Option<Vec<_>>>()?;
        Some(Header { identity, number, segment_bytes, previous_end, sequence, states })
    }
}

/// The last batch that a walk entered: recovery writes its good part again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastBatch {
    pub mark: Mark,
    /// Offset of its mark.
    pub start: u64,
}

/// How far the batches of a segment are good.
#[derive(Debug, PartialEq, Eq)]
pub struct Walked {
    /// Exact end of the last good record (or mark): the first byte after it is bad, or the end.
    pub end: u64,
    /// The batch that the walk ended in or after; none when the first mark is bad or absent.
    pub batch: Option<LastBatch>,
    /// Whether that batch is whole.
    pub whole: bool,
    /// Sequence that the next batch must have.
    pub sequence: u64,
    pub sealed: bool,
}

/// Walks the batches from `start` and gives each good record with its offset to `visit`, up to the
/// first bad byte, a seal or the end. What a stop means is for recovery to say. An error of `visit`
/// stops the walk.
pub fn walk<E>(
    bytes: &[u8],
    checksum: Checksum,
    (start, sequence): (u64, u64),
    mut visit: impl FnMut(u64, Record<'_>) -> Result<(), (u64, E)>,
) -> Result<Walked, (u64, E)> {
    let mut walked = Walked { end: start, batch: None, whole: true, sequence, sealed: false };
    let mut at = start;
    while let Some(mark) = mark_at(bytes, checksum, at) {
        // The header's end counts as the end of the batch before the first.
        if mark.sequence != walked.sequence || mark.synced_to != walked.end {
            break;
        }
        let batch_end = at + MARK_BYTES as u64 + mark.batch_bytes;
        walked.sequence += 1;
        walked.sealed = mark.flavor == Flavor::Seal;
        if walked.sealed {
            break;
        }
        walked.batch = Some(LastBatch { mark, start: at });
        walked.end = at + MARK_BYTES as u64;
        while walked.end < batch_end {
            let rest = bytes.get(walked.end as usize..batch_end as usize);
            let Some(record) = rest.and_then(|rest| checksum.decode(rest, walked.end)) else {
                walked.whole = false;
                return Ok(walked);
            };
            visit(walked.end, record)?;
            walked.end += record.size() as u64;
        }
        at = align_up(walked.end);
    }
    Ok(walked)
}

/// The first good mark at or after `offset`, found without trusting anything before it. It proves
/// that everything before it was synced.
pub fn mark_from(bytes: &[u8], checksum: Checksum, offset: u64) -> Option<u64> {
    let mut at = align_up(offset);
    while at + MARK_BYTES as u64 <= bytes.len() as u64 {
        if mark_at(bytes, checksum, at).is_some() {
            return Some(at);
        }
        at += BLOCK_BYTES;
    }
    None
}

fn mark_at(bytes: &[u8], checksum: Checksum, at: u64) -> Option<Mark> {
    let at_byte = usize::try_from(at).ok()?;
    checksum.decode_mark(bytes.get(at_byte..at_byte + MARK_BYTES)?, at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn header() -> Header {
        let state = State {
            vote: Some(Bytes::from_static(b"vote")),
            committed: None,
            purged: Some(Position { term: 1, index: 2 }),
            last: Some(Position { term: 3, index: 9 }),
            first: 3,
        };
        Header {
            identity: Identity { cluster: [1; 16], node: 2 },
            number: 7,
            segment_bytes: 1 << 20,
            previous_end: 5000,
            sequence: 44,
            states: vec![(0, State::default()), (65535, state)],
        }
    }

    #[test]
    fn a_header_comes_back() {
        let bytes = header().encode();
        assert_eq!(bytes.len() as u64 % BLOCK_BYTES, 0);
        assert_eq!(Header::decode(&bytes), Ok((header(), BLOCK_BYTES)));
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        assert!(matches!(Header::decode(&bytes), Err(HeaderFault::Damaged(_))));
        let crc = crc32c::crc32c(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::decode(&bytes), Err(HeaderFault::Newer(2)));
    }

    #[test]
    fn names_come_back_and_strangers_do_not() {
        assert_eq!(parse_name(&file_name(0x1f)), Some(0x1f));
        assert_eq!(parse_name("1f.segment"), None);
        assert_eq!(parse_name(SPARE_NAME), None);
    }
}
