//! What readers see: every group's state and where each live entry is, queued changes included;
//! fresh payloads are kept in memory up to a bound. Memory per live entry is one `Slot` (about 72
//! bytes) besides the cache. No files here.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bytes::Bytes;

use super::record::HEADER_BYTES;
use super::state::State;
use super::{Entry, Position};

/// Slots that a purge may leave allocated for nothing.
const SPARE_SLOTS_MAX: usize = 4096;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    pub segment: u64,
    pub offset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Waits to be written; the ticket tells it from another entry at the same index. Its payload
    /// stays in memory.
    Queued(u64),
    Stored(Location),
}

#[derive(Clone, Debug)]
pub struct Slot {
    pub term: u64,
    pub place: Place,
    pub payload_bytes: u32,
    pub payload: Option<Bytes>,
}

impl Slot {
    fn record_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.payload_bytes)
    }
}

/// One entry of a read: at hand, or to be fetched.
#[derive(Clone, Debug)]
pub enum Found {
    Memory(Entry),
    Disk { position: Position, location: Location, payload_bytes: u32 },
}

#[derive(Debug, Default)]
struct Group {
    state: State,
    /// Slots of `state.first..=state.last.index`.
    slots: VecDeque<Slot>,
    /// Every slot from this index on has its payload in memory.
    cached_from: u64,
    cached_bytes: u64,
}

#[derive(Debug)]
pub struct Index {
    groups: BTreeMap<u16, Group>,
    cache_bytes_max: u64,
    cached_bytes: u64,
    live_bytes: u64,
    next_ticket: u64,
}

impl Index {
    pub fn new(cache_bytes_max: u64) -> Index {
        Index {
            groups: BTreeMap::new(),
            cache_bytes_max,
            cached_bytes: 0,
            live_bytes: 0,
            next_ticket: 0,
        }
    }

    /// A group as recovery found it; the slots have no holes and lie on disk.
    pub fn restore(&mut self, id: u16, state: State, slots: VecDeque<Slot>) {
        self.live_bytes += slots.iter().map(Slot::record_bytes).sum::<u64>();
        let group =
            Group { cached_from: state.first + slots.len() as u64, cached_bytes: 0, state, slots };
        self.groups.insert(id, group);
    }

    pub fn state(&self, group: u16) -> State {
        self.groups.get(&group).map(|group| group.state.clone()).unwrap_or_default()
    }

    /// Bytes of all live entries' records.
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Takes in entries and returns the ticket of the first; the others' follow it. All or none.
    pub fn append(&mut self, id: u16, entries: &[Entry]) -> Result<u64, String> {
        let group = self.groups.entry(id).or_default();
        let mut state = group.state.clone();
        for entry in entries {
            state.append(entry.position)?;
        }
        if group.slots.is_empty() {
            group.cached_from = state.first;
        }
        group.state = state;
        let ticket = self.next_ticket;
        for entry in entries {
            let slot = Slot {
                term: entry.position.term,
                place: Place::Queued(self.next_ticket),
                payload_bytes: u32::try_from(entry.payload.len()).unwrap_or(u32::MAX),
                payload: Some(entry.payload.clone()),
            };
            self.next_ticket += 1;
            self.live_bytes += slot.record_bytes();
            group.cached_bytes += u64::from(slot.payload_bytes);
            self.cached_bytes += u64::from(slot.payload_bytes);
            group.slots.push_back(slot);
        }
        self.evict();
        Ok(ticket)
    }

    pub fn set_vote(&mut self, id: u16, vote: Bytes) {
        self.groups.entry(id).or_default().state.vote = Some(vote);
    }

    /// Whether this changed anything.
    pub fn set_committed(&mut self, id: u16, committed: Option<Position>) -> bool {
        let state = &mut self.groups.entry(id).or_default().state;
        let changed = state.committed != committed;
        state.committed = committed;
        changed
    }

    pub fn truncate(&mut self, id: u16, last_kept: Option<Position>) -> Result<(), String> {
        let group = self.groups.entry(id).or_default();
        if let Some(kept) = last_kept
            && let Some(slot) = group.slot(kept.index)
            && slot.term != kept.term
        {
            return Err(format!("entry {} has term {}, not {}", kept.index, slot.term, kept.term));
        }
        let first = group.state.first;
        let next = group.state.truncate(last_kept)?;
        let keep = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
        let gone = group.slots.split_off(keep.min(group.slots.len()));
        group.cached_from = group.cached_from.min(first.max(next));
        self.forget(id, gone);
        Ok(())
    }

