//! One body, written to several backends under one key: all of them, or none. The slowest sets the pace, and none is ahead of
//! it by more than a chunk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use futures::{StreamExt, TryStreamExt};
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

/// Writes a body to every backend, and answers its size. When it returns without an error, all copies are durable.
pub async fn put(
    backends: &[Arc<dyn Backend>],
    key: &BackendKey,
    attributes: &Attributes,
    size_bytes: Option<u64>,
    body: ByteStream,
) -> Result<u64, Failure> {
    // One copy takes the body as it comes.
    if let [only] = backends {
        let body_failed = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&body_failed);
        let body = body.inspect_err(move |_| told.store(true, Ordering::Relaxed)).boxed();
        let stored = only.put(key, attributes, size_bytes, body).await;
        let blamed = (!body_failed.load(Ordering::Relaxed)).then(|| only.id());
        return stored.map(|stored| stored.size_bytes).map_err(|error| (blamed, error));
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
    let outcome = {
        let mut writes = std::pin::pin!(try_join_all(writes));
        tokio::select! {
            biased;
            sizes = &mut writes => sizes.and_then(|sizes| same(key, &sizes)),
            fed = feed(body, senders) => match fed {
                Ok(()) => writes.await.and_then(|sizes| same(key, &sizes)),
                Err(error) => Err((None, error)),
            },
        }
    };
    if outcome.is_err() {
        undo(stored.into_inner(), key).await;
    }
    outcome
}

/// Gives every chunk to every backend. A failed body fails every write. Where a write takes no more it has failed, and its own
/// word is waited for: a stream that ended here would look whole to the others.
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
            return std::future::pending().await;
        }
    }
    Ok(())
}

/// Copies of one body are of one size; anything else is a backend that lies.
fn same(key: &BackendKey, sizes: &[u64]) -> Result<u64, Failure> {
    match sizes.split_first() {
        Some((size, others)) if others.iter().all(|other| other == size) => Ok(*size),
        _ => {
            let reason = format!("its copies have {sizes:?} bytes");
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

    async fn write(backends: &[Arc<dyn Backend>], body: ByteStream) -> Result<u64, Failure> {
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

    /// Takes a chunk, lets go of the body, and fails a moment later.
    #[derive(Debug)]
    struct Quitter(Memory);

    #[async_trait::async_trait]
    impl Backend for Quitter {
        fn id(&self) -> BackendId {
            self.0.id()
        }

        fn name(&self) -> &str {
            self.0.name()
        }

        fn kind(&self) -> vaultaire_storage::backend::Kind {
            self.0.kind()
        }

        fn capabilities(&self) -> vaultaire_storage::backend::Capabilities {
            self.0.capabilities()
        }

        async fn put(
            &self,
            _key: &BackendKey,
            _attributes: &Attributes,
            _size: Option<u64>,
            mut body: ByteStream,
        ) -> Result<vaultaire_storage::backend::Stored, StorageError> {
            body.next().await;
            drop(body);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Err(StorageError::Stopped { operation: "write" })
        }

        async fn get(
            &self,
            key: &BackendKey,
            range: Option<std::ops::Range<u64>>,
        ) -> Result<vaultaire_storage::backend::Object, StorageError> {
            self.0.get(key, range).await
        }

        async fn head(
            &self,
            key: &BackendKey,
        ) -> Result<vaultaire_storage::backend::Info, StorageError> {
            self.0.head(key).await
        }

        async fn delete(&self, key: &BackendKey) -> Result<(), StorageError> {
            self.0.delete(key).await
        }

        async fn list(
            &self,
            prefix: &str,
            after: Option<&BackendKey>,
            limit: usize,
        ) -> Result<Vec<vaultaire_storage::backend::Listed>, StorageError> {
            self.0.list(prefix, after, limit).await
        }

        async fn copy(
            &self,
            from: &BackendKey,
            to: &BackendKey,
        ) -> Result<vaultaire_storage::backend::Stored, StorageError> {
            self.0.copy(from, to).await
        }

        async fn identify(&self) -> Result<(), StorageError> {
            self.0.identify().await
        }

        async fn check(&self) -> Result<(), StorageError> {
            self.0.check().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_body_never_looks_whole() {
        let mut backends = three(Faults::NONE);
        backends[0] = Arc::new(Quitter(Memory::new(BackendId(1), "m1")));
        let (backend, error) = write(&backends, chunks(100)).await.unwrap_err();
        assert_eq!(backend, Some(BackendId(1)), "the one that failed says why: {error:?}");
        assert!(matches!(error, StorageError::Stopped { .. }), "{error:?}");
        assert_eq!(held(&backends).await, [false; 3]);
    }

    #[tokio::test]
    async fn a_failed_body_is_not_the_backends_fault() {
        let backends = three(Faults::NONE);
        let broken = || stream::iter([Err(StorageError::Stopped { operation: "read" })]).boxed();
        assert_eq!(write(&backends[..1], broken()).await.unwrap_err().0, None);
        assert_eq!(write(&backends[..1], chunks(2)).await.unwrap(), 2001);
    }
}
