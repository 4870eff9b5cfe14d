//! What a shard's rows say, read through the queries that the workers and `verify` use. It is
//! computed once for each state of the tables; properties and steps look at it often.

use std::collections::BTreeMap;

use vaultaire_proto::catalog::Answer;
use vaultaire_proto::object::{Body, Location, VersionEntry};
use vaultaire_proto::row::{BlobState, EpochState, Sweep};
use vaultaire_proto::state::{invariants, query};
use vaultaire_proto::tables::MemTables;
use vaultaire_proto::{BackendId, EpochId, NodeId, Query, VersionId};

use crate::shard::{self, SHARD};

/// The rows, as far as the model looks at them.
#[derive(Clone, Debug)]
pub struct View {
    pub epochs: Vec<EpochView>,
    pub blobs: BTreeMap<Location, Life>,
    /// The current version of the key.
    pub head: Option<Head>,
    /// An invariant of the rows that does not hold.
    pub violation: Option<String>,
}

/// A write epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochView {
    pub node: NodeId,
    pub id: EpochId,
    pub phase: Phase,
}

/// Where an epoch is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Open,
    /// So many sweeps of each backend were made.
    Closed([u32; shard::BACKENDS_MAX]),
    Swept,
}

/// Where a blob is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Live,
    Garbage,
    Spent,
}

/// The visible version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub version: VersionId,
    /// Stands for the bytes: every request has its own.
    pub etag: [u8; 16],
    pub place_epoch: u64,
    pub copies: Vec<Location>,
}

impl View {
    pub fn of(tables: &MemTables) -> Self {
        Self {
            epochs: epochs(tables),
            blobs: blobs(tables),
            head: head(tables),
            violation: invariants::check(tables).into_iter().next(),
        }
    }

    /// The phase of an epoch. None: it has no row (any more).
    pub fn phase(&self, node: NodeId, id: EpochId) -> Option<Phase> {
        let of = |epoch: &&EpochView| (epoch.node, epoch.id) == (node, id);
        self.epochs.iter().find(of).map(|epoch| epoch.phase)
    }

    pub fn has_garbage(&self) -> bool {
        self.blobs.values().any(|life| *life == Life::Garbage)
    }

    /// Which version is visible.
    pub fn visible(&self) -> Option<VersionId> {
        self.head.as_ref().map(|head| head.version)
    }

    /// The copies of the visible version.
    pub fn copies(&self) -> &[Location] {
        self.head.as_ref().map_or(&[], |head| &head.copies)
    }
}

fn epochs(tables: &MemTables) -> Vec<EpochView> {
    let Answer::Epochs(rows) = query::answer(tables, &Query::Epochs { shard: SHARD }) else {
        unreachable!("epochs were asked for")
    };
    let view = |row: vaultaire_proto::row::Epoch| EpochView {
        node: row.node,
        id: row.id,
        phase: match row.state {
            EpochState::Open => Phase::Open,
            EpochState::Closed { sweeps, .. } => Phase::Closed(done(&sweeps)),
            EpochState::Swept => Phase::Swept,
        },
    };
    rows.into_iter().map(view).collect()
}

fn done(sweeps: &[Sweep]) -> [u32; shard::BACKENDS_MAX] {
    let of = |backend: BackendId| sweeps.iter().find(|sweep| sweep.backend == backend);
    shard::BACKENDS.map(|backend| of(backend).map_or(0, |sweep| sweep.done))
}

fn blobs(tables: &MemTables) -> BTreeMap<Location, Life> {
    let all = Query::Blobs { shard: SHARD, after: None, limit: usize::MAX };
    let Answer::Blobs(rows) = query::answer(tables, &all) else {
        unreachable!("blobs were asked for")
    };
    let life = |state| match state {
        BlobState::Live(_) => Life::Live,
        BlobState::Garbage { .. } => Life::Garbage,
        BlobState::Spent => Life::Spent,
    };
    rows.into_iter().map(|(location, row)| (location, life(row.state))).collect()
}

fn head(tables: &MemTables) -> Option<Head> {
    let all = Query::Versions { shard: SHARD, after: None, limit: 2 };
    let Answer::Versions(rows) = query::answer(tables, &all) else {
        unreachable!("versions were asked for")
    };
    assert!(rows.len() <= 1, "one key without versions has one version");
    let Some((_, VersionEntry::Object(version))) = rows.into_iter().next() else {
        return None;
    };
    let Body::Whole(blob) = version.body else { unreachable!("nothing is put in parts") };
    let (etag, place_epoch) = (version.etag.md5, version.place_epoch);
    Some(Head { version: version.id, etag, place_epoch, copies: blob.copies })
}
