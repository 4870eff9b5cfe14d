//! What the records written so far add up to: every group's state, and which segment holds which
//! live entries. The writer keeps one for what is synced and recovery builds one by replay, with
//! the same rules. It is not what readers see (`index` runs ahead).

use std::collections::BTreeMap;

use bytes::Bytes;
use vaultaire_proto::planted::{self, Planted};

use super::record::{Kind, Record};
use super::state::State;

/// Live entries `from..=to` of one group that lie in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub from: u64,
    pub to: u64,
    pub segment: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Group {
    state: State,
    /// Sorted by index, without overlap.
    runs: Vec<Run>,
}

/// A group's state as a header has it.
fn heading(mut state: State) -> State {
    if planted::is(Planted::IdleVoteDropped) {
        state.vote = None;
    }
    state
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    groups: BTreeMap<u16, Group>,
}

impl Ledger {
    /// As the header of the oldest segment has it: states known, entries still to be found.
    pub fn from_states(states: Vec<(u16, State)>) -> Ledger {
        let group = |(id, state)| (id, Group { state, runs: Vec::new() });
        Ledger { groups: states.into_iter().map(group).collect() }
    }

    /// For the header of the next segment.
    pub fn states(&self) -> Vec<(u16, State)> {
        let state = |(id, group): (&u16, &Group)| (*id, heading(group.state.clone()));
        self.groups.iter().map(state).collect()
    }

    /// Whether a header that follows these records says the same.
    pub fn agrees(&self, states: &[(u16, State)]) -> bool {
        let said = states.iter().cloned().map(|(id, state)| (id, heading(state)));
        self.states().into_iter().eq(said)
    }

    pub fn state(&self, group: u16) -> State {
        self.groups.get(&group).map(|group| group.state.clone()).unwrap_or_default()
    }

    /// Takes in a record that lies in `segment`; an error says why it cannot follow the ones
    /// before.
    pub fn record(&mut self, segment: u64, record: &Record<'_>) -> Result<(), String> {
        let group = self.groups.entry(record.group).or_default();
        match (record.kind, record.position) {
            (Kind::Entry, Some(position)) => {
                group.state.append(position)?;
                group.assign(position.index, segment);
            }
            (Kind::Copied, Some(position)) if group.state.is_live(position.index) => {
                group.assign(position.index, segment)
            }
            (Kind::Copied, Some(position)) => {
                return Err(format!("entry {} was copied though it is gone", position.index));
            }
            (Kind::Vote, _) => group.state.vote = Some(Bytes::copy_from_slice(record.payload)),
            (Kind::Committed, position) => group.state.committed = position,
            (Kind::Truncate, last_kept) => {
                let next = group.state.truncate(last_kept)?;
                group.truncate(next);
            }
            (Kind::Purge, Some(upto)) => {
                let next = group.state.purge(upto)?;
                group.purge(next);
            }
            (Kind::Entry | Kind::Copied | Kind::Purge, None) => {
                return Err("a record lacks its position".into());
            }
            (Kind::Mark, _) => return Err("a mark stands inside a batch".into()),
        }
        Ok(())
    }

    /// Whether a live entry lies in the segment.
    pub fn uses(&self, segment: u64) -> bool {
        let uses = |group: &Group| group.runs.iter().any(|run| run.segment == segment);
        self.groups.values().any(uses)
    }

    /// The live entries of the segment, by group.
    pub fn runs_in(&self, segment: u64) -> Vec<(u16, Run)> {
        let of_group = |(id, group): (&u16, &Group)| {
            let runs = group.runs.iter().filter(|run| run.segment == segment);
            runs.map(|run| (*id, *run)).collect::<Vec<_>>()
        };
        self.groups.iter().flat_map(of_group).collect()
    }

    /// The first entry that must be there and is not: (group, index).
    pub fn hole(&self) -> Option<(u16, u64)> {
        let hole = |(id, group): (&u16, &Group)| Some((*id, group.hole()?));
        self.groups.iter().find_map(hole)
    }
}

