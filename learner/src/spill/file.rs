//! Records one behind another in a file. It is written once, and then read by whoever wants to, at once and from anywhere.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::error::Error;
use crate::spill::{Record, unkept};

/// So much is written at once.
const WRITE_BYTES: usize = 256 << 10;

/// So much is read at once, by each reader.
const READ_BYTES: usize = 64 << 10;

/// Writes records.
#[derive(Debug)]
pub struct Writer {
    file: Arc<File>,
    buffer: Vec<u8>,
    /// What is in the file, without the buffer.
    flushed: u64,
}

impl Writer {
    pub fn new() -> Result<Self, Error> {
        let file = tempfile::tempfile().map_err(unkept)?;
        Ok(Self { file: Arc::new(file), buffer: Vec::new(), flushed: 0 })
    }

    pub fn write(&mut self, record: &impl Record) -> Result<(), Error> {
        record.write(&mut self.buffer);
        match self.buffer.len() >= WRITE_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Where the next record will begin.
    pub fn position(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    /// All that was written can be read from here on.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.file.as_ref().write_all(&self.buffer).map_err(unkept)?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// The file, as far as it was flushed.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }
}

/// Reads the records of a part of a file.
#[derive(Debug)]
pub struct Reader(BufReader<Part>);

impl Reader {
    /// From the beginning of one record to that of another, or to the end.
    pub fn new(file: &Arc<File>, bytes: Range<u64>) -> Self {
        let part = Part { file: Arc::clone(file), bytes };
        Self(BufReader::with_capacity(READ_BYTES, part))
    }

    /// None: there is no more.
    pub fn next_record<R: Record>(&mut self) -> Result<Option<R>, Error> {
        match self.0.fill_buf().map_err(unkept)?.is_empty() {
            true => Ok(None),
            false => R::read(&mut self.0).map(Some).map_err(unkept),
        }
    }
}

/// A part of a file. It does not care where others have read last.
#[derive(Debug)]
struct Part {
    file: Arc<File>,
    bytes: Range<u64>,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.bytes.end - self.bytes.start).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let read = self.file.read_at(&mut buffer[..wanted], self.bytes.start)?;
        if read == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.bytes.start += read as u64;
        Ok(read)
    }
}
