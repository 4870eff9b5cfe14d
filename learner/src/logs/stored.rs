//! What an inventory knows beside a log: sizes, and objects that nobody wrote or read while it was kept. These cost most of what
//! can be saved.

use crate::logs::{Access, Names, Operation};

/// An object as an inventory lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    pub object: u32,
    pub size_bytes: u64,
    /// None: the inventory does not say.
    pub written_s: Option<u64>,
}

/// What was learnt of an inventory.
#[derive(Debug, Default)]
pub struct Stored {
    /// What is listed last of each object. Empty: there is no inventory.
    known: Vec<Option<Listed>>,
    /// When the log begins.
    first_s: u64,
    /// Objects that the log does not know to be written.
    pub added: u64,
}

impl Stored {
    /// What was written after the log is not of its time.
    pub fn new(listed: Vec<Listed>, names: &Names, (first_s, last_s): (u64, u64)) -> Self {
        if listed.is_empty() {
            return Self::default();
        }
        let mut known: Vec<Option<Listed>> = vec![None; names.objects.len()];
        for one in listed.into_iter().filter(|one| one.written_s <= Some(last_s)) {
            let known = &mut known[one.object as usize];
            if known.is_none_or(|known| known.written_s <= one.written_s) {
                *known = Some(one);
            }
        }
        Self { known, first_s, added: 0 }
    }

    pub fn size_bytes(&self, object: u32) -> Option<u64> {
        self.listed(object).map(|listed| listed.size_bytes)
    }

    /// Adds a first access to an object that is listed and was not written in the log: that it was seen. It has been there since it
    /// was written, or since the log began, if it was read before.
    pub fn add(&mut self, object: u32, accesses: &mut Vec<Access>) {
        let is_written = accesses.iter().any(|access| access.operation == Operation::Put);
        let Some(listed) = self.listed(object).filter(|_| !is_written) else { return };
        let first_of = accesses.first().map_or(u64::MAX, Access::at_s);
        let written_s = listed.written_s.filter(|written_s| *written_s <= first_of);
        let seen = Access::new(written_s.unwrap_or(self.first_s), object, Operation::Seen, 0);
        accesses.insert(0, seen.with_bytes(Some(listed.size_bytes), None));
        self.added += 1;
    }

    fn listed(&self, object: u32) -> Option<Listed> {
        self.known.get(object as usize).copied().flatten()
    }
}
