//! The faults of the state machine. `apply` itself is never changed: a fault shows it other rows than there are, or
//! loses rows that it wrote.

use vaultaire_proto::row::{Answered, BlobRow, BlobState, Epoch, EpochState};
use vaultaire_proto::state::key::{self, Prefix};
use vaultaire_proto::state::rows;
use vaultaire_proto::tables::{MemTables, Reader, Tables, scan};
use vaultaire_proto::{BlobKey, Command, Condition, Operation, TimeMs};

use crate::fault::Fault;
use crate::shard;

/// A row that was changed for one command only, and its value before.
pub type Undo = Option<(Vec<u8>, Option<Vec<u8>>)>;

/// What a fault does before a command is applied.
pub fn before(fault: Option<Fault>, tables: &mut MemTables, command: &mut Command) -> Undo {
    match fault? {
        Fault::NoFence => pretend_open(tables, blob_of(command)?),
        Fault::DedupeCollectsCommitted => {
            hide_blob(tables, command);
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
        | Fault::ClientTooPatient => None,
    }
}

/// What a fault does after a command was applied.
pub fn after(fault: Option<Fault>, tables: &mut MemTables, undo: Undo) {
    if let Some((row_key, former)) = undo {
        match former {
            Some(value) => tables.put(row_key, value),
            None => tables.delete(&row_key),
        }
    }
    if fault == Some(Fault::StaleCollector) {
        forget_spent(tables);
    }
}

fn blob_of(command: &Command) -> Option<BlobKey> {
    command.operation.new_blob()?.copies.first().map(|location| location.key)
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

/// Without its row, a blob that is committed looks like the new bytes of a retry.
fn hide_blob(tables: &mut MemTables, command: &Command) {
    let answered = rows::get::<Answered>(&*tables, &key::answered(command.request)).is_some();
    if let Some(blob) = blob_of(command)
        && answered
    {
        tables.delete(&key::blob(shard::location(blob)));
    }
}

fn forget_spent(tables: &mut MemTables) {
    let spent: Vec<_> = scan(tables, &key::all(Prefix::Blob))
        .filter(|(row_key, value)| {
            rows::decode::<BlobRow>(row_key, value).state == BlobState::Spent
        })
        .map(|(row_key, _)| row_key)
        .collect();
    for row_key in spent {
        tables.delete(&row_key);
    }
}
