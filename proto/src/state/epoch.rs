//! Write epochs: a replicated intent log at the price of one LIST per thousand PUTs. Once an epoch
//! is closed nothing of it can be referenced for the first time, so what is unreferenced then is
//! garbage for ever, and a sweep may delete it.

use crate::id::{BackendId, BlobKey, EpochId, NodeId};
use crate::object::Location;
use crate::response::{Rejection, Response};
use crate::row::{BackendState, BlobRow, BlobState, Epoch, EpochState, ShardBackend, Sweep};
use crate::state::key::Prefix;
use crate::state::{Context, key, rows};
use crate::tables::{Reader, scan};

/// Whether first references to blobs of this epoch are allowed. An absent epoch counts as closed.
pub fn is_open(reader: &(impl Reader + ?Sized), blob: &BlobKey) -> bool {
    of(reader, blob).is_some_and(|epoch| epoch.state == EpochState::Open)
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
    };
    rows::put(context.tables, key::epoch_of(&row), &row);
    Response::EpochOpened { epoch: row.id, generation: context.generation }
}

/// Closes an epoch for ever. A repeat is a success.
pub(crate) fn close(context: &mut Context<'_>, node: NodeId, epoch: EpochId) -> Response {
    match find(context, node, epoch) {
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

fn find(context: &Context<'_>, node: NodeId, epoch: EpochId) -> Option<Epoch> {
    rows::get(context.tables, &key::epoch(context.generation, node, epoch))
}

/// One sweep of one backend is done. After the last sweep of every backend the epoch is swept.
pub(crate) fn swept(
    context: &mut Context<'_>,
    node: NodeId,
    epoch: EpochId,
    backend: BackendId,
    last: bool,
) -> Response {
    let Some(mut row) = find(context, node, epoch) else {
        return Response::Rejected(Rejection::NoSuchEpoch);
    };
    let EpochState::Closed { sweeps, .. } = &mut row.state else {
        return Response::Rejected(Rejection::NoSuchEpoch);
    };
    match sweeps.iter_mut().find(|sweep| sweep.backend == backend) {
        Some(sweep) => {
            sweep.done = sweep.done.saturating_add(1);
            sweep.finished |= last;
        }
        None => sweeps.push(Sweep { backend, done: 1, finished: last }),
    }
    let finished: Vec<BackendId> =
        sweeps.iter().filter(|sweep| sweep.finished).map(|sweep| sweep.backend).collect();
    if present_backends(context).iter().all(|id| finished.contains(id)) {
        row.state = EpochState::Swept;
    }
    rows::put(context.tables, key::epoch_of(&row), &row);
    Response::Done
}

/// Backends that may hold bytes: a removed one has none left.
fn present_backends(context: &Context<'_>) -> Vec<BackendId> {
    scan(context.tables, &key::all(Prefix::ShardBackend))
        .filter_map(|(row_key, value)| {
            let row: ShardBackend = rows::decode(&row_key, &value);
            let (_, id) = row_key.split_first_chunk::<1>()?;
            let id = u32::from_be_bytes(id.try_into().ok()?);
            (row.state != BackendState::Removed).then_some(BackendId(id))
        })
        .collect()
}

/// Drops a page of spent blob rows of a swept epoch, and at the end the epoch's own row. Live and
/// garbage rows stay: they are the index from a backend to its objects.
pub(crate) fn prune(
    context: &mut Context<'_>,
    node: NodeId,
    epoch: EpochId,
    limit: u32,
) -> Response {
    let Some(row) = find(context, node, epoch) else {
        return Response::Pruned { more: false };
    };
    if row.state != EpochState::Swept {
        return Response::Rejected(Rejection::Malformed);
    }
    let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    let mut spent: Vec<Location> = Vec::new();
    for backend in present_backends(context) {
        let prefix = key::blobs_of_epoch(backend, row.generation, context.group, node, epoch);
        let room = limit.saturating_sub(spent.len());
        let of_backend = scan(context.tables, &prefix).filter_map(|(row_key, value)| {
            let blob: BlobRow = rows::decode(&row_key, &value);
            match blob.state {
                BlobState::Spent => key::split_blob(&row_key),
                BlobState::Live(_) | BlobState::Garbage { .. } => None,
            }
        });
        spent.extend(of_backend.take(room));
    }
    for location in &spent {
        context.tables.delete(&key::blob(*location));
    }
    let more = spent.len() >= limit;
    if !more {
        context.tables.delete(&key::epoch_of(&row));
    }
    Response::Pruned { more }
}
