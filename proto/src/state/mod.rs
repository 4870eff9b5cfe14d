//! The pure state machine: one total, deterministic function from (tables, position, command) to a
//! response. No clock, no randomness, no IO, no floats, no hash order; time rides inside the entry.
//! Work that is still to do is a row; workers reconcile the world with the rows.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

pub mod backend;
pub mod blob;
pub mod bucket;
pub mod copy;
pub mod dedupe;
pub mod epoch;
pub mod guard;
pub mod invariants;
pub mod key;
pub mod member;
pub mod object;
pub mod query;
pub mod rows;
pub mod shard;
pub mod snapshot;
pub mod upload;
pub mod user;
pub mod version;

#[cfg(test)]
mod tests;

use crate::command::{Command, Entry, Operation, Target, shard_of};
use crate::id::{GroupId, VersionId};
use crate::response::{Rejection, Response};
use crate::row::{ClusterRow, Settings};
use crate::state::epoch::Swept;
use crate::tables::{Reader, Tables};
use crate::time::TimeMs;

/// Where a command stands in its group's log, and the time its entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub index: u64,
    /// Which command of the entry.
    pub sub: u32,
    /// The leader's stamp; `apply` uses the later of this and the last one seen.
    pub stamped_at: TimeMs,
}

/// What one command is applied in: its tables, its time, and the ids it may mint.
pub(crate) struct Context<'a> {
    pub tables: &'a mut dyn Tables,
    pub group: GroupId,
    pub now: TimeMs,
    pub generation: u32,
    pub settings: Settings,
    position: Position,
}

impl Context<'_> {
    /// The version id minted by this command: unique, ordered, without clock or randomness.
    pub fn minted(&self) -> VersionId {
        VersionId {
            generation: self.generation,
            index: self.position.index,
            sub: self.position.sub,
        }
    }

    /// The same as one number, for ids that need no generation.
    /// An entry holds at most 512 commands, so ten bits are enough for the command's place.
    pub fn minted_number(&self) -> u64 {
        self.position.index.saturating_mul(1024).saturating_add(u64::from(self.position.sub))
    }
}

/// Applies every command of one log entry, in order, and forgets what has expired.
pub fn apply_entry(
    tables: &mut dyn Tables,
    group: GroupId,
    index: u64,
    entry: &Entry,
) -> Vec<Response> {
    let mut responses = Vec::with_capacity(entry.commands.len());
    for (sub, command) in (0u32..).zip(&entry.commands) {
        let position = Position { index, sub, stamped_at: entry.stamped_at };
        responses.push(apply(tables, group, position, command));
    }
    dedupe::forget_expired(tables, entry.commands.len());
    responses
}

/// Applies one command of `group`. Total: every entry has an answer, and the same one on every replica.
pub fn apply(
    tables: &mut dyn Tables,
    group: GroupId,
    position: Position,
    command: &Command,
) -> Response {
    let now = dedupe::advance_clock(tables, position.stamped_at);
    let cluster = cluster(tables);
    let mut context = Context {
        group,
        now,
        generation: cluster.as_ref().map_or(0, |row| row.generation),
        settings: rows::get(tables, &key::settings()).unwrap_or_default(),
        position,
        tables,
    };
    if command.group != group {
        return Response::Rejected(Rejection::Malformed);
    }
    if let Operation::InitCluster(init) = &command.operation {
        return guard::init(&mut context, init);
    }
    let Some(cluster) = cluster else {
        return Response::Rejected(Rejection::NotInitialised);
    };
    // A key in two shards would be two objects: a list would show it twice, and a read find either.
    let elsewhere = |target: &Target| shard_of(target.bucket, &target.key, cluster.shards) != group;
    if command.operation.target().is_some_and(elsewhere) {
        return Response::Rejected(Rejection::Malformed);
    }
    dedupe::once(&mut context, command, execute)
}

/// What the cluster was founded with, as this group knows it.
pub fn cluster(reader: &(impl Reader + ?Sized)) -> Option<ClusterRow> {
    rows::get(reader, &key::cluster())
}

/// The one place where kinds of commands meet their code.
fn execute(context: &mut Context<'_>, command: &Command) -> Response {
    if context.group.is_shard() {
        execute_in_shard(context, &command.operation)
    } else {
        execute_in_control(context, &command.operation)
    }
}

