//! The shard is the real one: `vaultaire_proto::state::apply_entry` over tables in memory. Not here: Raft,
//! which the model takes for what it promises, one order of entries that all replicas apply.
//!
//! Two things of the log are renamed, so that worlds that differ only by them are one. The position of an entry counts
//! only the entries of its kind: `apply` mints ids from it and never compares an epoch's with a version's. What is
//! remembered of a worker's command is dropped at once: its request id never comes again.

use std::hash::{Hash, Hasher};

use vaultaire_proto::catalog::Answer;
use vaultaire_proto::command::{
    ConfigureBucket, DeleteVersion, InitCluster, Match, PutCopy, PutVersion, Target,
};
use vaultaire_proto::object::{Attributes, Blob, Location};
use vaultaire_proto::row::{Answered, BackendState, BucketPhase, Settings, Versioning};
use vaultaire_proto::state::{apply_entry, key, query, rows, snapshot};
use vaultaire_proto::tables::{MemTables, Tables};
use vaultaire_proto::{
    BackendId, BlobKey, BucketId, ClusterId, Command, Condition, ETag, Entry, EpochId, GroupId,
    NodeId, ObjectKey, Operation, Query, RequestId, Response, TimeMs, UserId,
};

use crate::fault::Fault;
use crate::tamper;
use crate::view::View;

pub const SHARD: GroupId = GroupId(1);
pub const GENERATION: u32 = 1;

/// Every backend that there may be.
pub const BACKENDS_MAX: usize = 2;
pub const BACKENDS: [BackendId; BACKENDS_MAX] = [BackendId(1), BackendId(2)];

const BUCKET: BucketId = BucketId(1);
const OWNER: UserId = UserId(1);

/// What is remembered of a request outlives its deadline by a tick; collected may be at once, since what is
/// readable during the drain is never an argument for safety.
const SETTINGS: Settings = Settings { drain_ms: 0, dedupe_ms: 1 };

/// The request id of whatever no client asked for.
const INTERNAL: RequestId = RequestId([0xff; 16]);

/// How many blob rows one pruning looks at: one, so that anything may happen between two.
const PRUNE_PAGE: u32 = 1;

/// A shard at one position of its log.
#[derive(Clone, Debug)]
pub struct Shard {
    pub tables: MemTables,
    pub view: View,
    hash: u128,
}

impl PartialEq for Shard {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.tables == other.tables
    }
}

impl Eq for Shard {}

impl Hash for Shard {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.hash);
    }
}

/// What is proposed to the shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Proposal {
    Put { request: usize, blob: Location, create: bool },
    Delete { request: usize },
    Copy { bytes: usize, new: Location, beside: Location, replaces: bool },
    Drop { copy: Location },
    Open { node: NodeId, incarnation: u8 },
    Close { node: NodeId, epoch: EpochId },
    Swept { node: NodeId, epoch: EpochId, backend: BackendId, round: u32, last: bool },
    Prune { node: NodeId, epoch: EpochId },
    Collected { blobs: Vec<Location> },
}

/// Where a proposal stands in the log, and until when it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub index: u8,
    pub now: u8,
    pub not_after: u8,
}

impl Shard {
    /// With a bucket and backends, as the control group would have told it.
    pub fn founded(backends: u8) -> Self {
        let mut tables = MemTables::default();
        let init = InitCluster {
            cluster: ClusterId([7; 16]),
            generation: GENERATION,
            shards: 1,
            region: "here".to_owned(),
            token_key: Vec::new(),
        };
        let bucket = ConfigureBucket {
            bucket: BUCKET,
            generation: 1,
            phase: BucketPhase::Open,
            versioning: Versioning::Off,
        };
        let state = BackendState::Active;
        let mut operations = vec![
            Operation::InitCluster(init),
            Operation::PutSettings(SETTINGS),
            Operation::ConfigureBucket(bucket),
        ];
        for backend in BACKENDS.into_iter().take(backends.into()) {
            operations.push(Operation::ConfigureBackend { backend, generation: 1, state });
        }
        for operation in operations {
            let command = command(operation, INTERNAL, 0);
            let response = append(&mut tables, Place { index: 0, now: 0, not_after: 0 }, command);
            assert!(!matches!(response, Response::Rejected(_)), "{response:?}");
        }
        Self::at(tables)
    }

    pub fn at(tables: MemTables) -> Self {
        Self { view: View::of(&tables), hash: Self::hash_of(&tables), tables }
    }

    /// Stands for the whole state.
    pub fn hash_of(tables: &MemTables) -> u128 {
        snapshot::state_hash(tables)
    }

    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// What the next entry makes of the shard, and answers.
    pub fn apply(
        &self,
        proposal: &Proposal,
        place: Place,
        fault: Option<Fault>,
    ) -> (MemTables, Response) {
        let mut tables = self.tables.clone();
        let mut command = command_of(proposal, place.not_after);
        let undo = tamper::before(fault, &mut tables, &mut command);
        let request = command.request;
        let moves = matches!(command.operation, Operation::PutCopy(_));
        let response = append(&mut tables, place, command);
        tamper::after(fault, &mut tables, undo, moves);
        if request == INTERNAL || fault == Some(Fault::DedupeOff) {
            forget(&mut tables, request);
        }
        (tables, response)
    }

