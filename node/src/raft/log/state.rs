//! One group's state and the rules by which records change it. Writer, readers and recovery share
//! these rules, so they cannot disagree about what a record means. Where entries lie is not known
//! here.

use bytes::Bytes;

use super::Position;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub vote: Option<Bytes>,
    pub committed: Option<Position>,
    pub purged: Option<Position>,
    pub last: Option<Position>,
    /// Index of the first entry that must be there when `last` is at or after it.
    pub first: u64,
}

impl State {
    /// First and last index of the live entries, if there are any.
    pub fn live(&self) -> Option<(u64, u64)> {
        let last = self.last?;
        (self.first <= last.index).then_some((self.first, last.index))
    }

    pub fn is_live(&self, index: u64) -> bool {
        self.live().is_some_and(|(first, last)| (first..=last).contains(&index))
    }

    /// An entry follows the last one; the first of an empty log may have any index.
    pub fn append(&mut self, position: Position) -> Result<(), String> {
        match self.last {
            Some(last) if position.index != last.index + 1 => {
                return Err(format!("entry {} cannot follow entry {}", position.index, last.index));
            }
            Some(last) if position.term < last.term => {
                return Err(format!(
                    "entry {} of term {} cannot follow term {}",
                    position.index, position.term, last.term
                ));
            }
            Some(_) => {}
            None => self.first = position.index,
        }
        self.last = Some(position);
        Ok(())
    }

    /// Returns the first index that is gone.
    pub fn truncate(&mut self, last_kept: Option<Position>) -> Result<u64, String> {
        let next = last_kept.map_or(0, |kept| kept.index + 1);
        let end = self.last.map_or(0, |last| last.index + 1);
        let floor = match last_kept {
            Some(_) => self.first,
            None => self.purged.map_or(0, |purged| purged.index + 1),
        };
        if next > end || next < floor {
            return Err(format!("a log of {floor}..{end} cannot be truncated to {next}"));
        }
        if next == end && self.last != last_kept {
            return Err(format!("entry {} has another term than the last to be kept", next - 1));
        }
        self.last = last_kept;
        Ok(next)
    }

    /// Returns the first index that is kept.
    pub fn purge(&mut self, upto: Position) -> Result<u64, String> {
        let next = upto.index + 1;
        if self.purged.is_some_and(|purged| upto.index <= purged.index) {
            return Err(format!("purge up to {} goes back", upto.index));
        }
        if self.live().is_some_and(|(first, _)| next < first) {
            return Err(format!(
                "purge up to {} would leave a hole before {}",
                upto.index, self.first
            ));
        }
        self.purged = Some(upto);
        self.first = next;
        if self.last.is_none_or(|last| last.index <= upto.index) {
            self.last = Some(upto);
        }
        Ok(next)
    }
}
