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
    /// Of each object. Empty: there is no inventory.
    sizes: Vec<Option<u64>>,
    /// Objects that the log does not know to be written.
    pub added: u64,
}

impl Stored {
    pub fn size_bytes(&self, object: u32) -> Option<u64> {
        self.sizes.get(object as usize).copied().flatten()
    }
}

/// Adds a first access to each object that is listed and was not written in the log: that it was seen. It has been there since it
/// was written, or since the log began, if it was read before. What was written after the log is not of its time.
pub fn add(
    accesses: &mut Vec<Access>,
    listed: &[Listed],
    names: &Names,
    (first_s, last_s): (u64, u64),
) -> Stored {
    if listed.is_empty() {
        return Stored::default();
    }
    let mut known: Vec<Option<Listed>> = vec![None; names.objects.len()];
    for one in listed.iter().filter(|one| one.written_s <= Some(last_s)) {
        let known = &mut known[one.object as usize];
        if known.is_none_or(|known| known.written_s <= one.written_s) {
            *known = Some(*one);
        }
    }
    let mut first_of: Vec<u64> = vec![u64::MAX; names.objects.len()];
    let mut is_written: Vec<bool> = vec![false; names.objects.len()];
    for access in accesses.iter() {
        let object = access.object as usize;
        first_of[object] = first_of[object].min(access.at_s());
        is_written[object] |= access.operation == Operation::Put;
    }
    let mut stored = Stored::default();
    for one in known.iter().flatten().filter(|one| !is_written[one.object as usize]) {
        let first_of = first_of[one.object as usize];
        let at_s = one.written_s.filter(|written_s| *written_s <= first_of).unwrap_or(first_s);
        let seen = Access::new(at_s, one.object, Operation::Seen, 0);
        accesses.push(seen.with_bytes(Some(one.size_bytes), None));
        stored.added += 1;
    }
    stored.sizes = known.iter().map(|one| one.map(|one| one.size_bytes)).collect();
    stored
}