    /// The garbage of a backend that a collector may take.
    pub fn garbage(&self, backend: BackendId, now: u8) -> Vec<Location> {
        let until = TimeMs(now.into());
        let due = Query::Garbage { shard: SHARD, backend, until, limit: usize::MAX };
        let Answer::Garbage(found) = query::answer(&self.tables, &due) else {
            unreachable!("garbage was asked for")
        };
        found.into_iter().map(|row| row.location).collect()
    }

    /// Which of these blobs of an epoch a sweep of a backend has to keep.
    pub fn kept(
        &self,
        (node, epoch): (NodeId, EpochId),
        backend: BackendId,
        blobs: Vec<BlobKey>,
    ) -> Vec<BlobKey> {
        let place = (GENERATION, node, epoch);
        let view = Query::SweepView { shard: SHARD, backend, epoch: place, blobs };
        let Answer::SweepView { kept, .. } = query::answer(&self.tables, &view) else {
            unreachable!("a sweep's view was asked for")
        };
        kept
    }
}

fn append(tables: &mut MemTables, place: Place, command: Command) -> Response {
    let entry = Entry { stamped_at: TimeMs(place.now.into()), commands: vec![command] };
    let mut responses = apply_entry(tables, SHARD, place.index.into(), &entry);
    responses.pop().expect("every command has a response")
}

fn forget(tables: &mut MemTables, request: RequestId) {
    let row_key = key::answered(request);
    if let Some(row) = rows::get::<Answered>(&*tables, &row_key) {
        tables.delete(&key::expiry(row.expires_at, &row_key));
        tables.delete(&row_key);
    }
}

fn command(operation: Operation, request: RequestId, not_after: u8) -> Command {
    Command { group: SHARD, request, not_after: TimeMs(not_after.into()), operation }
}

fn command_of(proposal: &Proposal, not_after: u8) -> Command {
    let generation = GENERATION;
    let internal = |operation| command(operation, INTERNAL, u8::MAX);
    match proposal {
        Proposal::Put { request, blob, create } => {
            let operation = put(*request, *blob, *create);
            command(Operation::PutVersion(operation), request_id(*request), not_after)
        }
        Proposal::Delete { request } => {
            let condition = Condition::default();
            let delete = DeleteVersion { target: target(), owner: OWNER, version: None, condition };
            command(Operation::DeleteVersion(delete), request_id(*request), not_after)
        }
        Proposal::Copy { bytes, new, beside, replaces } => internal(Operation::PutCopy(PutCopy {
            blob: blob_at(*bytes, *new),
            beside: *beside,
            replaces: *replaces,
        })),
        Proposal::Drop { copy } => internal(Operation::DropCopy { copy: *copy }),
        Proposal::Open { node, incarnation } => {
            internal(Operation::OpenEpoch { node: *node, incarnation: (*incarnation).into() })
        }
        Proposal::Close { node, epoch } => {
            internal(Operation::CloseEpoch { generation, node: *node, epoch: *epoch })
        }
        Proposal::Swept { node, epoch, backend, round, last } => internal(Operation::EpochSwept {
            generation,
            node: *node,
            epoch: *epoch,
            backend: *backend,
            round: *round,
            last: *last,
        }),
        Proposal::Prune { node, epoch } => internal(Operation::PruneEpoch {
            generation,
            node: *node,
            epoch: *epoch,
            limit: PRUNE_PAGE,
        }),
        Proposal::Collected { blobs } => internal(Operation::Collected { blobs: blobs.clone() }),
    }
}

fn put(request: usize, place: Location, create: bool) -> PutVersion {
    let if_none_match = create.then_some(Match::Any);
    PutVersion {
        target: target(),
        owner: OWNER,
        etag: ETag::whole(etag(request)),
        checksum: None,
        attributes: Attributes::default(),
        blob: blob_at(request, place),
        condition: Condition { if_none_match, ..Condition::default() },
        digest: etag(request),
    }
}

fn target() -> Target {
    let key = ObjectKey::parse("k").expect("one letter is a key");
    Target { bucket: BUCKET, bucket_generation: 1, key }
}

/// The bytes of a request, at one place. Their checksum is a good one.
fn blob_at(bytes: usize, place: Location) -> Blob {
    let crc64nvme = u64::try_from(bytes).unwrap_or(u64::MAX);
    Blob { size_bytes: 1, crc64nvme, copies: vec![place] }
}

/// Stands for the bytes of a request: the same through every try.
pub fn etag(request: usize) -> [u8; 16] {
    request_id(request).0
}

fn request_id(request: usize) -> RequestId {
    RequestId([u8::try_from(request).map_or(0, |request| request + 1); 16])
}
