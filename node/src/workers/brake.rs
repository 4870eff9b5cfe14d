//! The safety brake of collection: an account of the bytes that each shard deletes on each backend within an hour.
//! A bug, lost tables or a mistake must not empty a backend before somebody notices. What is garbage is not decided here,
//! and what never became a blob, an unfinished upload, is not counted.
//!
//! A window begins with the first deletion that is asked for, and notes what the shard has alive on the backend. A share
//! of that may go until the hour is over, or the shard's part of a floor where that is more. Deletions are asked for
//! before bytes go. The first that would be over the allowance is refused, and with it everything after it until the
//! window ends or an operator lets go. A blob larger than the whole allowance would stay for ever: each window lets one
//! go, whatever is left of it.
//!
//! The account is in the memory of the node that leads the shard, so it needs no agreement. The price: a restart begins
//! a new window, and so does a node that leads after another. Each of them can cost one more allowance within the hour.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use vaultaire_proto::{BackendId, Catalog, Consistency, GroupId};
use vaultaire_storage::backend::Backend;

use crate::ask;
use crate::error::Error;
use crate::settings::Garbage;

/// How long a window is.
const WINDOW: Duration = Duration::from_secs(60 * 60);

/// How long an operator lets deletions go.
pub const RELEASE: Duration = Duration::from_secs(60 * 60);

/// The share at which nothing is ever held.
const ALL_PERCENT: u32 = 100;

/// What one account is kept of.
type Place = (BackendId, GroupId);

/// Asked before bytes are deleted, by everything that collects.
#[derive(Debug)]
pub struct Brake {
    percent: u32,
    /// One shard's part of the floor.
    floor_bytes: u64,
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    windows: BTreeMap<Place, Window>,
    /// Until when operators let deletions go.
    released: BTreeMap<BackendId, Instant>,
}

/// The running hour of one shard on one backend.
#[derive(Debug)]
struct Window {
    ends: Instant,
    live_bytes: u64,
    allowed_bytes: u64,
    deleted_bytes: u64,
    /// Whether a blob went that is larger than the whole allowance.
    oversize_went: bool,
    held: bool,
    /// Whether the log has it. Once for a window, also where what was given back lets deletions go on.
    told: bool,
}

/// Deletions that may go. They count as done; those that were not are given back.
#[derive(Debug)]
#[must_use]
pub struct Admitted {
    /// How many of those asked for, from the first on.
    pub count: usize,
    /// The window that counts them, by its place and its end; none where nothing is counted.
    window: Option<(Place, Instant)>,
}

/// What is held back on a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    /// In how many shards; the sums below are over these.
    pub shards: u32,
    pub live_bytes: u64,
    pub allowed_bytes: u64,
    pub deleted_bytes: u64,
    /// How long until the last of them goes on.
    pub left: Duration,
}

impl Brake {
    /// As the settings say, for a cluster of so many shards. Nothing is deleted yet.
    pub fn new(garbage: &Garbage, shards: u16) -> Self {
        Self {
            percent: garbage.brake_percent,
            floor_bytes: garbage.brake_floor_bytes / u64::from(shards.max(1)),
            account: Mutex::default(),
        }
    }

    /// Asks for the deletion of blobs of these sizes, in this order.
    pub async fn admit(
        &self,
        catalog: &dyn Catalog,
        shard: GroupId,
        backend: &dyn Backend,
        sizes: &[u64],
    ) -> Result<Admitted, Error> {
        let mut fresh = None;
        // Once for a window that runs; a second time with a fresh one, which is never refused.
        loop {
            if let Some(admitted) = self.ask(shard, backend, sizes, fresh.take()) {
                return Ok(admitted);
            }
            let live_bytes = live_bytes(catalog, shard, backend.id()).await?;
            fresh = Some(Window::new(live_bytes, self.allowance(live_bytes)));
        }
    }

    /// Asks under one lock, of the window that runs or else of the fresh one; none where there is neither.
    fn ask(
        &self,
        shard: GroupId,
        backend: &dyn Backend,
        sizes: &[u64],
        fresh: Option<Window>,
    ) -> Option<Admitted> {
        let place = (backend.id(), shard);
        let mut account = self.account.lock();
        if self.percent >= ALL_PERCENT || account.released_for(backend.id()).is_some() {
            return Some(Admitted { count: sizes.len(), window: None });
        }
        if account.running(place).is_none() {
            account.windows.insert(place, fresh?);
        }
        let window = account.windows.get_mut(&place)?;
        let count = window.admit(sizes);
        if window.held && !window.told {
            window.told = true;
            let Window { live_bytes, allowed_bytes, deleted_bytes, .. } = *window;
            let name = backend.name();
            tracing::error!(backend = name, %shard, live_bytes, allowed_bytes, deleted_bytes,
                "deletions are held: more would go within an hour than gc.brake_percent and gc.brake_floor allow; find out why so much is garbage, and when that is as it should be: vaultaire backend release {name}");
        }
        Some(Admitted { count, window: Some((place, window.ends)) })
    }

