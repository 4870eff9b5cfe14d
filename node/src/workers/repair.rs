//! Copies that must come, go or move: those on backends that are drained, those that a lost backend had, those that a bucket
//! wants more of or less, or spread otherwise. The shard's leader does it. What is to be done is in the rows: the live blobs
//! of a backend that is left, and, in a walk that never ends, those of all others. A worker that forgets everything, and two
//! that do the same, lose nothing: each change is compared and set (`state/copy.rs`).
//!
//! R1 the bytes are read from a copy that is left, and checked against their checksum and size; R2 they are written under a
//! fresh key of this node's own epoch, and synced; R3 `PutCopy` makes them a copy, as a rule in the place of another one.
//! After a crash behind R2 nothing refers to them, and the sweep of the epoch has them. Copies that are too many are only
//! let go of.

mod copying;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::time::Instant;
use vaultaire_proto::object::Location;
use vaultaire_proto::row::{BackendState, BlobState, ShardBackend};
use vaultaire_proto::settle::settle_backend;
use vaultaire_proto::{
    BackendId, BlobKey, Consistency, EpochId, GroupId, NodeId, Operation, TimeMs,
};

use crate::ask;
use crate::error::Error;
use crate::settings::Repair;
use crate::throttle::Throttle;
use crate::workers::Context;
use crate::workers::repair::copying::{Around, Job, Outcome};

/// How long the worker rests between two looks.
pub const PAUSE: Duration = Duration::from_secs(1);

/// How many blobs of one walk are taken in one look, so that none waits for another to be done.
const PAGE: usize = 512;

/// How many blobs are copied at the same time.
const COPIES_IN_FLIGHT: usize = 8;

/// How long a walk rests that moved nothing. Doubled each time.
const REST_MIN: Duration = Duration::from_secs(5);
const REST_MAX: Duration = Duration::from_secs(300);

/// Moves what must move in every shard that this node leads.
#[derive(Debug)]
pub struct Repairer {
    throttle: Throttle,
    walks: BTreeMap<(GroupId, Walk), Pass>,
}

/// Which blobs are walked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Walk {
    /// Those of a backend that must be left.
    Leave(BackendId),
    /// All.
    Census,
}

/// How far a walk is, and how it went.
#[derive(Debug)]
struct Pass {
    after: Option<Location>,
    tally: Tally,
    /// None before the first fruitless pass.
    rest: Option<(Instant, Duration)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    moved: u64,
    /// Their last copy is lost.
    without_copy: u64,
    /// No backend can take them.
    without_place: u64,
    failed: u64,
}

impl Repairer {
    pub fn new(repair: &Repair) -> Self {
        Self { throttle: Throttle::new(repair.bytes_per_second), walks: BTreeMap::new() }
    }

    /// One look at every shard.
    pub async fn step(&mut self, context: &Context) {
        for shard in context.proposer.shards() {
            if !(context.leads)(shard) {
                self.walks.retain(|(of, _), _| *of != shard);
                continue;
            }
            if let Err(error) = self.shard(context, shard).await {
                tracing::warn!(%shard, %error, "copies are left for the next look");
            }
        }
        if (context.leads)(GroupId::CONTROL)
            && let Err(error) = retire(context).await
        {
            tracing::warn!(%error, "lost backends are left for the next look");
        }
    }

    async fn shard(&mut self, context: &Context, shard: GroupId) -> Result<(), Error> {
        let catalog = context.proposer.catalog();
        let rows = ask::shard_backends(catalog, Consistency::Stale, shard).await?;
        let around = Arc::new(around(&rows));
        let mut walks = vec![Walk::Census];
        for (backend, row) in &rows {
            if row.state.is_gone() {
                forget_garbage(context, shard, *backend).await?;
            }
            if around.leaving.contains(backend) && row.live_blobs > 0 {
                walks.push(Walk::Leave(*backend));
            }
        }
        self.walks.retain(|(of, walk), _| *of != shard || walks.contains(walk));
        for walk in walks {
            self.page(context, shard, walk, &around).await?;
        }
        Ok(())
    }

    /// The next page of one walk.
    async fn page(
        &mut self,
        context: &Context,
        shard: GroupId,
        walk: Walk,
        around: &Arc<Around>,
    ) -> Result<(), Error> {
        let pass = self.walks.entry((shard, walk)).or_insert_with(|| Pass::new(walk));
        if pass.rest.is_some_and(|(until, _)| until > Instant::now()) {
            return Ok(());
        }
        let catalog = context.proposer.catalog();
        let page = ask::blobs(catalog, Consistency::Stale, shard, pass.after, PAGE).await?;
        let here: Vec<_> =
            page.into_iter().take_while(|(location, _)| walk.covers(*location)).collect();
        let last = here.last().map(|(location, _)| *location);
        let jobs = here.into_iter().filter_map(|(copy, row)| {
            let leaves = around.leaving.contains(&copy.backend);
            match row.state {
                BlobState::Live(owner) if leaves == (walk != Walk::Census) => {
                    Some(Job { shard, copy, owner, around: Arc::clone(around) })
                }
                BlobState::Live(_) | BlobState::Garbage { .. } | BlobState::Spent => None,
            }
        });
        let runs: Vec<_> = jobs.map(|job| job.run(context, &self.throttle)).collect();
        let mut outcomes = stream::iter(runs).buffer_unordered(COPIES_IN_FLIGHT);
        while let Some(outcome) = outcomes.next().await {
            pass.tally.count(outcome);
        }
        match last {
            Some(last) => pass.after = Some(last),
            None => pass.end(shard, walk),
        }
        Ok(())
    }
}

