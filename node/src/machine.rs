//! The machine under a node: what its log and its tables lie on, where work that waits for a disk runs, and how the node ends when
//! one of its groups has failed. Simulations bring machines whose disks lose, tear and refuse.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::files;
use crate::place::Place;
use crate::raft::log::disk::{Disk, Real};
use crate::raft::log::{Identity, Options};
use crate::tables::engine::Engine;
use crate::tables::on_disk::OnDisk;
use crate::tables::stream::CHUNK_BYTES;

/// Payloads of fresh entries kept for followers and for applying.
const JOURNAL_CACHE_BYTES: u64 = 16 << 20;

pub trait Machine: Debug + Send + Sync {
    /// Where the log's files are.
    fn disk(&self) -> Arc<dyn Disk>;
    /// How the log is written, by whom, and what its failure means.
    fn journal(&self, identity: Identity) -> Options;
    /// Opens what keeps the rows, in a directory. Blocks on the disk.
    fn tables(&self, directory: &Path) -> Result<Arc<dyn Engine>, Error>;
    fn place(&self) -> Place;
    /// How many bytes of rows a chunk of a snapshot has.
    fn snapshot_chunk_bytes(&self) -> usize {
        CHUNK_BYTES
    }
    /// A group has failed. This node can promise nothing any more: it ends here, as by a crash.
    fn end(&self, why: &str);
}

/// The one that this process runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(Real)
    }

    fn journal(&self, identity: Identity) -> Options {
        Options { cache_bytes: JOURNAL_CACHE_BYTES, ..Options::new(identity) }
    }

    fn tables(&self, directory: &Path) -> Result<Arc<dyn Engine>, Error> {
        files::create_private_dir(directory)
            .map_err(|source| Error::file("create", directory, source))?;
        Ok(Arc::new(OnDisk::open(directory)?))
    }

    fn place(&self) -> Place {
        Place::Threads
    }

    fn end(&self, _why: &str) {
        std::process::abort();
    }
}
