//! A folder on a local file system as a backend. What is here survives a crash of the process and of the machine
//! from the moment `put` returns. It keeps no attributes (the catalog's blob rows are kept for life
//! on node disks) and no checksums: whoever reads whole blobs verifies them (`pipeline/verify.rs`).
//!
//! ```text
//! identity.json     whose disk this is; a disk without it is lost, not empty
//! incoming/<n>      bodies being written; emptied when the disk is opened
//! blobs/<key>       the key's own path, its last segment marked with `@`
//! ```

pub mod directories;
mod group_sync;
mod identity;
mod layout;
mod list;
mod put;
mod read;
mod root;
mod upload;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use vaultaire_proto::{BackendId, BackendKey};

use crate::backend::{
    Attributes, AttributesKept, Backend, ByteStream, Capabilities, Info, Kind, LIST_PAGE_MAX,
    Listed, Object, Stored, WriteOnce,
};
use crate::backends::identity::Expect;
use crate::error::Error;
use root::{Lane, Root};

/// Where a disk is and what it should be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The backend's id.
    pub id: BackendId,
    /// The backend's name.
    pub name: String,
    /// The folder. Its parent must exist.
    pub path: PathBuf,
    /// The cluster that owns it, as text.
    pub cluster: String,
    /// Whether a fresh folder may become this backend.
    pub expect: Expect,
}

/// A folder on a local file system.
#[derive(Debug)]
pub struct Disk {
    name: String,
    root: Arc<Root>,
}

impl Disk {
    /// Opens the folder, proves that it is the right one and removes what a crash left half written.
    pub async fn open(settings: Settings) -> Result<Self, Error> {
        let name = settings.name.clone();
        let opened = tokio::task::spawn_blocking(move || Root::open(&settings)).await;
        let root = opened.map_err(|_stopped| Error::Stopped { operation: "open the disk" })??;
        Ok(Self { name, root: Arc::new(root) })
    }
}

#[async_trait]
impl Backend for Disk {
    fn id(&self) -> BackendId {
        self.root.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        Kind::Disk
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { write_once: WriteOnce::Atomic, attributes: AttributesKept::No }
    }

    async fn put(
        &self,
        key: &BackendKey,
        _attributes: &Attributes,
        size_hint: Option<u64>,
        body: ByteStream,
    ) -> Result<Stored, Error> {
        put::put(&self.root, key, size_hint, body).await
    }

    async fn get(&self, key: &BackendKey, range: Option<Range<u64>>) -> Result<Object, Error> {
        read::get(&self.root, key, range).await
    }

    async fn head(&self, key: &BackendKey) -> Result<Info, Error> {
        let (_file, size_bytes) = read::open(&self.root, key).await?;
        Ok(Info { size_bytes })
    }

    async fn delete(&self, key: &BackendKey) -> Result<(), Error> {
        let key = key.clone();
        self.root.blocking(Lane::Write, "delete", move |root| root.remove(&key)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&BackendKey>,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        let (prefix, after) = (prefix.to_owned(), after.cloned());
        let limit = limit.min(LIST_PAGE_MAX);
        self.root
            .blocking(Lane::Read, "list", move |root| {
                list::page(root, &prefix, after.as_ref(), limit)
            })
            .await
    }

    async fn copy(&self, from: &BackendKey, to: &BackendKey) -> Result<Stored, Error> {
        put::copy(&self.root, from, to).await
    }

    async fn identify(&self) -> Result<(), Error> {
        self.root.blocking(Lane::Read, "identify", Root::identify).await
    }

    async fn check(&self) -> Result<(), Error> {
        self.root.blocking(Lane::Write, "check", Root::check).await
    }
}
