//! openraft's own suite for log stores and state machines, on our journal and tables.

use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::testing::{blank_ent, membership_ent};
use openraft::{OptionalSend, StorageError};
use tempfile::TempDir;
use vaultaire_proto::GroupId;

use crate::clock::NodeClock;
use crate::raft::log::disk::Real;
use crate::raft::log::journal::Journal;
use crate::raft::log::{Identity, Options};
use crate::raft::log_store::LogStore;
use crate::raft::snapshot::{Builder, Receiver, SnapshotData};
use crate::raft::state_machine::StateMachine;
use crate::raft::types::{LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use crate::tables::Store;

/// Small, so that each of the suite's many journals is made quickly.
const SEGMENT_BYTES: u64 = 1 << 20;

struct Disk;

/// Removes the files of one store; kept alive as long as it.
struct Files {
    _folder: TempDir,
    _store: Store,
}

fn build() -> (Files, LogStore, StateMachine) {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity { cluster: [1; 16], node: 1 };
    let options = Options { segment_bytes: SEGMENT_BYTES, ..Options::new(identity) };
    let (journal, _) =
        Journal::open(Arc::new(Real), &folder.path().join("journal"), options).unwrap();
    let store = Store::open(&folder.path().join("tables")).unwrap();
    let group = GroupId(3);
    let log = LogStore::new(Arc::new(journal), group);
    let machine =
        StateMachine::new(store.table(group).unwrap(), log.clone(), NodeClock::system()).unwrap();
    (Files { _folder: folder, _store: store }, log, machine)
}

/// The suite leaves entries out that it does not care for, which Raft never does and we refuse: blanks stand in for them.
struct Filled {
    machine: StateMachine,
    next: Option<u64>,
}

impl RaftStateMachine<TypeConfig> for Filled {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        self.machine.applied_state().await
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let (term, index) = (entry.log_id.committed_leader_id().term, entry.log_id.index());
            let missing = self.next.unwrap_or(index)..index;
            let blanks = missing.map(|index| Ok((blank_ent::<TypeConfig>(term, 0, index), None)));
            let all: Vec<_> = blanks.chain([Ok((entry, responder))]).collect();
            self.machine.apply(stream::iter(all)).await?;
            self.next = Some(index + 1);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        self.machine.get_snapshot_builder().await
    }

    async fn install_snapshot(
        &mut self,
        described: &SnapshotMeta,
        data: SnapshotData,
    ) -> io::Result<()> {
        self.next = described.last_log_id.as_ref().map(|last| last.index() + 1);
        self.machine.install_snapshot(described, data).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        self.machine.get_current_snapshot().await
    }
}

impl StoreBuilder<TypeConfig, LogStore, Filled, Files> for Disk {
    async fn build(&self) -> Result<(Files, LogStore, Filled), StorageError<TypeConfig>> {
        let (files, log, machine) = build();
        Ok((files, log, Filled { machine, next: None }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openrafts_storage_suite_passes() {
    Suite::test_all(Disk).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_came_as_a_file_is_installed() {
    let (_leader_files, _log, mut leader) = build();
    let (_follower_files, _log, mut follower) = build();
    let members = vec![[1, 2, 3].into_iter().collect()];
    let entries =
        [membership_ent::<TypeConfig>(1, 1, 0, members), blank_ent::<TypeConfig>(2, 1, 1)];
    let entries = entries.into_iter().map(|entry| Ok((entry, None)));
    leader.apply(futures::stream::iter(entries)).await.unwrap();

    let snapshot = leader.get_snapshot_builder().await.build_snapshot().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arriving");
    let mut receiver = Receiver::create(Arc::new(Real), &path).unwrap();
    for chunk in snapshot.snapshot.chunks().unwrap() {
        receiver.write(&chunk.unwrap()).unwrap();
    }
    let received = SnapshotData::Received(receiver.finish(&snapshot.meta).unwrap());
    follower.install_snapshot(&snapshot.meta, received).await.unwrap();
    assert_eq!(follower.applied_state().await.unwrap(), leader.applied_state().await.unwrap());
    assert!(!path.exists(), "the file goes when it was installed");
}