    /// Deletions that were admitted and are not done. What may be done already belongs to the caller to know.
    pub fn give_back(&self, admitted: &Admitted, sizes: &[u64]) {
        let Some((place, ends)) = admitted.window else {
            return;
        };
        let mut account = self.account.lock();
        // Another window did not count them.
        if let Some(window) = account.windows.get_mut(&place).filter(|window| window.ends == ends) {
            window.give_back(sizes);
        }
    }

    /// Whether nothing more goes in a shard for the time being.
    pub fn is_held(&self, shard: GroupId, backend: BackendId) -> bool {
        self.account.lock().running((backend, shard)).is_some_and(|window| window.held)
    }

    /// What is held on a backend, in the shards that this node leads: a former leader's account holds nothing.
    pub fn hold(&self, backend: BackendId, leads: impl Fn(GroupId) -> bool) -> Option<Hold> {
        let account = self.account.lock();
        let now = Instant::now();
        let mut hold = Hold::default();
        for ((of, shard), window) in &account.windows {
            if *of == backend && window.held && window.ends > now && leads(*shard) {
                hold.shards += 1;
                hold.live_bytes = hold.live_bytes.saturating_add(window.live_bytes);
                hold.allowed_bytes = hold.allowed_bytes.saturating_add(window.allowed_bytes);
                hold.deleted_bytes = hold.deleted_bytes.saturating_add(window.deleted_bytes);
                hold.left = hold.left.max(window.ends - now);
            }
        }
        (hold.shards > 0).then_some(hold)
    }

    /// Lets deletions on a backend go for a while, in every shard. Afterwards a new window begins.
    pub fn release(&self, backend: BackendId) {
        let mut account = self.account.lock();
        account.windows.retain(|(of, _), _| *of != backend);
        account.released.insert(backend, Instant::now() + RELEASE);
    }

    /// How long deletions on a backend are still let go.
    pub fn released_for(&self, backend: BackendId) -> Option<Duration> {
        self.account.lock().released_for(backend)
    }

    fn allowance(&self, live_bytes: u64) -> u64 {
        let share = u128::from(live_bytes) * u128::from(self.percent) / u128::from(ALL_PERCENT);
        u64::try_from(share).unwrap_or(u64::MAX).max(self.floor_bytes)
    }
}

impl Account {
    fn running(&self, place: Place) -> Option<&Window> {
        self.windows.get(&place).filter(|window| window.ends > Instant::now())
    }

    fn released_for(&self, backend: BackendId) -> Option<Duration> {
        let until = self.released.get(&backend)?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

impl Window {
    fn new(live_bytes: u64, allowed_bytes: u64) -> Self {
        Self {
            ends: Instant::now() + WINDOW,
            live_bytes,
            allowed_bytes,
            deleted_bytes: 0,
            oversize_went: false,
            held: false,
            told: false,
        }
    }

    /// Counts what may go; answers how many that are, from the first on.
    fn admit(&mut self, sizes: &[u64]) -> usize {
        for (index, size) in sizes.iter().enumerate() {
            let after = self.deleted_bytes.saturating_add(*size);
            let is_oversize = *size > self.allowed_bytes;
            let fits = after <= self.allowed_bytes || (is_oversize && !self.oversize_went);
            self.held |= !fits;
            if self.held {
                return index;
            }
            self.oversize_went |= is_oversize;
            self.deleted_bytes = after;
        }
        sizes.len()
    }

    fn give_back(&mut self, sizes: &[u64]) {
        for size in sizes {
            self.deleted_bytes = self.deleted_bytes.saturating_sub(*size);
            self.oversize_went &= *size <= self.allowed_bytes;
            // There is room again: the next to ask learns whether it is enough.
            self.held = false;
        }
    }
}

/// What a shard has alive on a backend: fresh, since it decides how much may go.
async fn live_bytes(
    catalog: &dyn Catalog,
    shard: GroupId,
    backend: BackendId,
) -> Result<u64, Error> {
    let held = ask::shard_backends(catalog, Consistency::Linearizable, shard).await?;
    let row = held.into_iter().find(|(id, _)| *id == backend);
    Ok(row.map_or(0, |(_, row)| row.live_bytes))
}
