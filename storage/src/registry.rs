//! The backends of this node, by id and by name. Which of them an object should be on is decided elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use vaultaire_proto::BackendId;

use crate::backend::Backend;
use crate::backends::disk::{self, Disk};
use crate::backends::identity::Expect;
use crate::backends::memory::Memory;
use crate::backends::s3::{self, S3};
use crate::config::BackendConfig;
use crate::error::Error;

/// The backends that are open. Cheap to read; changed only when an operator adds or removes one.
#[derive(Debug, Default)]
pub struct Registry {
    backends: RwLock<BTreeMap<BackendId, Arc<dyn Backend>>>,
}

impl Registry {
    /// Adds a backend. Ids and names are unique.
    pub fn insert(&self, backend: Arc<dyn Backend>) -> Result<(), Error> {
        let mut backends = self.backends.write();
        let taken = |reason: &str| Error::Config {
            name: backend.name().to_owned(),
            reason: reason.to_owned(),
        };
        if backends.contains_key(&backend.id()) {
            return Err(taken("its id is taken; give it another"));
        }
        if backends.values().any(|other| other.name() == backend.name()) {
            return Err(taken("its name is taken; give it another"));
        }
        backends.insert(backend.id(), backend);
        Ok(())
    }

    /// Takes a backend out. Operations that hold it finish.
    pub fn remove(&self, id: BackendId) -> Option<Arc<dyn Backend>> {
        self.backends.write().remove(&id)
    }

    /// The backend that a placement refers to.
    pub fn get(&self, id: BackendId) -> Result<Arc<dyn Backend>, Error> {
        let found = self.backends.read().get(&id).cloned();
        found.ok_or_else(|| Error::UnknownBackend { name: id.to_string() })
    }

    /// The backend that an operator named.
    pub fn by_name(&self, name: &str) -> Result<Arc<dyn Backend>, Error> {
        let found = self.backends.read().values().find(|backend| backend.name() == name).cloned();
        found.ok_or_else(|| Error::UnknownBackend { name: name.to_owned() })
    }

    /// All of them, by id.
    pub fn all(&self) -> Vec<Arc<dyn Backend>> {
        self.backends.read().values().cloned().collect()
    }
}

/// What opening a backend needs beyond its configuration.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The id that the control group minted for it.
    pub id: BackendId,
    /// The name in the configuration.
    pub name: String,
    /// The cluster, as text.
    pub cluster: String,
    /// Whether the backend was in use before.
    pub expect: Expect,
}

/// Opens a backend as its configuration says.
pub async fn open(config: &BackendConfig, opening: Opening) -> Result<Arc<dyn Backend>, Error> {
    let Opening { id, name, cluster, expect } = opening;
    match config {
        BackendConfig::Disk(config) => {
            let path = config.path.clone();
            let disk = Disk::open(disk::Settings { id, name, path, cluster, expect }).await?;
            Ok(Arc::new(disk))
        }
        BackendConfig::Memory(_) => Ok(Arc::new(Memory::new(id, name))),
        BackendConfig::S3(config) => {
            let settings = s3::Settings { id, name, cluster, expect };
            Ok(Arc::new(S3::open(settings, config).await?))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::config::{DiskConfig, MemoryConfig};

    fn opening(id: u32, name: &str) -> Opening {
        Opening {
            id: BackendId(id),
            name: name.to_owned(),
            cluster: "c".to_owned(),
            expect: Expect::FreshOrOurs,
        }
    }

    #[tokio::test]
    async fn backends_are_found_by_id_and_name() {
        let registry = Registry::default();
        let folder = tempfile::tempdir().unwrap();
        let disk = BackendConfig::Disk(DiskConfig { path: folder.path().to_owned() });
        let memory = BackendConfig::Memory(MemoryConfig {});
        registry.insert(open(&disk, opening(1, "fast")).await.unwrap()).unwrap();
        registry.insert(open(&memory, opening(2, "slow")).await.unwrap()).unwrap();
        assert_eq!(registry.get(BackendId(1)).unwrap().name(), "fast");
        assert_eq!(registry.by_name("slow").unwrap().id(), BackendId(2));
        assert!(matches!(registry.get(BackendId(3)), Err(Error::UnknownBackend { .. })));
        for taken in [opening(1, "other"), opening(3, "slow")] {
            let again = open(&memory, taken).await.unwrap();
            assert!(matches!(registry.insert(again), Err(Error::Config { .. })));
        }
        assert_eq!(registry.all().len(), 2);
        assert!(registry.remove(BackendId(2)).is_some());
        assert!(registry.by_name("slow").is_err());
    }
}
