//! What keeps a policy from doing harm: it decides about a bucket only where it was cheaper than all others, and only as far as
//! the bucket can afford what could go wrong.
//!
//! ```text
//! backtest    the log before charging -> the policy that a bucket begins with
//! shadow      what each policy would have cost, window by window; choice: which one decides in the next window
//! tape        lives -> events in the order of time
//! looks       objects to which nothing happens, and the midnights at which that is worth something
//! replay      the events of a bucket -> decisions, with a budget of what may be lost and a breaker
//! ```

pub mod backtest;
pub mod breaker;
pub mod budget;
pub mod choice;
pub mod looks;
pub mod replay;
pub mod shadow;
pub mod tape;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use vaultaire_proto::prices::calendar::DAY_S;
use vaultaire_proto::prices::exact::Exact;

use crate::decisions::{Kept, Made};
use crate::error::Error;
use crate::guard::budget::Account;
use crate::guard::replay::{Bucket, Rules};
use crate::guard::shadow::{Costs, Windows};
use crate::guard::tape::{Event, Tape};
use crate::history::Window;
use crate::ledger::Ledger;
use crate::logs::Names;
use crate::progress::Progress;
use crate::spill::sorter::Sorter;

/// How it is called among the policies.
pub const NAME: &str = "guarded";

/// Policies are compared, and chosen, for so many days.
pub const WINDOW_DAYS: u64 = 30;

/// So many events of a window are in memory while they are sorted, and at most as many more while they are replayed: each is 40 bytes,
/// and may have a forecast of 80.
pub const EVENTS_MAX: usize = 1 << 20;

/// Which window a time is in.
pub fn window_of(window: Window, at_s: u64) -> usize {
    let days = (at_s / DAY_S).saturating_sub(window.from_s / DAY_S);
    usize::try_from(days / WINDOW_DAYS).unwrap_or(usize::MAX)
}

/// All that was seen of some objects while policies were tried.
#[derive(Debug)]
pub struct Seen {
    pub tape: Tape,
    /// Of each bucket and window.
    shadows: BTreeMap<u32, Vec<Costs>>,
}

impl Seen {
    pub fn new(window: Window) -> Result<Self, Error> {
        Ok(Self { tape: Tape::new(window)?, shadows: BTreeMap::new() })
    }

    /// What one object cost under each policy.
    pub fn object(&mut self, bucket: u32, costs: &[Windows<'_>]) {
        let windows = self.tape.windows();
        let shadows = self.shadows.entry(bucket).or_default();
        shadows.resize_with(windows, || Costs::new(costs.len()));
        for (place, shadow) in shadows.iter_mut().enumerate() {
            shadow.add(|policy| costs[policy].amounts[place]);
        }
    }
}

/// What came of it.
pub struct Guarded<'a> {
    pub ledger: Ledger<'a>,
    /// Of each bucket, and what it paid for switching from one policy to another.
    pub accounts: BTreeMap<u32, (Account, Exact)>,
}

/// What it may use, and who watches it.
#[derive(Clone, Copy, Debug)]
pub struct Means<'a> {
    pub threads: usize,
    /// So many events of a window are sorted in memory; `EVENTS_MAX` where nothing else is wanted.
    pub events_max: usize,
    pub progress: &'a Progress,
}

/// Goes through everything again, in the order of time. `first` are the policies that buckets begin with.
pub fn run<'a>(
    rules: Rules<'a>,
    names: &Names,
    first: &[usize],
    empty: &Ledger<'a>,
    mut seen: Vec<Seen>,
    (means, kept): (Means<'_>, &Kept<'_>),
) -> Result<Guarded<'a>, Error> {
    let mut shadows: BTreeMap<u32, Vec<Costs>> = BTreeMap::new();
    for part in &mut seen {
        for (bucket, theirs) in std::mem::take(&mut part.shadows) {
            match shadows.get_mut(&bucket) {
                Some(own) => own.iter_mut().zip(&theirs).for_each(|(own, costs)| own.merge(costs)),
                None => drop(shadows.insert(bucket, theirs)),
            }
        }
    }
    let mut buckets: BTreeMap<u32, (Bucket<'a>, Vec<usize>)> = shadows
        .into_iter()
        .map(|(number, shadow)| {
            let chosen = choice::of(first[number as usize], &shadow);
            (number, (Bucket::new(number, rules, empty.clone()), chosen))
        })
        .collect();
    let events_of = seen.iter().map(|part| part.tape.events()).sum();
    means.progress.events_of.store(events_of, Ordering::Relaxed);
    let windows = seen.iter().map(|part| part.tape.windows()).max().unwrap_or(0);
    for place in 0..windows {
        let mut sorter = Sorter::new(means.events_max);
        for part in &mut seen {
            part.tape.take(place, |event| sorter.push(event))?;
        }
        let mut sorted = sorter.finish()?;
        loop {
            let mut events: BTreeMap<u32, Vec<Event>> = BTreeMap::new();
            for event in sorted.by_ref().take(means.events_max.max(1)) {
                let event = event?;
                events.entry(names.bucket_of(event.object)).or_default().push(event);
            }
            if events.is_empty() {
                break;
            }
            let count = events.values().map(Vec::len).sum::<usize>() as u64;
            go_on(&mut buckets, place, events, means.threads);
            for (bucket, _) in buckets.values_mut() {
                let decisions = std::mem::take(&mut bucket.decisions);
                kept.add(Made { decisions, ..Made::default() })?;
            }
            means.progress.events.fetch_add(count, Ordering::Relaxed);
        }
    }
    let mut whole = Guarded { ledger: empty.clone(), accounts: BTreeMap::new() };
    for (number, (bucket, _)) in buckets {
        whole.ledger.merge(bucket.ledger);
        whole.accounts.insert(number, (bucket.account, bucket.switching));
    }
    Ok(whole)
}

/// Some events of one window, in their order: buckets know nothing of each other, so threads share them.
fn go_on(
    buckets: &mut BTreeMap<u32, (Bucket<'_>, Vec<usize>)>,
    place: usize,
    mut events: BTreeMap<u32, Vec<Event>>,
    threads: usize,
) {
    let work: Vec<_> = buckets
        .iter_mut()
        .filter_map(|(number, bucket)| Some(Mutex::new(Some((bucket, events.remove(number)?)))))
        .collect();
    let next = AtomicUsize::new(0);
    let go_on = || {
        while let Some(one) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            let taken = one.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            if let Some(((bucket, chosen), events)) = taken {
                bucket.go_on(chosen[place], events);
            }
        }
    };
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| drop(scope.spawn(go_on)));
    });
}
