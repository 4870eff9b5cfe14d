//! What all of a simulation share.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use vaultaire::tables::meta::{Applied, Meta};
use vaultaire_proto::state::snapshot;
use vaultaire_proto::{GroupId, NodeId};
use vaultaire_storage::backends::memory::Memory;
use vaultaire_storage::backends::memory::faults::Faults;

use super::bug::Bug;
use super::dice::Dice;
use super::found::BACKEND;
use super::network::Network;
use super::rows::Witness;
use super::trace::{Keep, Trace};

pub struct World {
    pub began: Instant,
    pub dice: Dice,
    pub trace: Trace,
    pub network: Network,
    /// Every node reaches it, whatever the network is like; it fails by itself.
    pub backend: Arc<Memory>,
    pub bug: Option<Bug>,
    failures: Mutex<Vec<String>>,
    /// What a group's rows were at an index, and who said so first.
    states: Mutex<BTreeMap<(GroupId, Applied), (u128, NodeId)>>,
}

/// Whether the backend fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backends {
    Fail,
    Work,
}

fn faults(dice: &Dice, backends: Backends) -> Faults {
    match backends {
        Backends::Work => Faults::NONE,
        Backends::Fail => Faults {
            seed: dice.fork("backend").draw(),
            error_before: 20,
            timeout_after: 20,
            slow: 40,
            slow_for: Duration::from_millis(700),
            zombie: 15,
            ..Faults::NONE
        },
    }
}

impl World {
    pub fn new(seed: u64, bug: Option<Bug>, keep: Keep, weather: Backends) -> Arc<Self> {
        vaultaire::chance::seed(seed);
        let (dice, trace) = (Dice::new(seed), Trace::new(keep));
        Arc::new(Self {
            began: Instant::now(),
            network: Network::new(dice.fork("network"), trace.clone(), bug),
            backend: Arc::new(Memory::with_faults(BACKEND, "memory", faults(&dice, weather))),
            dice,
            trace,
            bug,
            failures: Mutex::default(),
            states: Mutex::default(),
        })
    }

    /// Equal states at equal indexes: watched after every batch, since a difference may be gone in the end.
    pub fn witness(self: &Arc<Self>, node: NodeId) -> Witness {
        let world = Arc::downgrade(self);
        Arc::new(move |group, view| {
            let Some(world) = world.upgrade() else {
                return;
            };
            let meta = view.meta().map(|meta| Meta::decode(&meta, Path::new("rows")));
            let Some(Ok(Meta { applied: Some(applied), .. })) = meta else {
                return world.fail(format!("node {node} has rows of no index in group {group}"));
            };
            let hash = snapshot::state_hash(view);
            let mut states = world.states.lock();
            let (first, by) = *states.entry((group, applied)).or_insert((hash, node));
            drop(states);
            if first != hash {
                let what = "rows differ at the same entry";
                world.fail(format!("{what}: group {group} {applied:?}, nodes {by} and {node}"));
            }
        })
    }

    /// Something is wrong that a simulation must not see. The same is told once.
    pub fn fail(&self, what: String) {
        self.trace.add(format_args!("FAILURE {what}"));
        let mut failures = self.failures.lock();
        if !failures.contains(&what) {
            failures.push(what);
        }
    }

    pub fn has_failed(&self) -> bool {
        !self.failures.lock().is_empty() || !self.network.violations().is_empty()
    }

    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().clone()
    }
}
