//! One body on its way to a key: a file in `incoming` that is renamed into its place once it is durable. Everything
//! here blocks and runs on blocking threads; `put.rs` decides when.

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use rustix::fs::{Advice, AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use tracing::warn;
use vaultaire_proto::BackendKey;

use super::directories::Folder;
use super::layout::Place;
use super::root::Root;
use crate::backend::Stored;
use crate::error::Error;

/// After how many bytes the kernel is asked to start writing: the fsync at the end then has little left to do.
const WRITEBACK_STEP_BYTES: u64 = 2 * 1024 * 1024;

/// How long ago, in bytes of the body, a writeback may have been started that has ended only now.
const WRITEBACK_LAG_BYTES: u64 = 16 * 1024 * 1024;

/// How often a rename is tried again because a delete removed the emptied folder just then.
const ATTEMPTS_MAX: usize = 8;

/// A file being written. Dropped before its commit, it is removed.
#[derive(Debug)]
pub struct Upload {
    root: Arc<Root>,
    name: String,
    file: File,
    size_bytes: u64,
    written_back_bytes: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Incoming,
    Gone,
}

impl Upload {
    /// Starts an empty file.
    pub fn create(root: &Arc<Root>) -> Result<Self, Error> {
        let name = root.incoming_name();
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = rustix::fs::openat(&root.incoming, &name, flags, Mode::from_raw_mode(0o600));
        let file = opened
            .map_err(|error| Error::file(root.id, "create", "an incoming file", error.into()))?;
        Ok(Self {
            root: root.clone(),
            name,
            file: File::from(file),
            size_bytes: 0,
            written_back_bytes: 0,
            state: State::Incoming,
        })
    }

    /// Appends; on failure the file is removed before this returns.
    pub fn write(mut self, key: &BackendKey, chunks: &[Bytes]) -> Result<Self, Error> {
        for chunk in chunks {
            if let Err(error) = self.file.write_all(chunk) {
                let failure = self.failed("write", key, error);
                self.remove();
                return Err(failure);
            }
            self.size_bytes += chunk.len() as u64;
        }
        self.start_writeback();
        Ok(self)
    }

    /// Copies a whole file behind what was written, by the kernel's cheapest way.
    pub fn write_file(mut self, key: &BackendKey, source: &File) -> Result<Self, Error> {
        match io::copy(&mut &*source, &mut self.file) {
            Ok(copied) => {
                self.size_bytes += copied;
                Ok(self)
            }
            Err(error) => {
                let failure = self.failed("copy", key, error);
                self.remove();
                Err(failure)
            }
        }
    }

    /// Makes the bytes durable and gives them their name, unless the name is taken or the caller went away.
    /// Whatever fails, the file is removed before this returns.
    pub fn commit(mut self, key: &BackendKey, fate: &Fate) -> Result<Stored, Error> {
        let place = Place::of(key);
        let published = self
            .file
            .sync_data()
            .map_err(|error| self.failed("flush", key, error))
            .and_then(|()| self.publish(key, &place));
        let folder = match published {
            Ok(folder) => folder,
            Err(error) => {
                self.remove();
                return Err(error);
            }
        };
        self.state = State::Gone;
        if let Err(error) = folder.sync() {
            withdraw(&folder, &place);
            return Err(self.failed("flush the folder of", key, error));
        }
        if !fate.settle() {
            withdraw(&folder, &place);
            return Err(Error::Stopped { operation: "put" });
        }
        Ok(Stored { size_bytes: self.size_bytes })
    }

    /// Removes the file.
    pub fn discard(mut self) {
        self.remove();
    }

    fn publish(&self, key: &BackendKey, place: &Place) -> Result<Arc<Folder>, Error> {
        for _attempt in 0..ATTEMPTS_MAX {
            let folder = self
                .root
                .directories
                .ensure(&place.folder)
                .map_err(|error| self.failed("make the folder of", key, error))?;
            match rename_to_free_name(&self.root.incoming, &self.name, &folder, &place.file) {
                Ok(()) => return Ok(folder),
                Err(Errno::EXIST) => {
                    return Err(Error::AlreadyExists { backend: self.root.id, key: key.clone() });
                }
                Err(Errno::NOENT) => self.root.directories.forget(&place.folder),
                Err(error) => return Err(self.failed("rename", key, error.into())),
            }
        }
        Err(self.failed("rename", key, Errno::NOENT.into()))
    }

    /// Asks the kernel to start writing what is dirty, and to forget what it has written meanwhile. A large body would
    /// push out of the page cache what is read, and its own pages are the cheapest to write the next ones into.
    fn start_writeback(&mut self) {
        let behind = self.size_bytes - self.written_back_bytes;
        if behind < WRITEBACK_STEP_BYTES {
            return;
        }
        let from = self.written_back_bytes.saturating_sub(WRITEBACK_LAG_BYTES);
        // The advice does both: it starts the writeback of what is dirty without waiting for it, and drops what is clean.
        let _advice = rustix::fs::fadvise(
            &self.file,
            from,
            NonZeroU64::new(self.size_bytes - from),
            Advice::DontNeed,
        );
        self.written_back_bytes = self.size_bytes;
    }

    fn remove(&mut self) {
        self.state = State::Gone;
        if let Err(error) = rustix::fs::unlinkat(&self.root.incoming, &self.name, AtFlags::empty())
        {
            warn!(backend = %self.root.id, name = self.name, %error, "an unfinished body stays until the next start");
        }
    }

    fn failed(&self, operation: &'static str, key: &BackendKey, error: io::Error) -> Error {
        Error::file(self.root.id, operation, key.as_str(), error)
    }
}

impl Drop for Upload {
    /// Reached with the file still there only when the future of a put was dropped. Removing a large
    /// file takes long, so it is not done on the thread that happens to drop it.
    fn drop(&mut self) {
        if self.state == State::Gone {
            return;
        }
        let (root, name) = (self.root.clone(), std::mem::take(&mut self.name));
        let remove = move || {
            if let Err(error) = rustix::fs::unlinkat(&root.incoming, &name, AtFlags::empty()) {
                warn!(backend = %root.id, name, %error, "an abandoned body stays until the next start");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(handle) => drop(handle.spawn_blocking(remove)),
            Err(_no_runtime) => remove(),
        }
    }
}

/// Who decided first: the blocking thread that the blob is there, or the caller that it went away.
#[derive(Debug, Default)]
pub struct Fate(AtomicU8);

const OPEN: u8 = 0;
const SETTLED: u8 = 1;
const ABANDONED: u8 = 2;

impl Fate {
    /// The blob is durable. False where the caller is gone and the blob must go too.
    fn settle(&self) -> bool {
        self.0.compare_exchange(OPEN, SETTLED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The caller is gone. True where the blob is there already, and the caller has to remove it.
    pub fn abandon(&self) -> bool {
        self.0.compare_exchange(OPEN, ABANDONED, Ordering::AcqRel, Ordering::Acquire).is_err()
    }
}

/// Takes back a name that was given a moment ago. Only the winner of the name does this.
fn withdraw(folder: &Folder, place: &Place) {
    if let Err(error) = rustix::fs::unlinkat(&folder.descriptor, &place.file, AtFlags::empty()) {
        warn!(file = place.file, %error, "an unacknowledged blob stays until its epoch is swept");
    }
}

/// Renames without replacing. Where the file system cannot, a hard link refuses a taken name as well.
fn rename_to_free_name(
    from: &std::os::fd::OwnedFd,
    name: &str,
    folder: &Folder,
    file: &str,
) -> Result<(), Errno> {
    let to = &folder.descriptor;
    match rustix::fs::renameat_with(from, name, to, file, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            rustix::fs::linkat(from, name, to, file, AtFlags::empty())?;
            rustix::fs::unlinkat(from, name, AtFlags::empty())
        }
        settled => settled,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::super::Settings;
    use super::*;
    use crate::backends::identity::Expect;
    use vaultaire_proto::BackendId;

    fn root(folder: &std::path::Path) -> Arc<Root> {
        let settings = Settings {
            id: BackendId(1),
            name: "disk".to_owned(),
            path: folder.to_owned(),
            cluster: "c".to_owned(),
            expect: Expect::FreshOrOurs,
        };
        Arc::new(Root::open(&settings).unwrap())
    }

    #[test]
    fn a_full_disk_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let root = root(folder.path());
        let key = BackendKey::parse("w/c/1").unwrap();
        let mut upload = Upload::create(&root).unwrap();
        // Every write to this device fails with ENOSPC, from the kernel itself.
        upload.file = File::options().write(true).open("/dev/full").unwrap();
        let error = upload.write(&key, &[Bytes::from_static(b"x")]).unwrap_err();
        assert!(matches!(error, Error::Full { .. }), "{error:?}");
        assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
    }

    #[test]
    fn an_abandoned_commit_takes_its_name_back() {
        let folder = tempfile::tempdir().unwrap();
        let root = root(folder.path());
        let key = BackendKey::parse("w/c/1").unwrap();
        let fate = Fate::default();
        assert!(!fate.abandon(), "nothing was there yet");
        let upload =
            Upload::create(&root).unwrap().write(&key, &[Bytes::from_static(b"x")]).unwrap();
        let error = upload.commit(&key, &fate).unwrap_err();
        assert!(matches!(error, Error::Stopped { .. }), "{error:?}");
        assert!(!folder.path().join("blobs/w/c/@1").exists());

        let fate = Fate::default();
        let upload =
            Upload::create(&root).unwrap().write(&key, &[Bytes::from_static(b"x")]).unwrap();
        upload.commit(&key, &fate).unwrap();
        assert!(fate.abandon(), "the caller learns that the blob is there and removes it");
    }

    #[test]
    fn a_folder_removed_under_the_writer_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let root = root(folder.path());
        let key = BackendKey::parse("w/c/1").unwrap();
        root.directories.ensure("w/c").unwrap();
        std::fs::remove_dir_all(folder.path().join("blobs/w")).unwrap();
        let upload =
            Upload::create(&root).unwrap().write(&key, &[Bytes::from_static(b"x")]).unwrap();
        assert_eq!(upload.commit(&key, &Fate::default()).unwrap().size_bytes, 1);
        assert_eq!(std::fs::read(folder.path().join("blobs/w/c/@1")).unwrap(), b"x");
    }
}
