//! Backends in the control group. Endpoints and credentials stay in the nodes' own
//! configuration; the replicated row is the name, the id and the state.

#[cfg(test)]
mod tests;

use crate::id::{BackendId, NodeId};
use crate::response::{Rejection, Response};
use crate::row::{BackendRow, BackendState};
use crate::state::key::Prefix;
use crate::state::{Context, key, member, rows};
use crate::tables::{Reader, scan};

/// Every backend, in the order of ids.
pub fn all(reader: &dyn Reader) -> Vec<BackendRow> {
    scan(reader, &key::all(Prefix::Backend))
        .map(|(row_key, value)| rows::decode(&row_key, &value))
        .collect()
}

/// Adds a backend that is not known yet. Rows are never removed, so ids are never reused. A backend is known by its name and
/// its node: those of one name on several nodes are a pool, and of one kind. The name of one that is lost or removed is free.
pub(crate) fn put(
    context: &mut Context<'_>,
    name: &str,
    kind: &str,
    state: BackendState,
    node: Option<NodeId>,
) -> Response {
    if name.is_empty() {
        return Response::Rejected(Rejection::Malformed);
    }
    let backends = all(context.tables);
    let contradicts =
        |row: &BackendRow| !row.state.is_gone() && row.name == name && row.kind != kind;
    if backends.iter().any(contradicts) {
        return Response::Rejected(Rejection::AlreadyExists);
    }
    let row = match known(context, &backends, name, node) {
        // What shards know of it does not change with whose it is.
        Some(former) => BackendRow { node, ..former.clone() },
        None => BackendRow {
            id: BackendId(backends.last().map_or(0, |row| row.id.0).saturating_add(1)),
            name: name.to_owned(),
            kind: kind.to_owned(),
            generation: 1,
            state,
            settled: false,
            node,
        },
    };
    rows::put(context.tables, key::backend(row.id), &row);
    Response::Backend(row)
}

/// The row of a name and a node. A row from when clusters had one node and rows did not name it is that node's.
fn known<'rows>(
    context: &Context<'_>,
    backends: &'rows [BackendRow],
    name: &str,
    node: Option<NodeId>,
) -> Option<&'rows BackendRow> {
    let of = |node: Option<NodeId>| {
        let is_here = |row: &&BackendRow| !row.state.is_gone() && row.name == name;
        backends.iter().filter(is_here).find(move |row| row.node == node)
    };
    let first = member::all(context.tables).first().map(|row| row.id);
    of(node).or_else(|| of(None).filter(|_| node.is_some() && node == first))
}

/// Moves a backend on in its life. Whether it is empty only the shards know: who removes one has asked them after they
/// took over that it is drained or lost, from when on it cannot fill again.
pub(crate) fn set_state(context: &mut Context<'_>, id: BackendId, state: BackendState) -> Response {
    let Some(former) = rows::get::<BackendRow>(context.tables, &key::backend(id)) else {
        return Response::Rejected(Rejection::NoSuchBackend);
    };
    let allowed = match former.state {
        _ if former.state == state => return Response::Backend(former),
        BackendState::Active => matches!(state, BackendState::Draining | BackendState::Lost),
        BackendState::Draining => true,
        BackendState::Lost => state == BackendState::Removed,
        BackendState::Removed => false,
    };
    if !allowed {
        return Response::Rejected(Rejection::WrongBackendState);
    }
    let generation = former.generation.saturating_add(1);
    let row = BackendRow { state, generation, settled: false, ..former };
    rows::put(context.tables, key::backend(id), &row);
    Response::Backend(row)
}

/// Every shard has applied `generation`.
pub(crate) fn settle(context: &mut Context<'_>, id: BackendId, generation: u64) -> Response {
    let Some(mut row) = rows::get::<BackendRow>(context.tables, &key::backend(id)) else {
        return Response::Rejected(Rejection::NoSuchBackend);
    };
    if row.generation == generation {
        row.settled = true;
        rows::put(context.tables, key::backend(id), &row);
    }
    Response::Backend(row)
}
