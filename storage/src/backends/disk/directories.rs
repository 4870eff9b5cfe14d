//! The folders below `blobs/`: made once, durable before they are used, removed when empty. A folder is used through
//! its descriptor, never through its path: a folder that was removed and made anew has another
//! descriptor, so nobody renames into one and flushes the other.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::group_sync::GroupSync;
use super::layout::join;

/// How many folders are kept open. One more empties the cache, which costs one fsync per level on the next use.
const OPEN_MAX: usize = 512;

/// At most this part of what the process may open: a journal that cannot open a file stops its process.
const OPEN_PART: usize = 16;

/// How many folders one disk keeps open in a process that may open `files`.
pub fn open_max(files: usize) -> usize {
    OPEN_MAX.min(files / OPEN_PART)
}

/// How often making a folder starts again because another task removed an empty parent just then.
const ATTEMPTS_MAX: usize = 8;

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An open folder. One that [`Directories::ensure`] answers is durable in its parents.
#[derive(Debug)]
pub struct Folder {
    /// The folder itself.
    pub descriptor: OwnedFd,
    group: GroupSync,
}

impl Folder {
    /// Makes the names in this folder durable, together with everyone else who asks now.
    pub fn sync(&self) -> io::Result<()> {
        self.group.sync(|| Ok(rustix::fs::fsync(&self.descriptor)?))
    }
}

/// The tree of folders.
#[derive(Debug)]
pub struct Directories {
    top: Arc<Folder>,
    open: Mutex<HashMap<String, Arc<Folder>>>,
    /// Held while folders are made, so that nobody uses a folder before its parent was flushed.
    making: Mutex<()>,
    open_max: usize,
}

impl Directories {
    /// The tree below an open folder.
    pub fn new(top: OwnedFd) -> Self {
        let top = Arc::new(Folder { descriptor: top, group: GroupSync::default() });
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
        Self { top, open: Mutex::default(), making: Mutex::default(), open_max: open_max(files) }
    }

    /// The folder that holds them all.
    pub fn top(&self) -> &OwnedFd {
        &self.top.descriptor
    }

    /// Opens a folder, making it and its parents durable where they are not.
    pub fn ensure(&self, path: &str) -> io::Result<Arc<Folder>> {
        if let Some(folder) = self.cached(path) {
            return Ok(folder);
        }
        let _making = self.making.lock();
        let mut gone = Errno::NOENT;
        for _attempt in 0..ATTEMPTS_MAX {
            match self.make(path) {
                Ok(folder) => return Ok(folder),
                Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {
                    self.forget(path);
                    gone = Errno::NOENT;
                }
                Err(error) => return Err(error),
            }
        }
        Err(gone.into())
    }

