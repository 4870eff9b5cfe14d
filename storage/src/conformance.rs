//! One suite that every backend passes: what the rest of Vaultaire relies on, checked through the seam
//! alone. Not here: what only one backend promises (crash leftovers, faults), which its own tests check.

mod reads;
mod writes;

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use vaultaire_proto::BackendKey;

use crate::backend::{Attributes, Backend, Stored, collect, once};
use crate::error::Error;

/// The most bytes a check reads back.
const READ_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How one check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The promise that was checked.
    pub name: &'static str,
    /// How it was broken.
    pub result: Result<(), String>,
}

type Check = for<'a> fn(&'a Trial) -> BoxFuture<'a, Result<(), Broken>>;

const CHECKS: [(&str, Check); 14] = [
    ("what was put can be read", |trial| Box::pin(reads::round_trips(trial))),
    ("an empty blob is a blob", |trial| Box::pin(reads::empty_blob(trial))),
    ("ranges are cut to the blob", |trial| Box::pin(reads::ranges(trial))),
    ("a missing blob is not found, by every operation", |trial| Box::pin(reads::missing(trial))),
    ("a listing is ordered and paged", |trial| Box::pin(reads::listing(trial))),
    ("a listing keeps to its prefix", |trial| Box::pin(reads::listing_prefixes(trial))),
    ("a key is written once", |trial| Box::pin(writes::write_once(trial))),
    ("of concurrent writers one wins", |trial| Box::pin(writes::concurrent_writers(trial))),
    ("a body of another length leaves nothing", |trial| Box::pin(writes::wrong_length(trial))),
    ("a broken body leaves nothing", |trial| Box::pin(writes::broken_body(trial))),
    ("a dropped put leaves nothing", |trial| Box::pin(writes::dropped_put(trial))),
    ("a delete can be repeated", |trial| Box::pin(writes::delete_repeats(trial))),
    ("a copy is a blob of its own", |trial| Box::pin(writes::copies(trial))),
    ("the backend says it is well", |trial| Box::pin(writes::check(trial))),
];

/// Runs every check, each below its own part of `prefix`, which nothing else may use.
pub async fn run(backend: Arc<dyn Backend>, prefix: &str) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(CHECKS.len());
    for (number, (name, check)) in CHECKS.into_iter().enumerate() {
        let trial = Trial { backend: backend.clone(), prefix: format!("{prefix}/{number}") };
        let result = check(&trial).await.map_err(|Broken(what)| what);
        outcomes.push(Outcome { name, result });
    }
    outcomes
}

/// Runs every check and panics with the list of those that failed: for tests.
pub async fn assert_conforms(backend: Arc<dyn Backend>, prefix: &str) {
    let name = backend.name().to_owned();
    let failed: Vec<String> = run(backend, prefix)
        .await
        .into_iter()
        .filter_map(|outcome| outcome.result.err().map(|what| format!("{}: {what}", outcome.name)))
        .collect();
    assert!(failed.is_empty(), "backend {name} breaks its promises:\n{}", failed.join("\n"));
}

/// A promise that was broken, in words.
struct Broken(String);

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self(match std::error::Error::source(&error) {
            Some(source) => format!("{error} ({source})"),
            None => error.to_string(),
        })
    }
}

/// Fails with the words unless the condition holds.
fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(what())) }
}

/// One check's part of the backend.
struct Trial {
    backend: Arc<dyn Backend>,
    prefix: String,
}

impl Trial {
    fn key(&self, name: &str) -> Result<BackendKey, Broken> {
        let text = format!("{}/{name}", self.prefix);
        BackendKey::parse(&text).map_err(|invalid| Broken(format!("{text}: {}", invalid.why)))
    }

    async fn put(&self, key: &BackendKey, bytes: &Bytes) -> Result<Stored, Error> {
        let attributes = attributes(key);
        let size = bytes.len() as u64;
        self.backend.put(key, &attributes, Some(size), once(bytes.clone())).await
    }

    async fn read(&self, key: &BackendKey) -> Result<Bytes, Error> {
        self.backend.get(key, None).await?.collect(READ_BYTES_MAX).await
    }

    async fn read_range(&self, key: &BackendKey, start: u64, end: u64) -> Result<Bytes, Error> {
        let object = self.backend.get(key, Some(start..end)).await?;
        collect(object.stream).await
    }

    /// Nothing is at the key: not by name, and not in a listing.
    async fn ensure_absent(&self, key: &BackendKey) -> Result<(), Broken> {
        match self.backend.head(key).await {
            Ok(info) => return Err(Broken(format!("{} bytes are at {key}", info.size_bytes))),
            Err(error) => ensure(error.is_not_found(), || format!("head of {key}: {error}"))?,
        }
        let listed = self.backend.list(key.as_str(), None, 10).await?;
        ensure(listed.is_empty(), || format!("listed: {listed:?}"))
    }
}

fn attributes(key: &BackendKey) -> Attributes {
    Attributes {
        bucket: "photos".to_owned(),
        key: format!("déjà vu/{key}"),
        version: "01".to_owned(),
        size_bytes: None,
        content_type: Some("text/plain".to_owned()),
    }
}

/// Bytes that repeat nowhere near, so that a misplaced range is seen.
fn pattern(size: usize) -> Bytes {
    (0..size as u64).map(|place| (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}
