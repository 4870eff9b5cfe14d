//! What a backend really does, operation by operation, with timings: `vaultaire backend check`. Unlike the
//! conformance suite it is quick, writes little and explains itself to an operator.

use std::fmt::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use vaultaire_proto::BackendKey;

use crate::backend::{Attributes, Backend, LIST_PAGE_MAX, once};
use crate::error::Error;

/// Where all probes write.
const PREFIX: &str = "probe/";

/// How much is written and read.
const PROBE_BYTES: usize = 4096;

/// One operation of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What was tried.
    pub operation: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// How an operation of a probe ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Works,
    /// It answered, but not what it should.
    Wrong(String),
    /// It failed.
    Fails(String),
}

impl Verdict {
    fn of<T>(outcome: Result<T, Error>, check: impl FnOnce(&T) -> Option<String>) -> Self {
        match outcome {
            Ok(value) => check(&value).map_or(Self::Works, Self::Wrong),
            Err(error) => Self::Fails(error.to_string()),
        }
    }
}

/// Removes what probes left that were killed: those whose nonce sorts before `stale`. Nonces ascend with time, so a
/// probe that still runs is left alone. Answers how many blobs that were; what one page does not hold is found next time.
pub async fn clean(backend: &dyn Backend, stale: &str) -> Result<usize, Error> {
    let mut removed = 0;
    for listed in backend.list(PREFIX, None, LIST_PAGE_MAX).await? {
        let nonce =
            listed.key.as_str().strip_prefix(PREFIX).and_then(|rest| rest.split('/').next());
        if nonce.is_some_and(|nonce| nonce < stale) {
            backend.delete(&listed.key).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Tries every operation below `probe/<nonce>/`, which must be unused, and removes what it wrote.
pub async fn probe(backend: &dyn Backend, nonce: &str) -> Result<Vec<Row>, Error> {
    let key = |name: &str| {
        BackendKey::parse(&format!("{PREFIX}{nonce}/{name}")).map_err(|invalid| Error::Config {
            name: backend.name().to_owned(),
            reason: format!("the probe's nonce {nonce} {}", invalid.why),
        })
    };
    let probe = Probe {
        backend,
        first: key("first")?,
        second: key("second")?,
        prefix: format!("{PREFIX}{nonce}/"),
    };
    let mut rows = Vec::new();
    for operation in OPERATIONS {
        let started = Instant::now();
        let verdict = probe.run(operation).await;
        rows.push(Row { operation, verdict, took: started.elapsed() });
    }
    Ok(rows)
}

const OPERATIONS: [&str; 8] =
    ["check", "put", "get", "range", "list", "conditional put", "copy", "delete"];

struct Probe<'probe> {
    backend: &'probe dyn Backend,
    first: BackendKey,
    second: BackendKey,
    prefix: String,
}

impl Probe<'_> {
    async fn run(&self, operation: &str) -> Verdict {
        let content = Bytes::from(vec![0x5a; PROBE_BYTES]);
        match operation {
            "check" => Verdict::of(self.backend.check().await, |()| None),
            "put" => Verdict::of(self.put(&content).await, |stored| {
                differs("bytes stored", stored.size_bytes, PROBE_BYTES as u64)
            }),
            "get" => Verdict::of(self.read(None).await, |read| differs("content", read, &content)),
            "range" => {
                let part = content.slice(10..20);
                Verdict::of(self.read(Some(10..20)).await, |read| differs("content", read, &part))
            }
            "list" => Verdict::of(self.backend.list(&self.prefix, None, 10).await, |rows| {
                differs("blobs listed", rows.len(), 1)
            }),
            "conditional put" => match self.put(&content).await {
                Err(Error::AlreadyExists { .. }) => Verdict::Works,
                Err(error) => Verdict::Fails(error.to_string()),
                Ok(_) => {
                    Verdict::Wrong("a blob was overwritten; set conditional_put = false".to_owned())
                }
            },
            "copy" => Verdict::of(self.backend.copy(&self.first, &self.second).await, |stored| {
                differs("bytes copied", stored.size_bytes, PROBE_BYTES as u64)
            }),
            _delete => Verdict::of(self.delete().await, |left| differs("blobs left", *left, 0)),
        }
    }

    async fn put(&self, content: &Bytes) -> Result<crate::backend::Stored, Error> {
        let body = once(content.clone());
        self.backend
            .put(&self.first, &Attributes::default(), Some(content.len() as u64), body)
            .await
    }

    async fn read(&self, range: Option<std::ops::Range<u64>>) -> Result<Bytes, Error> {
        self.backend.get(&self.first, range).await?.collect(PROBE_BYTES as u64).await
    }

    async fn delete(&self) -> Result<usize, Error> {
        self.backend.delete(&self.first).await?;
        self.backend.delete(&self.second).await?;
        Ok(self.backend.list(&self.prefix, None, 10).await?.len())
    }
}

fn differs<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Option<String> {
    if found == expected {
        return None;
    }
    let mut text = format!("{what} differ: {found:?} instead of {expected:?}");
    text.truncate(text.char_indices().nth(120).map_or(text.len(), |(place, _)| place));
    Some(text)
}

/// The rows as a table for a terminal.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let verdict = match &row.verdict {
            Verdict::Works => "works".to_owned(),
            Verdict::Wrong(how) => format!("wrong: {how}"),
            Verdict::Fails(error) => format!("fails: {error}"),
        };
        let took_ms = row.took.as_secs_f64() * 1000.0;
        writeln!(text, "{:<16} {took_ms:>9.2} ms  {verdict}", row.operation)
            .expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::backends::memory::Memory;
    use crate::backends::memory::faults::Faults;
    use vaultaire_proto::BackendId;

    #[tokio::test]
    async fn a_sound_backend_works_throughout() {
        let backend = Memory::new(BackendId(1), "memory");
        for nonce in ["1", "2"] {
            let rows = probe(&backend, nonce).await.unwrap();
            assert!(rows.iter().all(|row| row.verdict == Verdict::Works), "{}", table(&rows));
        }
        assert!(backend.list("", None, 10).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn leftovers_of_killed_probes_are_removed_and_nothing_else() {
        let backend = Memory::new(BackendId(1), "memory");
        let names = ["probe/01a/first", "probe/01a/second", "probe/01b/first", "w/01a/first"];
        for name in names {
            let body = once(Bytes::from_static(b"x"));
            let key = BackendKey::parse(name).unwrap();
            backend.put(&key, &Attributes::default(), None, body).await.unwrap();
        }
        assert_eq!(clean(&backend, "01b").await.unwrap(), 2);
        let left = backend.list("", None, 10).await.unwrap();
        let left: Vec<_> = left.iter().map(|listed| listed.key.as_str()).collect();
        assert_eq!(left, ["probe/01b/first", "w/01a/first"]);
    }

    #[tokio::test]
    async fn faults_are_shown() {
        let corrupt =
            Memory::with_faults(BackendId(1), "m", Faults { corrupt_read: 1000, ..Faults::NONE });
        let rows = probe(&corrupt, "1").await.unwrap();
        let verdict = |name: &str| &rows.iter().find(|row| row.operation == name).unwrap().verdict;
        assert!(matches!(verdict("get"), Verdict::Wrong(_)), "{}", table(&rows));
        assert!(matches!(verdict("put"), Verdict::Works), "{}", table(&rows));
        let dead =
            Memory::with_faults(BackendId(1), "m", Faults { error_before: 1000, ..Faults::NONE });
        let rows = probe(&dead, "1").await.unwrap();
        assert!(
            rows.iter().all(|row| matches!(row.verdict, Verdict::Fails(_))),
            "{}",
            table(&rows)
        );
        assert!(table(&rows).lines().count() == rows.len());
        assert!(probe(&dead, "Not A Key").await.is_err());
    }
}
