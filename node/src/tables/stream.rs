//! A snapshot as a sequence of chunks: made lazily from a view, checked one by one where it arrives. Neither side ever holds
//! more than a chunk. It is not a transport: chunks go through a file or a connection as their carrier likes.
//!
//! A chunk is `kind, sequence number, length, crc32c, payload`. The first carries format and meta, the last the number of rows,
//! so that a stream cut short, reordered or mixed with another is noticed.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use vaultaire_proto::tables::Pair;

use super::meta::{META_KEY, Meta};
use super::view::View;
use crate::error::Error;

/// Rows are gathered until a chunk has this many bytes of them.
pub const CHUNK_BYTES: usize = 256 << 10;

/// The most a chunk's payload may say it has: one row beyond the limit fits, nonsense does not.
pub const CHUNK_BYTES_MAX: usize = 16 << 20;

/// The format of the stream.
const FORMAT: u8 = 1;

const HEAD: u8 = 1;
const ROWS: u8 = 2;
const END: u8 = 3;

/// Bytes before a chunk's payload.
pub const FRAME_BYTES: usize = 1 + 8 + 4 + 4;

/// Where a snapshot goes on that has come in part: behind so many chunks, which have so many rows, the last of them this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    pub chunks: u64,
    pub rows: u64,
    /// Its key. Empty: no row has come.
    pub after: Vec<u8>,
}

/// The chunks of a view.
pub struct Chunks {
    rows: Box<dyn Iterator<Item = Pair> + Send>,
    meta: Option<Vec<u8>>,
    chunk_bytes: usize,
    sequence: u64,
    count: u64,
    ended: bool,
}

impl Chunks {
    pub fn new(view: &View, meta: &Meta) -> Self {
        Self::from(view, meta, Start::default(), CHUNK_BYTES)
    }

    /// The same from somewhere on, a chunk as soon as there are so many bytes for it.
    pub fn from(view: &View, meta: &Meta, start: Start, chunk_bytes: usize) -> Self {
        let Start { chunks: sequence, rows: count, after } = start;
        let meta = (sequence == 0).then(|| meta.encode());
        let rows: Box<dyn Iterator<Item = Pair> + Send> = match after.is_empty() {
            true => Box::new(view.rows()),
            false => Box::new(view.rows_after(&after)),
        };
        Self { rows, meta, chunk_bytes, sequence, count, ended: false }
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) -> Bytes {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let mut chunk = BytesMut::with_capacity(FRAME_BYTES + payload.len());
        chunk.put_u8(kind);
        chunk.put_u64(self.sequence);
        chunk.put_u32(length);
        chunk.put_u32(crc32c::crc32c(payload));
        chunk.put_slice(payload);
        self.sequence += 1;
        chunk.freeze()
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if let Some(meta) = self.meta.take() {
            let mut payload = vec![FORMAT];
            payload.extend_from_slice(&meta);
            return Some(self.frame(HEAD, &payload));
        }
        if self.ended {
            return None;
        }
        let mut payload = Vec::new();
        while payload.len() < self.chunk_bytes {
            let Some((key, value)) = self.rows.next() else {
                break;
            };
            put_bytes(&mut payload, &key);
            put_bytes(&mut payload, &value);
            self.count += 1;
        }
        if payload.is_empty() {
            self.ended = true;
            let count = self.count.to_be_bytes();
            return Some(self.frame(END, &count));
        }
        Some(self.frame(ROWS, &payload))
    }
}

fn put_bytes(payload: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    payload.put_u32(length);
    payload.put_slice(bytes);
}

/// How many bytes of payload follow a frame.
pub fn payload_bytes(frame: &[u8; FRAME_BYTES]) -> Result<usize, Error> {
    let [_, _, _, _, _, _, _, _, _, l0, l1, l2, l3, ..] = *frame;
    let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    if length > CHUNK_BYTES_MAX {
        return Err(broken(format!("a chunk claims {length} bytes")));
    }
    Ok(length)
}

/// What has come of a snapshot that broke off.
#[derive(Clone, Debug)]
pub struct Progress {
    pub meta: Meta,
    pub start: Start,
    /// Of all chunks that are whole.
    pub bytes: u64,
}

