//! One group's rows: which keyspace holds them, views of them, and the two ways they change (entries applied, or all of them
//! replaced by a leader's snapshot).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use vaultaire_proto::GroupId;
use vaultaire_proto::tables::Pair;

use super::meta::{Applied, META_KEY, Meta};
use super::view::View;
use super::writer::{Job, Queued, Work};
use super::{engine, persist, pointer};
use crate::advice;
use crate::error::Error;

/// Rows kept in memory before they are flushed, per group: with five groups this bounds them to some 80 MiB.
const MEMTABLE_BYTES: u64 = 8 << 20;

/// The first install of a group; a leader's snapshot makes the next one.
const FIRST_INSTALL: u64 = 1;

/// The tables are closed: this node is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tables are closed")]
pub struct Closed;

/// The rows of one group.
pub struct Table {
    group: GroupId,
    database: Database,
    directory: PathBuf,
    current: ArcSwap<Keyspace>,
    /// Number of the current install; locked while the next one is being made.
    install: Mutex<u64>,
    applied: watch::Sender<Option<Applied>>,
    /// How far the last sync of this process went.
    durable: Mutex<Option<Applied>>,
    queue: mpsc::Sender<Queued>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Table").field("group", &self.group).finish_non_exhaustive()
    }
}

impl Table {
    /// Finds the group's current keyspace, and removes what a crash left of others.
    pub(super) fn open(
        group: GroupId,
        database: &Database,
        directory: &Path,
        queue: mpsc::Sender<Queued>,
    ) -> Result<Self, Error> {
        let install = match pointer::read(directory, group)? {
            Some(install) if database.keyspace_exists(&name(group, install)) => install,
            Some(install) => return Err(missing(directory, group, install)),
            None => {
                refuse_rows_without_pointer(database, directory, group)?;
                remove_others(database, group, None)?;
                create(database, &name(group, FIRST_INSTALL))?;
                persist(database);
                pointer::write(directory, group, FIRST_INSTALL)?;
                FIRST_INSTALL
            }
        };
        remove_others(database, group, Some(install))?;
        let keyspace = create(database, &name(group, install))?;
        let table = Self {
            group,
            database: database.clone(),
            directory: directory.to_owned(),
            current: ArcSwap::from_pointee(keyspace),
            install: Mutex::new(install),
            applied: watch::Sender::new(None),
            durable: Mutex::new(None),
            queue,
        };
        let meta = table.meta_of(&table.view())?;
        table.publish(meta.applied);
        Ok(table)
    }

    pub fn group(&self) -> GroupId {
        self.group
    }

    /// The newest rows, as of this call.
    pub fn view(&self) -> View {
        self.view_in(&self.database)
    }

    pub(super) fn view_in(&self, database: &Database) -> View {
        let keyspace = self.keyspace();
        View::new(keyspace, database.snapshot())
    }

    pub(super) fn keyspace(&self) -> Keyspace {
        Keyspace::clone(&self.current.load())
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

    /// Runs `work` on the writing thread; returns when its rows are written and `then` was called.
    pub async fn apply(self: &Arc<Self>, work: Work) -> Result<(), Closed> {
        let (done, finished) = oneshot::channel();
        let job = Job { table: Arc::clone(self), work, done };
        self.queue.send(Queued::Job(job)).await.map_err(|_| Closed)?;
        finished.await.map_err(|_| Closed)
    }

    /// Makes everything applied so far survive a power cut, and says how far that is. Blocks on the disk.
    pub fn persist(&self) -> Option<Applied> {
        // Read before the sync: what is applied meanwhile may have missed it.
        let applied = self.applied();
        persist(&self.database);
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
        rows: impl Iterator<Item = Result<Pair, Error>>,
    ) -> Result<(), Error> {
        let mut install = self.install.lock();
        let next = install.saturating_add(1);
        let keyspace = create(&self.database, &name(self.group, next))?;
        if let Err(error) = ingest(&keyspace, meta, rows) {
            self.remove(keyspace);
            return Err(error);
        }
        persist(&self.database);
        pointer::write(&self.directory, self.group, next)?;
        *install = next;
        let old = self.current.swap(Arc::new(keyspace));
        self.publish(meta.applied);
        self.remove(Keyspace::clone(&old));
        Ok(())
    }

    /// Its files go when the last reader does; one that stays behind is removed at the next start.
    fn remove(&self, keyspace: Keyspace) {
        if let Err(error) = self.database.delete_keyspace(keyspace) {
            tracing::warn!(group = %self.group, %error, "an unused keyspace stays until the next start");
        }
    }
}

fn name(group: GroupId, install: u64) -> String {
    format!("group-{group}-{install}")
}

fn create(database: &Database, name: &str) -> Result<Keyspace, Error> {
    let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
    database.keyspace(name, options).map_err(|error| engine("opening a group's tables", &error))
}

fn ingest(
    keyspace: &Keyspace,
    meta: &Meta,
    rows: impl Iterator<Item = Result<Pair, Error>>,
) -> Result<(), Error> {
    let fail = |error: fjall::Error| engine("installing a snapshot", &error);
    let mut ingestion = keyspace.start_ingestion().map_err(fail)?;
    ingestion.write(META_KEY, meta.encode()).map_err(fail)?;
    let mut last = bytes::Bytes::from_static(META_KEY);
    for row in rows {
        let (key, value) = row?;
        if key <= last {
            return Err(Error::Engine {
                what: "installing a snapshot",
                why: "its rows are not in order; fetch it again".to_owned(),
            });
        }
        ingestion.write(key.clone(), value).map_err(fail)?;
        last = key;
    }
    ingestion.finish().map_err(fail)
}

/// The group's keyspaces, whichever of them counts.
fn keyspaces_of(database: &Database, group: GroupId) -> impl Iterator<Item = String> {
    let prefix = format!("group-{group}-");
    let names = database.list_keyspace_names().into_iter().map(|name| name.to_string());
    names.filter(move |name| name.starts_with(&prefix))
}

/// The pointer is written before the first row. So rows without one are not what a crash left behind: the file was lost.
fn refuse_rows_without_pointer(
    database: &Database,
    directory: &Path,
    group: GroupId,
) -> Result<(), Error> {
    for found in keyspaces_of(database, group) {
        let meta = create(database, &found)?.get(META_KEY);
        if meta.map_err(|error| engine("reading a group's tables", &error))?.is_some() {
            return Err(Error::Damaged {
                path: pointer::path(directory, group),
                problem: format!("missing, though there are rows of its group in {found}"),
                advice: advice::RESTORE,
            });
        }
    }
    Ok(())
}

/// What a crash between the steps of a creation or an install left behind.
fn remove_others(database: &Database, group: GroupId, keep: Option<u64>) -> Result<(), Error> {
    let keep = keep.map(|install| name(group, install));
    for found in keyspaces_of(database, group) {
        if Some(&found) == keep.as_ref() {
            continue;
        }
        tracing::info!(%group, keyspace = %found, "removing rows that were never put to use");
        let keyspace = create(database, &found)?;
        database
            .delete_keyspace(keyspace)
            .map_err(|error| engine("removing a group's unused tables", &error))?;
    }
    Ok(())
}

fn missing(directory: &Path, group: GroupId, install: u64) -> Error {
    Error::Damaged {
        path: pointer::path(directory, group),
        problem: format!("pointing to install {install}, whose rows are gone"),
        advice: advice::RESTORE,
    }
}
