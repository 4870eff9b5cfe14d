//! One body, written to several backends under one key: all of them, or none. The slowest sets the pace, and none is ahead of
//! it by more than a chunk.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{join, join_all, try_join_all};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use vaultaire_proto::{BackendId, BackendKey};
use vaultaire_storage::backend::{Attributes, Backend, ByteStream};
use vaultaire_storage::error::Error as StorageError;

/// Chunks that one backend may be ahead of another.
const CHUNKS_AHEAD: usize = 1;

/// How long copies are waited for that are taken back because another one failed. The sweep finds what stays.
const UNDO_MAX: Duration = Duration::from_secs(5);

/// Which backend failed, and how. None: the body did.
pub type Failure = (Option<BackendId>, StorageError);

/// Writes a body to every backend. When it returns without an error, all copies are durable.
pub async fn put(
    backends: &[Arc<dyn Backend>],
    key: &BackendKey,
    attributes: &Attributes,
    size_bytes: Option<u64>,
    body: ByteStream,
) -> Result<(), Failure> {
    // One copy takes the body as it comes.
    if let [only] = backends {
        let stored = only.put(key, attributes, size_bytes, body).await;
        return stored.map(|_| ()).map_err(|error| (Some(only.id()), error));
    }
    let stored: Mutex<Vec<Arc<dyn Backend>>> = Mutex::default();
    let (senders, bodies): (Vec<_>, Vec<_>) =
        backends.iter().map(|_| mpsc::channel(CHUNKS_AHEAD)).unzip();
    let writes = backends.iter().zip(bodies).map(|(backend, body)| {
        let stored = &stored;
        async move {
            let mut body = body;
            let body = futures::stream::poll_fn(move |context| body.poll_recv(context)).boxed();
            let written = backend.put(key, attributes, size_bytes, body).await;
            let size = written.map_err(|error| (Some(backend.id()), error))?.size_bytes;
            stored.lock().push(Arc::clone(backend));
            Ok::<u64, Failure>(size)
        }
    });
    let (fed, sizes) = join(feed(body, senders), try_join_all(writes)).await;
    let outcome = match (fed, sizes) {
        (Err(error), _) => Err((None, error)),
        (Ok(()), Ok(sizes)) => same(key, &sizes),
        (Ok(()), Err(failure)) => Err(failure),
    };
    if outcome.is_err() {
        undo(stored.into_inner(), key).await;
    }
    outcome
}

/// Gives every chunk to every backend. A failed body fails every write; a failed write ends this early and tells by itself.
async fn feed(
    mut body: ByteStream,
    senders: Vec<mpsc::Sender<Result<Bytes, StorageError>>>,
) -> Result<(), StorageError> {
    while let Some(chunk) = body.next().await {
        let (failed, chunk) = match chunk {
            Ok(chunk) => (None, chunk),
            Err(error) => (Some(error), Bytes::new()),
        };
        let given = senders.iter().map(|sender| {
            let part = match &failed {
                None => Ok(chunk.clone()),
                Some(_) => Err(StorageError::Body { source: "the body failed".into() }),
            };
            async move { sender.send(part).await.is_ok() }
        });
        let all = join_all(given).await.into_iter().all(|taken| taken);
        if let Some(error) = failed {
            return Err(error);
        }
        if !all {
            break;
        }
    }
    Ok(())
}

/// Copies of one body are of one size; anything else is a backend that lies.
fn same(key: &BackendKey, sizes: &[u64]) -> Result<(), Failure> {
    let differs = |pair: &[u64]| matches!(pair, [one, other] if one != other);
    match sizes.windows(2).find(|pair| differs(pair)) {
        None => Ok(()),
        Some(pair) => {
            let reason = format!("its copies have {pair:?} bytes");
            Err((None, StorageError::Corrupt { subject: key.to_string(), reason }))
        }
    }
}

/// Takes back what was stored. Nobody knows of it: it was never proposed.
async fn undo(stored: Vec<Arc<dyn Backend>>, key: &BackendKey) {
    let deletes = join_all(stored.iter().map(|backend| backend.delete(key)));
    if tokio::time::timeout(UNDO_MAX, deletes).await.is_err() {
        tracing::debug!(%key, "copies of a failed write are left to the sweep");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use futures::stream;
    use vaultaire_storage::backends::memory::Memory;
    use vaultaire_storage::backends::memory::faults::Faults;

    use super::*;

    fn key() -> BackendKey {
        BackendKey::parse("w/a").unwrap()
    }

    fn three(faults: Faults) -> Vec<Arc<dyn Backend>> {
        let memory = |id: u32| Memory::new(BackendId(id), format!("m{id}"));
        let last = Memory::with_faults(BackendId(3), "m3", faults);
        vec![Arc::new(memory(1)), Arc::new(memory(2)), Arc::new(last)]
    }

    fn chunks(count: usize) -> ByteStream {
        let chunk = |at: usize| Ok(Bytes::from(vec![at as u8; 1000 + at]));
        Box::pin(stream::iter((0..count).map(chunk)))
    }

    async fn write(backends: &[Arc<dyn Backend>], body: ByteStream) -> Result<(), Failure> {
        put(backends, &key(), &Attributes::default(), None, body).await
    }

    async fn held(backends: &[Arc<dyn Backend>]) -> Vec<bool> {
        join_all(backends.iter().map(|backend| async { backend.head(&key()).await.is_ok() })).await
    }

    #[tokio::test]
    async fn every_copy_is_the_whole_body() {
        let backends = three(Faults::NONE);
        write(&backends, chunks(100)).await.unwrap();
        let mut wanted = Vec::new();
        for at in 0..100 {
            wanted.extend_from_slice(&vec![at as u8; 1000 + at]);
        }
        for backend in &backends {
            let found = backend.get(&key(), None).await.unwrap().collect(u64::MAX).await.unwrap();
            assert_eq!(found, wanted);
        }
    }

    #[tokio::test]
    async fn a_copy_that_fails_takes_the_others_back() {
        // Of one that is taken already, nothing is changed.
        for failing in 0..3 {
            let backends = three(Faults::NONE);
            let body = || Box::pin(stream::iter([Ok(Bytes::from_static(b"old"))]));
            backends[failing].put(&key(), &Attributes::default(), None, body()).await.unwrap();
            let (backend, error) = write(&backends, chunks(100)).await.unwrap_err();
            assert_eq!(backend, Some(backends[failing].id()));
            assert!(matches!(error, StorageError::AlreadyExists { .. }), "{error:?}");
            let mut wanted = vec![false; 3];
            wanted[failing] = true;
            assert_eq!(held(&backends).await, wanted);
        }
    }

    #[tokio::test]
    async fn a_body_that_fails_leaves_nothing_anywhere() {
        let backends = three(Faults::NONE);
        let broken = stream::iter([Err(StorageError::Stopped { operation: "send" })]);
        let (backend, error) = write(&backends, chunks(5).chain(broken).boxed()).await.unwrap_err();
        assert_eq!(backend, None);
        assert!(matches!(error, StorageError::Stopped { .. }), "the body's own error: {error:?}");
        assert_eq!(held(&backends).await, [false; 3]);
    }
}
