//! A snapshot as openraft hands it around: a lazy handle on a view of the tables where it is made, a checked file where it
//! arrives. Nothing is copied until chunks are asked for, and nobody holds more than one chunk in memory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use openraft::RaftSnapshotBuilder;

use super::codec;
use super::log::disk::{Disk, File};
use super::types::{Snapshot, SnapshotMeta, TypeConfig};
use crate::error::Error;
use crate::idle::InUse;
use crate::tables::meta::Meta;
use crate::tables::pinned::Pins;
use crate::tables::stream::{self, Chunks, FRAME_BYTES, Progress, Start};
use crate::tables::table::Table;
use crate::tables::view::View;

/// The rows of a snapshot, wherever they are.
#[derive(Debug)]
pub enum SnapshotData {
    /// On this node: they stay as they are for as long as this is held.
    View { view: View, meta: Meta, pins: Arc<Pins> },
    /// From another node.
    Received(Received),
}

/// Checked chunk by chunk as they are taken.
pub type ChunkResults = Box<dyn Iterator<Item = Result<Bytes, Error>> + Send>;

impl SnapshotData {
    /// The chunks to install.
    pub fn chunks(&self) -> Result<ChunkResults, Error> {
        match self {
            Self::View { view, meta, .. } => Ok(Box::new(Chunks::new(view, meta).map(Ok))),
            Self::Received(received) => Ok(Box::new(received.chunks()?)),
        }
    }

    /// The chunks to send from `start` on. What came from another node is not sent on.
    pub fn chunks_from(&self, start: Start, chunk_bytes: usize) -> Result<ChunkResults, Error> {
        match self {
            Self::View { view, meta, .. } => {
                Ok(Box::new(Chunks::from(view, meta, start, chunk_bytes).map(Ok)))
            }
            Self::Received(_) => Err(Error::Engine {
                what: "sending a snapshot",
                why: "it came from another node; this is a bug, please report it".to_owned(),
            }),
        }
    }

    /// Keeps it for the next attempt, for as long as the guard is held and for a while.
    pub fn pin(&self) -> Option<InUse> {
        match self {
            Self::View { view, meta, pins } => Some(pins.pin(view, meta)),
            Self::Received(_) => None,
        }
    }
}

/// A file of chunks that came from another node, whole and checked. It goes when this is dropped: a
/// snapshot that was not installed is fetched again.
pub struct Received {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Received").field(&self.path).finish()
    }
}

impl Received {
    fn chunks(&self) -> Result<impl Iterator<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        chunks_of(&*self.disk, &self.path)
    }

    /// What has come of a snapshot of this state. Blocks on the disk.
    pub fn progress(
        disk: &Arc<dyn Disk>,
        path: &Path,
        described: &SnapshotMeta,
    ) -> Option<Progress> {
        let come = stream::progress(chunks_of(&**disk, path).ok()?)?;
        let is_same = describe(&come.meta).is_ok_and(|found| found == *described);
        is_same.then_some(come)
    }
}

fn chunks_of(
    disk: &dyn Disk,
    path: &Path,
) -> Result<impl Iterator<Item = Result<Bytes, Error>> + Send + use<>, Error> {
    let path = path.to_owned();
    let open = |source| Error::file("open", &path, source);
    let file = disk.open(&path).map_err(open)?;
    let mut rest = Rest { at: 0, bytes: file.size_bytes().map_err(open)?, file, path };
    Ok(std::iter::from_fn(move || rest.chunk().transpose()))
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Err(error) = self.disk.remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a received snapshot stays behind; remove the file by hand");
        }
    }
}

/// A snapshot that is still arriving. What has come stays where this is dropped: the rest may be asked for.
pub struct Receiver {
    file: Arc<dyn File>,
    bytes: u64,
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Receiver {
    /// Takes chunks in the order in which they were made.
    pub fn create(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, Error> {
        let file = disk.create(path).map_err(|source| Error::file("create", path, source))?;
        Ok(Self { file, bytes: 0, disk, path: path.to_owned() })
    }

    /// The same behind so many bytes that have come. What may lie behind them is a part of what comes, and shorter.
    pub fn go_on(disk: Arc<dyn Disk>, path: &Path, bytes: u64) -> Result<Self, Error> {
        let file = disk.open(path).map_err(|source| Error::file("open", path, source))?;
        Ok(Self { file, bytes, disk, path: path.to_owned() })
    }

    /// Keeps a chunk. It is checked when all have come.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let written = self.file.write_at(chunk, self.bytes);
        written.map_err(|source| Error::file("write", &self.path, source))?;
        self.bytes += chunk.len() as u64;
        Ok(())
    }

    /// Checks what came, to its end, against what its leader announced. Raft takes a failed install for a failed disk and
    /// gives the group up; a bad transfer must end here, where it can be fetched again. Blocks on the disk.
    ///
    /// No sync: rows are synced where they are installed, and after a crash a snapshot is fetched again.
    pub fn finish(self, described: &SnapshotMeta) -> Result<Received, Error> {
        let broken = |why: String| Error::Engine { what: "a received snapshot", why };
        let received = Received { disk: self.disk, path: self.path };
        let meta = stream::verify(received.chunks()?)?;
        let found = describe(&meta).map_err(|error| broken(error.to_string()))?;
        if found != *described {
            return Err(broken(
                "it holds another state than its leader announced; fetch it again".to_owned(),
            ));
        }
        Ok(received)
    }
}

/// What is still to be read of a received file.
struct Rest {
    file: Arc<dyn File>,
    path: PathBuf,
    at: u64,
    bytes: u64,
}

impl Rest {
    fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let mut frame = [0; FRAME_BYTES];
        if self.bytes.saturating_sub(self.at) < FRAME_BYTES as u64 {
            return Ok(None);
        }
        self.read(&mut frame)?;
        let payload_bytes = stream::payload_bytes(&frame)?;
        let mut chunk = BytesMut::zeroed(FRAME_BYTES + payload_bytes);
        let (head, payload) = chunk.split_at_mut(FRAME_BYTES);
        head.copy_from_slice(&frame);
        self.read(payload)?;
        Ok(Some(chunk.freeze()))
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), Error> {
        let read = self.file.read_at(into, self.at);
        read.map_err(|source| Error::file("read", &self.path, source))?;
        self.at += into.len() as u64;
        Ok(())
    }
}

/// Raft's description of what a view holds.
pub fn describe(meta: &Meta) -> io::Result<SnapshotMeta> {
    Ok(SnapshotMeta {
        last_log_id: meta.applied.map(codec::log_id),
        last_membership: codec::decode_stored(&meta.membership).map_err(io::Error::other)?,
    })
}

/// A snapshot of everything that a view of `table` holds.
pub fn of(table: &Table, view: View, meta: Meta) -> io::Result<Snapshot> {
    let pins = Arc::clone(table.pins());
    Ok(Snapshot { meta: describe(&meta)?, snapshot: SnapshotData::View { view, meta, pins } })
}

/// Makes what has been applied durable: only then may the log before it be purged.
#[derive(Debug)]
pub struct Builder {
    table: Arc<Table>,
    view: View,
}

impl Builder {
    /// The snapshot will be of this moment.
    pub fn new(table: &Arc<Table>) -> Self {
        Self { table: Arc::clone(table), view: table.view() }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let table = Arc::clone(&self.table);
        let synced = self.table.place().run(move || table.persist()).await;
        synced.map_err(io::Error::other)?;
        let meta = self.table.meta_of(&self.view).map_err(io::Error::other)?;
        of(&self.table, self.view.clone(), meta)
    }
}
