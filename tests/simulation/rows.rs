//! Rows in memory, with the durability of rows on a disk: a batch is whole or not at all, and a power failure takes back any number
//! of the last batches that no sync has covered. They are written without a sync of their own, so this is where a node relies on
//! its log.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use vaultaire::error::Error;
use vaultaire::tables::engine::{Change, Engine, GroupRows, NewRows, Snapshot};
use vaultaire::tables::meta::{META_KEY, Meta};
use vaultaire::tables::view::{View, crossed};
use vaultaire_proto::GroupId;
use vaultaire_proto::tables::Pair;

use super::dice::Dice;

type Map = BTreeMap<Vec<u8>, Bytes>;

/// What all groups of a node have.
pub type Groups = BTreeMap<GroupId, Arc<Map>>;

#[derive(Debug, Default)]
struct State {
    /// Whoever opened the rows earlier is gone.
    life: u64,
    current: Groups,
    durable: Groups,
    /// Batches since the last sync.
    unsynced: Vec<Vec<Change>>,
}

/// Told what a group's rows are after each batch.
pub type Witness = Arc<dyn Fn(GroupId, &View) + Send + Sync>;

/// Outlives the process.
#[derive(Clone)]
pub struct Disk {
    state: Arc<Mutex<State>>,
    witness: Witness,
}

impl Disk {
    pub fn new(groups: Groups, witness: Witness) -> Self {
        let state = State { current: groups.clone(), durable: groups, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), witness }
    }

    /// Everything that was written.
    pub fn groups(&self) -> Groups {
        self.state.lock().current.clone()
    }

    /// The process ends; what it wrote is there, and can still be lost.
    pub fn kill(&self) {
        self.state.lock().life += 1;
    }

    /// The power fails: the last unsynced batches are gone.
    pub fn lose_power(&self, dice: &Dice) {
        let state = &mut *self.state.lock();
        state.life += 1;
        let kept = dice.below(state.unsynced.len() as u64 + 1) as usize;
        let mut groups = state.durable.clone();
        for batch in state.unsynced.drain(..).take(kept) {
            write(&mut groups, batch);
        }
        state.durable = groups.clone();
        state.current = groups;
    }

    /// For a process that starts.
    pub fn open(&self) -> Memory {
        Memory { disk: self.clone(), life: self.state.lock().life }
    }
}

fn write(groups: &mut Groups, batch: Vec<Change>) {
    for (group, writes) in batch {
        let rows = Arc::make_mut(groups.entry(group).or_default());
        for (key, value) in writes {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
    }
}

/// One process's hold on the rows.
#[derive(Clone)]
pub struct Memory {
    disk: Disk,
    life: u64,
}

impl Memory {
    /// Does nothing for a process that is gone.
    fn with(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.disk.state.lock();
        if state.life == self.life {
            change(&mut state);
        }
    }
}

impl Engine for Memory {
    fn open(&self, group: GroupId) -> Result<Arc<dyn GroupRows>, Error> {
        self.with(|state| _ = state.current.entry(group).or_default());
        let seen = self.disk.state.lock().current.get(&group).cloned().unwrap_or_default();
        Ok(Arc::new(Rows { memory: self.clone(), group, seen: Mutex::new(seen) }))
    }

    fn write(&self, batch: Vec<Change>) {
        let groups: Vec<GroupId> = batch.iter().map(|(group, _)| *group).collect();
        self.with(|state| {
            write(&mut state.current, batch.clone());
            state.unsynced.push(batch);
            for group in groups {
                if let Some(rows) = state.current.get(&group) {
                    (self.disk.witness)(group, &View::new(Arc::new(Moment(Arc::clone(rows)))));
                }
            }
        });
    }

    fn persist(&self) {
        self.with(|state| {
            state.durable = state.current.clone();
            state.unsynced.clear();
        });
    }
}

struct Rows {
    memory: Memory,
    group: GroupId,
    /// What a process that is gone goes on to see.
    seen: Mutex<Arc<Map>>,
}

impl GroupRows for Rows {
    fn view(&self) -> View {
        let mut seen = self.seen.lock();
        self.memory.with(|state| {
            *seen = state.current.get(&self.group).cloned().unwrap_or_default();
        });
        View::new(Arc::new(Moment(Arc::clone(&seen))))
    }

    fn install(&self, meta: &Meta, rows: NewRows<'_>) -> Result<(), Error> {
        let mut map = Map::from([(META_KEY.to_vec(), Bytes::from(meta.encode()))]);
        for row in rows {
            let (key, value) = row?;
            map.insert(key.to_vec(), value);
        }
        self.memory.with(|state| _ = state.current.insert(self.group, Arc::new(map)));
        self.memory.persist();
        Ok(())
    }
}

struct Moment(Arc<Map>);

impl Snapshot for Moment {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key).cloned()
    }

    fn range(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Box<dyn DoubleEndedIterator<Item = Pair> + Send> {
        let own = |bound: Bound<&[u8]>| bound.map(<[u8]>::to_vec);
        Box::new(Range { rows: Arc::clone(&self.0), from: own(from), to: own(to) })
    }
}

/// What is left of a range.
struct Range {
    rows: Arc<Map>,
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
}

impl Range {
    fn rest(&self) -> Option<std::collections::btree_map::Range<'_, Vec<u8>, Bytes>> {
        let bounds = (self.from.as_ref().map(Vec::as_slice), self.to.as_ref().map(Vec::as_slice));
        (!crossed(bounds.0, bounds.1)).then(|| self.rows.range::<[u8], _>(bounds))
    }
}

fn pair((key, value): (&Vec<u8>, &Bytes)) -> Pair {
    (Bytes::copy_from_slice(key), value.clone())
}

impl Iterator for Range {
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        let row = self.rest()?.next().map(pair)?;
        self.from = Bound::Excluded(row.0.to_vec());
        Some(row)
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Pair> {
        let row = self.rest()?.next_back().map(pair)?;
        self.to = Bound::Excluded(row.0.to_vec());
        Some(row)
    }
}
