//! Rows on this machine's disk: one keyspace per group and install, snapshots for everybody who reads.
//!
//! A failed sync leaves pages that the kernel calls clean and the disk never got. Trying again would succeed for nothing, and the
//! log would be purged up to rows that are not there: so whatever fails here stops the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use parking_lot::{Mutex, RwLock};
use vaultaire_proto::GroupId;
use vaultaire_proto::tables::Pair;

use super::engine::{Change, Engine, GroupRows, NewRows, Snapshot};
use super::meta::{META_KEY, Meta};
use super::view::View;
use super::{pointer, stop_process, tail};
use crate::advice;
use crate::error::Error;
use crate::open_files;

/// Rows kept in memory before they are flushed, per group. All groups' together are bounded by the journals that hold them too.
const MEMTABLE_BYTES: u64 = 16 << 20;

/// The first install of a group; a leader's snapshot makes the next one.
const FIRST_INSTALL: u64 = 1;

/// Blocks kept in memory, shared by all groups. Metadata is not meant to fit; what is hot is.
const CACHE_BYTES: u64 = 64 << 20;

/// The smallest that fjall allows: more would only make a start after a crash slower.
const JOURNALS_BYTES_MAX: u64 = 64 << 20;

/// Flushing and compaction run beside one writing thread. With more than one, fjall keeps the first for flushes: while another
/// compacts, that one takes the next compaction from the queue and puts it back again and again, and so fills a core.
const WORKER_THREADS: usize = 1;

/// How long a lock that another holder is about to give back is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_POLL: Duration = Duration::from_millis(10);

/// All groups' rows in one directory.
pub struct OnDisk {
    pub(super) database: Database,
    directory: PathBuf,
    groups: RwLock<BTreeMap<GroupId, Arc<Current>>>,
}

impl OnDisk {
    /// Opens the rows, or creates them where there are none. Blocks on the disk.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let rows = directory.join("rows");
        let opened = match open(&rows) {
            Err(fjall::Error::JournalRecovery(_)) if tail::cut(&rows, directory)? => open(&rows),
            opened => opened,
        };
        let database = opened.map_err(|error| engine("opening the tables", &error))?;
        Ok(Self { database, directory: directory.to_owned(), groups: RwLock::default() })
    }
}

impl Engine for OnDisk {
    /// Finds the group's current keyspace, and removes what a crash left of others.
    fn open(&self, group: GroupId) -> Result<Arc<dyn GroupRows>, Error> {
        let (database, directory) = (&self.database, self.directory.as_path());
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
        let rows = Arc::new(Current {
            group,
            database: database.clone(),
            directory: directory.to_owned(),
            keyspace: ArcSwap::from_pointee(keyspace),
            install: Mutex::new(install),
        });
        self.groups.write().insert(group, Arc::clone(&rows));
        Ok(rows)
    }

    fn write(&self, batch: Vec<Change>) {
        let mut rows = self.database.batch();
        for (group, writes) in batch {
            let Some(keyspace) = self.groups.read().get(&group).map(|current| current.keyspace())
            else {
                stop_process("write applied rows", &"of a group that was never opened");
            };
            for (key, value) in writes {
                match value {
                    Some(value) => rows.insert(&keyspace, key, value.as_ref()),
                    None => rows.remove(&keyspace, key),
                }
            }
        }
        if let Err(error) = rows.commit() {
            stop_process("write applied rows", &error);
        }
    }

    fn persist(&self) {
        persist(&self.database);
    }
}

/// One group's keyspace that counts.
struct Current {
    group: GroupId,
    database: Database,
    directory: PathBuf,
    keyspace: ArcSwap<Keyspace>,
    /// Its number; locked while the next one is being made.
    install: Mutex<u64>,
}

impl Current {
    fn keyspace(&self) -> Keyspace {
        Keyspace::clone(&self.keyspace.load())
    }

    /// Its files go when the last reader does; one that stays behind is removed at the next start.
    fn remove(&self, keyspace: Keyspace) {
        if let Err(error) = self.database.delete_keyspace(keyspace) {
            tracing::warn!(group = %self.group, %error, "an unused keyspace stays until the next start");
        }
    }
}

impl GroupRows for Current {
    /// The keyspace is looked up before the snapshot is taken: then an install in between is seen whole or not at all.
    fn view(&self) -> View {
        let keyspace = self.keyspace();
        View::new(Arc::new(Moment { keyspace, snapshot: self.database.snapshot() }))
    }

    fn install(&self, meta: &Meta, rows: NewRows<'_>) -> Result<(), Error> {
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
        let old = self.keyspace.swap(Arc::new(keyspace));
        self.remove(Keyspace::clone(&old));
        Ok(())
    }
}

/// A keyspace as of one moment.
struct Moment {
    keyspace: Keyspace,
    snapshot: fjall::Snapshot,
}

impl Snapshot for Moment {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        match self.snapshot.get(&self.keyspace, key) {
            Ok(value) => value.map(|value| Bytes::copy_from_slice(&value)),
            Err(error) => stop_process("read a row", &error),
        }
    }

    fn range(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Box<dyn DoubleEndedIterator<Item = Pair> + Send> {
        Box::new(self.snapshot.range::<&[u8], _>(&self.keyspace, (from, to)).map(pair))
    }
}

fn pair(row: fjall::Guard) -> Pair {
    match row.into_inner() {
        Ok((key, value)) => (Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)),
        Err(error) => stop_process("read a row of a range", &error),
    }
}

/// A process that is just ending, or a node that was just stopped in this one, may hold the lock a little longer.
fn open(path: &Path) -> Result<Database, fjall::Error> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        let opened = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .max_cached_files(Some(super::files_max(open_files::limit())))
            .worker_threads(WORKER_THREADS)
            .open();
        match opened {
            Err(fjall::Error::Locked) if Instant::now() < deadline => std::thread::sleep(LOCK_POLL),
            opened => return opened,
        }
    }
}

fn persist(database: &Database) {
    if let Err(error) = database.persist(PersistMode::SyncAll) {
        stop_process("sync the tables", &error);
    }
}

/// A failure of the library beneath, with its causes.
fn engine(what: &'static str, error: &fjall::Error) -> Error {
    let why = match error {
        fjall::Error::Locked => "another process has them open; stop it first".to_owned(),
        other => format!("{other}; {}", advice::RESTORE),
    };
    Error::Engine { what, why }
}

fn name(group: GroupId, install: u64) -> String {
    format!("group-{group}-{install}")
}

fn create(database: &Database, name: &str) -> Result<Keyspace, Error> {
    let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
    database.keyspace(name, options).map_err(|error| engine("opening a group's tables", &error))
}

fn ingest(keyspace: &Keyspace, meta: &Meta, rows: NewRows<'_>) -> Result<(), Error> {
    let fail = |error: fjall::Error| engine("installing a snapshot", &error);
    let mut ingestion = keyspace.start_ingestion().map_err(fail)?;
    ingestion.write(META_KEY, meta.encode()).map_err(fail)?;
    let mut last = Bytes::from_static(META_KEY);
    for row in rows {
        let (key, value) = row?;
        if key <= last {
            return Err(Error::Engine {
                what: "installing a snapshot",
                why: "its rows are not in order; fetch it again".to_owned(),
            });
        }
        ingestion.write(key.as_ref(), value.as_ref()).map_err(fail)?;
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
