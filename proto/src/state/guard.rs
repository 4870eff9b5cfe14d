//! What every command passes before it may change anything: the group's founding and settings, the
//! bucket and backends as this group knows them (I10), and S3's preconditions.

use crate::command::{Condition, InitCluster, Match, Target};
use crate::object::{Blob, Version};
use crate::planted::{self, Planted};
use crate::response::{Rejection, Response};
use crate::row::{
    BackendState, BucketPhase, ClusterRow, Settings, ShardBackend, ShardBucket, Versioning,
};
use crate::state::{Context, epoch, key, rows};

/// Founds a group. Once; a repeat with the same words is a success.
pub(crate) fn init(context: &mut Context<'_>, init: &InitCluster) -> Response {
    let row = ClusterRow {
        cluster: init.cluster,
        generation: init.generation,
        shards: init.shards,
        region: init.region.clone(),
        token_key: init.token_key.clone(),
    };
    match rows::get::<ClusterRow>(context.tables, &key::cluster()) {
        Some(former) if former == row => Response::Done,
        Some(_) => Response::Rejected(Rejection::AlreadyInitialised),
        None => {
            rows::put(context.tables, key::cluster(), &row);
            Response::Done
        }
    }
}

/// Settings take effect from this entry on.
pub(crate) fn put_settings(context: &mut Context<'_>, settings: &Settings) -> Response {
    rows::put(context.tables, key::settings(), settings);
    Response::Done
}

/// Whether a command adds something to the bucket or only takes away: a bucket that is being
/// deleted still lets go of what it has, and nothing appears in it once it was reported empty.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    Add,
    /// Takes the current version away: with a delete marker, unless the bucket never had versions.
    Hide,
    Remove,
}

impl Intent {
    fn adds(self, versioning: Versioning) -> bool {
        match self {
            Self::Add => true,
            Self::Hide => match versioning {
                Versioning::Off => false,
                Versioning::Enabled | Versioning::Suspended => true,
            },
            Self::Remove => false,
        }
    }
}

/// The bucket of a command, if its proposer saw the configuration that this shard has.
pub(crate) fn bucket(
    context: &Context<'_>,
    target: &Target,
    intent: Intent,
) -> Result<ShardBucket, Rejection> {
    let Some(row) = rows::get::<ShardBucket>(context.tables, &key::shard_bucket(target.bucket))
    else {
        return Err(Rejection::ConfigAhead);
    };
    match row.phase {
        BucketPhase::Deleted => return Err(Rejection::NoSuchBucket),
        BucketPhase::Deleting if intent.adds(row.versioning) => {
            return Err(Rejection::OperationAborted);
        }
        BucketPhase::Deleting | BucketPhase::Open => {}
    }
    match target.bucket_generation.cmp(&row.generation) {
        std::cmp::Ordering::Less => Err(Rejection::StaleConfig),
        std::cmp::Ordering::Greater => Err(Rejection::ConfigAhead),
        std::cmp::Ordering::Equal => Ok(row),
    }
}

/// Whether new bytes may be referenced for the first time: their backends take writes and their
/// epoch is open (I7). Nothing is collected on a no; the sweep or a repeated proposal settles it.
pub(crate) fn new_bytes(context: &Context<'_>, blob: &Blob) -> Result<(), Rejection> {
    if blob.copies.is_empty() {
        return Err(Rejection::Malformed);
    }
    for location in &blob.copies {
        if location.key.shard != context.group || location.key.generation > context.generation {
            return Err(Rejection::Malformed);
        }
        match rows::get::<ShardBackend>(context.tables, &key::shard_backend(location.backend)) {
            None => return Err(Rejection::ConfigAhead),
            Some(row) => match row.state {
                BackendState::Active => {}
                BackendState::Draining | BackendState::Removed | BackendState::Lost => {
                    return Err(Rejection::StaleConfig);
                }
            },
        }
        if !epoch::is_open(context.tables, &location.key) {
            return Err(Rejection::EpochClosed);
        }
    }
    Ok(())
}

/// Whether S3's preconditions hold for the current version (none: no object, or a delete marker).
pub(crate) fn condition(condition: &Condition, current: Option<&Version>) -> Result<(), Rejection> {
    match planted::is(Planted::ConditionAtProposer) {
        true => Ok(()),
        false => holds(condition, current),
    }
}

/// The same: only `condition` may ask.
pub fn holds(condition: &Condition, current: Option<&Version>) -> Result<(), Rejection> {
    if let Some(wanted) = &condition.if_match {
        let version = current.ok_or(Rejection::NoSuchKey)?;
        if !matches(*wanted, version) {
            return Err(Rejection::PreconditionFailed);
        }
    }
    if let (Some(unwanted), Some(version)) = (&condition.if_none_match, current)
        && matches(*unwanted, version)
    {
        return Err(Rejection::PreconditionFailed);
    }
    if let (Some(at), Some(version)) = (condition.if_modified_at, current)
        // S3 compares in whole seconds: that is all that its headers carry.
        && at.0.div_euclid(1000) != version.modified.0.div_euclid(1000)
    {
        return Err(Rejection::PreconditionFailed);
    }
    if let (Some(size), Some(version)) = (condition.if_size_bytes, current)
        && size != version.size_bytes
    {
        return Err(Rejection::PreconditionFailed);
    }
    Ok(())
}

fn matches(wanted: Match, version: &Version) -> bool {
    match wanted {
        Match::Any => true,
        Match::ETag(etag) => etag == version.etag,
        Match::Never => false,
    }
}
