//! The seam between the journal and the file system: few operations, each of which can fail and
//! says so. `Real` is the file system; `simulated` loses, tears and refuses. Retries and policy are
//! not here: the journal decides what a failure means.

pub mod simulated;

use std::any::Any;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};

use crate::files;

/// Name of the file whose lock says that a journal is open.
const LOCK_NAME: &str = "lock";

/// Keeps a directory locked while it lives.
pub type Lock = Box<dyn Any + Send + Sync>;

pub trait Disk: Send + Sync {
    /// Creates the directory and its parents if missing, durably.
    fn create_directory(&self, directory: &Path) -> io::Result<()>;
    /// Refuses when another journal holds it.
    fn lock(&self, directory: &Path) -> io::Result<Lock>;
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// An empty file, also where one was.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in the directory durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

pub trait File: Send + Sync {
    fn size_bytes(&self) -> io::Result<u64>;
    /// Reserves space and sets the size, so that later writes change no metadata.
    fn allocate(&self, size_bytes: u64) -> io::Result<()>;
    /// Fills the whole buffer or fails.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all bytes or fails.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes written bytes, and the size if it changed, durable.
    fn sync(&self) -> io::Result<()>;
}

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Real;

impl Disk for Real {
    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        files::create_private_dir(directory)
    }

    fn lock(&self, directory: &Path) -> io::Result<Lock> {
        let mut options = OpenOptions::new();
        let file =
            options.create(true).truncate(false).write(true).open(directory.join(LOCK_NAME))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            let reason = "another process has this journal open: stop it first";
            match error {
                rustix::io::Errno::WOULDBLOCK => {
                    io::Error::new(io::ErrorKind::ResourceBusy, reason)
                }
                error => error.into(),
            }
        })?;
        Ok(Box::new(file))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<std::fs::DirEntry>| {
            Ok(entry?.file_name().to_string_lossy().into_owned())
        };
        std::fs::read_dir(directory)?.map(name).collect()
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        std::fs::File::open(directory)?.sync_all()
    }
}

struct RealFile(std::fs::File);

impl File for RealFile {
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn allocate(&self, size_bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, size_bytes) {
            // The file system cannot reserve; the zeros written next take the space.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                self.0.set_len(size_bytes)
            }
            other => other.map_err(io::Error::from),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
