//! Sizes that the lines of a log do not tell. A version has one size, whichever of its accesses tells it; where none does, an
//! inventory may; and where that does not either, it is at least as large as the most that a read sent.

use crate::logs::builder::Rules;
use crate::logs::told::Told;
use crate::logs::{Access, Bytes, Operation};

/// Completes the accesses of an object, which are by time. What a provider's log leaves without a size is left out.
pub fn tell(accesses: &mut Vec<Access>, stored_bytes: Option<u64>, rules: Rules, told: &mut Told) {
    let mut rest = accesses.as_mut_slice();
    let mut is_first = true;
    while !rest.is_empty() {
        let (version, others) = rest.split_at_mut(version_end(rest));
        // An inventory knows what was there at last.
        let stored_bytes = stored_bytes.filter(|_| others.is_empty());
        let known = match rules {
            // That a line without a size takes another one's is not its contract.
            Rules::Contract => stored_bytes,
            Rules::Provider => size_bytes(version).or(stored_bytes),
        };
        complete(version, known, is_first, (rules, &mut *told));
        // What is left out was not there: the next one is the first that anybody sees.
        is_first &= version[0].requests == 0;
        rest = others;
    }
    accesses.retain(|access| access.requests > 0);
}

/// A version ends with a DELETE, or before the next one begins.
fn version_end(accesses: &[Access]) -> usize {
    for (place, access) in accesses.iter().enumerate() {
        match access.operation {
            Operation::Delete => return place + 1,
            Operation::Put | Operation::Seen if place > 0 => return place,
            Operation::Put | Operation::Seen | Operation::Get => {}
        }
    }
    accesses.len()
}

fn size_bytes(version: &[Access]) -> Option<u64> {
    version.iter().find_map(Access::size_bytes)
}

fn complete(
    version: &mut [Access],
    known: Option<u64>,
    is_first: bool,
    (rules, told): (Rules, &mut Told),
) {
    // S3 takes a DELETE of what is gone: that needs no size.
    let is_needed = is_first || version[0].operation != Operation::Delete;
    let size_bytes = match (known, rules) {
        (Some(known), _) => known,
        (None, Rules::Contract) => return,
        (None, Rules::Provider) if !is_needed => return,
        (None, Rules::Provider) => match version.iter().filter_map(Access::sent_bytes).max() {
            Some(most) => {
                told.guessed += 1;
                most
            }
            None => {
                told.sizeless += version.len() as u64;
                version.iter_mut().for_each(|access| access.requests = 0);
                return;
            }
        },
    };
    for access in version.iter_mut().filter(|access| access.size_bytes().is_none()) {
        access.size = Bytes::new(Some(size_bytes));
    }
}
