//! One group's rows: views of them, and the two ways they change (entries applied, or all of them replaced by a leader's
//! snapshot). What keeps them is the engine's business.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use vaultaire_proto::planted::{self, Planted};
use vaultaire_proto::steps::{self, Step};
use vaultaire_proto::tables::Pair;
use vaultaire_proto::{GroupId, RequestId};

use super::digest::{Digest, Digests};
use super::engine::{Engine, GroupRows, NewRows};
use super::meta::{Applied, META_KEY, Meta};
use super::pinned::Pins;
use super::recent::Recent;
use super::view::View;
use super::writer::{Job, Queued, Work};
use crate::error::Error;
use crate::place::Place;

/// The tables are closed: this node is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tables are closed")]
pub struct Closed;

/// The rows of one group.
pub struct Table {
    group: GroupId,
    engine: Arc<dyn Engine>,
    rows: Arc<dyn GroupRows>,
    directory: PathBuf,
    place: Place,
    applied: watch::Sender<Option<Applied>>,
    /// How far the last sync of this process went.
    durable: Mutex<Option<Applied>>,
    queue: mpsc::Sender<Queued>,
    /// Of the one who writes.
    pub(super) recent: Mutex<Recent>,
    digests: Arc<Digests>,
    pins: Arc<Pins>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Table").field("group", &self.group).finish_non_exhaustive()
    }
}

/// Where tables are, and the way to the one who writes them.
pub(super) struct Parts {
    pub engine: Arc<dyn Engine>,
    pub directory: PathBuf,
    pub place: Place,
    pub queue: mpsc::Sender<Queued>,
}

impl Table {
    pub(super) fn open(group: GroupId, parts: Parts) -> Result<Self, Error> {
        let Parts { engine, directory, place, queue } = parts;
        let table = Self {
            group,
            rows: engine.open(group)?,
            engine,
            directory,
            place,
            applied: watch::Sender::new(None),
            durable: Mutex::new(None),
            queue,
            recent: Mutex::default(),
            digests: Arc::default(),
            pins: Arc::default(),
        };
        let meta = table.meta_of(&table.view())?;
        table.publish(meta.applied);
        Ok(table)
    }

    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Where work on these rows that waits for the disk runs.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The newest rows, as of this call.
    pub fn view(&self) -> View {
        self.rows.view()
    }

    /// How far the rows of a view of this table have come.
    pub fn meta_of(&self, view: &View) -> Result<Meta, Error> {
        match view.meta() {
            Some(bytes) => Meta::decode(&bytes, &self.directory),
            None => Ok(Meta::default()),
        }
    }

    /// The last entry whose effects readers can see.
    pub fn applied(&self) -> Option<Applied> {
        *self.applied.borrow()
    }

    /// Returns once the effects of entry `index` can be seen.
    pub async fn wait_applied(&self, index: u64) -> Result<(), Closed> {
        let reached = |applied: &Option<Applied>| applied.is_some_and(|last| last.index >= index);
        let mut applied = self.applied.subscribe();
        applied.wait_for(reached).await.map(|_| ()).map_err(|_| Closed)
    }

    pub(super) fn publish(&self, applied: Option<Applied>) {
        self.applied.send_replace(applied);
    }

    /// Lets `work` be done by who writes; returns when its rows are written and `then` was called.
    pub async fn apply(self: &Arc<Self>, work: Work) -> Result<(), Closed> {
        let (done, finished) = oneshot::channel();
        let job = Job { table: Arc::clone(self), work, done };
        self.queue.send(Queued::Job(job)).await.map_err(|_| Closed)?;
        finished.await.map_err(|_| Closed)
    }

    /// Begins to digest the rows as they are now, beside everything else. Where one is under way there will be none for `request`.
    pub fn digest(&self, request: RequestId, index: u64) {
        if !self.digests.begin(request) {
            return tracing::debug!(group = %self.group, index, "rows are or were being digested");
        }
        let (view, place, digests) = (self.view(), self.place.clone(), Arc::clone(&self.digests));
        tokio::spawn(async move {
            let digest = place.run_aside(move || Digest::of(&view, request, index)).await;
            digests.made(digest.ok());
        });
    }

    /// The digest that the command `request` asked for, once it is made.
    pub fn digest_for(&self, request: RequestId) -> Option<Digest> {
        self.digests.find(request)
    }

    /// The view that a snapshot is sent of.
    pub fn pins(&self) -> &Arc<Pins> {
        &self.pins
    }

    /// Makes everything applied so far survive a power cut, and says how far that is. Blocks on the disk.
    pub fn persist(&self) -> Option<Applied> {
        // Read before the sync: what is applied meanwhile may have missed it.
        let applied = self.applied();
        self.engine.persist();
        steps::reach(Step::TablesPersisted);
        *self.durable.lock() = applied;
        applied
    }

    /// How far the rows are known to survive a power cut; nothing before this process synced them.
    pub fn durable(&self) -> Option<Applied> {
        *self.durable.lock()
    }

    /// Replaces all rows by `rows` (ascending). A crash at any point leaves the old ones or the new ones. Blocks on the disk;
    /// the caller sees to it that nothing is applied meanwhile.
    pub fn install(
        &self,
        meta: &Meta,
        mut rows: impl Iterator<Item = Result<Pair, Error>>,
    ) -> Result<(), Error> {
        match planted::is(Planted::InstallTorn) {
            true => self.install_over(meta, &mut rows)?,
            false => self.rows.install(meta, &mut rows)?,
        }
        self.recent.lock().clear();
        steps::reach(Step::RowsInstalled);
        self.publish(meta.applied);
        Ok(())
    }

    /// In pieces, and over what is there: only where that fault is planted.
    fn install_over(&self, meta: &Meta, rows: NewRows<'_>) -> Result<(), Error> {
        for row in rows {
            let (key, value) = row?;
            self.engine.write(vec![(self.group, vec![(key.to_vec(), Some(value))])]);
        }
        let meta = vec![(META_KEY.to_vec(), Some(Bytes::from(meta.encode())))];
        self.engine.write(vec![(self.group, meta)]);
        self.engine.persist();
        Ok(())
    }
}
