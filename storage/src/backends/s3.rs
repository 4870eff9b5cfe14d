//! A bucket behind any S3 endpoint as a backend. It relies on the endpoint for durability and for the order of
//! listings. One body that fits one request is written under `If-None-Match: *`; a larger one goes up in parts, after
//! a look at its key. Class changes and restores of archived blobs are not here: this client cannot ask for them.

mod attributes;
mod budget;
mod classify;
mod client;
mod identity;
mod observe;
mod parts;
mod transport;
mod unfinished;
mod upload;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use futures::StreamExt;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{CopyOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use vaultaire_proto::{BackendId, BackendKey};

use crate::backend::{
    Attributes, AttributesKept, Backend, ByteStream, Capabilities, Info, Kind, LIST_PAGE_MAX,
    Listed, Object, Stored, WriteOnce,
};
use crate::backends::identity::{Expect, Identity};
use crate::config::S3Config;
use crate::error::Error;
use budget::Budget;
use classify::{Effect, Subject};
use client::Clients;
use observe::watch;

/// The most keys that an endpoint returns at once.
const ENDPOINT_PAGE_MAX: usize = 1000;

/// The largest object that S3 copies in one request; larger ones pass through this process.
const SERVER_COPY_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// Which backend a bucket should be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The backend's id.
    pub id: BackendId,
    /// The backend's name.
    pub name: String,
    /// The cluster that owns it, as text.
    pub cluster: String,
    /// Whether an empty prefix may become this backend.
    pub expect: Expect,
}

/// A bucket behind an S3 endpoint.
#[derive(Debug)]
pub struct S3 {
    id: BackendId,
    name: String,
    /// Endpoint, bucket and prefix, for errors.
    address: String,
    prefix: String,
    conditional_put: bool,
    identity: Identity,
    /// Whether the identity was seen since this was opened.
    is_proved: AtomicBool,
    clients: Clients,
    budget: Arc<Budget>,
}

impl S3 {
    /// Proves that the bucket and prefix are the right ones. The process must have installed its TLS provider.
    pub async fn open(settings: Settings, config: &S3Config) -> Result<Self, Error> {
        let clients = Clients::new(&settings.name, config)?;
        Self::open_over(settings, config, clients, Budget::shared()).await
    }

    async fn open_over(
        settings: Settings,
        config: &S3Config,
        clients: Clients,
        budget: Arc<Budget>,
    ) -> Result<Self, Error> {
        let Settings { id, name, cluster, expect } = settings;
        let prefix = config.place().prefix;
        if let Err(error) = Path::parse(&prefix) {
            return Err(Error::Config {
                name,
                reason: format!("the prefix cannot be used: {error}"),
            });
        }
        let (address, conditional_put) = (config.place().to_string(), config.conditional_put);
        let identity = Identity::new(&cluster, id);
        let s3 = Self {
            id,
            name,
            address,
            prefix,
            conditional_put,
            identity,
            is_proved: AtomicBool::new(false),
            clients,
            budget,
        };
        identity::establish(&s3, expect).await?;
        Ok(s3)
    }

    /// What the bucket calls the text of a key or of a prefix of keys.
    fn full(&self, text: &str) -> String {
        if self.prefix.is_empty() { text.to_owned() } else { format!("{}/{text}", self.prefix) }
    }

    fn path(&self, key: &BackendKey) -> Result<Path, Error> {
        Path::parse(self.full(key.as_str())).map_err(|error| Error::Config {
            name: self.name.clone(),
            reason: format!("key {key} cannot be used with this prefix: {error}"),
        })
    }

