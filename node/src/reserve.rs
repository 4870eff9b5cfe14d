//! Keeps the last space of a file system for the journal and the tables. Where blobs lie on the same one,
//! they would otherwise take it all, and a node that cannot write its log has to stop. It wraps a backend
//! and changes nothing else about it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use vaultaire_proto::{BackendId, BackendKey};
use vaultaire_storage::backend::{
    Attributes, Backend, ByteStream, Capabilities, Info, Kind, Listed, Object, Stored,
};
use vaultaire_storage::error::Error;

/// What journal and tables need to go on for long: a fresh segment, a fresh table journal, compactions.
const RESERVE_BYTES: u64 = 256 * 1024 * 1024;

/// A small file system keeps this part of it instead.
const RESERVE_PART: u64 = 4;

/// How many bytes of all bodies together pass between two looks.
const LOOK_EVERY_BYTES: u64 = 4 * 1024 * 1024;

/// Tells free and total bytes.
type Look = Arc<dyn Fn() -> io::Result<Space> + Send + Sync>;

/// How much a file system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub free_bytes: u64,
    pub total_bytes: u64,
}

impl Space {
    /// Of the file system that holds `folder`.
    fn of(folder: &File) -> io::Result<Self> {
        let stat = rustix::fs::fstatvfs(folder)?;
        Ok(Self {
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    fn reserve_bytes(self) -> u64 {
        RESERVE_BYTES.min(self.total_bytes / RESERVE_PART)
    }
}

/// What all backends on one file system may take of it. Each looking by itself would take the same free bytes for its own.
struct Account {
    look: Look,
    state: Mutex<Taken>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    /// Bytes that may still be taken before the next look.
    allowed_bytes: u64,
    /// Taken, but perhaps not written yet: a look does not see them.
    in_flight_bytes: u64,
}

/// Bytes on their way to the file system; given back when they are there, or will not come.
struct InFlight {
    account: Arc<Account>,
    bytes: u64,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.account.state.lock();
        state.in_flight_bytes = state.in_flight_bytes.saturating_sub(self.bytes);
    }
}

/// Why bytes were not allowed.
enum Refusal {
    Unseen(io::Error),
    Full(Space),
}

impl Account {
    fn new(look: Look) -> Self {
        Self { look, state: Mutex::default() }
    }

    /// Of the file system that holds `path`; the same one for everybody who asks.
    fn of(path: &Path) -> io::Result<Arc<Self>> {
        static ACCOUNTS: Mutex<BTreeMap<u64, Arc<Account>>> = Mutex::new(BTreeMap::new());
        // Held open: the account may outlive the name of the folder.
        let folder = File::open(path)?;
        let device = folder.metadata()?.dev();
        let new = || Arc::new(Self::new(Arc::new(move || Space::of(&folder))));
        Ok(Arc::clone(ACCOUNTS.lock().entry(device).or_insert_with(new)))
    }

    /// What may be written by all together, as of now.
    fn room_bytes(&self, state: &Taken) -> Result<(u64, Space), Refusal> {
        let space = (self.look)().map_err(Refusal::Unseen)?;
        let kept = space.reserve_bytes().saturating_add(state.in_flight_bytes);
        Ok((space.free_bytes.saturating_sub(kept), space))
    }

    /// Whether `bytes` would leave enough if nobody else came.
    fn admit(&self, bytes: u64) -> Result<(), Refusal> {
        let (room, space) = self.room_bytes(&self.state.lock())?;
        if space.free_bytes >= space.reserve_bytes() && room >= bytes {
            return Ok(());
        }
        Err(Refusal::Full(space))
    }

    /// Takes bytes that are about to be written.
    fn take(self: &Arc<Self>, bytes: u64) -> Result<InFlight, Refusal> {
        let mut state = self.state.lock();
        if state.allowed_bytes < bytes {
            let (room, space) = self.room_bytes(&state)?;
            if room < bytes {
                return Err(Refusal::Full(space));
            }
            state.allowed_bytes = room.min(LOOK_EVERY_BYTES.max(bytes));
        }
        state.allowed_bytes -= bytes;
        state.in_flight_bytes = state.in_flight_bytes.saturating_add(bytes);
        Ok(InFlight { account: Arc::clone(self), bytes })
    }
}

/// A backend that refuses writes before its file system is full.
#[derive(Clone)]
pub struct Reserved {
    inner: Arc<dyn Backend>,
    account: Arc<Account>,
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
    Ok(Arc::new(Reserved { inner, account: Account::of(data_dir)? }))
}

impl Reserved {
    fn full(&self, operation: &'static str, refusal: Refusal) -> Error {
        let source = match refusal {
            Refusal::Unseen(source) => source,
            Refusal::Full(space) => io::Error::new(
                io::ErrorKind::StorageFull,
                format!(
                    "{} bytes are free, and {} of them are kept for the node's own journal and tables",
                    space.free_bytes,
                    space.reserve_bytes()
                ),
            ),
        };
        Error::Full { backend: self.inner.id(), operation, source }
    }

    /// Takes every chunk before it is written: other bodies come at the same time.
    fn guarded(&self, body: ByteStream) -> ByteStream {
        let this = self.clone();
        let mut in_flight = None;
        Box::pin(body.map(move |chunk| {
            // Asked for the next chunk: the one before has been written.
            drop(in_flight.take());
            let chunk = chunk?;
            let bytes = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            let taken = this.account.take(bytes).map_err(|refusal| this.full("write", refusal))?;
            in_flight = Some(taken);
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
        let admitted = self.account.admit(size_hint.unwrap_or(0));
        admitted.map_err(|refusal| self.full("write", refusal))?;
        self.inner.put(key, attributes, size_hint, self.guarded(body)).await
    }

    /// The future of the backend itself: one of its own around it showed in the time of a small read.
    fn get<'this, 'key, 'read>(
        &'this self,
        key: &'key BackendKey,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'read, Result<Object, Error>>
    where
        'this: 'read,
        'key: 'read,
        Self: 'read,
    {
        self.inner.get(key, range)
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
        let size_bytes = self.inner.head(from).await?.size_bytes;
        let admitted = self.account.admit(size_bytes);
        let taken = admitted.and_then(|()| self.account.take(size_bytes));
        let _in_flight = taken.map_err(|refusal| self.full("copy", refusal))?;
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
        let inner = Arc::new(Memory::new(BackendId(1), "memory"));
        (Reserved { inner, account: Arc::new(Account::new(look)) }, free)
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
        let chunk = Bytes::from(vec![1; usize::try_from(LOOK_EVERY_BYTES).unwrap()]);
        let body = futures::stream::iter(0..2).map(move |_| {
            free.fetch_sub(TOTAL / 2, Ordering::SeqCst);
            Ok(chunk.clone())
        });
        let outcome = backend.put(&key("a"), &Attributes::default(), None, Box::pin(body)).await;
        assert!(matches!(outcome, Err(Error::Full { .. })), "{outcome:?}");
        assert!(backend.head(&key("a")).await.is_err(), "nothing was stored");
    }

    /// 128 bodies in turns, each chunk on the disk only when the next one is asked for.
    #[test]
    fn bodies_that_come_together_leave_the_reserve_alone() {
        const CHUNK: u64 = 1 << 20;
        let (backend, free) = cramped();
        let room = 100 * CHUNK;
        free.store(RESERVE_BYTES + room, Ordering::SeqCst);
        let mut bodies: Vec<Option<InFlight>> = (0..128).map(|_| None).collect();
        let mut written = 0;
        for _ in 0..8 {
            for body in &mut bodies {
                if let Some(chunk) = body.take() {
                    free.fetch_sub(chunk.bytes, Ordering::SeqCst);
                    written += chunk.bytes;
                }
                *body = backend.account.take(CHUNK).ok();
            }
        }
        bodies.clear();
        assert_eq!(written, room, "all that may be taken is, and nothing more");
        assert_eq!(backend.account.state.lock().in_flight_bytes, 0);
        assert!(backend.account.take(1).is_err());
        assert!(backend.account.admit(0).is_ok());
    }

    #[test]
    fn a_file_system_has_one_account() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            Account::of(&path).unwrap()
        };
        let (one, other) = (of("one"), of("other"));
        assert!(Arc::ptr_eq(&one, &other));
        drop(folder);
        assert!(one.admit(0).is_ok(), "also when the folder that it was made for is gone");
    }

    #[test]
    fn a_small_file_system_keeps_a_part_and_a_large_one_a_fixed_size() {
        let of = |total_bytes| Space { free_bytes: 0, total_bytes }.reserve_bytes();
        assert_eq!(of(400 * 1024 * 1024), 100 * 1024 * 1024);
        assert_eq!(of(TOTAL), RESERVE_BYTES);
        let space = Space::of(&File::open("/").unwrap()).unwrap();
        assert!(space.total_bytes >= space.free_bytes && space.total_bytes > 0);
    }
}
