//! Whose data directory this is: one process at a time (a lock), one cluster for ever (an identity file).
//! It creates and checks the directory; what the other files in it mean is told by their modules.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vaultaire_proto::{ClusterId, NodeId};

use crate::error::Error;
use crate::files::{self, Readers};

/// The format of the data directory as a whole. Journal and tables carry versions of their own.
pub const FORMAT: u32 = 1;

/// Made first and never removed: where it is, the directory is ours, however far a start came.
const LOCK: &str = "vaultaire.lock";
const IDENTITY: &str = "identity.json";

/// There while a first start has not come to its end. No client was served yet, so what lies beside it
/// may be made anew.
const FOUNDING: &str = "founding";

/// There where `cluster init` was run and no node has started yet, and ever after.
const INITIALISED: &str = "initialised";

/// There from a join until the first start after it.
const JOINING: &str = "joining";

/// What a founding makes.
const FOUNDED: [&str; 3] = ["journal", "tables", "snapshots"];

/// How long a lock is waited for that only somebody who looks can hold.
const LOCK_WAIT: Duration = Duration::from_secs(1);
const LOCK_POLL: Duration = Duration::from_millis(10);

/// What an empty file system has.
const EMPTY: &str = "lost+found";

/// What the identity file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub format: u32,
    cluster: String,
    node: u64,
    /// Whether the first user and bucket were made: no later start makes them again, whoever deleted them.
    #[serde(default)]
    first_made: bool,
    /// Whether the node was let into a cluster that others had founded.
    #[serde(default)]
    joined: bool,
    /// Whether the node has no log and no rows.
    #[serde(default)]
    gateway: bool,
}

impl Identity {
    /// The cluster this directory belongs to.
    pub fn cluster(&self, data_dir: &Path) -> Result<ClusterId, Error> {
        ClusterId::parse(&self.cluster).map_err(|invalid| Error::Damaged {
            path: data_dir.join(IDENTITY),
            problem: invalid.to_string(),
            advice: "restore it from a backup of the data directory",
        })
    }

    /// The node whose directory it is.
    pub fn node(&self) -> NodeId {
        NodeId(self.node)
    }

    /// Whether the first start has come to its end.
    pub fn first_made(&self) -> bool {
        self.first_made
    }

    /// Whether the node was let into a cluster that others had founded.
    pub fn joined(&self) -> bool {
        self.joined
    }

    /// Whether the node has no log and no rows.
    pub fn gateway(&self) -> bool {
        self.gateway
    }

    fn of(cluster: ClusterId) -> Self {
        let (format, cluster) = (FORMAT, cluster.to_string());
        Self { format, cluster, node: 1, first_made: false, joined: false, gateway: false }
    }
}

