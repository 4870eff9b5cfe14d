//! Carries a change of the control group to every shard, and only then calls it done (I10). The
//! unsettled row is the redo record: whoever finds one may run this, as often as needed.

use crate::catalog::{Catalog, CatalogError};
use crate::command::{Command, ConfigureBucket, Operation};
use crate::id::{GroupId, RequestId};
use crate::planted::{self, Planted};
use crate::response::{Rejection, Response};
use crate::row::{BackendRow, Bucket, Versioning};
use crate::time::TimeMs;

/// A delete that finds objects goes `Deleting` -> `Open`, each pushed once; more rounds than this
/// mean that others keep changing the bucket.
const ROUNDS_MAX: usize = 4;

/// A settle command changes nothing when repeated, so it needs no deadline.
const NO_DEADLINE: TimeMs = TimeMs(u64::MAX);

/// Pushes a bucket's configuration until the row is settled; answers the row as it is then.
pub async fn settle_bucket(catalog: &dyn Catalog, bucket: Bucket) -> Result<Bucket, CatalogError> {
    let mut bucket = bucket;
    for _ in 0..ROUNDS_MAX {
        if bucket.settled {
            return Ok(bucket);
        }
        let empty = push_bucket(catalog, &bucket).await?;
        let settle =
            Operation::SettleBucket { bucket: bucket.id, generation: bucket.generation, empty };
        bucket = match catalog.commit(internal(GroupId::CONTROL, settle)).await? {
            Response::Bucket(row) => row,
            other => return Err(unexpected(GroupId::CONTROL, &other)),
        };
    }
    Ok(bucket)
}

async fn push_bucket(catalog: &dyn Catalog, bucket: &Bucket) -> Result<bool, CatalogError> {
    let mut all_empty = true;
    for shard in shards(catalog) {
        let configure = Operation::ConfigureBucket(ConfigureBucket {
            bucket: bucket.id,
            generation: bucket.generation,
            phase: bucket.phase,
            versioning: match shard.0 == catalog.cluster().shards
                && planted::is(Planted::VersioningUnlearned)
            {
                true => Versioning::Off,
                false => bucket.versioning,
            },
        });
        match catalog.commit(internal(shard, configure)).await? {
            Response::Configured { empty } => all_empty &= empty,
            other => return Err(unexpected(shard, &other)),
        }
    }
    Ok(all_empty)
}

/// Pushes a backend's state to every shard; answers the row as it is then.
pub async fn settle_backend(
    catalog: &dyn Catalog,
    backend: BackendRow,
) -> Result<BackendRow, CatalogError> {
    for shard in shards(catalog) {
        let configure = Operation::ConfigureBackend {
            backend: backend.id,
            generation: backend.generation,
            state: backend.state,
        };
        match catalog.commit(internal(shard, configure)).await? {
            Response::Done => {}
            other => return Err(unexpected(shard, &other)),
        }
    }
    let settle = Operation::SettleBackend { backend: backend.id, generation: backend.generation };
    match catalog.commit(internal(GroupId::CONTROL, settle)).await? {
        Response::Backend(row) => Ok(row),
        other => Err(unexpected(GroupId::CONTROL, &other)),
    }
}

/// The index shards of the catalog's cluster.
pub fn shards(catalog: &dyn Catalog) -> impl Iterator<Item = GroupId> + use<> {
    (1..=catalog.cluster().shards).map(GroupId)
}

/// A command that is idempotent by nature: its request id is never looked at.
fn internal(group: GroupId, operation: Operation) -> Command {
    Command { group, request: RequestId([0; 16]), not_after: NO_DEADLINE, operation }
}

/// The only lawful no here is a group that is not founded yet, which a later attempt will find changed.
fn unexpected(group: GroupId, response: &Response) -> CatalogError {
    match response {
        Response::Rejected(Rejection::NotInitialised) => CatalogError::NoLeader { group },
        _ => CatalogError::OutcomeUnknown { group },
    }
}
