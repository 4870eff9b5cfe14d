//! The shard's log as the model uses it: a proposal becomes the next entry. `apply` is a pure function, so
//! what it made of one shard and one entry is remembered; most steps of most worlds have been taken before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use vaultaire_proto::Response;

use crate::fault::Fault;
use crate::shard::{Place, Proposal, Shard};

/// How many entries are remembered before all are forgotten: it bounds the memory, nothing else.
const REMEMBERED_MAX: usize = 1 << 20;

type Entries = HashMap<(u128, Proposal, Place), (Arc<Shard>, Response)>;

/// A log whose state machine has at most one fault.
#[derive(Debug, Default)]
pub struct Log {
    fault: Option<Fault>,
    entries: Mutex<Entries>,
    /// Equal shards are one.
    shards: Mutex<HashMap<u128, Arc<Shard>>>,
}

impl Log {
    pub fn new(fault: Option<Fault>) -> Self {
        Self { fault, ..Self::default() }
    }

    /// What the next entry makes of a shard, and answers.
    pub fn append(
        &self,
        shard: &Arc<Shard>,
        proposal: Proposal,
        place: Place,
    ) -> (Arc<Shard>, Response) {
        let entry = (shard.hash(), proposal, place);
        if let Some(known) = locked(&self.entries).get(&entry) {
            return known.clone();
        }
        let (tables, response) = shard.apply(&entry.1, place, self.fault);
        let after = self.shared(tables);
        let mut entries = locked(&self.entries);
        if entries.len() >= REMEMBERED_MAX {
            entries.clear();
            locked(&self.shards).clear();
        }
        entries.insert(entry, (Arc::clone(&after), response.clone()));
        (after, response)
    }

    fn shared(&self, tables: vaultaire_proto::tables::MemTables) -> Arc<Shard> {
        let hash = Shard::hash_of(&tables);
        if let Some(known) = locked(&self.shards).get(&hash) {
            return Arc::clone(known);
        }
        let shard = Arc::new(Shard::at(tables));
        locked(&self.shards).insert(hash, Arc::clone(&shard));
        shard
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