/// A data directory that this process holds. Dropping it lets another process in.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory where it is missing, and locks it.
    pub fn lock(path: &Path) -> Result<Self, Error> {
        let unwritable = |source| Error::DataDirUnwritable { path: path.to_owned(), source };
        files::create_private_dir(path).map_err(unwritable)?;
        refuse_foreign(path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut lock = options.open(path.join(LOCK)).map_err(unwritable)?;
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                // A command that looks whether a node runs holds it for a moment.
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(LOCK_POLL)
                }
                Err(TryLockError::WouldBlock) => {
                    let holder = holder_of(&mut lock);
                    return Err(Error::DataDirInUse { path: path.to_owned(), holder });
                }
                Err(TryLockError::Error(source)) => return Err(unwritable(source)),
            }
        }
        lock.set_len(0).map_err(unwritable)?;
        writeln!(lock, "{}", std::process::id()).map_err(unwritable)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The identity, if a node has ever started here.
    pub fn identity(&self) -> Result<Option<Identity>, Error> {
        let path = self.path.join(IDENTITY);
        let identity: Option<Identity> = files::read_json(&path)?;
        match identity {
            Some(Identity { format, .. }) if format > FORMAT => Err(Error::DataDirNewer {
                path: self.path.clone(),
                found: format,
                supported: FORMAT,
            }),
            Some(identity) => Ok(Some(identity)),
            None => Ok(None),
        }
    }

    /// Before the first file of a cluster is made. Where an earlier attempt was cut short, its rest goes:
    /// half a journal or half a database may be one that nothing can open.
    pub fn begin_founding(&self) -> Result<(), Error> {
        let marker = self.path.join(FOUNDING);
        let made = FOUNDED.map(|name| self.path.join(name));
        if marker.exists() {
            for folder in made.iter().filter(|folder| folder.exists()) {
                tracing::info!(folder = %folder.display(), "an earlier first start was cut short: making it anew");
                fs::remove_dir_all(folder)
                    .map_err(|source| Error::file("remove", folder, source))?;
            }
            return Ok(());
        }
        // Without the marker it is a journal that lost its identity file: kept, never made anew.
        match made.iter().any(|folder| folder.exists()) {
            true => Ok(()),
            false => files::write(&marker, b"", Readers::Everyone),
        }
    }

    /// Makes the directory a cluster's for ever. What an identity promises (journal, tables, the key of
    /// secrets) must be there already.
    pub fn found(&self, cluster: ClusterId) -> Result<(), Error> {
        files::write_json(&self.path.join(IDENTITY), &Identity::of(cluster), Readers::Everyone)?;
        self.end_founding()
    }

    /// Allows the next start to found a cluster that has peers. Where a cluster's node has started, nothing does.
    pub fn allow_founding(&self) -> Result<(), Error> {
        self.refuse_used()?;
        files::write(&self.path.join(INITIALISED), b"", Readers::Everyone)
    }

    /// A directory that belongs to a cluster, or may found one, joins and founds no other.
    pub fn refuse_used(&self) -> Result<(), Error> {
        let what = match self.identity()? {
            Some(identity) => {
                format!("is node {} of cluster {} already", identity.node, identity.cluster)
            }
            None if self.may_found() => "was made a cluster's first node already".to_owned(),
            None => return Ok(()),
        };
        let path = self.path.display();
        Err(Error::Usage(format!(
            "{path} {what}; start it with `vaultaire server`, or choose an empty directory"
        )))
    }

    /// Whether a start may found a cluster that has peers.
    pub fn may_found(&self) -> bool {
        self.path.join(INITIALISED).exists()
    }

    /// Makes the directory that of a node that was let into a cluster. What an identity promises must be there already: of a
    /// gateway no log.
    pub fn join(&self, cluster: ClusterId, node: NodeId, gateway: bool) -> Result<(), Error> {
        if !gateway {
            files::write(&self.path.join(JOINING), b"", Readers::Everyone)?;
        }
        let (node, first_made, joined) = (node.0, true, true);
        let identity = Identity { node, first_made, joined, gateway, ..Identity::of(cluster) };
        files::write_json(&self.path.join(IDENTITY), &identity, Readers::Everyone)
    }

    /// Whether no start has come since the node was let in: then, and only then, an empty log is no lost one.
    pub fn is_joining(&self) -> bool {
        self.path.join(JOINING).exists()
    }

    /// The log is there from now on: this node may promise others something.
    pub fn end_joining(&self) -> Result<(), Error> {
        self.remove_marker(JOINING)
    }

    /// Takes the marker of a founding away. A crash may leave it beside the identity; if that file were lost later, the
    /// marker would say that journal and tables are nobody's.
    pub fn end_founding(&self) -> Result<(), Error> {
        self.remove_marker(FOUNDING)
    }

    fn remove_marker(&self, name: &str) -> Result<(), Error> {
        let marker = self.path.join(name);
        let fail = |source| Error::file("remove", &marker, source);
        match fs::remove_file(&marker) {
            Ok(()) => File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(fail),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(fail(source)),
        }
    }

    /// Notes that the first user and bucket were made, before anybody can be served who might delete them.
    pub fn note_first_made(&self) -> Result<(), Error> {
        let Some(identity) = self.identity()? else {
            return Err(Error::Damaged {
                path: self.path.join(IDENTITY),
                problem: "missing".to_owned(),
                advice: "restore it from a backup of the data directory",
            });
        };
        let made = Identity { first_made: true, ..identity };
        files::write_json(&self.path.join(IDENTITY), &made, Readers::Everyone)
    }
}

/// Whether some process holds the directory.
pub fn is_held(path: &Path) -> bool {
    let Ok(lock) = File::open(path.join(LOCK)) else {
        return false;
    };
    // Shared, so that two who look at the same time do not take each other for a node.
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}

