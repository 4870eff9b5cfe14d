//! What does not fit into memory: records lie in a file without a name in the folder for temporary files, which is gone when nobody
//! holds it.
//!
//! ```text
//! file       records one behind another, which are read again from any of their beginnings
//! sorter     records in any order -> records in order, of which only so many are in memory at once
//! ```

pub mod file;
pub mod sorter;

#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::io::{self, Read};

use crate::error::Error;

/// Something that can be written down, read again, and sorted.
pub trait Record: Sized {
    /// What it is sorted by.
    type Key: Ord + Debug;

    fn key(&self) -> Self::Key;

    fn write(&self, out: &mut Vec<u8>);

    fn read(from: &mut impl Read) -> io::Result<Self>;
}

/// That something could not be kept.
pub fn unkept(source: io::Error) -> Error {
    Error::Temporary { folder: std::env::temp_dir().display().to_string(), source }
}

/// So many bytes as they come next.
pub fn take<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut taken = [0; N];
    from.read_exact(&mut taken)?;
    Ok(taken)
}