    pub fn purge(&mut self, id: u16, upto: Position) -> Result<(), String> {
        let group = self.groups.entry(id).or_default();
        let first = group.state.first;
        let next = group.state.purge(upto)?;
        let count = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
        let gone = group.slots.drain(..count.min(group.slots.len())).collect();
        if group.slots.capacity() > SPARE_SLOTS_MAX + 4 * group.slots.len() {
            group.slots.shrink_to_fit();
        }
        group.cached_from = group.cached_from.max(next);
        self.forget(id, gone);
        Ok(())
    }

    /// A queued entry was written and synced.
    pub fn stored(&mut self, id: u16, index: u64, ticket: u64, location: Location) {
        self.place(id, index, Place::Queued(ticket), location);
    }

    /// An entry was copied forward and synced.
    pub fn relocated(&mut self, id: u16, index: u64, from: Location, to: Location) {
        self.place(id, index, Place::Stored(from), to);
    }

    /// The slot of a live entry.
    pub fn slot(&self, id: u16, index: u64) -> Option<&Slot> {
        self.groups.get(&id)?.slot(index)
    }

    /// The live entries in `range`, from its start on until `max_bytes` of payload are reached; at
    /// least one if there is any.
    pub fn find(&self, id: u16, range: Range<u64>, max_bytes: u64) -> Vec<Found> {
        let Some(group) = self.groups.get(&id) else {
            return Vec::new();
        };
        let first = group.state.first;
        let (mut found, mut bytes) = (Vec::new(), 0);
        let from = usize::try_from(range.start.saturating_sub(first)).unwrap_or(usize::MAX);
        for (slot, index) in group.slots.iter().skip(from).zip(range.start.max(first)..range.end) {
            bytes += u64::from(slot.payload_bytes);
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            let position = Position { term: slot.term, index };
            found.push(match (&slot.payload, slot.place) {
                (Some(payload), _) => Found::Memory(Entry { position, payload: payload.clone() }),
                (None, Place::Stored(location)) => {
                    Found::Disk { position, location, payload_bytes: slot.payload_bytes }
                }
                (None, Place::Queued(_)) => unreachable!("a queued entry keeps its payload"),
            });
        }
        found
    }

    /// The term of a live entry, without its payload.
    pub fn term(&self, id: u16, index: u64) -> Option<u64> {
        self.slot(id, index).map(|slot| slot.term)
    }

    fn place(&mut self, id: u16, index: u64, expected: Place, location: Location) {
        let slot = self.groups.get_mut(&id).and_then(|group| group.slot_mut(index));
        // Otherwise it was truncated or purged since, and a later record in the journal says so.
        if let Some(slot) = slot.filter(|slot| slot.place == expected) {
            slot.place = Place::Stored(location);
        }
    }

    fn forget(&mut self, id: u16, gone: VecDeque<Slot>) {
        let cached = |slot: &Slot| slot.payload.as_ref().map_or(0, |payload| payload.len() as u64);
        let bytes = gone.iter().map(cached).sum::<u64>();
        self.live_bytes -= gone.iter().map(Slot::record_bytes).sum::<u64>();
        self.cached_bytes -= bytes;
        if let Some(group) = self.groups.get_mut(&id) {
            group.cached_bytes -= bytes;
        }
    }

    /// Drops payloads, oldest first, of whichever group has most in memory. An eighth of the bound
    /// is freed at a time, so that choosing a group is rare.
    fn evict(&mut self) {
        if self.cached_bytes <= self.cache_bytes_max {
            return;
        }
        let target = self.cache_bytes_max / 8 * 7;
        let mut groups = self.groups.values_mut().collect::<Vec<_>>();
        groups.sort_by_key(|group| std::cmp::Reverse(group.cached_bytes));
        for group in groups {
            while self.cached_bytes > target {
                let Some(freed) = group.evict_one() else { break };
                self.cached_bytes -= freed;
            }
        }
    }
}

impl Group {
    fn slot(&self, index: u64) -> Option<&Slot> {
        let at = usize::try_from(index.checked_sub(self.state.first)?).ok()?;
        self.slots.get(at)
    }

    fn slot_mut(&mut self, index: u64) -> Option<&mut Slot> {
        let at = usize::try_from(index.checked_sub(self.state.first)?).ok()?;
        self.slots.get_mut(at)
    }

    fn evict_one(&mut self) -> Option<u64> {
        let index = self.cached_from;
        let slot = self.slot_mut(index)?;
        if matches!(slot.place, Place::Queued(_)) {
            return None;
        }
        let freed = slot.payload.take().map_or(0, |payload| payload.len() as u64);
        self.cached_from += 1;
        self.cached_bytes -= freed;
        Some(freed)
    }
}
