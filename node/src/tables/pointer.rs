//! The file that names the keyspace a group uses now. It is switched in one step (temporary file, sync, rename, sync of the
//! directory), so a group has its old rows or its new ones, never some of both.

use std::path::{Path, PathBuf};

use vaultaire_proto::GroupId;

use crate::advice;
use crate::error::Error;
use crate::files::{self, Readers};

/// First word of the file.
const MAGIC: &str = "vaultaire-install";

/// Where a group's pointer lies.
pub fn path(directory: &Path, group: GroupId) -> PathBuf {
    directory.join(format!("group-{group}.current"))
}

/// The install a group uses; `None` for a group that never had one.
pub fn read(directory: &Path, group: GroupId) -> Result<Option<u64>, Error> {
    let path = path(directory, group);
    let Some(bytes) = files::read(&path)? else {
        return Ok(None);
    };
    match parse(&bytes) {
        Some(install) => Ok(Some(install)),
        None => Err(Error::Damaged {
            path,
            problem: "not a pointer to a keyspace".to_owned(),
            advice: advice::RESTORE,
        }),
    }
}

/// From now on the group uses `install`, also after a crash.
pub fn write(directory: &Path, group: GroupId, install: u64) -> Result<(), Error> {
    let number = install.to_string();
    let checksum = crc32c::crc32c(number.as_bytes());
    let text = format!("{MAGIC} {number} {checksum:08x}\n");
    files::write(&path(directory, group), text.as_bytes(), Readers::Owner)
}

fn parse(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut words = text.strip_suffix('\n')?.split(' ');
    let (magic, number, checksum) = (words.next()?, words.next()?, words.next()?);
    let intact = format!("{:08x}", crc32c::crc32c(number.as_bytes())) == checksum;
    match words.next() {
        None if magic == MAGIC && intact => number.parse().ok(),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_pointer_is_read_back_and_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let group = GroupId(3);
        assert_eq!(read(folder.path(), group).unwrap(), None);
        for install in [1, 2, u64::MAX] {
            write(folder.path(), group, install).unwrap();
            assert_eq!(read(folder.path(), group).unwrap(), Some(install));
        }
        let file = path(folder.path(), group);
        let whole = std::fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&file, &bytes).unwrap();
            assert!(read(folder.path(), group).is_err(), "bit flipped in byte {at}");
            std::fs::write(&file, &whole[..at]).unwrap();
            assert!(read(folder.path(), group).is_err(), "cut at {at}");
        }
    }
}
