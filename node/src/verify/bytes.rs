//! One copy of a blob against its row: there, as long as it should be, and made of the right bytes.
//! It reads backends only; what an absence means is decided by the caller.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use parking_lot::Mutex;
use vaultaire_proto::{BackendId, BackendKey};
use vaultaire_storage::backend::Backend;
use vaultaire_storage::error::Error as StorageError;
use vaultaire_storage::pipeline::verify::{Expected, verified};
use vaultaire_storage::registry::Registry;

/// What a row promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    pub size_bytes: u64,
    pub crc64nvme: u64,
}

/// How a copy compares with its promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    Sound {
        checked_bytes: u64,
    },
    Missing,
    WrongSize {
        found: u64,
    },
    WrongChecksum {
        why: String,
    },
    Unreadable {
        why: String,
    },
    /// It did not answer, or was not asked since it had not answered others.
    Silent {
        why: String,
    },
}

/// A backend that did not answer so many times, one after another, is not asked any more: each time costs half a minute.
const SILENT_AFTER: u32 = 8;

/// Which backends do not answer.
#[derive(Debug, Default)]
pub struct Silence(Mutex<BTreeMap<BackendId, u32>>);

impl Silence {
    fn of(&self, backend: BackendId) -> Option<Compared> {
        let times = self.0.lock().get(&backend).copied().unwrap_or_default();
        let why = || format!("it was not asked, since its backend did not answer {times} times");
        (times >= SILENT_AFTER).then(|| Compared::Silent { why: why() })
    }

    fn note(&self, backend: BackendId, found: &Compared) {
        let mut times = self.0.lock();
        match found {
            Compared::Silent { .. } => {
                let times = times.entry(backend).or_default();
                *times = times.saturating_add(1);
            }
            Compared::Sound { .. }
            | Compared::Missing
            | Compared::WrongSize { .. }
            | Compared::WrongChecksum { .. }
            | Compared::Unreadable { .. } => drop(times.remove(&backend)),
        }
    }
}

/// Compares one copy; with `checksums` by reading all of it.
pub async fn compare(
    (registry, silence): (&Registry, &Silence),
    backend: BackendId,
    key: &BackendKey,
    promise: Promise,
    checksums: bool,
) -> Compared {
    if let Some(silent) = silence.of(backend) {
        return silent;
    }
    let found = ask(registry, backend, key, promise, checksums).await;
    silence.note(backend, &found);
    found
}

async fn ask(
    registry: &Registry,
    backend: BackendId,
    key: &BackendKey,
    promise: Promise,
    checksums: bool,
) -> Compared {
    let backend = match registry.get(backend) {
        Ok(backend) => backend,
        Err(error) => return Compared::Unreadable { why: error.to_string() },
    };
    let outcome = match checksums {
        true => read(&backend, key, promise).await,
        false => look(&backend, key, promise).await,
    };
    match outcome {
        Ok(compared) => compared,
        Err(error) if error.is_not_found() => Compared::Missing,
        Err(error @ StorageError::Unavailable { .. }) => {
            Compared::Silent { why: error.to_string() }
        }
        Err(error) => Compared::Unreadable { why: error.to_string() },
    }
}

async fn look(
    backend: &Arc<dyn Backend>,
    key: &BackendKey,
    promise: Promise,
) -> Result<Compared, StorageError> {
    let found = backend.head(key).await?.size_bytes;
    match found == promise.size_bytes {
        true => Ok(Compared::Sound { checked_bytes: 0 }),
        false => Ok(Compared::WrongSize { found }),
    }
}

async fn read(
    backend: &Arc<dyn Backend>,
    key: &BackendKey,
    promise: Promise,
) -> Result<Compared, StorageError> {
    let object = backend.get(key, None).await?;
    if object.size_bytes != promise.size_bytes {
        return Ok(Compared::WrongSize { found: object.size_bytes });
    }
    let expected = Expected {
        crc64nvme: promise.crc64nvme,
        size_bytes: promise.size_bytes,
        subject: format!("{key} on {}", backend.name()),
    };
    let mut stream = verified(object.stream, expected);
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(_) => {}
            Err(StorageError::Corrupt { reason, .. }) => {
                return Ok(Compared::WrongChecksum { why: reason });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Compared::Sound { checked_bytes: promise.size_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_backend_that_is_silent_for_long_is_not_asked() {
        let (silence, one, two) = (Silence::default(), BackendId(1), BackendId(2));
        let silent = Compared::Silent { why: "no answer".to_owned() };
        for _ in 1..SILENT_AFTER {
            silence.note(one, &silent);
        }
        assert_eq!(silence.of(one), None);
        silence.note(one, &Compared::Missing);
        silence.note(one, &silent);
        assert_eq!(silence.of(one), None, "it has answered meanwhile");
        for _ in 1..SILENT_AFTER {
            silence.note(one, &silent);
        }
        assert!(matches!(silence.of(one), Some(Compared::Silent { .. })));
        assert_eq!(silence.of(two), None);
    }
}
