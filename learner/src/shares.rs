//! Objects of a log, shared by threads.

use std::{panic, thread};

use crate::error::Error;
use crate::logs::accesses::Share;

/// Works on every share at once, and tells what came of each in their order.
pub fn each<T: Send>(
    shares: &[Share<'_>],
    work: impl Fn(&Share<'_>) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    thread::scope(|scope| {
        let running: Vec<_> = shares.iter().map(|share| scope.spawn(|| work(share))).collect();
        let joined = running.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|part| part.unwrap_or_else(|cause| panic::resume_unwind(cause))).collect()
    })
}
