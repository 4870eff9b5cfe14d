//! Which backends take new objects, and which of all backends failed a moment ago. It is told by whoever knows (node, and
//! the requests themselves); what follows from it is `place`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;
use vaultaire_proto::BackendId;
use vaultaire_proto::object::{Blob, Location};
use vaultaire_proto::row::Copies;
use vaultaire_storage::error::{Class, Error as StorageError};
use vaultaire_storage::registry::Registry;

use crate::place::upkeep::{self, Step};
use crate::place::{self, Candidate, Health, Short};

/// How long a backend that failed is passed over where another one can take its place.
pub const SUSPECT_FOR: Duration = Duration::from_secs(10);

/// Shared by all requests, and replaced when nodes or backends come and go.
#[derive(Debug, Default)]
pub struct Targets {
    candidates: RwLock<Vec<Candidate>>,
    /// Until when. As many as there are backends at most.
    suspects: Mutex<BTreeMap<BackendId, Instant>>,
    /// Which of the others gets the next copy.
    turn: AtomicUsize,
}

impl Targets {
    /// The backends of a node that is for itself, the preferred one first.
    pub fn of_node(backends: &[BackendId]) -> Self {
        let candidates = backends.iter().enumerate().map(|(pool, backend)| Candidate {
            backend: *backend,
            pool,
            home: None,
            local: true,
            takes: true,
        });
        Self { candidates: RwLock::new(candidates.collect()), ..Self::default() }
    }

    /// Which backends there are, and what takes new objects from now on.
    pub fn replace(&self, candidates: Vec<Candidate>) {
        *self.candidates.write() = candidates;
    }

    /// A backend failed: for a while others are preferred.
    pub fn suspect(&self, backend: BackendId) {
        if self.suspects.lock().insert(backend, Instant::now() + SUSPECT_FOR).is_none() {
            tracing::warn!(%backend, "a backend failed and is passed over for a while");
        }
    }

    /// A backend was seen to be well.
    pub fn clear(&self, backend: BackendId) {
        if self.suspects.lock().remove(&backend).is_some() {
            tracing::info!(%backend, "a backend is well again");
        }
    }

    /// The same where an error says so: one about the request, or about a blob that is not there, is not the backend's fault.
    pub fn note(&self, backend: BackendId, error: &StorageError) {
        match error.class() {
            Class::Missing | Class::Conflict | Class::Request => {}
            Class::Transient | Class::Unknown | Class::Operator | Class::Corrupt => {
                self.suspect(backend);
            }
        }
    }

    fn health(&self, registry: &Registry, backend: BackendId) -> Health {
        if registry.get(backend).is_err() {
            return Health::Absent;
        }
        let until = self.suspects.lock().get(&backend).copied();
        match until {
            Some(until) if until > Instant::now() => Health::Suspect,
            Some(_) | None => Health::Well,
        }
    }

    /// The backends for a new blob.
    pub fn choose(&self, registry: &Registry, copies: Copies) -> Result<Vec<BackendId>, Short> {
        let seed = self.turn.fetch_add(1, Ordering::Relaxed);
        place::choose(&self.candidates.read(), copies, |id| self.health(registry, id), seed)
    }

    /// What to do about the copies on `kept`.
    pub fn upkeep(&self, registry: &Registry, kept: &[BackendId], copies: Copies) -> Step {
        let seed = self.turn.fetch_add(1, Ordering::Relaxed);
        let health = |id| self.health(registry, id);
        upkeep::next(&self.candidates.read(), kept, copies, health, seed)
    }

    /// The backend for bytes that must leave another and are nowhere else.
    pub fn refuge(&self, registry: &Registry, leaving: BackendId) -> Option<BackendId> {
        let seed = self.turn.fetch_add(1, Ordering::Relaxed);
        let health = |id| self.health(registry, id);
        upkeep::refuge(&self.candidates.read(), leaving, health, seed)
    }

    /// The copies of a blob in the order in which they are tried.
    pub fn read_order(&self, registry: &Registry, blob: &Blob) -> Vec<Location> {
        if let [_] = blob.copies.as_slice() {
            return blob.copies.clone();
        }
        let is_local = |id: BackendId| {
            self.candidates
                .read()
                .iter()
                .any(|candidate| candidate.backend == id && candidate.local)
        };
        place::read_order(blob, |id| self.health(registry, id), is_local)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::Arc;

    use vaultaire_storage::backends::memory::Memory;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_failed_is_passed_over_for_a_while() {
        let (one, two) = (BackendId(1), BackendId(2));
        let registry = Registry::default();
        for (id, name) in [(one, "one"), (two, "two")] {
            registry.insert(Arc::new(Memory::new(id, name.to_owned()))).unwrap();
        }
        let targets = Targets::of_node(&[one, two]);
        let choose = || targets.choose(&registry, Copies::default());
        assert_eq!(choose().unwrap(), [one]);
        let missing = StorageError::Unsupported { backend: one, operation: "fly" };
        targets.note(one, &missing);
        assert_eq!(choose().unwrap(), [one], "nobody's fault");
        targets.note(one, &StorageError::Stopped { operation: "write" });
        assert_eq!(choose().unwrap(), [two]);
        tokio::time::advance(SUSPECT_FOR).await;
        assert_eq!(choose().unwrap(), [one]);
        targets.suspect(one);
        targets.clear(one);
        assert_eq!(choose().unwrap(), [one]);
    }
}