    /// Opens a folder only where it exists. It is not kept open: nobody knows whether it is durable in its parents, which
    /// only writers need.
    pub fn existing(&self, path: &str) -> io::Result<Option<Arc<Folder>>> {
        if let Some(folder) = self.cached(path) {
            return Ok(Some(folder));
        }
        match rustix::fs::openat(self.top(), path, FOLDER, Mode::empty()) {
            Ok(descriptor) => {
                Ok(Some(Arc::new(Folder { descriptor, group: GroupSync::default() })))
            }
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Closes a folder and its parents: one of them was found to be removed.
    pub fn forget(&self, path: &str) {
        let mut open = self.open.lock();
        let mut path = path;
        while !path.is_empty() {
            open.remove(path);
            path = parent(path).0;
        }
    }

    /// Removes a folder and its parents as far as they are empty. A removal that does not
    /// survive a crash leaves an empty folder, which is harmless.
    pub fn prune(&self, path: &str) {
        let mut path = path;
        while !path.is_empty() {
            if rustix::fs::unlinkat(self.top(), path, AtFlags::REMOVEDIR).is_err() {
                return;
            }
            self.open.lock().remove(path);
            path = parent(path).0;
        }
    }

    fn cached(&self, path: &str) -> Option<Arc<Folder>> {
        if path.is_empty() {
            return Some(self.top.clone());
        }
        self.open.lock().get(path).cloned()
    }

    /// Makes one folder below its parents. A folder that exists but is not cached may never have been flushed, so
    /// its parent is flushed in both cases.
    fn make(&self, path: &str) -> io::Result<Arc<Folder>> {
        if let Some(folder) = self.cached(path) {
            return Ok(folder);
        }
        let (above, name) = parent(path);
        let above = self.make(above)?;
        match rustix::fs::mkdirat(&above.descriptor, name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let descriptor = rustix::fs::openat(&above.descriptor, name, FOLDER, Mode::empty())?;
        above.sync()?;
        let folder = Arc::new(Folder { descriptor, group: GroupSync::default() });
        let mut open = self.open.lock();
        if open.len() >= self.open_max {
            open.clear();
        }
        open.insert(path.to_owned(), folder.clone());
        Ok(folder)
    }
}

/// Splits a path into its parent, empty at the top, and its last name.
fn parent(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Opens a folder by name below another, making it where it is missing.
pub fn open_or_make(above: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(above, name, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(rustix::fs::openat(above, name, FOLDER, Mode::empty())?)
}

/// Reads a folder below the tree through a callback: (name, whether it is a folder).
pub fn each_entry(top: &OwnedFd, path: &str, mut visit: impl FnMut(&str, bool)) -> io::Result<()> {
    let path = join(path, ".");
    let folder = match rustix::fs::openat(top, &path, FOLDER, Mode::empty()) {
        Ok(folder) => folder,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in rustix::fs::Dir::new(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        let kind = match entry.file_type() {
            rustix::fs::FileType::Unknown => {
                let stat =
                    rustix::fs::statat(top, format!("{path}/{name}"), AtFlags::SYMLINK_NOFOLLOW)?;
                rustix::fs::FileType::from_raw_mode(stat.st_mode)
            }
            known => known,
        };
        visit(name, kind.is_dir());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn tree() -> (tempfile::TempDir, Directories) {
        let folder = tempfile::tempdir().unwrap();
        let top = rustix::fs::open(folder.path(), FOLDER, Mode::empty()).unwrap();
        (folder, Directories::new(top))
    }

    #[test]
    fn a_removed_folder_is_made_anew() {
        let (folder, directories) = tree();
        let first = directories.ensure("a/b/c").unwrap();
        std::fs::remove_dir_all(folder.path().join("a")).unwrap();
        // The cache does not know yet: the caller's rename fails, and it says so.
        assert!(Arc::ptr_eq(&first, &directories.ensure("a/b/c").unwrap()));
        directories.forget("a/b/c");
        let second = directories.ensure("a/b/c").unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(folder.path().join("a/b/c").is_dir());
    }

    #[test]
    fn pruning_stops_at_what_is_in_use() {
        let (folder, directories) = tree();
        directories.ensure("a/b/c").unwrap();
        directories.ensure("a/d").unwrap();
        directories.prune("a/b/c");
        assert!(!folder.path().join("a/b").exists());
        assert!(folder.path().join("a/d").is_dir());
        assert!(directories.existing("a/b/c").unwrap().is_none());
        assert!(directories.existing("a/d").unwrap().is_some());
    }

    #[test]
    fn looking_at_folders_makes_none_and_keeps_none_open() {
        let (folder, directories) = tree();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        directories.ensure("kept").unwrap();
        assert!(directories.existing("a/b").unwrap().is_some());
        assert!(directories.existing("a/c/d").unwrap().is_none());
        assert!(!folder.path().join("a/c").exists());
        let open = directories.open.lock();
        assert_eq!(open.keys().collect::<Vec<_>>(), ["kept"]);
    }

    #[test]
    fn the_cache_of_open_folders_is_bounded() {
        let (_folder, directories) = tree();
        for number in 0..OPEN_MAX + 10 {
            directories.ensure(&format!("n{number}")).unwrap();
        }
        assert!(directories.open.lock().len() <= OPEN_MAX);
    }
}
