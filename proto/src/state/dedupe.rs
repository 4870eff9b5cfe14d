//! Exactly once per request id (I6): what was answered is remembered and answered again; what came
//! too late changes nothing; what is old enough is forgotten, a bounded number of rows per entry.

use std::ops::Bound;

use crate::command::{Command, Operation, PutPart, PutVersion};
use crate::convert::Stored;
use crate::planted::{self, Planted};
use crate::response::{Rejection, Response};
use crate::row::Answered;
use crate::state::{Context, blob, key, rows};
use crate::tables::{Reader, Tables};
use crate::time::TimeMs;

/// Rows forgotten per command of an entry: more than one command can add, so the backlog shrinks.
const FORGOTTEN_PER_COMMAND: usize = 2;

/// Moves this group's time forward, never backward, and answers what time it is.
pub fn advance_clock(tables: &mut dyn Tables, stamped_at: TimeMs) -> TimeMs {
    let (last, forgotten) = clock(tables);
    let now = last.max(stamped_at);
    if now > last {
        put_clock(tables, now, forgotten);
    }
    now
}

/// The last time stamp, and up to where request ids were forgotten.
pub fn clock(reader: &(impl Reader + ?Sized)) -> (TimeMs, TimeMs) {
    let row_key = key::clock();
    let both = match reader.get(&row_key) {
        None => TwoTimes([0; 16]),
        Some(value) => match value.as_ref().try_into() {
            Ok(both) => TwoTimes(both),
            Err(_) => rows::damaged(&row_key, "it has not 16 bytes"),
        },
    };
    (both.first(), both.second())
}

/// Two big-endian times in sixteen bytes.
struct TwoTimes([u8; 16]);

impl TwoTimes {
    fn first(&self) -> TimeMs {
        let packed = u128::from_be_bytes(self.0) >> 64;
        TimeMs(u64::try_from(packed).unwrap_or(u64::MAX))
    }

    fn second(&self) -> TimeMs {
        let packed = u128::from_be_bytes(self.0) & u128::from(u64::MAX);
        TimeMs(u64::try_from(packed).unwrap_or(u64::MAX))
    }
}

fn put_clock(tables: &mut dyn Tables, now: TimeMs, forgotten: TimeMs) {
    let mut value = now.0.to_be_bytes().to_vec();
    value.extend_from_slice(&forgotten.0.to_be_bytes());
    tables.put(key::clock(), value);
}

