//! Lines of a file, none of them held for longer than it is looked at.

use std::io::{self, BufRead, Read};

/// The longest line that is read. What S3 takes of a request is 8 KiB, its headers included.
pub const LINE_BYTES_MAX: u64 = 256 << 10;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Text,
    /// Only its beginning was kept.
    TooLong,
    End,
}

/// Reads a line, without its end.
pub fn next(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', line)?;
    if read == 0 {
        return Ok(Line::End);
    }
    if line.pop_if(|byte| *byte == b'\n').is_some() {
        line.pop_if(|byte| *byte == b'\r');
        return Ok(Line::Text);
    }
    match read as u64 == LINE_BYTES_MAX {
        true => reader.skip_until(b'\n').map(|_| Line::TooLong),
        // The last one has no end.
        false => Ok(Line::Text),
    }
}
