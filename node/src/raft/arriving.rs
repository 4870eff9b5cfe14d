//! Chunks of a snapshot on this node's disk. Where the way breaks they stay for a while, and the rest is asked for; what makes a
//! snapshot the same is the state that it is of, whoever sends it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vaultaire_proto::GroupId;

use super::log::disk::Disk;
use super::peers::Refusal;
use super::snapshot::{Received, Receiver};
use super::types::SnapshotMeta;
use crate::error::Error;
use crate::idle::{Idle, InUse};
use crate::machine::Machine;
use crate::place::Place;
use crate::tables::stream::Progress;

/// Snapshots are received one after another: each may fill a good part of a disk.
const SNAPSHOTS_AT_ONCE: usize = 1;

/// How long chunks stay whose rest does not come: by then the sender has let go of it, or has sent entries instead.
const IDLE_MAX: Duration = Duration::from_secs(120);

/// Where snapshots arrive.
pub struct Landing {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    pub place: Place,
    free: Arc<Semaphore>,
}

impl std::fmt::Debug for Landing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Landing").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Landing {
    /// Nothing was synced: what an earlier life left is fetched again. Blocks on the disk.
    pub fn clear(machine: &dyn Machine, folder: PathBuf) -> Result<Self, Error> {
        let (disk, place) = (machine.disk(), machine.place());
        disk.create_directory(&folder).map_err(|source| Error::file("create", &folder, source))?;
        let left = disk.list(&folder).map_err(|source| Error::file("list", &folder, source))?;
        for path in left.iter().map(|name| folder.join(name)) {
            disk.remove(&path).map_err(|source| Error::file("remove", &path, source))?;
        }
        Ok(Self { disk, folder, place, free: Arc::new(Semaphore::new(SNAPSHOTS_AT_ONCE)) })
    }

    /// A place for one snapshot.
    pub fn land(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.free).try_acquire_owned().map_err(|_| Refusal::Occupied)
    }

    fn path(&self, group: GroupId) -> PathBuf {
        self.folder.join(format!("group-{group}"))
    }

    /// What has come of a snapshot. Nothing, where it is of another state, or cannot be read.
    pub async fn progress(&self, group: GroupId, described: SnapshotMeta) -> Option<Progress> {
        let (disk, path) = (Arc::clone(&self.disk), self.path(group));
        let looked = self.place.run(move || Received::progress(&disk, &path, &described)).await;
        looked.ok().flatten()
    }

    /// Removes what has come: the disk that it should have been written to is full or worse.
    pub async fn discard(&self, group: GroupId) {
        let (disk, path) = (Arc::clone(&self.disk), self.path(group));
        let removed = self.place.run(move || disk.remove(&path)).await;
        tracing::warn!(%group, gone = ?removed, "what came of a snapshot could not be written, and is removed");
    }

    /// Takes chunks from `first` on.
    pub async fn open(
        &self,
        group: GroupId,
        first: u64,
        described: &SnapshotMeta,
    ) -> Result<Receiver, Refusal> {
        let (disk, path) = (Arc::clone(&self.disk), self.path(group));
        if first == 0 {
            let created = self.place.run(move || Receiver::create(disk, &path)).await;
            return Ok(created.map_err(super::peers::stopped)??);
        }
        let come = self.progress(group, described.clone()).await;
        let Some(come) = come.filter(|come| come.start.chunks == first) else {
            return Err(Refusal::OutOfStep);
        };
        let opened = self.place.run(move || Receiver::go_on(disk, &path, come.bytes)).await;
        Ok(opened.map_err(super::peers::stopped)??)
    }
}

/// What of one group lies there.
#[derive(Debug, Default)]
pub struct Arriving(Mutex<Option<Partial>>);

struct Partial {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Where they lie: free while nobody writes there.
    free: Arc<Semaphore>,
    idle: Idle,
}

impl std::fmt::Debug for Partial {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Partial").field(&self.path).finish()
    }
}

impl Arriving {
    /// Chunks come for as long as the guard is held.
    pub fn begin(&self, landing: &Landing, group: GroupId) -> InUse {
        let (disk, path) = (Arc::clone(&landing.disk), landing.path(group));
        let partial =
            Partial { disk, path, free: Arc::clone(&landing.free), idle: Idle::default() };
        self.0.lock().insert(partial).idle.uses()
    }

    /// All have come, or none is left.
    pub fn end(&self) {
        *self.0.lock() = None;
    }

    /// What nobody goes on with, and the place where it lies: nothing arrives there before it is removed.
    fn take_over(
        &self,
        is_over: impl FnOnce(&mut Partial) -> bool,
    ) -> Option<(Partial, OwnedSemaphorePermit)> {
        let mut partial = self.0.lock();
        let landed = Arc::clone(&partial.as_ref()?.free).try_acquire_owned().ok()?;
        Some((partial.take_if(is_over)?, landed))
    }

    /// Removes what nobody goes on with. To be called all the time.
    pub async fn look_after(&self, group: GroupId, place: &Place) {
        let is_over = |partial: &mut Partial| partial.idle.is_over(IDLE_MAX);
        let Some((Partial { disk, path, .. }, _landed)) = self.take_over(is_over) else {
            return;
        };
        let removed = place.run(move || disk.remove(&path)).await;
        tracing::info!(%group, gone = ?removed, "the rest of a snapshot does not come: what came of it is removed");
    }
}
