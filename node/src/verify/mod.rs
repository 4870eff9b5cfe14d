//! Compares the catalog with the bytes on the backends, while the node serves. It changes nothing: what
//! it finds is for people. First from rows down to bytes, then from bytes up to rows.

pub mod bytes;
pub mod orphans;
pub mod rows;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use vaultaire_proto::object::Location;
use vaultaire_proto::row::{BackendRow, BlobOwner};
use vaultaire_proto::{BackendId, Consistency, GroupId};
use vaultaire_storage::registry::Registry;

use crate::ask;
use crate::error::Error;
use crate::propose::Proposer;
use crate::verify::bytes::Silence;

/// How many blobs between two reports of progress.
const PROGRESS_EVERY: u64 = 200;

/// How often this node's backends are looked at before a check begins without some of them: for five seconds.
const BACKENDS_LOOKS_MAX: u32 = 20;
const BACKENDS_PAUSE: Duration = Duration::from_millis(250);

/// What to compare.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Read every byte; otherwise presence and size.
    pub checksums: bool,
    /// Only this backend.
    pub backend: Option<BackendId>,
}

/// What a check says while it runs, and at its end.
#[derive(Clone, Debug)]
pub enum Event {
    Progress(Progress),
    Finding(Finding),
    Summary(Summary),
}

/// What is being walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Catalog,
    Backends,
}

/// How far the check has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub phase: Phase,
    pub objects: u64,
    pub blobs: u64,
    pub checked_bytes: u64,
    pub total_objects: u64,
    pub total_bytes: u64,
}

/// What is wrong with one blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Orphan,
    Dangling,
    ChecksumMismatch,
    SizeMismatch,
    Unreadable,
    Inconsistent,
}

/// One thing that is wrong. What does not apply is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    pub backend: String,
    pub backend_key: String,
    pub bucket: String,
    pub object_key: String,
    pub version_id: String,
    pub detail: String,
}

/// The end of a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub objects: u64,
    pub blobs: u64,
    pub checked_bytes: u64,
    pub orphans: u64,
    pub dangling: u64,
    pub checksum_mismatches: u64,
    pub size_mismatches: u64,
    pub unreadable: u64,
    pub inconsistent: u64,
    pub unswept: u64,
    pub duration_ms: u64,
}

/// Where events go. Its end closes when nobody listens any more, and then the check ends.
pub type Events = mpsc::Sender<Result<Event, Error>>;

/// A check under way.
#[derive(Debug)]
pub struct Verifier {
    proposer: Proposer,
    registry: Arc<Registry>,
    options: Options,
    events: Events,
    silence: Arc<Silence>,
    summary: Summary,
    total_objects: u64,
    total_bytes: u64,
}

impl Verifier {
    /// A check that has not begun.
    pub fn new(
        proposer: Proposer,
        registry: Arc<Registry>,
        options: Options,
        events: Events,
    ) -> Self {
        let summary = Summary::default();
        let silence = Arc::default();
        let (total_objects, total_bytes) = (0, 0);
        Self { proposer, registry, options, events, silence, summary, total_objects, total_bytes }
    }

    /// Runs to the summary, or to the first error that leaves nothing to compare.
    pub async fn run(mut self) -> Result<(), Error> {
        let started = Instant::now();
        self.await_backends().await?;
        self.count().await?;
        let shards: Vec<GroupId> = self.proposer.shards().collect();
        for shard in &shards {
            self.check_blobs(*shard).await?;
        }
        for shard in &shards {
            self.check_versions(*shard).await?;
        }
        // One that was lost or removed a moment ago is still open here, and has nothing that could be read.
        let rows = ask::backends(self.proposer.catalog(), Consistency::Linearizable).await?;
        let is_gone = |id| rows.iter().any(|row| row.id == id && row.state.is_gone());
        for backend in self.registry.all() {
            if self.covers(backend.id()) && !is_gone(backend.id()) {
                self.check_keys(&backend).await?;
            }
        }
        let took = started.elapsed().as_millis();
        self.summary.duration_ms = u64::try_from(took).unwrap_or(u64::MAX);
        self.send(Event::Summary(self.summary)).await
    }