/// Reads as many chunks as are whole. None: not even the first one is. The end is not counted: it is sent again.
pub fn progress(chunks: impl Iterator<Item = Result<Bytes, Error>>) -> Option<Progress> {
    let (meta, mut rows) = Rows::open(chunks).ok()?;
    let start = Start { chunks: rows.sequence, ..Start::default() };
    let mut come = Progress { meta, start, bytes: rows.bytes };
    while let Ok((ROWS, payload)) = rows.chunk() {
        rows.payload = payload;
        let mut last = Bytes::new();
        while !rows.payload.is_empty() {
            let Ok(Some((key, _))) = rows.read() else {
                return Some(come);
            };
            last = key;
        }
        come.start = Start { chunks: rows.sequence, rows: rows.count, after: last.to_vec() };
        come.bytes = rows.bytes;
    }
    Some(come)
}

/// Reads a snapshot to its end: whole, its rows in order, and nothing behind them.
pub fn verify(chunks: impl Iterator<Item = Result<Bytes, Error>>) -> Result<Meta, Error> {
    let (meta, mut rows) = Rows::open(chunks)?;
    let mut last = Bytes::from_static(META_KEY);
    while let Some((key, _)) = rows.read()? {
        if key <= last {
            return Err(broken("its rows are not in order".to_owned()));
        }
        last = key;
    }
    match rows.chunks.next() {
        None => Ok(meta),
        Some(_) => Err(broken("something follows its end".to_owned())),
    }
}

/// The rows behind a sequence of chunks, each chunk checked before any of its rows is given out.
pub struct Rows<I> {
    chunks: I,
    payload: Bytes,
    sequence: u64,
    bytes: u64,
    count: u64,
    ended: bool,
}

impl<I: Iterator<Item = Result<Bytes, Error>>> Rows<I> {
    /// Reads the first chunk.
    pub fn open(chunks: I) -> Result<(Meta, Self), Error> {
        let payload = Bytes::new();
        let mut rows = Self { chunks, payload, sequence: 0, bytes: 0, count: 0, ended: false };
        let (kind, payload) = rows.chunk()?;
        match (kind, payload.split_first()) {
            (HEAD, Some((&FORMAT, meta))) => {
                let meta = Meta::decode(meta, std::path::Path::new("a received snapshot"))?;
                Ok((meta, rows))
            }
            (HEAD, Some((&found, _))) if found > FORMAT => Err(broken(format!(
                "its format is {found} and this release reads up to {FORMAT}; upgrade this node"
            ))),
            _ => Err(broken("it does not begin with a head".to_owned())),
        }
    }

    fn chunk(&mut self) -> Result<(u8, Bytes), Error> {
        let Some(chunk) = self.chunks.next() else {
            return Err(broken("it ends too early".to_owned()));
        };
        let mut chunk = chunk?;
        if chunk.len() < FRAME_BYTES {
            return Err(broken("a chunk is cut short".to_owned()));
        }
        let kind = chunk.get_u8();
        let (sequence, length, checksum) = (chunk.get_u64(), chunk.get_u32(), chunk.get_u32());
        if sequence != self.sequence {
            return Err(broken(format!("chunk {sequence} came for chunk {}", self.sequence)));
        }
        if usize::try_from(length) != Ok(chunk.len()) || crc32c::crc32c(&chunk) != checksum {
            return Err(broken(format!("the checksum of chunk {sequence} does not match")));
        }
        self.sequence += 1;
        self.bytes += (FRAME_BYTES + chunk.len()) as u64;
        Ok((kind, chunk))
    }

    fn read(&mut self) -> Result<Option<Pair>, Error> {
        if self.ended {
            return Ok(None);
        }
        if self.payload.is_empty() {
            match self.chunk()? {
                (ROWS, payload) => self.payload = payload,
                (END, payload) if payload.as_ref() == self.count.to_be_bytes() => {
                    self.ended = true;
                    return Ok(None);
                }
                (END, _) => return Err(broken("rows are missing from it".to_owned())),
                (kind, _) => return Err(broken(format!("a chunk has the unknown kind {kind}"))),
            }
        }
        let key = take_bytes(&mut self.payload)?;
        let value = take_bytes(&mut self.payload)?;
        self.count += 1;
        Ok(Some((key, value)))
    }
}

impl<I: Iterator<Item = Result<Bytes, Error>>> Iterator for Rows<I> {
    type Item = Result<Pair, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.read();
        if row.is_err() {
            self.ended = true;
        }
        row.transpose()
    }
}

fn take_bytes(payload: &mut Bytes) -> Result<Bytes, Error> {
    let cut = || broken("a row is cut short".to_owned());
    if payload.len() < 4 {
        return Err(cut());
    }
    let length = usize::try_from(payload.get_u32()).map_err(|_| cut())?;
    if payload.len() < length {
        return Err(cut());
    }
    Ok(payload.split_to(length))
}

fn broken(why: String) -> Error {
    Error::Engine { what: "reading a snapshot", why: format!("{why}; fetch it again") }
}
