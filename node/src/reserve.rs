//! Keeps the last space of a file system for the journal and the tables. Where blobs lie on the same one,
//! they would otherwise take it all, and a node that cannot write its log has to stop. It wraps a backend
//! and changes nothing else about it.

use std::fmt;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use vaultaire_proto::{BackendId, BackendKey};
use vaultaire_storage::backend::{
    Attributes, Backend, ByteStream, Capabilities, Info, Kind, Listed, Object, Stored,
};
use vaultaire_storage::error::Error;

/// What journal and tables need to go on for long: a fresh segment, a fresh table journal, compactions.
const RESERVE_BYTES: u64 = 256 * 1024 * 1024;

/// A small file system keeps this part of it instead.
const RESERVE_PART: u64 = 4;

/// How many bytes of a body pass between two looks.
const LOOK_EVERY_BYTES: usize = 4 * 1024 * 1024;

/// Tells free and total bytes.
type Look = Arc<dyn Fn() -> io::Result<Space> + Send + Sync>;

/// How much a file system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub free_bytes: u64,
    pub total_bytes: u64,
}

impl Space {
    /// Of the file system that holds `path`.
    fn of(path: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Self {
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    fn reserve_bytes(self) -> u64 {
        RESERVE_BYTES.min(self.total_bytes / RESERVE_PART)
    }
}

/// A backend that refuses writes before its file system is full.
#[derive(Clone)]
pub struct Reserved {
    inner: Arc<dyn Backend>,
    look: Look,
}

impl fmt::Debug for Reserved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Reserved").field(&self.inner).finish()
    }
}

/// Wraps a backend whose folder shares its file system with the data directory; leaves others alone.
pub fn keep(
    inner: Arc<dyn Backend>,
    folder: &Path,
    data_dir: &Path,
) -> io::Result<Arc<dyn Backend>> {
    if std::fs::metadata(folder)?.dev() != std::fs::metadata(data_dir)?.dev() {
        return Ok(inner);
    }
    let data_dir = data_dir.to_owned();
    Ok(Arc::new(Reserved { inner, look: Arc::new(move || Space::of(&data_dir)) }))
}

impl Reserved {
    /// Whether `size_bytes` more would leave enough.
    fn admit(&self, operation: &'static str, size_bytes: u64) -> Result<(), Error> {
        let full = |source| Error::Full { backend: self.inner.id(), operation, source };
        let space = (self.look)().map_err(full)?;
        let needed = space.reserve_bytes().saturating_add(size_bytes);
        match space.free_bytes >= needed {
            true => Ok(()),
            false => Err(full(io::Error::new(
                io::ErrorKind::StorageFull,
                format!(
                    "{} bytes are free, and {} of them are kept for the node's own journal and tables",
                    space.free_bytes,
                    space.reserve_bytes()
                ),
            ))),
        }
    }

    /// Looks again and again while the bytes come: other bodies come at the same time.
    fn guarded(&self, body: ByteStream) -> ByteStream {
        let this = self.clone();
        let mut since_bytes = 0_usize;
        Box::pin(body.map(move |chunk| {
            let chunk = chunk?;
            since_bytes = since_bytes.saturating_add(chunk.len());
            if since_bytes >= LOOK_EVERY_BYTES {
                since_bytes = 0;
                this.admit("write", 0)?;
            }
            Ok(chunk)
        }))
    }
}

