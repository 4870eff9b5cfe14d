//! Write epochs: a replicated intent log at the price of one LIST per thousand PUTs. Once an epoch
//! is closed nothing of it can be referenced for the first time, so what is unreferenced then is
//! garbage for ever, and a sweep may delete it.

use crate::id::{BackendId, BlobKey, EpochId, NodeId};
use crate::object::Location;
use crate::planted::{self, Planted};
use crate::response::{Rejection, Response};
use crate::row::{BlobRow, BlobState, Epoch, EpochState, Sweep};
use crate::state::key::Prefix;
use crate::state::query::scans;
use crate::state::{Context, key, rows};
use crate::tables::{Reader, scan};

/// Whether first references to blobs of this epoch are allowed. An absent epoch counts as closed.
pub fn is_open(reader: &(impl Reader + ?Sized), blob: &BlobKey) -> bool {
    planted::is(Planted::ClosedEpochOpen)
        || of(reader, blob).is_some_and(|epoch| epoch.state == EpochState::Open)
}

/// Whether the rows of this epoch's blobs are being dropped, or are gone.
pub fn is_swept(reader: &(impl Reader + ?Sized), blob: &BlobKey) -> bool {
    of(reader, blob).is_none_or(|epoch| epoch.state == EpochState::Swept)
}

fn of(reader: &(impl Reader + ?Sized), blob: &BlobKey) -> Option<Epoch> {
    rows::get(reader, &key::epoch(blob.generation, blob.node, blob.epoch))
}

/// Opens an epoch for one life of a node, and closes those of its former lives.
pub(crate) fn open(context: &mut Context<'_>, node: NodeId, incarnation: u64) -> Response {
    let epochs: Vec<Epoch> = scan(context.tables, &key::epochs_of_node(context.generation, node))
        .map(|(row_key, value)| rows::decode(&row_key, &value))
        .collect();
    if epochs.iter().any(|epoch| epoch.incarnation > incarnation) {
        return Response::Rejected(Rejection::EpochClosed);
    }
    for epoch in epochs {
        if epoch.incarnation < incarnation && epoch.state == EpochState::Open {
            put_closed(context, epoch);
        }
    }
    let row = Epoch {
        node,
        id: EpochId(context.minted_number()),
        generation: context.generation,
        incarnation,
        opened: context.now,
        state: EpochState::Open,
        pruned: None,
    };
    rows::put(context.tables, key::epoch_of(&row), &row);
    Response::EpochOpened { epoch: row.id, generation: context.generation }
}

/// Closes an epoch for ever. A repeat is a success.
pub(crate) fn close(context: &mut Context<'_>, row_key: &[u8]) -> Response {
    match rows::get::<Epoch>(context.tables, row_key) {
        None => Response::Rejected(Rejection::NoSuchEpoch),
        Some(row) => {
            match row.state {
                EpochState::Open => put_closed(context, row),
                EpochState::Closed { .. } | EpochState::Swept => {}
            }
            Response::Done
        }
    }
}

fn put_closed(context: &mut Context<'_>, mut row: Epoch) {
    row.state = EpochState::Closed { at: context.now, sweeps: Vec::new() };
    rows::put(context.tables, key::epoch_of(&row), &row);
}

/// One sweep of one backend that is done.
pub(crate) struct Swept {
    pub backend: BackendId,
    /// How many were done before it.
    pub round: u32,
    pub last: bool,
}

/// Counts a sweep, unless another leader has counted this round already. After the last sweep of every
/// backend the epoch is swept.
pub(crate) fn swept(context: &mut Context<'_>, row_key: &[u8], swept: Swept) -> Response {
    let Some(mut row) = rows::get::<Epoch>(context.tables, row_key) else {
        return Response::Rejected(Rejection::NoSuchEpoch);
    };
    let EpochState::Closed { sweeps, .. } = &mut row.state else {
        return Response::Rejected(Rejection::NoSuchEpoch);
    };
    let Swept { backend, round, last } = swept;
    match sweeps.iter_mut().find(|sweep| sweep.backend == backend) {
        Some(sweep) if sweep.done == round => {
            sweep.done = sweep.done.saturating_add(1);
            sweep.finished |= last;
        }
        None if round == 0 => sweeps.push(Sweep { backend, done: 1, finished: last }),
        Some(_) | None => return Response::Done,
    }
    if is_finished(context.tables, sweeps) {
        row.state = EpochState::Swept;
    }
    rows::put(context.tables, row_key.to_vec(), &row);
    Response::Done
}

/// Whether every backend that is still there was swept for the last time.
fn is_finished(reader: &dyn Reader, sweeps: &[Sweep]) -> bool {
    let finished = |id: BackendId| sweeps.iter().any(|sweep| sweep.finished && sweep.backend == id);
    sweeps.iter().any(|sweep| sweep.finished)
        && scans::shard_backends(reader)
            .into_iter()
            .all(|(id, backend)| backend.state.is_gone() || finished(id))
}

/// A backend is gone: epochs that waited for its sweep alone are swept.
pub(crate) fn without_gone(context: &mut Context<'_>) {
    let epochs: Vec<Epoch> = scan(context.tables, &key::all(Prefix::Epoch))
        .map(|(row_key, value)| rows::decode(&row_key, &value))
        .collect();
    for mut row in epochs {
        if let EpochState::Closed { sweeps, .. } = &row.state
            && is_finished(context.tables, sweeps)
        {
            row.state = EpochState::Swept;
            rows::put(context.tables, key::epoch_of(&row), &row);
        }
    }
}

/// Looks at a page of blob rows of a swept epoch, drops the spent ones, and at the end the epoch's own
/// row. Live and garbage rows stay: they are the index from a backend to its objects. Where the page
/// ended is kept in the epoch's row, so that the rows that stay are looked at once, not by every page.
/// None can become spent behind that place: `Collected` in a swept epoch drops the row.
pub(crate) fn prune(context: &mut Context<'_>, row_key: &[u8], limit: u32) -> Response {
    let Some(mut row) = rows::get::<Epoch>(context.tables, row_key) else {
        return Response::Pruned { more: false };
    };
    if row.state != EpochState::Swept {
        return Response::Rejected(Rejection::Malformed);
    }
    let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    let page = blob_page(context, &row, limit);
    for (location, spent) in &page {
        if *spent {
            context.tables.delete(&key::blob(*location));
        }
    }
    let more = page.len() >= limit;
    if more {
        row.pruned = page.last().map(|(location, _)| *location);
        rows::put(context.tables, row_key.to_vec(), &row);
    } else {
        context.tables.delete(row_key);
    }
    Response::Pruned { more }
}

/// The next blob rows of an epoch on every backend there ever was, and whether each is spent.
fn blob_page(context: &Context<'_>, row: &Epoch, limit: usize) -> Vec<(Location, bool)> {
    let mut page: Vec<(Location, bool)> = Vec::new();
    for (backend, _) in scans::shard_backends(context.tables) {
        let prefix = key::blobs_of_epoch(backend, row.generation, context.group, row.node, row.id);
        let after = row.pruned.map(key::blob).filter(|after| *after >= prefix);
        let rows =
            scans::after_row(context.tables, &prefix, after).filter_map(|(row_key, value)| {
                let blob: BlobRow = rows::decode(&row_key, &value);
                let spent = match blob.state {
                    BlobState::Spent => true,
                    BlobState::Live(_) | BlobState::Garbage { .. } => false,
                };
                Some((key::split_blob(&row_key)?, spent))
            });
        page.extend(rows.take(limit.saturating_sub(page.len())));
    }
    page
}
