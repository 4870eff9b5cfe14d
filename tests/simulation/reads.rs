//! How clients read: the row through a node, and then the bytes that it names.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use vaultaire_proto::object::{Blob, Version, VersionEntry};
use vaultaire_proto::planted::{self, Planted};
use vaultaire_proto::{Answer, Catalog, Consistency, ObjectKey, Query};

use super::client::{Clients, Told};
use super::content;
use super::found::{BUCKET, CLUSTER};
use super::history::{Action, Event, Outcome};
use super::node::Ready;

/// How often a read looks for the bytes, as in the router.
const LOOKS_MAX: u32 = 3;

/// What backends hold of a version.
enum Holds {
    All,
    /// Or none did answer.
    Nothing,
    /// No backend has some of it: it was moved or replaced meanwhile.
    Gone,
}

impl Clients {
    /// As a node reads: where no copy is left it looks again.
    pub(super) async fn read(&self, ready: &Ready, key: &ObjectKey) -> Told {
        for _ in 0..LOOKS_MAX {
            if let Some(told) = self.look(ready, key).await {
                return told;
            }
        }
        Told::Nothing
    }

    async fn look(&self, ready: &Ready, key: &ObjectKey) -> Option<Told> {
        let query =
            Query::Version { bucket: BUCKET, key: key.clone(), version: None, manifest: false };
        match ready.catalog.query(query, Consistency::Linearizable).await {
            Ok(Answer::Version(None)) => Some(Told::Outcome(Outcome::Found(None))),
            Ok(Answer::Version(Some(VersionEntry::Object(version)))) => {
                self.fetch(key, &version).await
            }
            Ok(other) => {
                self.world.fail(format!("a read was answered {other:?}"));
                Some(Told::Nothing)
            }
            Err(_) => Some(Told::Nothing),
        }
    }

    /// The bytes of a version, part by part. None: they are not where its row says.
    async fn fetch(&self, key: &ObjectKey, version: &Version) -> Option<Told> {
        let Some((value, held)) = content::expected(version) else {
            self.world.fail(format!("{key} is none that was written: {version:?}"));
            return Some(Told::Nothing);
        };
        for (blob, bytes) in held {
            match self.holds(blob, &bytes).await {
                Holds::All => {}
                Holds::Nothing => return Some(Told::Nothing),
                // What the router does where this is planted.
                Holds::Gone if planted::is(Planted::CollectedUndrained) => {
                    return Some(Told::Outcome(Outcome::Found(None)));
                }
                Holds::Gone => return None,
            }
        }
        Some(Told::Outcome(Outcome::Found(Some(value))))
    }

    /// Whether backends have what the rows say. What was replaced meanwhile may be gone.
    async fn holds(&self, blob: &Blob, expected: &Bytes) -> Holds {
        let mut gone = true;
        for copy in &blob.copies {
            let key = copy.key.backend_key(CLUSTER);
            let backend = self.world.registry.get(copy.backend).expect("it was never lost");
            let got = match backend.get(&key, None).await {
                Ok(object) => object.collect(content::BYTES_MAX).await,
                Err(error) => Err(error),
            };
            match got {
                Ok(bytes) if bytes == expected => return Holds::All,
                // As in the router: what does not have its checksum came damaged, and another copy is asked for.
                Ok(bytes) if content::crc64nvme(&bytes) != Some(blob.crc64nvme) => gone = false,
                Ok(bytes) => {
                    let (has, wanted) = (tail(&bytes), tail(expected));
                    self.world.fail(format!("{key} holds {has:?} and not {wanted:?}"));
                    return Holds::Nothing;
                }
                Err(error) => gone &= error.is_not_found(),
            }
        }
        if gone { Holds::Gone } else { Holds::Nothing }
    }

    /// Reads every key through every node, as long as it takes within a bound.
    pub async fn read_all(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        for key in self.history.events().keys() {
            for node in self.nodes.values() {
                let began = self.history.now();
                let outcome = loop {
                    let told = match node.ready() {
                        Some(ready) => self.read(&ready, key).await,
                        None => Told::Nothing,
                    };
                    match told {
                        Told::Outcome(outcome) => break outcome,
                        Told::Nothing if Instant::now() < deadline => {
                            sleep(Duration::from_millis(100)).await;
                        }
                        Told::Nothing => {
                            let why = "a read after everything was healed has no answer";
                            return self.world.fail(format!("{why}: {key} at {}", node.id));
                        }
                    }
                };
                let ended = Some(self.history.now());
                let action = Action::Read;
                self.history.add(key, Event { client: 0, action, outcome, began, ended });
            }
        }
    }
}

/// What tells contents apart, with the length.
fn tail(bytes: &Bytes) -> (usize, &[u8]) {
    (bytes.len(), &bytes[bytes.len().saturating_sub(16)..])
}
