//! The faults of the state machine. `apply` itself is never changed: a fault shows it other rows than there are, or
//! loses rows that it wrote.

use vaultaire_proto::command::PutCopy;
use vaultaire_proto::object::{Blob, Body, Location, Version};
use vaultaire_proto::row::{Answered, BlobRow, BlobState, Epoch, EpochState};
use vaultaire_proto::state::key::{self, Prefix};
use vaultaire_proto::state::rows;
use vaultaire_proto::tables::{MemTables, Reader, Tables, scan};
use vaultaire_proto::{BlobKey, Command, Condition, EpochId, GroupId, NodeId, Operation, TimeMs};

use crate::fault::Fault;

/// A row that was changed for one command only, and its value before.
pub type Undo = Option<(Vec<u8>, Option<Vec<u8>>)>;

/// The key of a copy that is nowhere.
const NOWHERE: BlobKey =
    BlobKey { generation: 0, shard: GroupId(0), node: NodeId(0), epoch: EpochId(0), seq: 0 };

/// What a fault does before a command is applied.
pub fn before(fault: Option<Fault>, tables: &mut MemTables, command: &mut Command) -> Undo {
    match fault? {
        Fault::NoFence => pretend_open(tables, place_of(command)?.key),
        Fault::DedupeCollectsCommitted => {
            if rows::get::<Answered>(&*tables, &key::answered(command.request)).is_some() {
                hide_blob(tables, place_of(command)?);
            }
            None
        }
        Fault::CopyTakenTwice => {
            if let Operation::PutCopy(_) = command.operation {
                hide_blob(tables, place_of(command)?);
            }
            None
        }
        Fault::CopyUnchecked => {
            if let Operation::PutCopy(put) = &mut command.operation {
                *put = of_whatever_is_visible(tables, put);
            }
            None
        }
        Fault::LastCopyDropped => {
            if let Operation::DropCopy { copy } = command.operation {
                change_copies(tables, |copies| copies.push(Location { key: NOWHERE, ..copy }));
            }
            None
        }
        Fault::DeadlineOff => {
            command.not_after = TimeMs(u64::MAX);
            None
        }
        Fault::ConditionAtGateway => {
            if let Operation::PutVersion(put) = &mut command.operation {
                put.condition = Condition::default();
            }
            None
        }
        Fault::DedupeOff
        | Fault::MetadataBeforeBytes
        | Fault::KeyReuse
        | Fault::StaleCollector
        | Fault::CollectorIgnoresRows
        | Fault::SweepWithoutGrace
        | Fault::SweepOfOpenEpoch
        | Fault::SweepIgnoresRows
        | Fault::CollectedTooLate
        | Fault::EpochHeldTooLong
        | Fault::ClientTooPatient
        | Fault::SourceDeletedFirst
        | Fault::SourceForgotten => None,
    }
}

/// What a fault does after a command was applied, which may be one that `moves` bytes.
pub fn after(fault: Option<Fault>, tables: &mut MemTables, undo: Undo, moves: bool) {
    if let Some((row_key, former)) = undo {
        match former {
            Some(value) => tables.put(row_key, value),
            None => tables.delete(&row_key),
        }
    }
    match fault {
        Some(Fault::StaleCollector) => forget(tables, |state| *state == BlobState::Spent),
        Some(Fault::LastCopyDropped) => {
            change_copies(tables, |copies| copies.retain(|copy| copy.key != NOWHERE));
        }
        Some(Fault::SourceForgotten) if moves => {
            forget(tables, |state| matches!(state, BlobState::Garbage { .. }));
        }
        _ => {}
    }
}

fn place_of(command: &Command) -> Option<Location> {
    command.operation.new_blob()?.copies.first().copied()
}

fn pretend_open(tables: &mut MemTables, blob: BlobKey) -> Undo {
    let row_key = key::epoch(blob.generation, blob.node, blob.epoch);
    let former = tables.get(&row_key).map(|value| value.to_vec());
    let open = Epoch {
        node: blob.node,
        id: blob.epoch,
        generation: blob.generation,
        incarnation: 0,
        opened: TimeMs(0),
        state: EpochState::Open,
        pruned: None,
    };
    rows::put(tables, row_key.clone(), &open);
    Some((row_key, former))
}

/// Without its row, a blob that is committed looks like new bytes.
fn hide_blob(tables: &mut MemTables, place: Location) {
    tables.delete(&key::blob(place));
}

/// Loses the rows of blobs in some state, and with them that they are garbage.
fn forget(tables: &mut MemTables, of: fn(&BlobState) -> bool) {
    let blobs: Vec<_> = scan(tables, &key::all(Prefix::Blob))
        .map(|(row_key, value)| (rows::decode::<BlobRow>(&row_key, &value).state, row_key))
        .filter(|(state, _)| of(state))
        .collect();
    for (state, row_key) in blobs {
        if let (BlobState::Garbage { ready_at }, Some(place)) = (state, key::split_blob(&row_key)) {
            tables.delete(&key::garbage(ready_at, place));
        }
        tables.delete(&row_key);
    }
}

/// The copy is one of the visible version, whose bytes it is said to have.
fn of_whatever_is_visible(tables: &MemTables, put: &PutCopy) -> PutCopy {
    let mut heads = heads(tables);
    let Some((_, Version { body: Body::Whole(blob), .. })) = heads.pop() else {
        return put.clone();
    };
    let Some(beside) = blob.copies.first().copied() else {
        return put.clone();
    };
    PutCopy { blob: Blob { copies: put.blob.copies.clone(), ..blob }, beside, ..put.clone() }
}

/// Changes the copies of every version there is.
fn change_copies(tables: &mut MemTables, change: impl Fn(&mut Vec<Location>)) {
    for (row_key, mut version) in heads(tables) {
        if let Body::Whole(blob) = &mut version.body {
            change(&mut blob.copies);
            rows::put(tables, row_key, &version);
        }
    }
}

fn heads(tables: &MemTables) -> Vec<(Vec<u8>, Version)> {
    scan(tables, &key::all(Prefix::Head))
        .map(|(row_key, value)| {
            let version = rows::decode(&row_key, &value);
            (row_key.to_vec(), version)
        })
        .collect()
}
