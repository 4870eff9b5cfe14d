//! What all of a simulation share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use vaultaire::tables::meta::{Applied, Meta};
use vaultaire_proto::state::snapshot;
use vaultaire_proto::{BackendId, GroupId, NodeId};
use vaultaire_storage::backends::memory::Memory;
use vaultaire_storage::backends::memory::faults::Faults;
use vaultaire_storage::registry::Registry;

use super::dice::Dice;
use super::found::BACKENDS;
use super::network::Network;
use super::rows::Witness;
use super::trace::{Keep, Trace};
use super::votes::Votes;

pub struct World {
    pub began: Instant,
    pub dice: Dice,
    pub trace: Trace,
    pub network: Network,
    /// Every node reaches them, whatever the network is like; they fail by themselves.
    pub registry: Arc<Registry>,
    pub trouble: Trouble,
    failures: Mutex<Vec<String>>,
    pub votes: Votes,
    /// How often what is drained has changed, and what is.
    drained: Mutex<(u64, Option<BackendId>)>,
    /// What a group's rows were at an index, and who said so first.
    states: Mutex<BTreeMap<(GroupId, Applied), (u128, NodeId)>>,
}

/// Whether the backend fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backends {
    Fail,
    Work,
}

/// What is sure to be found of late writes hangs on clocks: a leader whose clock jumps ahead takes the grace for over. So a world
/// has the one or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    LateWrites,
    WrongClocks,
}

fn faults(dice: &Dice, backends: Backends, trouble: Trouble) -> Faults {
    match backends {
        Backends::Work => Faults::NONE,
        Backends::Fail => Faults {
            seed: dice.fork("backend").draw(),
            error_before: 20,
            timeout_after: 20,
            corrupt_read: 15,
            slow: 40,
            slow_for: Duration::from_millis(700),
            zombie: match trouble {
                Trouble::LateWrites => 30,
                Trouble::WrongClocks => 0,
            },
            // By time alone. Sweeps reckon with it: `workers::settings`.
            zombie_after_operations: 0,
            zombie_for: Duration::from_secs(3),
            ..Faults::NONE
        },
    }
}

fn registry(dice: &Dice, weather: Backends, trouble: Trouble) -> Arc<Registry> {
    let registry = Registry::default();
    for id in BACKENDS {
        let backend =
            Memory::with_faults(id, format!("memory-{id}"), faults(dice, weather, trouble));
        registry.insert(Arc::new(backend)).expect("each has its own id and name");
    }
    Arc::new(registry)
}

impl World {
    pub fn new(seed: u64, keep: Keep, weather: Backends) -> Arc<Self> {
        vaultaire::chance::seed(seed);
        let (dice, trace) = (Dice::new(seed), Trace::new(keep));
        let trouble = match dice.permille(500) {
            true => Trouble::LateWrites,
            false => Trouble::WrongClocks,
        };
        Arc::new(Self {
            began: Instant::now(),
            network: Network::new(dice.fork("network"), trace.clone()),
            registry: registry(&dice, weather, trouble),
            trouble,
            dice,
            trace,
            failures: Mutex::default(),
            votes: Votes::default(),
            drained: Mutex::default(),
            states: Mutex::default(),
        })
    }

    pub fn drained(&self) -> Option<BackendId> {
        self.drained.lock().1
    }

    /// From now on this one is drained, or none. Answers the generation of that: the founding's was one.
    pub fn drain(&self, drained: Option<BackendId>) -> u64 {
        let mut state = self.drained.lock();
        *state = (state.0 + 1, drained);
        state.0 + 1
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

    /// How often a group went on under another leader than before: terms of which some entry was the last of a batch.
    pub fn leader_changes(&self) -> u64 {
        let states = self.states.lock();
        let terms: BTreeSet<_> =
            states.keys().map(|(group, applied)| (*group, applied.term)).collect();
        let groups: BTreeSet<_> = terms.iter().map(|(group, _)| *group).collect();
        u64::try_from(terms.len() - groups.len()).expect("few")
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
