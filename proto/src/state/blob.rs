//! The life of blobs: live, garbage, spent. Bytes are deleted by workers, and only what these rows
//! call garbage (I3); a blob that was ever known never comes to life again (I2).

use crate::id::BackendId;
use crate::object::{Blob, Location};
use crate::planted::{self, Planted};
use crate::response::Response;
use crate::row::{BlobOwner, BlobRow, BlobState, ShardBackend};
use crate::state::{Context, epoch, key, rows};
use crate::tables::{Reader, Tables};
use crate::time::TimeMs;

/// Whether some copy of these bytes has a row already: then this is the same command again.
pub fn is_known(reader: &(impl Reader + ?Sized), blob: &Blob) -> bool {
    blob.copies.iter().any(|location| reader.get(&key::blob(*location)).is_some())
}

/// First reference to new bytes.
pub(crate) fn make_live(context: &mut Context<'_>, blob: &Blob, owner: &BlobOwner) {
    for location in &blob.copies {
        let row = BlobRow {
            size_bytes: blob.size_bytes,
            crc64nvme: blob.crc64nvme,
            state: BlobState::Live(owner.clone()),
        };
        rows::put(context.tables, key::blob(*location), &row);
        count(context.tables, *location, |backend| {
            backend.live_blobs = backend.live_blobs.saturating_add(1);
            backend.live_bytes = backend.live_bytes.saturating_add(blob.size_bytes);
        });
    }
}

/// Bytes that were visible: they stay readable for the drain, since a GET may be in the middle.
pub(crate) fn release(context: &mut Context<'_>, blob: &Blob) {
    let drain_ms = match planted::is(Planted::CollectedUndrained) {
        true => 0,
        false => context.settings.drain_ms,
    };
    let ready_at = context.now.plus_ms(drain_ms);
    for location in &blob.copies {
        make_garbage(context.tables, *location, blob, ready_at);
        count(context.tables, *location, |backend| {
            backend.live_blobs = backend.live_blobs.saturating_sub(1);
            backend.live_bytes = backend.live_bytes.saturating_sub(blob.size_bytes);
        });
    }
}

/// Bytes that never became visible: garbage at once where their epoch is open. Where it is not, the
/// sweep has them, and a row here could outlive the epoch's own.
pub(crate) fn discard_new(context: &mut Context<'_>, blob: &Blob) {
    for location in &blob.copies {
        if epoch::is_open(context.tables, &location.key) {
            make_garbage(context.tables, *location, blob, context.now);
        }
    }
}

/// Whose these bytes are has changed; nothing else of them.
pub(crate) fn hand_over(context: &mut Context<'_>, blob: &Blob, owner: &BlobOwner) {
    for location in &blob.copies {
        let row_key = key::blob(*location);
        if let Some(row) = rows::get::<BlobRow>(context.tables, &row_key) {
            let state = BlobState::Live(owner.clone());
            rows::put(context.tables, row_key, &BlobRow { state, ..row });
        }
    }
}

/// Whether nothing can be read or deleted there any more. Nothing new is taken there either, so that a key whose row is
/// dropped is not taken for a new one (I2).
pub(crate) fn is_gone(reader: &dyn Reader, backend: BackendId) -> bool {
    rows::get::<ShardBackend>(reader, &key::shard_backend(backend))
        .is_some_and(|row| row.state.is_gone())
}

fn make_garbage(tables: &mut dyn Tables, location: Location, blob: &Blob, ready_at: TimeMs) {
    if is_gone(tables, location.backend) {
        tables.delete(&key::blob(location));
        return;
    }
    let row = BlobRow {
        size_bytes: blob.size_bytes,
        crc64nvme: blob.crc64nvme,
        state: BlobState::Garbage { ready_at },
    };
    rows::put(tables, key::blob(location), &row);
    tables.put(key::garbage(ready_at, location), Vec::new());
}

/// The worker deleted these from their backends, or the backends are gone. What is live or unknown is left alone.
pub(crate) fn collected(context: &mut Context<'_>, locations: &[Location]) -> Response {
    for location in locations {
        let row_key = key::blob(*location);
        let Some(row) = rows::get::<BlobRow>(context.tables, &row_key) else {
            continue;
        };
        let BlobState::Garbage { ready_at } = row.state else {
            continue;
        };
        context.tables.delete(&key::garbage(ready_at, *location));
        let gone = is_gone(context.tables, location.backend);
        if gone || epoch::is_swept(context.tables, &location.key) {
            context.tables.delete(&row_key);
        } else {
            rows::put(context.tables, row_key, &BlobRow { state: BlobState::Spent, ..row });
        }
    }
    Response::Done
}

fn count(tables: &mut dyn Tables, location: Location, change: impl FnOnce(&mut ShardBackend)) {
    let row_key = key::shard_backend(location.backend);
    if let Some(mut row) = rows::get::<ShardBackend>(tables, &row_key) {
        change(&mut row);
        rows::put(tables, row_key, &row);
    }
}
