//! How a folder keeps its identity: a file beside the blobs. What an identity is, and why, is `backends/identity.rs`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::backend::Kind;
use crate::backends::identity::{Expect, Identity, NAME, Place};
use crate::error::Error;

const FILE_BEING_WRITTEN: &str = "identity.json.new";

/// Names that do not make a fresh folder a used one.
const IGNORED: [&str; 2] = ["lost+found", FILE_BEING_WRITTEN];

/// Proves that the folder is this backend, and makes a fresh one this backend where that is allowed.
pub fn establish(identity: &Identity, path: &Path, expect: Expect) -> Result<(), Error> {
    match verify(identity, path) {
        Err(Error::IdentityMissing { .. }) => {}
        settled => return settled,
    }
    let missing = |reason| identity.missing(&place(path), reason);
    match expect {
        Expect::Ours => Err(missing("the cluster has used this backend before")),
        Expect::FreshOrOurs if !is_fresh(identity, path)? => {
            Err(missing("the folder is not empty"))
        }
        Expect::FreshOrOurs => {
            write(identity, path).map_err(|error| failed(identity, "write", path, error))
        }
    }
}

/// Proves that the folder is this backend now.
pub fn verify(identity: &Identity, path: &Path) -> Result<(), Error> {
    match fs::read(path.join(NAME)) {
        Ok(text) => identity.verify(&text, &place(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(identity.missing(&place(path), "it was there before"))
        }
        Err(error) => Err(failed(identity, "read", path, error)),
    }
}

fn is_fresh(identity: &Identity, path: &Path) -> Result<bool, Error> {
    let entries = fs::read_dir(path).map_err(|error| failed(identity, "list", path, error))?;
    for entry in entries {
        let name = entry.map_err(|error| failed(identity, "list", path, error))?.file_name();
        if !IGNORED.iter().any(|ignored| name == *ignored) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Written aside and renamed: a crash leaves a fresh folder or a whole identity.
fn write(identity: &Identity, path: &Path) -> io::Result<()> {
    let aside = path.join(FILE_BEING_WRITTEN);
    let mut file = File::create(&aside)?;
    file.write_all(identity.to_text().as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, path.join(NAME))?;
    File::open(path)?.sync_all()
}

fn place(path: &Path) -> Place {
    Place { name: path.display().to_string(), kind: Kind::Disk }
}

fn failed(identity: &Identity, operation: &'static str, path: &Path, error: io::Error) -> Error {
    Error::path(identity.backend(), operation, &path.join(NAME), error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use vaultaire_proto::BackendId;

    fn ours() -> Identity {
        Identity::new("c1", BackendId(7))
    }

    #[test]
    fn a_fresh_folder_becomes_ours_and_stays_ours() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lost+found")).unwrap();
        fs::write(folder.path().join(FILE_BEING_WRITTEN), "torn by a crash").unwrap();
        establish(&ours(), folder.path(), Expect::FreshOrOurs).unwrap();
        establish(&ours(), folder.path(), Expect::FreshOrOurs).unwrap();
        establish(&ours(), folder.path(), Expect::Ours).unwrap();
        verify(&ours(), folder.path()).unwrap();
    }

    #[test]
    fn a_lost_disk_is_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let lost = establish(&ours(), folder.path(), Expect::Ours).unwrap_err();
        assert!(matches!(lost, Error::IdentityMissing { .. }), "{lost:?}");
        assert!(lost.to_string().contains("lost, not empty"));
        fs::write(folder.path().join("holiday.jpg"), "x").unwrap();
        let foreign = establish(&ours(), folder.path(), Expect::FreshOrOurs).unwrap_err();
        assert!(matches!(foreign, Error::IdentityMissing { .. }), "{foreign:?}");
    }

    #[test]
    fn another_backend_or_cluster_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        establish(&ours(), folder.path(), Expect::FreshOrOurs).unwrap();
        for other in [Identity::new("c1", BackendId(8)), Identity::new("c2", BackendId(7))] {
            let error = establish(&other, folder.path(), Expect::FreshOrOurs).unwrap_err();
            assert!(matches!(error, Error::IdentityMismatch { .. }), "{error:?}");
        }
    }

    #[test]
    fn later_formats_and_torn_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(NAME);
        fs::write(&file, r#"{"format_version": 2, "something": "else"}"#).unwrap();
        let newer = establish(&ours(), folder.path(), Expect::Ours).unwrap_err();
        assert!(matches!(newer, Error::FormatTooNew { found: 2, .. }), "{newer:?}");
        fs::write(&file, r#"{"format_version": 1, "clus"#).unwrap();
        let torn = establish(&ours(), folder.path(), Expect::FreshOrOurs).unwrap_err();
        assert!(matches!(torn, Error::Corrupt { .. }), "{torn:?}");
    }
}
