//! A backend that never answers a deletion, as behind a link that swallows packets, and says who it is after a while only to fail.
//! Only compiled for tests.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use vaultaire_proto::{BackendId, BackendKey};
use vaultaire_storage::backend::{
    Attributes, Backend, ByteStream, Capabilities, Info, Kind, Listed, Object, Stored,
};
use vaultaire_storage::backends::memory::Memory;
use vaultaire_storage::error::Error;

/// How long a question takes.
pub const FAILS_AFTER: Duration = Duration::from_secs(10);

/// Memory without deletions.
#[derive(Debug)]
pub struct Hanging(pub Memory);

#[async_trait]
impl Backend for Hanging {
    fn id(&self) -> BackendId {
        self.0.id()
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn put(
        &self,
        key: &BackendKey,
        attributes: &Attributes,
        size_hint: Option<u64>,
        body: ByteStream,
    ) -> Result<Stored, Error> {
        self.0.put(key, attributes, size_hint, body).await
    }

    async fn get(&self, key: &BackendKey, range: Option<Range<u64>>) -> Result<Object, Error> {
        self.0.get(key, range).await
    }

    async fn head(&self, key: &BackendKey) -> Result<Info, Error> {
        self.0.head(key).await
    }

    async fn delete(&self, _key: &BackendKey) -> Result<(), Error> {
        std::future::pending().await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&BackendKey>,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        self.0.list(prefix, after, limit).await
    }

    async fn copy(&self, from: &BackendKey, to: &BackendKey) -> Result<Stored, Error> {
        self.0.copy(from, to).await
    }

    async fn identify(&self) -> Result<(), Error> {
        tokio::time::sleep(FAILS_AFTER).await;
        Err(Error::Unavailable {
            backend: self.0.id(),
            operation: "identify",
            subject: String::new(),
            source: "no answer".into(),
        })
    }

    async fn check(&self) -> Result<(), Error> {
        self.0.check().await
    }
}
