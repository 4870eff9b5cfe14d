//! One copy of a blob against its row: there, as long as it should be, and made of the right bytes.
//! It reads backends only; what an absence means is decided by the caller.

use std::sync::Arc;

use futures::StreamExt;
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
    Sound { checked_bytes: u64 },
    Missing,
    WrongSize { found: u64 },
    WrongChecksum { why: String },
    Unreadable { why: String },
}

/// Compares one copy; with `checksums` by reading all of it.
pub async fn compare(
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
