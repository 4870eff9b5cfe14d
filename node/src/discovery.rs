//! How commands find a running node: it writes its addresses and a bearer token into its data directory.
//! Calling it is `cli/client.rs`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::files::{self, Readers};
use crate::identity;
use crate::secrets::{self, Secret};

const FILE: &str = "node.json";
const TOKEN_FILE: &str = "admin.token";

/// What a running node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    pub pid: u32,
    pub version: String,
    pub s3_url: String,
    pub admin_url: String,
    pub http_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl Announcement {
    /// Tells commands where this node is.
    pub fn write(&self, data_dir: &Path) -> Result<(), Error> {
        files::write_json(&data_dir.join(FILE), self, Readers::Everyone)
    }

    /// Takes the announcement back; a crash leaves it, which `find` sees through.
    pub fn remove(data_dir: &Path) {
        let path = data_dir.join(FILE);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::debug!(%error, path = %path.display(), "the announcement was gone");
        }
    }
}

/// The node that runs on a data directory, and the token that it wants.
#[derive(Clone, Debug)]
pub struct Found {
    pub announcement: Announcement,
    pub token: Secret,
}

/// Finds the node of a data directory; `None` where none is running.
pub fn find(data_dir: &Path) -> Result<Option<Found>, Error> {
    // The file outlives a killed process, the lock does not.
    if !identity::is_held(data_dir) {
        return Ok(None);
    }
    let announcement: Option<Announcement> = files::read_json(&data_dir.join(FILE))?;
    let token = read_token(&data_dir.join(TOKEN_FILE))?;
    Ok(announcement.zip(token).map(|(announcement, token)| Found { announcement, token }))
}

/// Reads a token file.
pub fn read_token(path: &Path) -> Result<Option<Secret>, Error> {
    let bytes = files::read(path)?;
    let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    Ok(text.filter(|text| !text.is_empty()).map(Secret::new))
}

/// The token of a data directory, made once.
pub fn token(data_dir: &Path) -> Result<Secret, Error> {
    let path = data_dir.join(TOKEN_FILE);
    if let Some(token) = read_token(&path)? {
        return Ok(token);
    }
    let token = secrets::token();
    files::write(&path, format!("{}\n", token.expose()).as_bytes(), Readers::Owner)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::identity::DataDir;

    #[test]
    fn a_node_is_found_while_it_holds_its_directory_and_not_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find(folder.path()).unwrap().is_none());
        let held = DataDir::lock(folder.path()).unwrap();
        let made = token(folder.path()).unwrap();
        assert!(find(folder.path()).unwrap().is_none(), "it has not announced itself yet");
        let announcement = Announcement {
            pid: 1,
            version: "0".to_owned(),
            s3_url: "http://s3".to_owned(),
            admin_url: "http://admin".to_owned(),
            http_url: "http://http".to_owned(),
            ca_file: None,
        };
        announcement.write(folder.path()).unwrap();
        let found = find(folder.path()).unwrap().unwrap();
        assert_eq!((found.announcement, found.token), (announcement, made.clone()));
        assert_eq!(token(folder.path()).unwrap(), made, "the token stays");
        drop(held);
        assert!(find(folder.path()).unwrap().is_none(), "the file outlived its process");
    }
}
