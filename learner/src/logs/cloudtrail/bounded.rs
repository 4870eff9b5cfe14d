//! A reader that ends with an error where one record would need more memory than any record should.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// An event is at most 256 KiB as it is sent ("Quotas in AWS CloudTrail"); nothing in a file is much longer.
pub const RECORD_BYTES_MAX: u64 = 16 << 20;

/// How much may be read before the next record ends.
#[derive(Clone, Debug)]
pub struct Left(Rc<Cell<u64>>);

impl Default for Left {
    fn default() -> Self {
        Self(Rc::new(Cell::new(RECORD_BYTES_MAX)))
    }
}

impl Left {
    /// A record has ended.
    pub fn renew(&self) {
        self.0.set(RECORD_BYTES_MAX);
    }
}

pub struct Bounded<R> {
    reader: R,
    left: Left,
}

impl<R: Read> Bounded<R> {
    pub fn new(reader: R, left: &Left) -> Self {
        Self { reader, left: left.clone() }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let left = &self.left.0;
        left.set(left.get().checked_sub(read as u64).ok_or_else(|| {
            let mebibytes = RECORD_BYTES_MAX >> 20;
            let what =
                format!("one record is longer than {mebibytes} MiB: is it a file of CloudTrail?");
            io::Error::new(io::ErrorKind::FileTooLarge, what)
        })?);
        Ok(read)
    }
}
