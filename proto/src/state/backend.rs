//! Backends in the control group. Endpoints and credentials stay in the nodes' own
//! configuration; the replicated row is the name, the id and the state.

use crate::id::BackendId;
use crate::response::{Rejection, Response};
use crate::row::{BackendRow, BackendState};
use crate::state::key::Prefix;
use crate::state::{Context, key, rows};
use crate::tables::{Reader, scan};

/// Every backend, in the order of ids.
pub fn all(reader: &dyn Reader) -> Vec<BackendRow> {
    scan(reader, &key::all(Prefix::Backend))
        .map(|(row_key, value)| rows::decode(&row_key, &value))
        .collect()
}

/// Adds a backend, or changes its state. Rows are never removed, so ids are never reused.
pub(crate) fn put(
    context: &mut Context<'_>,
    name: &str,
    kind: &str,
    state: BackendState,
) -> Response {
    if name.is_empty() {
        return Response::Rejected(Rejection::Malformed);
    }
    let backends = all(context.tables);
    let row = match backends.iter().find(|row| row.name == name) {
        Some(former) if former.kind != kind => return Response::Rejected(Rejection::AlreadyExists),
        Some(former) if former.state == state => return Response::Backend(former.clone()),
        Some(former) => BackendRow {
            state,
            generation: former.generation.saturating_add(1),
            settled: false,
            ..former.clone()
        },
        None => BackendRow {
            id: BackendId(backends.last().map_or(0, |row| row.id.0).saturating_add(1)),
            name: name.to_owned(),
            kind: kind.to_owned(),
            generation: 1,
            state,
            settled: false,
        },
    };
    rows::put(context.tables, key::backend(row.id), &row);
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
