//! A backend that fails in ways that memory does not by itself: full on demand, or breaking off reads.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use vaultaire_proto::{BackendId, BackendKey};
use vaultaire_storage::backend::{
    Attributes, Backend, ByteStream, Capabilities, Info, Kind, Listed, Object, Stored,
};
use vaultaire_storage::backends::memory::Memory;
use vaultaire_storage::error::Error;

/// Memory with a fault.
#[derive(Debug)]
pub struct Odd {
    inner: Memory,
    /// Every read breaks off after so many bytes.
    breaks_after: Option<usize>,
    /// Every write finds no space.
    pub full: AtomicBool,
}

impl Odd {
    /// With space until told otherwise.
    pub fn filling(inner: Memory) -> Self {
        Self { inner, breaks_after: None, full: AtomicBool::new(false) }
    }

    /// Breaks off each read after so many bytes.
    pub fn breaking(inner: Memory, after: usize) -> Self {
        Self { breaks_after: Some(after), ..Self::filling(inner) }
    }
}

#[async_trait]
impl Backend for Odd {
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
        size: Option<u64>,
        body: ByteStream,
    ) -> Result<Stored, Error> {
        if self.full.load(Ordering::SeqCst) {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(Error::Full { backend: self.id(), operation: "write", source });
        }
        self.inner.put(key, attributes, size, body).await
    }

    async fn get(&self, key: &BackendKey, range: Option<Range<u64>>) -> Result<Object, Error> {
        let object = self.inner.get(key, range).await?;
        let Some(after) = self.breaks_after else { return Ok(object) };
        let (size_bytes, range) = (object.size_bytes, object.range.clone());
        let bytes = object.collect(u64::MAX).await?;
        let front = bytes.slice(..after.min(bytes.len()));
        let stream = futures::stream::iter([Ok(front), Err(Error::Stopped { operation: "read" })]);
        Ok(Object { size_bytes, range, stream: Box::pin(stream) })
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
