//! Objects of a log, shared by threads.

use std::{panic, thread};

use crate::error::Error;
use crate::logs::Access;

/// Works on every share at once, and tells what came of each in their order.
pub fn each<T: Send>(
    shares: &[&[Access]],
    work: impl Fn(&[Access]) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    thread::scope(|scope| {
        let running: Vec<_> = shares.iter().map(|share| scope.spawn(|| work(share))).collect();
        let joined = running.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|part| part.unwrap_or_else(|cause| panic::resume_unwind(cause))).collect()
    })
}

/// Shares of about the same size; an object is never cut.
pub fn of(accesses: &[Access], shares: usize) -> Vec<&[Access]> {
    let mut rest = accesses;
    let mut cut = Vec::new();
    for left in (1..=shares).rev() {
        let wanted = rest.len() / left;
        let last = wanted.checked_sub(1).and_then(|last| rest.get(last));
        let end = match last {
            Some(last) if left > 1 => {
                wanted + rest[wanted..].iter().take_while(|next| next.object == last.object).count()
            }
            _ if left > 1 => 0,
            _ => rest.len(),
        };
        let (share, others) = rest.split_at(end);
        cut.push(share);
        rest = others;
    }
    cut
}