/// What the shard knows of backends.
fn around(rows: &[(BackendId, ShardBackend)]) -> Around {
    let of = |matches: fn(BackendState) -> bool| -> BTreeSet<BackendId> {
        rows.iter().filter(|(_, row)| matches(row.state)).map(|(id, _)| *id).collect()
    };
    Around { leaving: of(|state| state != BackendState::Active), gone: of(BackendState::is_gone) }
}

impl Walk {
    fn covers(self, location: Location) -> bool {
        match self {
            Self::Leave(backend) => location.backend == backend,
            Self::Census => true,
        }
    }

    fn start(self) -> Option<Location> {
        match self {
            Self::Leave(backend) => Some(before_all(backend)),
            Self::Census => None,
        }
    }
}

impl Pass {
    fn new(walk: Walk) -> Self {
        Self { after: walk.start(), tally: Tally::default(), rest: None }
    }

    /// The next begins anew: at once where this one moved something, else after a rest.
    fn end(&mut self, shard: GroupId, walk: Walk) {
        let Tally { moved, without_copy, without_place, failed } = std::mem::take(&mut self.tally);
        self.after = walk.start();
        if moved > 0 {
            tracing::info!(%shard, ?walk, moved, "copies were made, moved or let go of");
            self.rest = None;
            return;
        }
        let pause = self.rest.map_or(REST_MIN, |(_, pause)| (pause * 2).min(REST_MAX));
        self.rest = Some((Instant::now() + pause, pause));
        if without_copy > 0 {
            tracing::error!(%shard, ?walk, blobs = without_copy,
                "the last copy of these was on a lost backend; `vaultaire backend losses` lists them");
        }
        if without_place > 0 {
            tracing::warn!(%shard, ?walk, blobs = without_place,
                "these want a copy elsewhere, and no backend can take it: their pool needs a node that has none yet, in a \
                 failure domain that has none where the bucket says so");
        }
        if failed > 0 {
            tracing::warn!(%shard, ?walk, failed, "some copies could not be moved and are tried again");
        }
    }
}

impl Tally {
    fn count(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Fine => return,
            // Where somebody else has changed it, that is a step forward as well.
            Outcome::Moved | Outcome::Superseded => &mut self.moved,
            Outcome::WithoutCopy => &mut self.without_copy,
            Outcome::WithoutPlace => &mut self.without_place,
            Outcome::Failed => &mut self.failed,
        };
        *count = count.saturating_add(1);
    }
}

/// Below every blob of a backend: epochs are log indexes, which begin at one.
pub fn before_all(backend: BackendId) -> Location {
    let (shard, node, epoch) = (GroupId(0), NodeId(0), EpochId(0));
    Location { backend, key: BlobKey { generation: 0, shard, node, epoch, seq: 0 } }
}

/// Nothing can be deleted where nothing is: garbage of a backend that is gone counts as collected.
async fn forget_garbage(
    context: &Context,
    shard: GroupId,
    backend: BackendId,
) -> Result<(), Error> {
    let (catalog, far) = (context.proposer.catalog(), TimeMs(u64::MAX - 1));
    loop {
        let fresh = Consistency::Linearizable;
        let page = ask::garbage(catalog, fresh, shard, backend, far, PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        let blobs = page.iter().map(|row| row.location).collect();
        context.proposer.commit_accepted("garbage", shard, Operation::Collected { blobs }).await?;
    }
}

/// A lost backend that no row needs any more is removed. It cannot fill again: every shard knows that it is lost.
async fn retire(context: &Context) -> Result<(), Error> {
    let (catalog, fresh) = (context.proposer.catalog(), Consistency::Linearizable);
    let rows = ask::backends(catalog, Consistency::Stale).await?;
    for row in rows.into_iter().filter(|row| row.state == BackendState::Lost && row.settled) {
        let mut live_blobs = 0_u64;
        for shard in context.proposer.shards() {
            let held = ask::shard_backends(catalog, fresh, shard).await?;
            let held = held.iter().find(|(id, _)| *id == row.id);
            live_blobs = live_blobs.saturating_add(held.map_or(0, |(_, held)| held.live_blobs));
        }
        if live_blobs == 0 {
            let set = Operation::SetBackendState { backend: row.id, state: BackendState::Removed };
            context.proposer.commit_accepted("a lost backend", GroupId::CONTROL, set).await?;
            let rows = ask::backends(catalog, fresh).await?;
            if let Some(removed) = rows.into_iter().find(|found| found.id == row.id) {
                settle_backend(catalog, removed).await?;
            }
            tracing::info!(backend = row.name, id = %row.id, "everything that this lost backend held has copies elsewhere");
        }
    }
    Ok(())
}
