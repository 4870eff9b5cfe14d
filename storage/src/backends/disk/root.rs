//! The open disk: its descriptors, its lock, and the way from async callers to blocking file operations.
//! How a blob is written, read and listed is in the files beside this one.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use tokio::sync::Semaphore;
use tracing::{info, warn};
use vaultaire_proto::{BackendId, BackendKey};

use super::directories::{Directories, each_entry, open_or_make};
use super::layout::Place;
use super::{Settings, identity, read};
use crate::backends::identity::Identity;
use crate::error::Error;

/// How many file operations of one disk may hold a blocking thread at once. More wait as tasks,
/// which are cheap. Reads have threads of their own: writers spend their time waiting for the disk.
const WRITES_MAX: usize = 128;
const READS_MAX: usize = 64;

/// A process that was just stopped may need a moment to let go of the lock.
const LOCK_ATTEMPTS_MAX: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// An open disk.
#[derive(Debug)]
pub struct Root {
    /// The backend's id, for errors.
    pub id: BackendId,
    /// The folders of the blobs.
    pub directories: Directories,
    /// The folder of bodies that are being written.
    pub incoming: OwnedFd,
    /// Whether reads may try the page cache before they take a blocking thread.
    pub tries_cache: AtomicBool,
    /// How files are opened for reading.
    pub read_flags: OFlags,
    path: PathBuf,
    identity: Identity,
    next_incoming: AtomicU64,
    writes: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    /// Held for its lock.
    _lock: File,
}

/// Whose threads an operation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Whatever waits for the disk to be durable.
    Write,
    /// Whatever only reads.
    Read,
}

impl Root {
    /// Opens and locks the folder, proves its identity and empties `incoming`. Blocks.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let failed = |operation: &'static str| {
            let path = settings.path.clone();
            let id = settings.id;
            move |error: io::Error| Error::path(id, operation, &path, error)
        };
        make_folder(&settings.path).map_err(failed("make"))?;
        let lock = File::open(&settings.path).map_err(failed("open"))?;
        take_lock(&lock, settings)?;
        let identity = Identity::new(&settings.cluster, settings.id);
        identity::establish(&identity, &settings.path, settings.expect)?;

        let top = OwnedFd::from(lock.try_clone().map_err(failed("open"))?);
        let incoming = open_or_make(&top, "incoming").map_err(failed("open incoming in"))?;
        let blobs = open_or_make(&top, "blobs").map_err(failed("open blobs in"))?;
        lock.sync_all().map_err(failed("flush"))?;
        remove_leftovers(&incoming, settings)?;
        let read_flags = read::flags(&top);
        let tries_cache = AtomicBool::new(read::cache_can_be_tried(&top, read_flags));
        Ok(Self {
            id: settings.id,
            directories: Directories::new(blobs),
            incoming,
            tries_cache,
            read_flags,
            path: settings.path.clone(),
            identity,
            next_incoming: AtomicU64::new(0),
            writes: Arc::new(Semaphore::new(WRITES_MAX)),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            _lock: lock,
        })
    }

    /// Runs a file operation on a blocking thread, within the bound of this disk.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        lane: Lane,
        operation: &'static str,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let stopped = Error::Stopped { operation };
        let lanes = match lane {
            Lane::Write => &self.writes,
            Lane::Read => &self.reads,
        };
        let Ok(lane) = lanes.clone().acquire_owned().await else {
            return Err(stopped);
        };
        let root = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let outcome = work(&root);
            drop(lane);
            outcome
        });
        task.await.unwrap_or(Err(stopped))
    }

    /// A name in `incoming` that no other body has.
    pub fn incoming_name(&self) -> String {
        self.next_incoming.fetch_add(1, Ordering::Relaxed).to_string()
    }

    /// Removes a blob durably, and its folders where they are empty now.
    pub fn remove(&self, key: &BackendKey) -> Result<(), Error> {
        let place = Place::of(key);
        let failed = |error: io::Error| Error::file(self.id, "delete", key.as_str(), error);
        let Some(folder) = self.directories.existing(&place.folder).map_err(failed)? else {
            return Ok(());
        };
        match rustix::fs::unlinkat(&folder.descriptor, &place.file, AtFlags::empty()) {
            // Already gone, yet perhaps not durably: a deletion is repeated when its process was killed before this flush.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(failed(error.into())),
        }
        // A blob that came back with a crash would be known to nobody.
        folder.sync().map_err(failed)?;
        self.directories.prune(&place.folder);
        Ok(())
    }

    /// Proves that the path still leads to this disk.
    pub fn identify(&self) -> Result<(), Error> {
        identity::verify(&self.identity, &self.path)
    }

    /// Proves that the path still leads to this disk, and that it can be written.
    pub fn check(&self) -> Result<(), Error> {
        self.identify()?;
        let failed = |error: Errno| Error::path(self.id, "write to", &self.path, error.into());
        let name = self.incoming_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        rustix::fs::openat(&self.incoming, &name, flags, Mode::from_raw_mode(0o600))
            .map_err(failed)?;
        rustix::fs::unlinkat(&self.incoming, &name, AtFlags::empty()).map_err(failed)
    }
}

/// Makes the folder, but not its parents: a missing parent is most likely a missing mount. The parent is flushed also
/// where the folder exists: an earlier start may have been killed right after it made it.
fn make_folder(path: &std::path::Path) -> io::Result<()> {
    let made = match std::fs::create_dir(path) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(std::path::Path::new("."));
    match File::open(above).and_then(|above| above.sync_all()) {
        // Where we may not look into the parent, somebody else made the folder.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !made => Ok(()),
        outcome => outcome,
    }
}

fn take_lock(folder: &File, settings: &Settings) -> Result<(), Error> {
    for _attempt in 0..LOCK_ATTEMPTS_MAX {
        match rustix::fs::flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::sleep(LOCK_PAUSE),
            Err(error) => {
                return Err(Error::path(settings.id, "lock", &settings.path, error.into()));
            }
        }
    }
    Err(Error::InUse { path: settings.path.clone() })
}

/// Bodies that a crash cut off. They were never acknowledged, and nothing refers to them.
fn remove_leftovers(incoming: &OwnedFd, settings: &Settings) -> Result<(), Error> {
    let failed = |error: io::Error| Error::path(settings.id, "clean", &settings.path, error);
    let mut names = Vec::new();
    each_entry(incoming, "", |name, is_folder| {
        if !is_folder {
            names.push(name.to_owned());
        }
    })
    .map_err(failed)?;
    for name in &names {
        if let Err(error) = rustix::fs::unlinkat(incoming, name, AtFlags::empty()) {
            warn!(backend = %settings.id, name, %error, "an unfinished body could not be removed");
            return Err(failed(error.into()));
        }
    }
    if !names.is_empty() {
        info!(backend = %settings.id, count = names.len(), "removed bodies that a crash left unfinished");
    }
    Ok(())
}