impl Group {
    fn truncate(&mut self, next: u64) {
        self.runs.retain(|run| run.from < next);
        if let Some(run) = self.runs.last_mut() {
            run.to = run.to.min(next - 1);
        }
    }

    fn purge(&mut self, next: u64) {
        self.runs.retain(|run| run.to >= next);
        if let Some(run) = self.runs.first_mut() {
            run.from = run.from.max(next);
        }
    }

    /// Entry `index` lies in `segment` now.
    fn assign(&mut self, index: u64, segment: u64) {
        if let Some(run) = self.runs.last_mut()
            && run.to + 1 == index
            && run.segment == segment
        {
            run.to = index;
            return;
        }
        let at = self.runs.partition_point(|run| run.to < index);
        let mut pieces = vec![Run { from: index, to: index, segment }];
        let mut replaced = at..at;
        if let Some(run) = self.runs.get(at).copied().filter(|run| run.from <= index) {
            replaced = at..at + 1;
            if run.from < index {
                pieces.insert(0, Run { to: index - 1, ..run });
            }
            if index < run.to {
                pieces.push(Run { from: index + 1, ..run });
            }
        }
        self.runs.splice(replaced, pieces);
        self.runs.dedup_by(|next, run| {
            let joins = run.segment == next.segment && run.to + 1 == next.from;
            if joins {
                run.to = next.to;
            }
            joins
        });
    }

    fn hole(&self) -> Option<u64> {
        let (first, last) = self.state.live()?;
        let mut next = first;
        for run in &self.runs {
            if run.from != next {
                return Some(next);
            }
            next = run.to + 1;
        }
        (next != last + 1).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::Position;
    use super::*;

    fn write(ledger: &mut Ledger, segment: u64, kind: Kind, index: u64) -> Result<(), String> {
        let record =
            Record { kind, group: 1, position: Some(Position { term: 1, index }), payload: b"" };
        ledger.record(segment, &record)
    }

    #[test]
    fn a_copy_moves_an_entry_and_frees_its_segment() {
        let mut ledger = Ledger::default();
        for index in 0..6 {
            write(&mut ledger, 1 + index / 3, Kind::Entry, index).unwrap();
        }
        for index in 0..3 {
            assert!(ledger.uses(1));
            write(&mut ledger, 3, Kind::Copied, index).unwrap();
        }
        assert!(!ledger.uses(1));
        let run = Run { from: 0, to: 2, segment: 3 };
        assert_eq!(ledger.runs_in(3), [(1, run)]);
        assert_eq!(ledger.hole(), None);
    }

    #[test]
    fn a_missing_entry_is_a_hole() {
        let mut ledger = Ledger::default();
        for index in 4..9 {
            write(&mut ledger, 1, Kind::Entry, index).unwrap();
        }
        let mut replayed = Ledger::from_states(ledger.states());
        assert_eq!(replayed.hole(), Some((1, 4)));
        for index in [4, 5, 7, 8] {
            write(&mut replayed, 2, Kind::Copied, index).unwrap();
        }
        assert_eq!(replayed.hole(), Some((1, 6)));
        write(&mut replayed, 2, Kind::Purge, 6).unwrap();
        assert_eq!(replayed.hole(), None);
    }

    #[test]
    fn what_cannot_follow_is_refused() {
        let mut ledger = Ledger::default();
        write(&mut ledger, 1, Kind::Entry, 5).unwrap();
        assert!(write(&mut ledger, 1, Kind::Entry, 7).is_err());
        assert!(write(&mut ledger, 1, Kind::Copied, 6).is_err());
        assert!(write(&mut ledger, 1, Kind::Truncate, 6).is_err());
        write(&mut ledger, 1, Kind::Purge, 9).unwrap();
        assert!(write(&mut ledger, 1, Kind::Truncate, 5).is_err());
        assert!(write(&mut ledger, 1, Kind::Purge, 9).is_err());
        write(&mut ledger, 1, Kind::Entry, 10).unwrap();
    }
}
