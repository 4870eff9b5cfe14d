//! Buckets in the control group. A change counts only when every shard has applied it: until then
//! the row is unsettled, and that row is the redo record if the pusher dies.

use crate::id::{BucketId, UserId};
use crate::name::BucketName;
use crate::response::{Rejection, Response};
use crate::row::{Bucket, BucketPhase, Copies, User, Versioning};
use crate::state::{Context, key, rows};
use crate::tables::Reader;

/// The bucket that holds a name now.
pub fn by_name(reader: &(impl Reader + ?Sized), name: &BucketName) -> Option<Bucket> {
    let id = reader.get(&key::bucket_by_name(name))?;
    let id: [u8; 8] = id.as_ref().try_into().ok()?;
    rows::get(reader, &key::bucket(BucketId(u64::from_be_bytes(id))))
}

/// Reserves the name and writes the row, unsettled.
pub(crate) fn create(
    context: &mut Context<'_>,
    name: &BucketName,
    owner: UserId,
    region: &str,
) -> Response {
    if rows::get::<User>(context.tables, &key::user(owner)).is_none() {
        return Response::Rejected(Rejection::NoSuchUser);
    }
    if let Some(former) = by_name(context.tables, name) {
        return match (former.owner == owner, former.phase) {
            (true, BucketPhase::Deleting) => Response::Rejected(Rejection::OperationAborted),
            (true, BucketPhase::Open | BucketPhase::Deleted) => {
                Response::Rejected(Rejection::BucketAlreadyOwnedByYou)
            }
            (false, _) => Response::Rejected(Rejection::BucketAlreadyExists),
        };
    }
    let row = Bucket {
        id: BucketId(context.minted_number()),
        name: name.clone(),
        owner,
        region: region.to_owned(),
        created: context.now,
        generation: 1,
        phase: BucketPhase::Open,
        versioning: Versioning::Off,
        settled: false,
        copies: None,
    };
    context.tables.put(key::bucket_by_name(name), row.id.0.to_be_bytes().to_vec());
    let by_owner = key::bucket_by_owner(owner, name.as_str());
    context.tables.put(by_owner, row.id.0.to_be_bytes().to_vec());
    put_unsettled(context, row)
}

/// Turns versioning on, or suspends it. It can never be off again.
pub(crate) fn set_versioning(
    context: &mut Context<'_>,
    id: BucketId,
    versioning: Versioning,
) -> Response {
    let mut row = match open_bucket(context, id) {
        Ok(row) => row,
        Err(rejection) => return Response::Rejected(rejection),
    };
    match versioning {
        Versioning::Off => return Response::Rejected(Rejection::Malformed),
        Versioning::Enabled | Versioning::Suspended => {}
    }
    if row.versioning == versioning {
        return Response::Bucket(row);
    }
    row.versioning = versioning;
    row.generation = row.generation.saturating_add(1);
    put_unsettled(context, row)
}

/// Says how many copies objects have. It holds for every PUT that begins from now on; others are brought in line by workers,
/// so the shards need not hear of it.
pub(crate) fn set_copies(
    context: &mut Context<'_>,
    id: BucketId,
    copies: Option<Copies>,
) -> Response {
    let counts = 1..=Copies::COUNT_MAX;
    if copies.is_some_and(|copies| !counts.contains(&copies.count)) {
        return Response::Rejected(Rejection::Malformed);
    }
    match open_bucket(context, id) {
        Ok(row) => {
            let row = Bucket { copies, ..row };
            rows::put(context.tables, key::bucket(id), &row);
            Response::Bucket(row)
        }
        Err(rejection) => Response::Rejected(rejection),
    }
}

/// Begins a delete: shards stop creating, then report whether they are empty.
pub(crate) fn delete(context: &mut Context<'_>, id: BucketId) -> Response {
    let mut row = match open_bucket(context, id) {
        Ok(row) => row,
        Err(rejection) => return Response::Rejected(rejection),
    };
    row.phase = BucketPhase::Deleting;
    row.generation = row.generation.saturating_add(1);
    put_unsettled(context, row)
}

fn open_bucket(context: &Context<'_>, id: BucketId) -> Result<Bucket, Rejection> {
    let row: Bucket = rows::get(context.tables, &key::bucket(id)).ok_or(Rejection::NoSuchBucket)?;
    match row.phase {
        BucketPhase::Deleted => Err(Rejection::NoSuchBucket),
        BucketPhase::Deleting => Err(Rejection::OperationAborted),
        // One change at a time: the next would have to wait for the same shards anyway.
        BucketPhase::Open if !row.settled => Err(Rejection::OperationAborted),
        BucketPhase::Open => Ok(row),
    }
}

/// Every shard has applied `generation`. A delete ends here: for ever when all were empty, else the
/// bucket is open again, which the shards must learn in turn.
pub(crate) fn settle(
    context: &mut Context<'_>,
    id: BucketId,
    generation: u64,
    empty: bool,
) -> Response {
    let Some(mut row) = rows::get::<Bucket>(context.tables, &key::bucket(id)) else {
        return Response::Rejected(Rejection::NoSuchBucket);
    };
    if row.generation != generation || row.settled {
        return Response::Bucket(row);
    }
    match row.phase {
        BucketPhase::Deleting if empty => {
            context.tables.delete(&key::bucket_by_name(&row.name));
            context.tables.delete(&key::bucket_by_owner(row.owner, row.name.as_str()));
            row.phase = BucketPhase::Deleted;
            row.generation = row.generation.saturating_add(1);
            put_unsettled(context, row)
        }
        BucketPhase::Deleting => {
            row.phase = BucketPhase::Open;
            row.generation = row.generation.saturating_add(1);
            put_unsettled(context, row)
        }
        BucketPhase::Open | BucketPhase::Deleted => {
            row.settled = true;
            context.tables.delete(&key::bucket_unsettled(id));
            rows::put(context.tables, key::bucket(id), &row);
            Response::Bucket(row)
        }
    }
}

fn put_unsettled(context: &mut Context<'_>, mut row: Bucket) -> Response {
    row.settled = false;
    context.tables.put(key::bucket_unsettled(row.id), Vec::new());
    rows::put(context.tables, key::bucket(row.id), &row);
    Response::Bucket(row)
}