    /// A node opens a new backend of another node a moment after it has come to be. One that stays away is told of by what
    /// cannot be read there.
    async fn await_backends(&self) -> Result<(), Error> {
        for _ in 0..BACKENDS_LOOKS_MAX {
            let rows = ask::backends(self.proposer.catalog(), Consistency::Linearizable).await?;
            let is_there = |row: &BackendRow| {
                row.state.is_gone() || !self.covers(row.id) || self.registry.get(row.id).is_ok()
            };
            if rows.iter().all(is_there) {
                return Ok(());
            }
            tokio::time::sleep(BACKENDS_PAUSE).await;
        }
        Ok(())
    }

    fn covers(&self, backend: BackendId) -> bool {
        self.options.backend.is_none_or(|only| only == backend)
    }

    /// What the shards count as live, for the progress bar.
    async fn count(&mut self) -> Result<(), Error> {
        for shard in self.proposer.shards() {
            let catalog = self.proposer.catalog();
            for (id, held) in ask::shard_backends(catalog, Consistency::Stale, shard).await? {
                if self.covers(id) {
                    self.total_objects = self.total_objects.saturating_add(held.live_blobs);
                    self.total_bytes = self.total_bytes.saturating_add(held.live_bytes);
                }
            }
        }
        Ok(())
    }

    async fn send(&self, event: Event) -> Result<(), Error> {
        let gone = |_| Error::Found("nobody waits for this check any more".to_owned());
        self.events.send(Ok(event)).await.map_err(gone)
    }

    async fn progress(&self, phase: Phase) -> Result<(), Error> {
        let Summary { objects, blobs, checked_bytes, .. } = self.summary;
        let (total_objects, total_bytes) = (self.total_objects, self.total_bytes);
        let progress =
            Progress { phase, objects, blobs, checked_bytes, total_objects, total_bytes };
        self.send(Event::Progress(progress)).await
    }

    /// One more copy was looked at.
    async fn looked_at(&mut self, phase: Phase) -> Result<(), Error> {
        self.summary.blobs += 1;
        match self.summary.blobs % PROGRESS_EVERY {
            0 => self.progress(phase).await,
            _ => Ok(()),
        }
    }

    /// Counts a finding and tells of it.
    async fn found(&mut self, finding: Finding) -> Result<(), Error> {
        let count = match finding.kind {
            Kind::Orphan => &mut self.summary.orphans,
            Kind::Dangling => &mut self.summary.dangling,
            Kind::ChecksumMismatch => &mut self.summary.checksum_mismatches,
            Kind::SizeMismatch => &mut self.summary.size_mismatches,
            Kind::Unreadable => &mut self.summary.unreadable,
            Kind::Inconsistent => &mut self.summary.inconsistent,
        };
        *count += 1;
        self.send(Event::Finding(finding)).await
    }

    /// A finding about a blob: where it lies, and whose it is as far as a row says.
    async fn finding(
        &self,
        kind: Kind,
        location: Location,
        owner: Option<&BlobOwner>,
        detail: String,
    ) -> Result<Finding, Error> {
        let catalog = self.proposer.catalog();
        let backend = match self.registry.get(location.backend) {
            Ok(backend) => backend.name().to_owned(),
            Err(_) => location.backend.to_string(),
        };
        let (bucket, object_key, version_id) = match owner {
            Some(BlobOwner::Version { bucket, key, version }) => {
                (Some(*bucket), key.to_string(), version.to_string())
            }
            Some(BlobOwner::Part { bucket, key, upload, number }) => {
                (Some(*bucket), key.to_string(), format!("part {number} of upload {upload}"))
            }
            None => (None, String::new(), String::new()),
        };
        let bucket = match bucket {
            Some(id) => match ask::bucket_by_id(catalog, Consistency::Stale, id).await? {
                Some(row) => row.name.to_string(),
                None => id.to_string(),
            },
            None => String::new(),
        };
        let backend_key = location.key.backend_key(catalog.cluster().cluster).to_string();
        Ok(Finding { kind, backend, backend_key, bucket, object_key, version_id, detail })
    }
}
