//! Which kinds of commands may be proposed: those that every node of the cluster can apply. While a cluster is upgraded, node by
//! node, the new ones wait; whoever wants to use one asks all nodes first, and tells here what came of it.

use std::sync::atomic::{AtomicU32, Ordering};

use vaultaire_proto::Operation;
use vaultaire_proto::command::FIRST_KINDS;

/// As far as this node has learned: at first only what every release has.
#[derive(Debug)]
pub struct Kinds(AtomicU32);

impl Default for Kinds {
    fn default() -> Self {
        Self(AtomicU32::new(FIRST_KINDS))
    }
}

impl Kinds {
    /// All nodes have been asked, and this is what each of them has.
    pub fn learn(&self, kinds: u32) {
        let former = self.0.swap(kinds, Ordering::Relaxed);
        if former != kinds {
            tracing::info!(former, kinds, "what every node of the cluster can apply");
        }
    }

    pub fn allow(&self, operation: &Operation) -> bool {
        operation.kinds() <= self.0.load(Ordering::Relaxed)
    }
}
