//! A backend in the memory of this process, for tests: it is as strict as the others and, with `Faults`, as
//! unreliable as the worst of them. Nothing survives the process, so no configuration of a real cluster uses it.

pub mod faults;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;
use vaultaire_proto::{BackendId, BackendKey};

use crate::backend::{
    Attributes, AttributesKept, Backend, ByteStream, Capabilities, Info, Kind, LIST_PAGE_MAX,
    Listed, Object, Stored, WriteOnce, collect, once, resolve_range,
};
use crate::backends::identity::{Identity, Place};
use crate::error::Error;
use faults::{Dice, Fault, Faults};

/// Blobs in a map.
#[derive(Debug)]
pub struct Memory {
    id: BackendId,
    name: String,
    faults: Faults,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<BackendKey, Blob>,
    dice: Dice,
    /// Writes that were reported as timed out and land later: (when, key, blob).
    zombies: Vec<(Landing, BackendKey, Blob)>,
    operations: u64,
    /// Whether it says that it is another backend.
    is_mistaken: bool,
}

/// After so many operations, and no earlier than at that time.
type Landing = (u64, Instant);

#[derive(Clone, Debug)]
struct Blob {
    bytes: Bytes,
    attributes: Attributes,
}

/// What a fault plan leaves to do before an operation answers.
struct Turn {
    fault: Option<Fault>,
}

impl Memory {
    /// An empty backend that never fails.
    pub fn new(id: BackendId, name: impl Into<String>) -> Self {
        Self::with_faults(id, name, Faults::NONE)
    }

    /// An empty backend that fails as its seed says.
    pub fn with_faults(id: BackendId, name: impl Into<String>, faults: Faults) -> Self {
        Self { id, name: name.into(), faults, state: Mutex::default() }
    }

    /// From now on it says that it is another backend, as a place does that two backends share.
    pub fn mistake(&self) {
        self.state.lock().is_mistaken = true;
    }

    /// What a blob says about itself.
    pub fn attributes(&self, key: &BackendKey) -> Option<Attributes> {
        self.state.lock().blobs.get(key).map(|blob| blob.attributes.clone())
    }

    /// Counts the operation, lets due zombies land, draws the fault and waits where the fault is slowness.
    async fn turn(&self, operation: &'static str, subject: &str) -> Result<Turn, Error> {
        let fault = {
            let mut state = self.state.lock();
            state.operations += 1;
            state.land_zombies();
            state.dice.draw(&self.faults, operation, subject)
        };
        match fault {
            Some(Fault::ErrorBefore) => Err(Error::Unavailable {
                backend: self.id,
                operation,
                subject: subject.to_owned(),
                source: "an injected failure before the operation".into(),
            }),
            Some(Fault::Slow) => {
                tokio::time::sleep(self.faults.slow_for).await;
                Ok(Turn { fault })
            }
            fault => Ok(Turn { fault }),
        }
    }

    fn not_found(&self, key: &BackendKey) -> Error {
        Error::NotFound { backend: self.id, key: key.clone() }
    }

    fn unknown(&self, operation: &'static str, key: &BackendKey) -> Error {
        Error::OutcomeUnknown {
            backend: self.id,
            operation,
            key: key.clone(),
            source: "an injected timeout".into(),
        }
    }

    /// Stores unless the key is taken; how it ends is the fault's choice.
    fn store(&self, turn: &Turn, key: &BackendKey, blob: Blob) -> Result<Stored, Error> {
        let size_bytes = blob.bytes.len() as u64;
        let mut state = self.state.lock();
        if state.blobs.contains_key(key) {
            return Err(Error::AlreadyExists { backend: self.id, key: key.clone() });
        }
        if turn.fault == Some(Fault::Zombie) {
            let operations = state.operations + self.faults.zombie_after_operations;
            let due = (operations, Instant::now() + self.faults.zombie_for);
            state.zombies.push((due, key.clone(), blob));
            return Err(self.unknown("put", key));
        }
        state.blobs.insert(key.clone(), blob);
        if turn.fault == Some(Fault::TimeoutAfter) {
            return Err(self.unknown("put", key));
        }
        Ok(Stored { size_bytes })
    }

