//! Damage to the journal of a node that does not run. Of the layout it knows only that segments are files of one ending, written
//! from the front, with zeros after what was written.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

use crate::error::Error;

const ENDING: &str = "segment";

/// Writes begin at multiples of this.
const BLOCK_BYTES: u64 = 4096;

/// The most that is written after the end.
const TORN_BYTES_MAX: u64 = 16 * 1024;

const READ_BYTES: usize = 1024 * 1024;

/// Puts garbage where the next write would have gone.
pub fn tear(journal: &Path, rng: &mut StdRng) -> Result<(), Error> {
    let path = newest(journal)?;
    let file = open(&path)?;
    let size = file.metadata().map_err(Error::file("look at", &path))?.len();
    let start = end(&file, &path)?.next_multiple_of(BLOCK_BYTES);
    let most = size.saturating_sub(start + BLOCK_BYTES).min(TORN_BYTES_MAX);
    if most == 0 {
        return Ok(());
    }
    let mut garbage = vec![0; usize::try_from(rng.random_range(1..=most)).unwrap_or(1)];
    rng.fill_bytes(&mut garbage);
    file.write_all_at(&garbage, start).map_err(Error::file("write", &path))
}

/// Flips one bit in the first half of what was written: what comes after it shows that it was promised. A byte that is zero
/// may fill a block up and mean nothing.
pub fn flip(journal: &Path, rng: &mut StdRng) -> Result<(), Error> {
    let path = newest(journal)?;
    let file = open(&path)?;
    let most = (end(&file, &path)? / 2).max(1);
    let (mut at, mut byte) = (0, [0]);
    while byte[0] == 0 {
        at = rng.random_range(0..most);
        file.read_exact_at(&mut byte, at).map_err(Error::file("read", &path))?;
    }
    byte[0] ^= 1 << rng.random_range(0..8);
    file.write_all_at(&byte, at).map_err(Error::file("write", &path))
}

/// Cuts the newest file off somewhere in what was written.
pub fn cut(journal: &Path, rng: &mut StdRng) -> Result<(), Error> {
    let path = newest(journal)?;
    let file = open(&path)?;
    let to = rng.random_range(0..end(&file, &path)?.max(1));
    file.set_len(to).map_err(Error::file("cut", &path))
}

fn open(path: &Path) -> Result<File, Error> {
    File::options().read(true).write(true).open(path).map_err(Error::file("open", path))
}

/// The last by name.
fn newest(journal: &Path) -> Result<PathBuf, Error> {
    let entries = fs::read_dir(journal).map_err(Error::file("list", journal))?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let segments = paths.filter(|path| path.extension().is_some_and(|ending| ending == ENDING));
    segments.max().ok_or_else(|| {
        let why = "no segment of a journal lies there";
        Error::History { path: journal.to_owned(), why }
    })
}

/// Where the zeros begin.
fn end(file: &File, path: &Path) -> Result<u64, Error> {
    let mut buffer = vec![0; READ_BYTES];
    let (mut at, mut end) = (0_u64, 0_u64);
    loop {
        let read = file.read_at(&mut buffer, at).map_err(Error::file("read", path))?;
        if read == 0 {
            return Ok(end);
        }
        if let Some(last) = buffer[..read].iter().rposition(|byte| *byte != 0) {
            end = at + u64::try_from(last).unwrap_or(0) + 1;
        }
        at += u64::try_from(read).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn each_damage_is_where_it_is_said_to_be() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0000000000000002.segment");
        fs::write(directory.path().join("0000000000000001.segment"), [1; 10]).unwrap();
        fs::write(directory.path().join("spare"), [1; 10]).unwrap();
        let whole = [vec![7; 5000], vec![0; 45_000]].concat();
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..50 {
            fs::write(&path, &whole).unwrap();
            tear(directory.path(), &mut rng).unwrap();
            let torn = fs::read(&path).unwrap();
            assert_eq!(torn.len(), whole.len());
            assert!(torn[..8192] == whole[..8192] && torn[8192..] != whole[8192..]);
            fs::write(&path, &whole).unwrap();
            flip(directory.path(), &mut rng).unwrap();
            let flipped = fs::read(&path).unwrap();
            let differ = |(a, b): (&u8, &u8)| (a ^ b).count_ones();
            assert_eq!(flipped.iter().zip(&whole).map(differ).sum::<u32>(), 1);
            assert!(flipped[2500..] == whole[2500..]);
            cut(directory.path(), &mut rng).unwrap();
            assert!(fs::metadata(&path).unwrap().len() < 5000);
        }
    }
}
