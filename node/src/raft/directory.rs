//! The groups that run on this node, by id, for calls from peers: they come before all groups are open, and after.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use vaultaire_proto::GroupId;

use super::replica::Replica;

/// Filled while a node starts, emptied when it stops.
#[derive(Debug, Default)]
pub struct Directory {
    groups: RwLock<BTreeMap<GroupId, Arc<Replica>>>,
}

impl Directory {
    pub fn get(&self, group: GroupId) -> Option<Arc<Replica>> {
        self.groups.read().get(&group).cloned()
    }

    pub fn insert(&self, replica: Arc<Replica>) {
        self.groups.write().insert(replica.id, replica);
    }

    pub fn clear(&self) {
        self.groups.write().clear();
    }

    /// All of them, the control group first.
    pub fn all(&self) -> Vec<Arc<Replica>> {
        self.groups.read().values().cloned().collect()
    }
}
