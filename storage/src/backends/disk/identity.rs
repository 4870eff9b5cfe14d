//! Whose disk this is. A folder that should hold a backend and has no identity is a lost or unmounted
//! disk: opening it as an empty one would let a sweep conclude that every blob is gone.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use vaultaire_proto::BackendId;

use crate::error::Error;

/// The version of the folder's layout that this release writes, and the newest that it reads.
const FORMAT_VERSION: u32 = 1;

const FILE: &str = "identity.json";
const FILE_BEING_WRITTEN: &str = "identity.json.new";

/// Names that do not make a fresh folder a used one.
const IGNORED: [&str; 2] = ["lost+found", FILE_BEING_WRITTEN];

/// What the opener knows about the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The backend is being added: an empty folder becomes it.
    FreshOrOurs,
    /// The backend was opened before: a folder without identity is a lost disk.
    Ours,
}

/// The content of the identity file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    format_version: u32,
    cluster_id: String,
    backend_id: u32,
}

/// Read before everything else, since a later version may have other fields.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

impl Identity {
    /// The identity that a backend of a cluster must have.
    pub fn new(cluster: &str, backend: BackendId) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            cluster_id: cluster.to_owned(),
            backend_id: backend.0,
        }
    }

    /// Proves that the folder is this backend, and makes a fresh one this backend where that is allowed.
    pub fn establish(&self, path: &Path, expect: Expect) -> Result<(), Error> {
        match self.verify(path) {
            Err(Error::IdentityMissing { .. }) => {}
            settled => return settled,
        }
        let missing = |reason| Error::IdentityMissing { path: path.to_owned(), reason };
        match expect {
            Expect::Ours => Err(missing("the cluster has used this backend before")),
            Expect::FreshOrOurs if !self.is_fresh(path)? => Err(missing("the folder is not empty")),
            Expect::FreshOrOurs => {
                self.write(path).map_err(|error| self.failed("write", path, error))
            }
        }
    }

    /// Proves that the folder is this backend now.
    pub fn verify(&self, path: &Path) -> Result<(), Error> {
        let text = match fs::read(path.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::IdentityMissing {
                    path: path.to_owned(),
                    reason: "it was there before",
                });
            }
            Err(error) => return Err(self.failed("read", path, error)),
        };
        let found = parse(&text, path)?;
        if found == *self {
            return Ok(());
        }
        Err(Error::IdentityMismatch {
            path: path.to_owned(),
            expected: self.describe(),
            found: found.describe(),
        })
    }

    fn is_fresh(&self, path: &Path) -> Result<bool, Error> {
        let entries = fs::read_dir(path).map_err(|error| self.failed("list", path, error))?;
        for entry in entries {
            let name = entry.map_err(|error| self.failed("list", path, error))?.file_name();
            if !IGNORED.iter().any(|ignored| name == *ignored) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Written aside and renamed: a crash leaves a fresh folder or a whole identity.
    fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        let aside = path.join(FILE_BEING_WRITTEN);
        let mut file = File::create(&aside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&aside, path.join(FILE))?;
        File::open(path)?.sync_all()
    }

    fn describe(&self) -> String {
        format!("backend {} of cluster {}", self.backend_id, self.cluster_id)
    }

    fn failed(&self, operation: &'static str, path: &Path, error: io::Error) -> Error {
        Error::path(BackendId(self.backend_id), operation, &path.join(FILE), error)
    }
}

fn parse(text: &[u8], path: &Path) -> Result<Identity, Error> {
    let corrupt = |error: serde_json::Error| Error::Corrupt {
        subject: path.join(FILE).display().to_string(),
        reason: error.to_string(),
    };
    let Version { format_version } = serde_json::from_slice(text).map_err(corrupt)?;
    if format_version > FORMAT_VERSION {
        let path = path.to_owned();
        return Err(Error::FormatTooNew { path, found: format_version, supported: FORMAT_VERSION });
    }
    serde_json::from_slice(text).map_err(corrupt)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn ours() -> Identity {
        Identity::new("c1", BackendId(7))
    }

    #[test]
    fn a_fresh_folder_becomes_ours_and_stays_ours() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lost+found")).unwrap();
        fs::write(folder.path().join(FILE_BEING_WRITTEN), "torn by a crash").unwrap();
        ours().establish(folder.path(), Expect::FreshOrOurs).unwrap();
        ours().establish(folder.path(), Expect::FreshOrOurs).unwrap();
        ours().establish(folder.path(), Expect::Ours).unwrap();
        ours().verify(folder.path()).unwrap();
    }

    #[test]
    fn a_lost_disk_is_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let lost = ours().establish(folder.path(), Expect::Ours).unwrap_err();
        assert!(matches!(lost, Error::IdentityMissing { .. }), "{lost:?}");
        assert!(lost.to_string().contains("lost, not empty"));
        fs::write(folder.path().join("holiday.jpg"), "x").unwrap();
        let foreign = ours().establish(folder.path(), Expect::FreshOrOurs).unwrap_err();
        assert!(matches!(foreign, Error::IdentityMissing { .. }), "{foreign:?}");
    }

    #[test]
    fn another_backend_or_cluster_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        ours().establish(folder.path(), Expect::FreshOrOurs).unwrap();
        for other in [Identity::new("c1", BackendId(8)), Identity::new("c2", BackendId(7))] {
            let error = other.establish(folder.path(), Expect::FreshOrOurs).unwrap_err();
            assert!(matches!(error, Error::IdentityMismatch { .. }), "{error:?}");
        }
    }

    #[test]
    fn later_formats_and_torn_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        fs::write(&file, r#"{"format_version": 2, "something": "else"}"#).unwrap();
        let newer = ours().establish(folder.path(), Expect::Ours).unwrap_err();
        assert!(matches!(newer, Error::FormatTooNew { found: 2, .. }), "{newer:?}");
        fs::write(&file, r#"{"format_version": 1, "clus"#).unwrap();
        let torn = ours().establish(folder.path(), Expect::FreshOrOurs).unwrap_err();
        assert!(matches!(torn, Error::Corrupt { .. }), "{torn:?}");
    }
}
