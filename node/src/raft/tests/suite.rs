//! openraft's own suite for log stores and state machines, on our journal and tables.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;
use vaultaire_proto::GroupId;

use crate::clock::NodeClock;
use crate::raft::log::disk::Real;
use crate::raft::log::journal::Journal;
use crate::raft::log::{Identity, Options};
use crate::raft::log_store::LogStore;
use crate::raft::snapshot::{Received, SnapshotData};
use crate::raft::state_machine::StateMachine;
use crate::raft::types::TypeConfig;
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
    let machine = StateMachine::new(store.table(group).unwrap(), NodeClock::system()).unwrap();
    (Files { _folder: folder, _store: store }, log, machine)
}

impl StoreBuilder<TypeConfig, LogStore, StateMachine, Files> for Disk {
    async fn build(&self) -> Result<(Files, LogStore, StateMachine), StorageError<TypeConfig>> {
        Ok(build())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openrafts_storage_suite_passes() {
    Suite::test_all(Disk).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_came_as_a_file_is_installed() {
    use openraft::storage::{RaftSnapshotBuilder, RaftStateMachine};
    use openraft::testing::{blank_ent, membership_ent};

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
    let mut receiver = Received::create(&path).unwrap();
    for chunk in snapshot.snapshot.chunks().unwrap() {
        receiver.write(&chunk.unwrap()).unwrap();
    }
    let received = SnapshotData::Received(receiver.finish());
    follower.install_snapshot(&snapshot.meta, received).await.unwrap();
    assert_eq!(follower.applied_state().await.unwrap(), leader.applied_state().await.unwrap());
    assert!(!path.exists(), "the file goes when it was installed");
}
