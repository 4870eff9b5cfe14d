//! What a shard must know of the control group, it holds itself (I10). Older generations are
//! ignored, so that a late push cannot undo a newer one.

use crate::command::ConfigureBucket;
use crate::id::{BackendId, BucketId};
use crate::response::Response;
use crate::row::{BackendState, ShardBackend, ShardBucket};
use crate::state::key::Prefix;
use crate::state::{Context, epoch, key, rows};
use crate::tables::{Reader, scan};

/// Takes over a bucket's configuration and reports whether this shard holds nothing of it.
pub(crate) fn configure_bucket(context: &mut Context<'_>, configure: &ConfigureBucket) -> Response {
    let row_key = key::shard_bucket(configure.bucket);
    let former: Option<ShardBucket> = rows::get(context.tables, &row_key);
    if former.is_none_or(|row| row.generation <= configure.generation) {
        let row = ShardBucket {
            generation: configure.generation,
            phase: configure.phase,
            versioning: configure.versioning,
            objects: former.map_or(0, |row| row.objects),
            size_bytes: former.map_or(0, |row| row.size_bytes),
        };
        rows::put(context.tables, row_key, &row);
    }
    Response::Configured { empty: is_empty(context.tables, configure.bucket) }
}

/// Whether a bucket has no object, no version and no upload here.
pub fn is_empty(reader: &dyn Reader, bucket: BucketId) -> bool {
    [Prefix::Head, Prefix::Version, Prefix::Upload]
        .into_iter()
        .all(|prefix| scan(reader, &key::of_bucket(prefix, bucket)).next().is_none())
}

/// Takes over a backend's state.
pub(crate) fn configure_backend(
    context: &mut Context<'_>,
    backend: BackendId,
    generation: u64,
    state: BackendState,
) -> Response {
    let row_key = key::shard_backend(backend);
    let former: Option<ShardBackend> = rows::get(context.tables, &row_key);
    if former.is_none_or(|row| row.generation <= generation) {
        let row = ShardBackend {
            generation,
            state,
            live_blobs: former.map_or(0, |row| row.live_blobs),
            live_bytes: former.map_or(0, |row| row.live_bytes),
        };
        rows::put(context.tables, row_key, &row);
        if state.is_gone() {
            epoch::without_gone(context);
        }
    }
    Response::Done
}
