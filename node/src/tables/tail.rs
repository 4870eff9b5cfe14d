//! What a power failure leaves of the rows' own journal. Rows are written without a sync, so its end may have blocks that never
//! reached the disk between blocks that did. fjall drops a last batch that is cut short, and refuses to open at one that is
//! whole but for some bytes. The Raft log has everything since the last sync, so such an end can go: it is kept beside the
//! rows, cut off, and applied again. `raft::agreement` refuses where more went than the log has.
//!
//! It knows how fjall 3 lays out a journal, and touches nothing that it cannot read that way.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use crate::error::Error;

/// Ends every batch.
const MAGIC: &[u8] = b"FJL\x03";

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

/// Cuts the newest journal in `rows` before its first bad batch, keeping what it was as a copy in `beside`. Says whether there
/// was one.
pub fn cut(rows: &Path, beside: &Path) -> Result<bool, Error> {
    let Some((name, path)) = newest(rows)? else {
        return Ok(false);
    };
    let bytes = fs::read(&path).map_err(|source| Error::file("read", &path, source))?;
    let Some(offset) = first_bad_batch(&bytes) else {
        return Ok(false);
    };
    let kept = beside.join(format!("{name}.damaged-{offset}"));
    let copied = fs::copy(&path, &kept).and_then(|_| File::open(&kept)?.sync_all());
    copied.map_err(|source| Error::file("write", &kept, source))?;
    let cut = OpenOptions::new().write(true).open(&path).and_then(|file| {
        file.set_len(offset)?;
        file.sync_all()
    });
    cut.map_err(|source| Error::file("cut", &path, source))?;
    tracing::error!(
        path = %path.display(), offset, kept = %kept.display(),
        "the end of the tables' journal was damaged and has been cut off; the log fills it in again. After a power failure that \
         is expected, and the copy may be removed; without one, check this disk"
    );
    Ok(true)
}

/// The journal that was written last, which alone may have an end that was not synced.
fn newest(rows: &Path) -> Result<Option<(String, PathBuf)>, Error> {
    let list = || -> std::io::Result<Vec<(u64, String, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(rows)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(Ok(number)) = name.strip_suffix(".jnl").map(str::parse) {
                found.push((number, name, entry.path()));
            }
        }
        Ok(found)
    };
    let found = list().map_err(|source| Error::file("list", rows, source))?;
    Ok(found.into_iter().max().map(|(_, name, path)| (name, path)))
}

/// Where the first batch begins that is there to its end and does not have what it promised. Nothing where the bytes stop being
/// batches before that: fjall cuts those itself.
fn first_bad_batch(bytes: &[u8]) -> Option<u64> {
    let mut rest = Cursor { bytes, at: 0 };
    loop {
        let start = rest.at;
        if rest.u8()? != START {
            return None;
        }
        let count = rest.u32()?;
        rest.take(8)?;
        if !rest.batch(count)? {
            return u64::try_from(start).ok();
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// Items up to the end of the batch; whether they are what it promised.
    fn batch(&mut self, count: u32) -> Option<bool> {
        let mut hash = Xxh3::new();
        let mut items = 0_u32;
        loop {
            let start = self.at;
            match self.u8()? {
                ITEM => self.item()?,
                CLEAR => _ = self.u64()?,
                END => {
                    let checksum = self.u64()?;
                    let ended = self.take(MAGIC.len())? == MAGIC;
                    return ended.then_some(items == count && checksum == hash.digest());
                }
                _ => return None,
            }
            hash.update(&self.bytes[start..self.at]);
            items = items.checked_add(1)?;
        }
    }

    /// Type, compression, keyspace, lengths of key and value (as they are and as they lie here), key, value.
    fn item(&mut self) -> Option<()> {
        self.take(1 + 1 + 8)?;
        let key_bytes = self.u16()?;
        self.u32()?;
        let value_bytes = self.u32()?;
        self.take(usize::from(key_bytes))?;
        self.take(usize::try_from(value_bytes).ok()?)?;
        Some(())
    }
}
