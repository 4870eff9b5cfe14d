//! What clients asked and were told, key by key, in the order of one counter.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use vaultaire_proto::ObjectKey;

/// The content of an object; no two writes have the same.
pub type Value = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Put(Value),
    /// Only where there is nothing.
    Create(Value),
    /// Only over `old`.
    Swap {
        old: Value,
        new: Value,
    },
    Delete,
    Read,
}

impl Action {
    /// What it writes.
    pub fn value(self) -> Option<Value> {
        match self {
            Self::Put(value) | Self::Create(value) | Self::Swap { new: value, .. } => Some(value),
            Self::Delete | Self::Read => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A write took effect.
    Done,
    /// A condition did not hold, and nothing was changed.
    Refused,
    /// A read's answer.
    Found(Option<Value>),
    /// A write may take effect at any time, or never.
    Unknown,
}

/// One operation. Those that certainly did nothing are not kept.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub client: u64,
    pub action: Action,
    pub outcome: Outcome,
    pub began: u64,
    /// None where the outcome is unknown.
    pub ended: Option<u64>,
}

#[derive(Debug, Default)]
struct State {
    clock: u64,
    values: Value,
    events: BTreeMap<ObjectKey, Vec<Event>>,
    seen: BTreeMap<ObjectKey, Value>,
}

/// One for all clients.
#[derive(Debug, Default)]
pub struct History(Mutex<State>);

impl History {
    /// The present, which is later than every one told before.
    pub fn now(&self) -> u64 {
        let mut state = self.0.lock();
        state.clock += 1;
        state.clock
    }

    pub fn fresh_value(&self) -> Value {
        let mut state = self.0.lock();
        state.values += 1;
        state.values
    }

    pub fn add(&self, key: &ObjectKey, event: Event) {
        let mut state = self.0.lock();
        let seen = match (event.action, event.outcome) {
            (Action::Read, Outcome::Found(found)) => found,
            (action, Outcome::Done) => action.value(),
            _ => None,
        };
        if let Some(seen) = seen {
            state.seen.insert(key.clone(), seen);
        }
        state.events.entry(key.clone()).or_default().push(event);
    }

    /// What the key held when somebody last looked.
    pub fn seen(&self, key: &ObjectKey) -> Option<Value> {
        self.0.lock().seen.get(key).copied()
    }

    pub fn events(&self) -> BTreeMap<ObjectKey, Vec<Event>> {
        self.0.lock().events.clone()
    }
}
