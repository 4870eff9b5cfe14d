//! The node's own metrics. Those of requests are the router's; both end in one registry, which `http.rs`
//! writes out. Keys and users are never labels.

use std::sync::atomic::AtomicU64;

use parking_lot::RwLock;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::raft::group::{GroupMetrics, Role};
use crate::raft::log::Stats;

/// Before every name of ours; the router writes it out itself.
const PREFIX: &str = "vaultaire";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabel {
    group: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BackendLabel {
    backend: String,
}

type Gauges = Family<GroupLabel, Gauge<u64, AtomicU64>>;

/// What the node counts.
#[derive(Debug, Default)]
pub struct Metrics {
    garbage: Counter,
    orphans: Counter,
    moved: Counter,
    moved_bytes: Counter,
    ready: Gauge<u64, AtomicU64>,
    backends: Family<BackendLabel, Gauge<u64, AtomicU64>>,
    held: Family<BackendLabel, Gauge<u64, AtomicU64>>,
    differ: Gauge<u64, AtomicU64>,
    leader: Gauges,
    term: Gauges,
    committed: Gauges,
    applied: Gauges,
    queued: Gauges,
    commands: Gauges,
    entries: Gauges,
    journal_syncs: Gauge<u64, AtomicU64>,
    journal_records: Gauge<u64, AtomicU64>,
    journal_bytes: Gauge<u64, AtomicU64>,
    journal_slowest: Gauge<f64, AtomicU64>,
}

impl Metrics {
    /// Adds the node's metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix(PREFIX);
        let version = ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        registry.register("build", "The release that runs", Info::new(vec![version]));
        registry.register(
            "garbage_collected_blobs",
            "Blobs deleted because nothing refers to them any more",
            metrics.garbage.clone(),
        );
        registry.register(
            "swept_orphans",
            "Blobs deleted by sweeps: written, and never referenced",
            metrics.orphans.clone(),
        );
        registry.register(
            "differing_groups",
            "Groups whose replicas had different rows when this node compared them last",
            metrics.differ.clone(),
        );
        registry.register(
            "repaired_copies",
            "Copies made in the place of others, on backends that are drained or lost",
            metrics.moved.clone(),
        );
        registry.register("repaired_bytes", "Bytes of these copies", metrics.moved_bytes.clone());
        registry.register("ready", "1 when the node has caught up", metrics.ready.clone());
        registry.register(
            "backend_open",
            "1 where this node has the backend open, 0 where it cannot be reached",
            metrics.backends.clone(),
        );
        registry.register(
            "gc_held",
            "1 where the safety brake of this node holds deletions on the backend",
            metrics.held.clone(),
        );
        for (name, help, gauges) in [
            ("raft_leader", "1 where this node leads the group", &metrics.leader),
            ("raft_term", "Current term", &metrics.term),
            ("raft_committed_index", "Last committed log index", &metrics.committed),
            ("raft_applied_index", "Last applied log index", &metrics.applied),
            ("raft_queued_commands", "Commands that wait to be proposed", &metrics.queued),
            ("raft_commands", "Commands proposed since the start", &metrics.commands),
            ("raft_entries", "Log entries proposed since the start", &metrics.entries),
        ] {
            registry.register(name, help, gauges.clone());
        }
        for (name, help, gauge) in [
            ("journal_syncs", "Syncs of the journal since the start", &metrics.journal_syncs),
            ("journal_records", "Records written since the start", &metrics.journal_records),
            ("journal_live_bytes", "Bytes of the journal still needed", &metrics.journal_bytes),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "journal_slowest_sync_seconds",
            "The slowest sync since the start",
            metrics.journal_slowest.clone(),
        );
        metrics
    }

    /// Garbage was deleted and committed as collected.
    pub fn garbage_collected(&self, blobs: usize) {
        self.garbage.inc_by(u64::try_from(blobs).unwrap_or(u64::MAX));
    }

    /// A sweep deleted blobs that nothing had ever referenced.
    pub fn orphans_swept(&self, blobs: usize) {
        self.orphans.inc_by(u64::try_from(blobs).unwrap_or(u64::MAX));
    }

    /// A copy took the place of another one.
    pub fn copy_moved(&self, bytes: u64) {
        self.moved.inc();
        self.moved_bytes.inc_by(bytes);
    }

    /// A backend can be used.
    pub fn backend_opened(&self, name: &str) {
        self.backends.get_or_create(&BackendLabel { backend: name.to_owned() }).set(1);
    }

    /// The replicas were compared.
    pub fn groups_that_differ(&self, count: usize) {
        self.differ.set(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// A backend is configured, and cannot be reached.
    pub fn backend_absent(&self, name: &str) {
        self.backends.get_or_create(&BackendLabel { backend: name.to_owned() }).set(0);
    }

    /// The safety brake holds deletions on a backend.
    pub fn deletions_held(&self, name: &str) {
        self.held.get_or_create(&BackendLabel { backend: name.to_owned() }).set(1);
    }

    /// It does not.
    pub fn deletions_free(&self, name: &str) {
        self.held.get_or_create(&BackendLabel { backend: name.to_owned() }).set(0);
    }

    /// Takes over what the groups say of themselves; called when somebody looks.
    pub fn observe(&self, groups: &[GroupMetrics], journal: &Stats, ready: bool) {
        self.ready.set(u64::from(ready));
        self.journal_syncs.set(journal.syncs);
        self.journal_records.set(journal.records);
        self.journal_bytes.set(journal.live_bytes);
        self.journal_slowest.set(journal.slowest_sync.as_secs_f64());
        for group in groups {
            let label = GroupLabel { group: group.group.0 };
            let leads = matches!(group.role, Role::Leader);
            self.leader.get_or_create(&label).set(u64::from(leads));
            self.term.get_or_create(&label).set(group.term);
            self.committed.get_or_create(&label).set(group.committed);
            self.applied.get_or_create(&label).set(group.applied);
            let queued = u64::try_from(group.queued).unwrap_or(u64::MAX);
            self.queued.get_or_create(&label).set(queued);
            self.commands.get_or_create(&label).set(group.commands_total);
            self.entries.get_or_create(&label).set(group.entries_total);
        }
    }
}

/// The registry as text, in the format that Prometheus reads.
pub fn text(registry: &RwLock<Registry>) -> String {
    let mut text = String::new();
    match encode(&mut text, &registry.read()) {
        Ok(()) => text,
        Err(error) => {
            tracing::error!(%error, "metrics could not be written");
            String::new()
        }
    }
}
