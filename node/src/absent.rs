//! Backends that are configured and could not be reached: a disk that is not mounted, most likely. The node runs without
//! them, says so, and tries again. A place that answers and holds another backend is a mistake, and refuses the start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use vaultaire_proto::BackendId;
use vaultaire_storage::backend::Backend;
use vaultaire_storage::config::BackendConfig;
use vaultaire_storage::error::{Class, Error as StorageError};
use vaultaire_storage::registry::{Opening, Registry, open};

use crate::error::Error;
use crate::metrics::Metrics;
use crate::reserve;
use crate::settings::NamedBackend;

/// Between two attempts.
pub const PAUSE: Duration = Duration::from_secs(5);

/// The backends that this node should have and has not.
#[derive(Debug)]
pub struct Absent {
    data_dir: PathBuf,
    backends: RwLock<BTreeMap<BackendId, Missing>>,
}

#[derive(Clone, Debug)]
struct Missing {
    named: NamedBackend,
    opening: Opening,
    why: String,
}

impl Absent {
    /// None yet.
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), backends: RwLock::default() }
    }

    /// Opens a backend. One that was in use before and cannot be reached now is noted instead.
    pub async fn open(
        &self,
        named: &NamedBackend,
        opening: Opening,
        registry: &Registry,
    ) -> Result<(), Error> {
        // Nothing was ever stored on a new one: its path or its endpoint is a mistake in the configuration.
        let in_use = opening.expect == vaultaire_storage::backends::identity::Expect::Ours;
        match self.open_now(named, opening.clone()).await {
            Ok(backend) => Ok(registry.insert(backend)?),
            Err(Error::Storage(error)) if in_use && is_unreachable(&error) => {
                let why = error.to_string();
                tracing::error!(backend = named.name, %error,
                    "a backend cannot be reached; the node runs without it and tries again, and requests for what lies on it are answered 503");
                let missing = Missing { named: named.clone(), opening, why };
                self.backends.write().insert(missing.opening.id, missing);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn open_now(
        &self,
        named: &NamedBackend,
        opening: Opening,
    ) -> Result<Arc<dyn Backend>, Error> {
        let backend = open(&named.config, opening).await?;
        match &named.config {
            BackendConfig::Disk(disk) => reserve::keep(backend, &disk.path, &self.data_dir)
                .map_err(|source| Error::file("look at the file system of", &disk.path, source)),
            BackendConfig::Memory(_) | BackendConfig::S3(_) => Ok(backend),
        }
    }

    /// Why a backend is not here; none where it is.
    pub fn why(&self, id: BackendId) -> Option<String> {
        self.backends.read().get(&id).map(|missing| missing.why.clone())
    }

    /// The same by its name, as an error.
    pub fn refuse(&self, name: &str) -> Result<(), Error> {
        let backends = self.backends.read();
        match backends.values().find(|missing| missing.named.name == name) {
            Some(missing) => {
                Err(Error::BackendAbsent { name: name.to_owned(), why: missing.why.clone() })
            }
            None => Ok(()),
        }
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.backends.read().values().map(|missing| missing.named.name.clone()).collect()
    }

    /// Tries each again.
    pub async fn step(&self, registry: &Registry, metrics: &Metrics) {
        let waiting: Vec<Missing> = self.backends.read().values().cloned().collect();
        for Missing { named, opening, why: before } in waiting {
            let id = opening.id;
            let opened = match self.open_now(&named, opening).await {
                Ok(backend) => registry.insert(backend).map_err(Error::from),
                Err(error) => Err(error),
            };
            match opened {
                Ok(()) => {
                    self.backends.write().remove(&id);
                    metrics.backend_opened(&named.name);
                    tracing::info!(backend = named.name, "a backend is reached again");
                }
                Err(error) => {
                    let why = error.to_string();
                    if why != before {
                        tracing::error!(backend = named.name, %error, "a backend still cannot be used");
                    }
                    if let Some(missing) = self.backends.write().get_mut(&id) {
                        missing.why = why;
                    }
                }
            }
        }
    }
}

/// Whether it may be there another time. An empty folder where a disk was is a mount point without its disk.
fn is_unreachable(error: &StorageError) -> bool {
    match error.class() {
        Class::Transient => true,
        Class::Operator => matches!(error, StorageError::IdentityMissing { .. }),
        Class::Missing | Class::Conflict | Class::Request | Class::Unknown | Class::Corrupt => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use vaultaire_storage::backends::identity::Expect;
    use vaultaire_storage::config::DiskConfig;

    use super::*;
    use crate::settings::Takes;

    fn disk(path: &Path) -> NamedBackend {
        let config = BackendConfig::Disk(DiskConfig { path: path.to_owned() });
        NamedBackend { name: "hot".to_owned(), config, takes: Takes::NewObjects }
    }

    fn opening(cluster: &str, expect: Expect) -> Opening {
        let (id, name) = (BackendId(1), "hot".to_owned());
        Opening { id, name, cluster: cluster.to_owned(), expect }
    }

    #[tokio::test]
    async fn what_was_in_use_may_come_back_and_what_is_anothers_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mnt").join("hot");
        let (absent, registry) = (Absent::new(folder.path()), Registry::default());
        let fresh = opening("c", Expect::FreshOrOurs);
        let refused = absent.open(&disk(&path), fresh.clone(), &registry).await;
        assert!(refused.is_err(), "a new backend whose parent is missing is a mistyped path");
        std::fs::create_dir(folder.path().join("mnt")).unwrap();
        absent.open(&disk(&path), fresh, &registry).await.unwrap();
        drop(registry.remove(BackendId(1)));
        // Its disk is not mounted: first the mount point is gone, then it is empty.
        let (aside, ours) = (folder.path().join("aside"), opening("c", Expect::Ours));
        std::fs::rename(folder.path().join("mnt"), &aside).unwrap();
        absent.open(&disk(&path), ours.clone(), &registry).await.unwrap();
        std::fs::create_dir_all(&path).unwrap();
        absent.open(&disk(&path), ours, &registry).await.unwrap();
        assert!(absent.why(BackendId(1)).unwrap().contains("mount the right one"));
        assert!(matches!(absent.refuse("hot"), Err(Error::BackendAbsent { .. })));
        let metrics = Metrics::default();
        absent.step(&registry, &metrics).await;
        assert!(registry.get(BackendId(1)).is_err());
        std::fs::remove_dir_all(folder.path().join("mnt")).unwrap();
        std::fs::rename(&aside, folder.path().join("mnt")).unwrap();
        absent.step(&registry, &metrics).await;
        assert_eq!(registry.get(BackendId(1)).unwrap().name(), "hot");
        assert!(absent.names().is_empty() && absent.refuse("hot").is_ok());
        drop(registry.remove(BackendId(1)));
        let other = absent.open(&disk(&path), opening("d", Expect::Ours), &registry).await;
        assert!(other.is_err(), "a disk of another cluster");
    }
}
