//! The view that a snapshot is sent of. It is kept for a while after a way broke, so that the next attempt sends the same rows and
//! goes on where the last one ended.

use std::time::Duration;

use parking_lot::Mutex;

use super::meta::Meta;
use super::view::View;
use crate::idle::{Idle, InUse};

/// How long a view is kept that nobody sends: it holds back the compaction of the tables.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// The log is not shortened past a snapshot that is being sent, or its receiver would need the next one at once; but where it has
/// grown by so many entries meanwhile it is.
const HELD_ENTRIES_MAX: u64 = 1_000_000;

/// One group's.
#[derive(Debug, Default)]
pub struct Pins(Mutex<Option<Pinned>>);

#[derive(Debug)]
struct Pinned {
    view: View,
    meta: Meta,
    idle: Idle,
}

impl Pins {
    /// Keeps a view for as long as the guard is held, and for a while.
    pub fn pin(&self, view: &View, meta: &Meta) -> InUse {
        let mut pinned = self.0.lock();
        let same = pinned.as_ref().filter(|pinned| pinned.meta.applied == meta.applied);
        if let Some(pinned) = same {
            return pinned.idle.uses();
        }
        let new = Pinned { view: view.clone(), meta: meta.clone(), idle: Idle::default() };
        pinned.insert(new).idle.uses()
    }

    /// What is kept, where the log still goes on behind it.
    pub fn again(&self, purged: u64) -> Option<(View, Meta)> {
        let pinned = self.0.lock();
        let reaches =
            |pinned: &&Pinned| pinned.meta.applied.is_some_and(|applied| applied.index >= purged);
        pinned.as_ref().filter(reaches).map(|pinned| (pinned.view.clone(), pinned.meta.clone()))
    }

    /// From where on the log has to stay for who receives a snapshot. `applied`: up to where these rows are.
    pub fn holds(&self, applied: u64) -> Option<u64> {
        let index = self.0.lock().as_ref()?.meta.applied?.index;
        (applied.saturating_sub(index) < HELD_ENTRIES_MAX).then_some(index)
    }

    /// Lets go of what nobody sends any more. To be called all the time.
    pub fn look_after(&self) {
        let mut pinned = self.0.lock();
        if pinned.as_mut().is_some_and(|pinned| pinned.idle.is_over(IDLE_MAX)) {
            *pinned = None;
        }
    }
}