#[async_trait]
impl Backend for Reserved {
    fn id(&self) -> BackendId {
        self.inner.id()
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn kind(&self) -> Kind {
        self.inner.kind()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn put(
        &self,
        key: &BackendKey,
        attributes: &Attributes,
        size_hint: Option<u64>,
        body: ByteStream,
    ) -> Result<Stored, Error> {
        self.admit("write", size_hint.unwrap_or(0))?;
        self.inner.put(key, attributes, size_hint, self.guarded(body)).await
    }

    async fn get(&self, key: &BackendKey, range: Option<Range<u64>>) -> Result<Object, Error> {
        self.inner.get(key, range).await
    }

    async fn head(&self, key: &BackendKey) -> Result<Info, Error> {
        self.inner.head(key).await
    }

    async fn delete(&self, key: &BackendKey) -> Result<(), Error> {
        self.inner.delete(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&BackendKey>,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        self.inner.list(prefix, after, limit).await
    }

    async fn copy(&self, from: &BackendKey, to: &BackendKey) -> Result<Stored, Error> {
        self.admit("copy", self.inner.head(from).await?.size_bytes)?;
        self.inner.copy(from, to).await
    }

    async fn abort_unfinished(&self, prefix: &str) -> Result<usize, Error> {
        self.inner.abort_unfinished(prefix).await
    }

    async fn identify(&self) -> Result<(), Error> {
        self.inner.identify().await
    }

    async fn check(&self) -> Result<(), Error> {
        self.inner.check().await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::atomic::{AtomicU64, Ordering};

    use bytes::Bytes;
    use vaultaire_storage::backend::once;
    use vaultaire_storage::backends::memory::Memory;

    use super::*;

    const TOTAL: u64 = 100 * RESERVE_BYTES;

    fn cramped() -> (Reserved, Arc<AtomicU64>) {
        let free = Arc::new(AtomicU64::new(TOTAL));
        let seen = Arc::clone(&free);
        let look: Look = Arc::new(move || {
            Ok(Space { free_bytes: seen.load(Ordering::SeqCst), total_bytes: TOTAL })
        });
        (Reserved { inner: Arc::new(Memory::new(BackendId(1), "memory")), look }, free)
    }

    fn key(text: &str) -> BackendKey {
        BackendKey::parse(text).unwrap()
    }

    async fn put(backend: &Reserved, name: &str, bytes: Vec<u8>) -> Result<Stored, Error> {
        let size_bytes = u64::try_from(bytes.len()).unwrap();
        let body = once(Bytes::from(bytes));
        backend.put(&key(name), &Attributes::default(), Some(size_bytes), body).await
    }

    #[tokio::test]
    async fn the_reserve_is_not_for_blobs_and_what_is_there_stays_readable() {
        let (backend, free) = cramped();
        put(&backend, "a", vec![1; 100]).await.unwrap();
        free.store(RESERVE_BYTES + 99, Ordering::SeqCst);
        let refused = put(&backend, "b", vec![1; 100]).await.unwrap_err();
        assert!(matches!(refused, Error::Full { .. }), "{refused:?}");
        assert!(matches!(backend.copy(&key("a"), &key("c")).await, Err(Error::Full { .. })));
        assert_eq!(backend.head(&key("a")).await.unwrap().size_bytes, 100);
        backend.delete(&key("a")).await.unwrap();
        put(&backend, "b", vec![1; 99]).await.unwrap();
    }

    #[tokio::test]
    async fn a_body_is_cut_when_others_took_the_space_meanwhile() {
        let (backend, free) = cramped();
        let chunk = Bytes::from(vec![1; LOOK_EVERY_BYTES]);
        let body = futures::stream::iter(0..2).map(move |_| {
            free.fetch_sub(TOTAL / 2, Ordering::SeqCst);
            Ok(chunk.clone())
        });
        let outcome = backend.put(&key("a"), &Attributes::default(), None, Box::pin(body)).await;
        assert!(matches!(outcome, Err(Error::Full { .. })), "{outcome:?}");
        assert!(backend.head(&key("a")).await.is_err(), "nothing was stored");
    }

    #[test]
    fn a_small_file_system_keeps_a_part_and_a_large_one_a_fixed_size() {
        let of = |total_bytes| Space { free_bytes: 0, total_bytes }.reserve_bytes();
        assert_eq!(of(400 * 1024 * 1024), 100 * 1024 * 1024);
        assert_eq!(of(TOTAL), RESERVE_BYTES);
        let space = Space::of(Path::new("/")).unwrap();
        assert!(space.total_bytes >= space.free_bytes && space.total_bytes > 0);
    }
}