fn holder_of(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.take(32).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!("process {}", text.trim()),
        Ok(_) | Err(_) => "another process".to_owned(),
    }
}

/// Files of somebody else are left alone: a mistyped path must not be filled with ours.
fn refuse_foreign(path: &Path) -> Result<(), Error> {
    if path.join(LOCK).exists() {
        return Ok(());
    }
    let entries = fs::read_dir(path).map_err(|source| Error::file("read", path, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| Error::file("read", path, source))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != EMPTY {
            return Err(Error::DataDirForeign { path: path.to_owned(), found: name });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn one_process_at_a_time_and_the_same_cluster_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        assert!(!is_held(&path));
        let held = DataDir::lock(&path).unwrap();
        assert!(is_held(&path));
        assert!(held.identity().unwrap().is_none());
        let cluster = ClusterId([7; 16]);
        held.found(cluster).unwrap();
        let error = DataDir::lock(&path).unwrap_err().to_string();
        let me = format!("process {}", std::process::id());
        assert!(error.contains(&me) && error.contains("--data-dir"), "{error}");
        drop(held);
        assert!(!is_held(&path));
        let again = DataDir::lock(&path).unwrap();
        let identity = again.identity().unwrap().unwrap();
        assert_eq!(identity.cluster(&path).unwrap(), cluster);
    }

    #[test]
    fn only_a_founding_that_was_cut_short_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataDir::lock(folder.path()).unwrap();
        let journal = folder.path().join("journal");
        held.begin_founding().unwrap();
        fs::create_dir(&journal).unwrap();
        held.begin_founding().unwrap();
        assert!(!journal.exists(), "half a founding is made anew");
        fs::create_dir(&journal).unwrap();
        held.found(ClusterId([7; 16])).unwrap();
        fs::remove_file(folder.path().join(IDENTITY)).unwrap();
        held.begin_founding().unwrap();
        assert!(journal.exists(), "a cluster that lost its identity file is kept");
    }

    #[test]
    fn those_who_look_disturb_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        drop(DataDir::lock(&path).unwrap());
        let one = File::open(path.join(LOCK)).unwrap();
        one.try_lock_shared().unwrap();
        assert!(!is_held(&path), "somebody else who looks is no node");
        let looking = thread::spawn(move || {
            thread::sleep(LOCK_WAIT / 4);
            drop(one);
        });
        DataDir::lock(&path).unwrap();
        looking.join().unwrap();
    }

    #[test]
    fn a_marker_that_a_crash_left_beside_the_identity_is_harmless() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataDir::lock(folder.path()).unwrap();
        held.begin_founding().unwrap();
        let journal = folder.path().join("journal");
        fs::create_dir(&journal).unwrap();
        held.found(ClusterId([7; 16])).unwrap();
        // What a crash between the two steps of `found` leaves.
        fs::write(folder.path().join(FOUNDING), b"").unwrap();
        held.end_founding().unwrap();
        fs::remove_file(folder.path().join(IDENTITY)).unwrap();
        held.begin_founding().unwrap();
        assert!(journal.exists(), "a cluster that lost its identity file is kept");
    }

    #[test]
    fn the_first_start_is_noted_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataDir::lock(folder.path()).unwrap();
        assert!(held.note_first_made().is_err());
        held.found(ClusterId([7; 16])).unwrap();
        assert!(!held.identity().unwrap().unwrap().first_made());
        held.note_first_made().unwrap();
        let identity = held.identity().unwrap().unwrap();
        assert!(identity.first_made());
        assert_eq!(identity.cluster(folder.path()).unwrap(), ClusterId([7; 16]));
    }

    #[test]
    fn a_newer_format_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataDir::lock(folder.path()).unwrap();
        let newer = Identity { format: FORMAT + 1, ..Identity::of(ClusterId([7; 16])) };
        files::write_json(&folder.path().join(IDENTITY), &newer, Readers::Everyone).unwrap();
        let error = held.identity().unwrap_err();
        assert!(matches!(error, Error::DataDirNewer { found, .. } if found == FORMAT + 1));
    }

    #[test]
    fn a_folder_with_other_files_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), b"mine").unwrap();
        let error = DataDir::lock(folder.path()).unwrap_err().to_string();
        assert!(error.contains("thesis.tex"), "{error}");
        assert!(!folder.path().join(LOCK).exists());
    }
}
