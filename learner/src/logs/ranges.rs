//! Many requests that are one read: players, and programs that load in parallel, ask for an object range by range.
//!
//! Reads of parts of one version within 10 minutes are one read: of all their bytes, and of as many requests, for each of them is
//! paid. Such a read is never of more than the whole object, nor does it go over midnight, when objects may move: so it costs
//! what its requests cost.

use vaultaire_proto::prices::calendar::DAY_S;

use crate::logs::{Access, Bytes, Operation};

/// For how long requests are one read, from the first of them on.
pub const TOGETHER_S: u64 = 600;

/// Makes one access of each read. Accesses are by object, and then by time; the first of each version tells its size.
pub fn fold(accesses: &mut Vec<Access>) {
    let mut kept = 0;
    // The read of parts that the next part may belong to.
    let mut open: Option<usize> = None;
    let mut object = None;
    let mut size_bytes = None;
    for place in 0..accesses.len() {
        let access = accesses[place];
        if access.operation != Operation::Get || object != Some(access.object) {
            (open, object, size_bytes) = (None, Some(access.object), None);
        }
        size_bytes = size_bytes.or(access.size_bytes());
        if access.operation == Operation::Delete {
            size_bytes = None;
        }
        if access.operation == Operation::Get && is_ranged(&access, size_bytes) {
            let both = open.and_then(|open| joined(&accesses[open], &access, size_bytes));
            if let (Some(both), Some(open)) = (both, open) {
                accesses[open] = both;
                continue;
            }
            open = Some(kept);
        }
        accesses[kept] = access;
        kept += 1;
    }
    accesses.truncate(kept);
}

fn is_ranged(access: &Access, size_bytes: Option<u64>) -> bool {
    access.is_part || access.sent_bytes().zip(size_bytes).is_some_and(|(sent, size)| sent < size)
}

/// Both as one read. None: they are two.
fn joined(first: &Access, next: &Access, size_bytes: Option<u64>) -> Option<Access> {
    let (from_s, to_s) = (first.at_s(), next.at_s());
    let requests = first.requests.checked_add(next.requests)?;
    if to_s - from_s > TOGETHER_S || from_s / DAY_S != to_s / DAY_S {
        return None;
    }
    // Of parts that nobody measured only this is known: all of them are at most the object.
    if first.is_part && next.is_part {
        return Some(Access { requests, ..*first });
    }
    let sent = first.sent_bytes()?.checked_add(next.sent_bytes()?)?;
    let fits = size_bytes.is_some_and(|size| sent <= size);
    fits.then(|| Access { requests, sent: Bytes::new(Some(sent)), ..*first })
}