fn execute_in_control(context: &mut Context<'_>, operation: &Operation) -> Response {
    match operation {
        Operation::CreateBucket { name, owner, region } => {
            bucket::create(context, name, *owner, region)
        }
        Operation::SetVersioning { bucket, versioning } => {
            bucket::set_versioning(context, *bucket, *versioning)
        }
        Operation::SetCopies { bucket, copies } => bucket::set_copies(context, *bucket, *copies),
        Operation::DeleteBucket { bucket } => bucket::delete(context, *bucket),
        Operation::SettleBucket { bucket, generation, empty } => {
            bucket::settle(context, *bucket, *generation, *empty)
        }
        Operation::CreateUser { name } => user::create(context, name),
        Operation::CreateAccessKey { user, access_key, sealed_secret } => {
            user::create_access_key(context, *user, access_key, sealed_secret)
        }
        Operation::DeleteAccessKey { access_key } => user::delete_access_key(context, access_key),
        Operation::PutBackend { name, kind, state, node } => {
            backend::put(context, name, kind, *state, *node)
        }
        Operation::SettleBackend { backend, generation } => {
            backend::settle(context, *backend, *generation)
        }
        Operation::SetBackendState { backend, state } => {
            backend::set_state(context, *backend, *state)
        }
        Operation::RegisterNode { node, incarnation, name, address, zone, region } => {
            let at = member::Whereabouts { name, address, zone, region };
            member::register(context, *node, *incarnation, at)
        }
        Operation::ChangeMembers(change) => member::change(context, change),
        Operation::PutSettings(settings) => guard::put_settings(context, settings),
        Operation::CompareRows => Response::Done,
        Operation::InitCluster(_)
        | Operation::ConfigureBucket(_)
        | Operation::ConfigureBackend { .. }
        | Operation::OpenEpoch { .. }
        | Operation::CloseEpoch { .. }
        | Operation::EpochSwept { .. }
        | Operation::PruneEpoch { .. }
        | Operation::Collected { .. }
        | Operation::PutVersion(_)
        | Operation::DeleteVersion(_)
        | Operation::SetTags { .. }
        | Operation::PutCopy(_)
        | Operation::DropCopy { .. }
        | Operation::CreateUpload(_)
        | Operation::PutPart(_)
        | Operation::CompleteUpload(_)
        | Operation::AbortUpload { .. } => Response::Rejected(Rejection::Malformed),
    }
}

fn execute_in_shard(context: &mut Context<'_>, operation: &Operation) -> Response {
    match operation {
        Operation::PutSettings(settings) => guard::put_settings(context, settings),
        Operation::CompareRows => Response::Done,
        Operation::ConfigureBucket(configure) => shard::configure_bucket(context, configure),
        Operation::ConfigureBackend { backend, generation, state } => {
            shard::configure_backend(context, *backend, *generation, *state)
        }
        Operation::OpenEpoch { node, incarnation } => epoch::open(context, *node, *incarnation),
        Operation::CloseEpoch { generation, node, epoch } => {
            epoch::close(context, &key::epoch(*generation, *node, *epoch))
        }
        Operation::EpochSwept { generation, node, epoch, backend, round, last } => {
            let row_key = key::epoch(*generation, *node, *epoch);
            epoch::swept(context, &row_key, Swept { backend: *backend, round: *round, last: *last })
        }
        Operation::PruneEpoch { generation, node, epoch, limit } => {
            epoch::prune(context, &key::epoch(*generation, *node, *epoch), *limit)
        }
        Operation::Collected { blobs } => blob::collected(context, blobs),
        Operation::PutVersion(put) => object::put(context, put),
        Operation::DeleteVersion(delete) => object::delete(context, delete),
        Operation::SetTags { target, version, tags } => {
            object::set_tags(context, target, *version, tags)
        }
        Operation::PutCopy(copy) => copy::put(context, copy),
        Operation::DropCopy { copy } => copy::drop_one(context, *copy),
        Operation::CreateUpload(create) => upload::create(context, create),
        Operation::PutPart(part) => upload::put_part(context, part),
        Operation::CompleteUpload(complete) => upload::complete(context, complete),
        Operation::AbortUpload { target, upload } => upload::abort(context, target, *upload),
        Operation::InitCluster(_)
        | Operation::CreateBucket { .. }
        | Operation::SetVersioning { .. }
        | Operation::SetCopies { .. }
        | Operation::DeleteBucket { .. }
        | Operation::SettleBucket { .. }
        | Operation::CreateUser { .. }
        | Operation::CreateAccessKey { .. }
        | Operation::DeleteAccessKey { .. }
        | Operation::PutBackend { .. }
        | Operation::SettleBackend { .. }
        | Operation::SetBackendState { .. }
        | Operation::RegisterNode { .. }
        | Operation::ChangeMembers(_) => Response::Rejected(Rejection::Malformed),
    }
}
