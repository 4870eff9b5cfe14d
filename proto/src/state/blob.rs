//! The life of blobs: live, garbage, spent. Bytes are deleted by workers, and only what these rows
//! call garbage (I3); a blob that was ever known never comes to life again (I2).

use crate::object::{Blob, Location};
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
    let ready_at = context.now.plus_ms(context.settings.drain_ms);
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

fn make_garbage(tables: &mut dyn Tables, location: Location, blob: &Blob, ready_at: TimeMs) {
    let row = BlobRow {
        size_bytes: blob.size_bytes,
        crc64nvme: blob.crc64nvme,
        state: BlobState::Garbage { ready_at },
    };
    rows::put(tables, key::blob(location), &row);
    tables.put(key::garbage(ready_at, location), Vec::new());
}

/// The worker deleted these from their backends. What is live again or unknown is left alone.
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
        if epoch::is_swept(context.tables, &location.key) {
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