    fn subject<'s>(
        &'s self,
        operation: &'static str,
        key: &'s BackendKey,
        effect: Effect,
    ) -> Subject<'s> {
        Subject { backend: self.id, name: &self.name, operation, key: Some(key), effect }
    }

    /// A request that is about no single key.
    fn of_all(&self, operation: &'static str) -> Subject<'_> {
        Subject { backend: self.id, name: &self.name, operation, key: None, effect: Effect::None }
    }

    /// Refuses to change what is not a blob.
    fn ensure_a_blobs(&self, key: &BackendKey) -> Result<(), Error> {
        match identity::is_reserved(key) {
            true => {
                Err(Error::Unsupported { backend: self.id, operation: "a change of its identity" })
            }
            false => Ok(()),
        }
    }

    /// Whether the key is taken, as the error that says so.
    async fn ensure_free(&self, key: &BackendKey) -> Result<(), Error> {
        match self.head(key).await {
            Ok(_info) => Err(Error::AlreadyExists { backend: self.id, key: key.clone() }),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The answer to a HEAD has no body, so a missing bucket looks like a missing blob. A listing tells.
    async fn confirm_missing(&self, key: &BackendKey) -> Error {
        match self.list(key.as_str(), None, 1).await {
            Ok(_listed) => Error::NotFound { backend: self.id, key: key.clone() },
            Err(error) => error,
        }
    }

    /// Copies a blob that is too large for one request of the endpoint, with what it says about itself.
    async fn copy_through(&self, from: &BackendKey, to: &BackendKey) -> Result<Stored, Error> {
        let (attributes, object) = self.read(from, None).await?;
        self.put(to, &attributes, Some(object.size_bytes), object.stream).await
    }

    /// Reads a blob and what it says about itself.
    async fn read(
        &self,
        key: &BackendKey,
        range: Option<Range<u64>>,
    ) -> Result<(Attributes, Object), Error> {
        if let Some(empty) = range.clone().filter(|range| range.start >= range.end) {
            return Err(self.unsatisfiable(key, empty).await);
        }
        let options =
            GetOptions { range: range.clone().map(GetRange::Bounded), ..GetOptions::default() };
        let path = self.path(key)?;
        let got = match watch(self.clients.store.get_opts(&path, options)).await {
            Ok(got) => got,
            Err(failure) => {
                return Err(match (failure.is_unsatisfiable(), range) {
                    (true, Some(range)) => self.unsatisfiable(key, range).await,
                    _ => self.subject("get", key, Effect::None).classify(failure),
                });
            }
        };
        let attributes = attributes::from_metadata(&got.attributes);
        let (size_bytes, range) = (got.meta.size, got.range.clone());
        let (backend, subject) = (self.id, key.to_string());
        let stream = got.into_stream().map(move |chunk| {
            chunk.map_err(|source| Error::Unavailable {
                backend,
                operation: "go on reading",
                subject: subject.clone(),
                source: source.into(),
            })
        });
        Ok((attributes, Object { size_bytes, range, stream: Box::pin(stream) }))
    }

    async fn unsatisfiable(&self, key: &BackendKey, range: Range<u64>) -> Error {
        match self.head(key).await {
            Ok(Info { size_bytes }) => {
                Error::RangeNotSatisfiable { start: range.start, end: range.end, size_bytes }
            }
            Err(error) => error,
        }
    }
}

#[async_trait]
impl Backend for S3 {
    fn id(&self) -> BackendId {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        Kind::S3
    }

    fn capabilities(&self) -> Capabilities {
        let write_once = if self.conditional_put { WriteOnce::Atomic } else { WriteOnce::Checked };
        Capabilities { write_once, attributes: AttributesKept::Yes }
    }

    async fn put(
        &self,
        key: &BackendKey,
        attributes: &Attributes,
        size_hint: Option<u64>,
        body: ByteStream,
    ) -> Result<Stored, Error> {
        self.ensure_a_blobs(key)?;
        identity::ensure_proved(self).await?;
        upload::put(self, key, attributes, size_hint, body).await
    }

    async fn get(&self, key: &BackendKey, range: Option<Range<u64>>) -> Result<Object, Error> {
        self.read(key, range).await.map(|(_attributes, object)| object)
    }

    async fn head(&self, key: &BackendKey) -> Result<Info, Error> {
        match watch(self.clients.store.head(&self.path(key)?)).await {
            Ok(meta) => Ok(Info { size_bytes: meta.size }),
            Err(failure) => match self.subject("head", key, Effect::None).classify(failure) {
                Error::NotFound { .. } => Err(self.confirm_missing(key).await),
                error => Err(error),
            },
        }
    }

    async fn delete(&self, key: &BackendKey) -> Result<(), Error> {
        self.ensure_a_blobs(key)?;
        let deleted = watch(self.clients.store.delete(&self.path(key)?)).await;
        match deleted
            .map_err(|failure| self.subject("delete", key, Effect::Repeatable).classify(failure))
        {
            Err(Error::NotFound { .. }) => Ok(()),
            outcome => outcome,
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&BackendKey>,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        let limit = limit.min(LIST_PAGE_MAX);
        let full_prefix = self.full(prefix);
        let start = self.full("").len();
        let mut rows: Vec<Listed> = Vec::new();
        let mut page_token = None;
        while rows.len() < limit {
            let options = PaginatedListOptions {
                offset: after.map(|after| self.full(after.as_str())),
                max_keys: Some((limit - rows.len()).min(ENDPOINT_PAGE_MAX)),
                page_token,
                ..PaginatedListOptions::default()
            };
            let listing = self.clients.store.list_paginated(Some(&full_prefix), options);
            let page = watch(listing).await;
            let page = page.map_err(|failure| self.of_all("list").classify(failure))?;
            // What is not a key of ours was put there by others, and is none of our business.
            rows.extend(page.result.objects.into_iter().filter_map(|object| {
                let key = BackendKey::parse(object.location.as_ref().get(start..)?).ok()?;
                (!identity::is_reserved(&key)).then_some(Listed { key, size_bytes: object.size })
            }));
            page_token = page.page_token;
            if page_token.is_none() {
                break;
            }
        }
        Ok(rows)
    }

    async fn copy(&self, from: &BackendKey, to: &BackendKey) -> Result<Stored, Error> {
        self.ensure_a_blobs(to)?;
        identity::ensure_proved(self).await?;
        let Info { size_bytes } = self.head(from).await?;
        if size_bytes > SERVER_COPY_BYTES_MAX {
            return self.copy_through(from, to).await;
        }
        self.ensure_free(to).await?;
        let (source, target) = (self.path(from)?, self.path(to)?);
        match watch(self.clients.store.copy_opts(&source, &target, CopyOptions::default())).await {
            Ok(()) => Ok(Stored { size_bytes }),
            Err(failure) if failure.is_missing() => {
                Err(Error::NotFound { backend: self.id, key: from.clone() })
            }
            Err(failure) => Err(self.subject("copy", to, Effect::Write).classify(failure)),
        }
    }

    async fn abort_unfinished(&self, prefix: &str) -> Result<usize, Error> {
        unfinished::abort(self, prefix).await
    }

    async fn identify(&self) -> Result<(), Error> {
        identity::verify(self).await
    }

    async fn check(&self) -> Result<(), Error> {
        self.identify().await
    }
}