/// Runs a command unless it was answered before or comes too late.
///
/// A command with new bytes asks first whether those very bytes are known (step 5a): then it is the
/// same proposal again, and must neither change nor collect anything. Only then may an equal digest
/// under the same request id mean a client's retry with new bytes, which become garbage (5b).
pub(crate) fn once(
    context: &mut Context<'_>,
    command: &Command,
    execute: fn(&mut Context<'_>, &Command) -> Response,
) -> Response {
    if planted::is(Planted::DedupeOff) {
        return execute(context, command);
    }
    let digest = digest_of(&command.operation);
    let answered: Option<Answered> = if digest.is_some() {
        rows::get(context.tables, &key::answered(command.request))
    } else {
        None
    };
    // What another request under the same id was answered is no answer to this one.
    let repeated = answered.filter(|row| Some(row.digest) == digest);
    let new_blob = command.operation.new_blob();
    if let Some(new_blob) = new_blob
        && blob::is_known(context.tables, new_blob)
    {
        if planted::is(Planted::DedupeCollects) {
            blob::discard_new(context, new_blob);
        }
        return repeated.map_or(Response::Rejected(Rejection::Unknown), |row| row.response);
    }
    if new_blob.is_none()
        && let Some(row) = repeated
    {
        return row.response;
    }
    if context.now > command.not_after {
        return Response::Rejected(Rejection::Expired);
    }
    if let (Some(new_blob), Some(row)) = (new_blob, &repeated) {
        blob::discard_new(context, new_blob);
        return row.response.clone();
    }
    let response = execute(context, command);
    if let Some(digest) = digest
        && is_final(&response)
    {
        remember(context, command, digest, &response);
    }
    response
}

fn remember(context: &mut Context<'_>, command: &Command, digest: [u8; 16], response: &Response) {
    let row_key = key::answered(command.request);
    let expires_at = context.now.plus_ms(context.settings.dedupe_ms);
    if let Some(former) = rows::get::<Answered>(context.tables, &row_key) {
        context.tables.delete(&key::expiry(former.expires_at, &row_key));
    }
    context.tables.put(key::expiry(expires_at, &row_key), Vec::new());
    let row = Answered { digest, response: response.clone(), expires_at };
    rows::put(context.tables, row_key, &row);
}

/// Drops a bounded number of remembered answers whose time has passed.
pub fn forget_expired(tables: &mut dyn Tables, commands: usize) {
    let (now, forgotten) = clock(tables);
    let limit = commands.saturating_mul(FORGOTTEN_PER_COMMAND);
    // Starting where the last round stopped keeps clear of the deleted rows before it.
    let from = key::expiry(forgotten, &[]);
    let to = key::expiry(now, &[]);
    let expired: Vec<_> = tables
        .range(Bound::Included(&from), Bound::Excluded(&to))
        .take(limit)
        .map(|(row_key, _)| row_key)
        .collect();
    let mut reached = forgotten;
    for row_key in &expired {
        if let Some((at, target)) = key::split_expiry(row_key) {
            tables.delete(target);
            reached = at;
        }
        tables.delete(row_key);
    }
    if reached > forgotten {
        put_clock(tables, now, reached);
    }
}

/// Successes and final S3 errors are remembered; what invites the same proposal again is not.
fn is_final(response: &Response) -> bool {
    let Response::Rejected(rejection) = response else {
        return true;
    };
    match rejection {
        Rejection::StaleConfig
        | Rejection::ConfigAhead
        | Rejection::EpochClosed
        | Rejection::Expired
        | Rejection::Unknown
        | Rejection::OperationAborted
        | Rejection::NotInitialised
        | Rejection::MembershipChanging
        | Rejection::WrongBackendState
        | Rejection::Superseded
        | Rejection::Malformed => false,
        Rejection::AlreadyInitialised
        | Rejection::BucketAlreadyExists
        | Rejection::BucketAlreadyOwnedByYou
        | Rejection::NoSuchBucket
        | Rejection::BucketNotEmpty
        | Rejection::NoSuchKey
        | Rejection::NoSuchVersion
        | Rejection::MethodNotAllowed
        | Rejection::NoSuchUpload
        | Rejection::PreconditionFailed
        | Rejection::InvalidPart
        | Rejection::InvalidPartOrder
        | Rejection::EntityTooSmall
        | Rejection::EntityTooLarge
        | Rejection::BadDigest
        | Rejection::NoSuchUser
        | Rejection::NoSuchAccessKey
        | Rejection::AlreadyExists
        | Rejection::NoSuchBackend
        | Rejection::NoSuchEpoch
        | Rejection::NoSuchNode
        | Rejection::NodeRemoved
        | Rejection::InvalidToken
        | Rejection::TokenUsed
        | Rejection::LastVoter => true,
    }
}

/// What the client asked, without what only its proposer knew. None: the operation is idempotent by
/// nature, and remembering it would only cost a row.
fn digest_of(operation: &Operation) -> Option<[u8; 16]> {
    let plain = match operation {
        Operation::PutVersion(PutVersion { digest, .. })
        | Operation::PutPart(PutPart { digest, .. }) => {
            return Some(*digest);
        }
        Operation::InitCluster(_)
        | Operation::SettleBucket { .. }
        | Operation::PutBackend { .. }
        | Operation::SettleBackend { .. }
        | Operation::SetBackendState { .. }
        | Operation::RegisterNode { .. }
        | Operation::PutSettings(_)
        | Operation::ConfigureBucket(_)
        | Operation::ConfigureBackend { .. }
        | Operation::CloseEpoch { .. }
        | Operation::PruneEpoch { .. }
        | Operation::Collected { .. }
        // Its bytes are its identity: a repeat is told from it by step 5a.
        | Operation::PutCopy(_)
        // What was given up is no copy any more.
        | Operation::DropCopy { .. }
        | Operation::CompareRows
        | Operation::SetCopies { .. } => return None,
        Operation::DeleteVersion(delete) => {
            let mut delete = delete.clone();
            delete.target.bucket_generation = 0;
            Operation::DeleteVersion(delete)
        }
        Operation::SetTags { target, version, tags } => {
            let mut target = target.clone();
            target.bucket_generation = 0;
            Operation::SetTags { target, version: *version, tags: tags.clone() }
        }
        Operation::CreateUpload(create) => {
            let mut create = create.clone();
            create.target.bucket_generation = 0;
            Operation::CreateUpload(create)
        }
        Operation::CompleteUpload(complete) => {
            let mut complete = complete.clone();
            complete.target.bucket_generation = 0;
            Operation::CompleteUpload(complete)
        }
        Operation::AbortUpload { target, upload } => {
            let mut target = target.clone();
            target.bucket_generation = 0;
            Operation::AbortUpload { target, upload: *upload }
        }
        Operation::CreateBucket { .. }
        | Operation::SetVersioning { .. }
        | Operation::DeleteBucket { .. }
        | Operation::CreateUser { .. }
        | Operation::CreateAccessKey { .. }
        | Operation::DeleteAccessKey { .. }
        | Operation::ChangeMembers(_)
        | Operation::OpenEpoch { .. }
        | Operation::EpochSwept { .. } => operation.clone(),
    };
    Some(xxhash_rust::xxh3::xxh3_128(&plain.encode()).to_be_bytes())
}
