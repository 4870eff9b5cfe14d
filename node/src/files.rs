//! Small files of the data directory: written whole, durably, and readable by their owner alone where
//! they hold secrets. The journal, the tables and blobs have their own ways.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// The most a small file may hold: a larger one is not ours.
pub const SMALL_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    Owner,
    Everyone,
}

impl Readers {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everyone => 0o644,
        }
    }
}

/// Creates a directory and its parents; the last one is for its owner alone. Each new name is durable in its parent:
/// what is synced below a directory that a crash forgets is gone all the same.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let made: Vec<&Path> = path.ancestors().take_while(|above| !exists(above)).collect();
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    made.iter().rev().try_for_each(|folder| sync_parent(folder))
}

/// The end of a relative path is the current directory.
fn exists(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.exists()
}

/// Makes the name of a file or directory durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Replaces a file in one step: after a crash it holds the old bytes or the new ones.
pub fn write(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), Error> {
    replace(path, bytes, readers).map_err(|source| Error::file("write", path, source))
}

fn replace(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(readers.mode());
    let mut file = options.open(&temporary)?;
    // The file may be left over from a crash, with other rights.
    file.set_permissions(fs::Permissions::from_mode(readers.mode()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// Reads a small file; `None` where there is none.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let fail = |source| Error::file("read", path, source);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    let mut bytes = Vec::new();
    file.take(SMALL_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(fail)?;
    Ok(Some(bytes))
}

/// Reads a small JSON file; `None` where there is none.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let Some(bytes) = read(path)? else {
        return Ok(None);
    };
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(Error::Damaged {
            path: path.to_owned(),
            problem: format!("not what a node wrote ({error})"),
            advice: "restore it from a backup of the data directory",
        }),
    }
}

/// Writes a small JSON file.
pub fn write_json<T: Serialize>(path: &Path, value: &T, readers: Readers) -> Result<(), Error> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::file("write", path, io::Error::other(error)))?;
    bytes.push(b'\n');
    write(path, &bytes, readers)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_secret_file_is_for_its_owner_alone_also_when_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(folder.path().join("secret.new"), b"left over").unwrap();
        for content in [b"one".as_slice(), b"two"] {
            write(&path, content, Readers::Owner).unwrap();
            assert_eq!(read(&path).unwrap().unwrap(), content);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(!folder.path().join("secret.new").exists());
    }

    #[test]
    fn directories_are_made_with_their_parents_and_the_last_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a").join("b");
        create_private_dir(&path).unwrap();
        create_private_dir(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        assert!(create_private_dir(&file.join("below")).is_err());
        assert!(sync_parent(Path::new("relative")).is_ok() && exists(Path::new("")));
    }

    #[test]
    fn an_absent_file_is_not_an_error_and_a_damaged_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        assert!(read_json::<u32>(&path).unwrap().is_none());
        fs::write(&path, b"{").unwrap();
        let error = read_json::<u32>(&path).unwrap_err().to_string();
        assert!(error.contains("restore it from a backup"), "{error}");
    }
}