    fn read(&self, turn: &Turn, key: &BackendKey) -> Result<Blob, Error> {
        if turn.fault == Some(Fault::Missing) {
            return Err(self.not_found(key));
        }
        self.state.lock().blobs.get(key).cloned().ok_or_else(|| self.not_found(key))
    }
}

impl State {
    fn land_zombies(&mut self) {
        let (operations, now) = (self.operations, Instant::now());
        let is_due = |landing: &Landing| landing.0 <= operations && landing.1 <= now;
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.zombies).into_iter().partition(|(when, ..)| is_due(when));
        self.zombies = later;
        for (_when, key, blob) in due {
            self.blobs.entry(key).or_insert(blob);
        }
    }
}

#[async_trait]
impl Backend for Memory {
    fn id(&self) -> BackendId {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        Kind::Memory
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { write_once: WriteOnce::Atomic, attributes: AttributesKept::Yes }
    }

    async fn put(
        &self,
        key: &BackendKey,
        attributes: &Attributes,
        size_hint: Option<u64>,
        body: ByteStream,
    ) -> Result<Stored, Error> {
        let turn = self.turn("put", key.as_str()).await?;
        let bytes = collect(body).await?;
        let received_bytes = bytes.len() as u64;
        if let Some(expected_bytes) = size_hint.filter(|expected| *expected != received_bytes) {
            return Err(Error::WrongSize { key: key.clone(), expected_bytes, received_bytes });
        }
        self.store(&turn, key, Blob { bytes, attributes: attributes.clone() })
    }

    async fn get(&self, key: &BackendKey, range: Option<Range<u64>>) -> Result<Object, Error> {
        let turn = self.turn("get", key.as_str()).await?;
        let Blob { bytes, .. } = self.read(&turn, key)?;
        let size_bytes = bytes.len() as u64;
        let range = resolve_range(range, size_bytes)?;
        let place = |offset: u64| {
            usize::try_from(offset).expect("the blob is in memory, so its offsets fit")
        };
        let mut part = bytes.slice(place(range.start)..place(range.end));
        if turn.fault == Some(Fault::Corrupt) {
            part = faults::flip_a_bit(&part, self.faults.seed);
        }
        Ok(Object { size_bytes, range, stream: once(part) })
    }

    async fn head(&self, key: &BackendKey) -> Result<Info, Error> {
        let turn = self.turn("head", key.as_str()).await?;
        let blob = self.read(&turn, key)?;
        Ok(Info { size_bytes: blob.bytes.len() as u64 })
    }

    async fn delete(&self, key: &BackendKey) -> Result<(), Error> {
        let turn = self.turn("delete", key.as_str()).await?;
        self.state.lock().blobs.remove(key);
        if turn.fault == Some(Fault::TimeoutAfter) {
            return Err(self.unknown("delete", key));
        }
        Ok(())
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&BackendKey>,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        self.turn("list", prefix).await?;
        let state = self.state.lock();
        let page = state
            .blobs
            .iter()
            .filter(|(key, _)| {
                key.as_str().starts_with(prefix) && after.is_none_or(|after| *key > after)
            })
            .take(limit.min(LIST_PAGE_MAX))
            .map(|(key, blob)| Listed { key: key.clone(), size_bytes: blob.bytes.len() as u64 });
        Ok(page.collect())
    }

    async fn copy(&self, from: &BackendKey, to: &BackendKey) -> Result<Stored, Error> {
        let turn = self.turn("copy", to.as_str()).await?;
        let blob = self.read(&turn, from)?;
        self.store(&turn, to, blob)
    }

    async fn identify(&self) -> Result<(), Error> {
        self.turn("identify", "").await?;
        match self.state.lock().is_mistaken {
            false => Ok(()),
            true => {
                let place = Place { name: self.name.clone(), kind: Kind::Memory };
                Err(Identity::new("", self.id).missing(&place, "it was mistaken for another"))
            }
        }
    }

    async fn check(&self) -> Result<(), Error> {
        self.turn("check", "").await?;
        self.identify().await
    }
}
