//! Planted damage to a dead server's data, which the harness must find. It is never part of a real run, and it
//! knows of the layout only that objects' bytes are files below a folder `blobs`.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// How many files are damaged: some are replaced before anybody reads them.
const DAMAGED: usize = 20;

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(Error::file("create", to))?;
    for entry in fs::read_dir(from).map_err(Error::file("list", from))? {
        let entry = entry.map_err(Error::file("list", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().map_err(Error::file("look at", &source))?.is_dir() {
            true => copy(&source, &target)?,
            false => {
                fs::copy(&source, &target).map_err(Error::file("copy", &source))?;
            }
        }
    }
    Ok(())
}

/// Puts an earlier copy in the place of the data.
pub fn roll_back(data: &Path, saved: &Path) -> Result<(), Error> {
    fs::remove_dir_all(data).map_err(Error::file("remove", data))?;
    fs::rename(saved, data).map_err(Error::file("move", saved))
}

/// Removes files with objects' bytes.
pub fn lose_files(data: &Path) -> Result<(), Error> {
    for path in newest_blobs(data)? {
        fs::remove_file(&path).map_err(Error::file("remove", &path))?;
    }
    Ok(())
}

/// Changes one byte in the middle of files with objects' bytes.
pub fn flip_bytes(data: &Path) -> Result<(), Error> {
    for path in newest_blobs(data)? {
        let file = fs::File::options().read(true).write(true).open(&path);
        let file = file.map_err(Error::file("open", &path))?;
        let middle = file.metadata().map_err(Error::file("look at", &path))?.len() / 2;
        let mut byte = [0];
        file.read_exact_at(&mut byte, middle).map_err(Error::file("read", &path))?;
        byte[0] ^= 1;
        file.write_all_at(&byte, middle).map_err(Error::file("write", &path))?;
    }
    Ok(())
}

/// The newest files, of which some are likely to stay: neither replaced nor collected by the end.
fn newest_blobs(data: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for path in blobs(data)? {
        let metadata = fs::metadata(&path).map_err(Error::file("look at", &path))?;
        let modified = metadata.modified().map_err(Error::file("look at", &path))?;
        found.push((modified, path));
    }
    if found.is_empty() {
        let why = "no file with bytes lies below a folder `blobs`";
        return Err(Error::History { path: data.to_owned(), why });
    }
    found.sort();
    Ok(found.into_iter().rev().take(DAMAGED).map(|(_, path)| path).collect())
}

/// Files that hold bytes of objects: what lies below a folder `blobs`, whoever put it there.
pub fn blobs(data: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut folders = vec![(data.to_owned(), false)];
    let mut found = Vec::new();
    while let Some((folder, is_blobs)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Collected together with what was in it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::file("list", &folder)(error)),
        };
        for entry in entries.filter_map(Result::ok) {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push((entry.path(), is_blobs || entry.file_name() == "blobs"));
            } else if is_blobs && metadata.len() > 0 {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn damage_hits_blobs_and_copies_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let (blob, other) = (data.join("b/blobs/x/@1"), data.join("journal/1"));
        for path in [&blob, &other] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"abc").unwrap();
        }
        let saved = directory.path().join("saved");
        copy(&data, &saved).unwrap();
        assert_eq!(blobs(&data).unwrap(), std::slice::from_ref(&blob));
        flip_bytes(&data).unwrap();
        assert_eq!(fs::read(&blob).unwrap(), b"acc");
        lose_files(&data).unwrap();
        assert!(!blob.exists() && lose_files(&data).is_err());
        roll_back(&data, &saved).unwrap();
        assert_eq!(fs::read(&blob).unwrap(), b"abc");
        assert_eq!(fs::read(&other).unwrap(), b"abc");
    }
}
