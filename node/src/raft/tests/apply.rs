//! What may be applied, and what a log and tables that were cut apart say of each other.

use std::sync::Arc;

use futures::stream;
use openraft::storage::{RaftLogStorage, RaftSnapshotBuilder, RaftStateMachine};
use openraft::testing::{blank_ent, membership_ent};
use tempfile::TempDir;
use vaultaire_proto::GroupId;

use crate::advice;
use crate::clock::NodeClock;
use crate::error::Error;
use crate::raft::agreement::{self, Agreement};
use crate::raft::codec;
use crate::raft::log::disk::Real;
use crate::raft::log::disk::simulated::Simulated;
use crate::raft::log::journal::Journal;
use crate::raft::log::{Completion, Drive, Entry as Record, Identity, Options};
use crate::raft::log_store::LogStore;
use crate::raft::snapshot::{Receiver, SnapshotData};
use crate::raft::state_machine::StateMachine;
use crate::raft::types::{Entry, SnapshotMeta, TypeConfig};
use crate::tables::Store;
use crate::tables::meta::{Applied, Meta};
use crate::tables::table::Table;
use crate::tables::writer::Outcome;

const GROUP: GroupId = GroupId(3);

struct Parts {
    folder: TempDir,
    store: Store,
    journal: Arc<Journal>,
    table: Arc<Table>,
    log: LogStore,
    machine: StateMachine,
}

fn parts(drive: Drive) -> Parts {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity { cluster: [1; 16], node: 1 };
    let options = Options { segment_bytes: 64 << 10, drive, ..Options::new(identity) };
    let disk = Arc::new(Simulated::new(1));
    let (journal, _) = Journal::open(disk, "/journal".as_ref(), options).unwrap();
    let journal = Arc::new(journal);
    let store = Store::open(&folder.path().join("tables")).unwrap();
    let table = store.table(GROUP).unwrap();
    let log = LogStore::new(Arc::clone(&journal), GROUP);
    let machine = StateMachine::new(Arc::clone(&table), log.clone(), NodeClock::system()).unwrap();
    Parts { folder, store, journal, table, log, machine }
}

fn must() -> Completion {
    Box::new(|result| result.unwrap())
}

fn blank(term: u64, index: u64) -> Entry {
    blank_ent::<TypeConfig>(term, 1, index)
}

fn three_voters() -> Entry {
    membership_ent::<TypeConfig>(1, 1, 0, vec![[1, 2, 3].into_iter().collect()])
}

fn append(journal: &Journal, entry: &Entry) {
    let position = codec::position(&entry.log_id);
    let payload = codec::encode_payload(entry.payload.clone());
    journal.append(GROUP.0, vec![Record { position, payload }], must());
}

async fn apply(machine: &mut StateMachine, entry: Entry) -> std::io::Result<()> {
    machine.apply(stream::iter([Ok((entry, None))])).await
}

fn at(term: u64, index: u64) -> Option<Applied> {
    Some(Applied { term, index })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_applied_only_after_it_was_synced_here() {
    let Parts { folder: _folder, store, journal, table, mut machine, .. } = parts(Drive::Manual);
    append(&journal, &three_voters());
    let mut applying = std::pin::pin!(apply(&mut machine, three_voters()));
    assert!(futures::poll!(&mut applying).is_pending());
    // Tables have one writer: what was given to it before is done when this is.
    let nothing = |_: &mut crate::tables::overlay::Overlay<'_>| Outcome {
        meta: Meta::default(),
        then: Box::new(|| {}),
    };
    store.table(GroupId(4)).unwrap().apply(Box::new(nothing)).await.unwrap();
    assert_eq!(table.applied(), None, "the journal has not synced it yet");
    journal.turn();
    applying.await.unwrap();
    assert_eq!(table.applied(), at(1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_applied_in_order_and_once() {
    let mut parts = parts(Drive::Inline);
    apply(&mut parts.machine, three_voters()).await.unwrap();
    apply(&mut parts.machine, blank(1, 1)).await.unwrap();
    for index in [0, 1, 3, u64::MAX] {
        let error = apply(&mut parts.machine, blank(1, index)).await.unwrap_err().to_string();
        assert!(error.contains("cannot be applied after entry 1"), "{error}");
    }
    assert_eq!(parts.table.applied(), at(1, 1));
    apply(&mut parts.machine, blank(2, 2)).await.unwrap();
}

/// A leader's snapshot, and its rows as they come over the network.
async fn snapshot(chunks: &mut Vec<bytes::Bytes>) -> SnapshotMeta {
    let mut leader = parts(Drive::Inline);
    apply(&mut leader.machine, three_voters()).await.unwrap();
    for index in 1..=40 {
        apply(&mut leader.machine, blank(2, index)).await.unwrap();
    }
    let mut builder = leader.machine.get_snapshot_builder().await;
    let snapshot = builder.build_snapshot().await.unwrap();
    chunks.extend(snapshot.snapshot.chunks().unwrap().map(Result::unwrap));
    snapshot.meta
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_an_install_and_its_purge_is_no_damage() {
    let mut follower = parts(Drive::Inline);
    let mut chunks = Vec::new();
    let described = snapshot(&mut chunks).await;
    let vote = codec::encode_vote(&openraft::impls::Vote::new_committed(2, 1));
    follower.journal.save_vote(GROUP.0, vote, must());
    append(&follower.journal, &three_voters());
    append(&follower.journal, &blank(1, 1));

    let mut receiver =
        Receiver::create(Arc::new(Real), &follower.folder.path().join("arriving")).unwrap();
    chunks.iter().for_each(|chunk| receiver.write(chunk).unwrap());
    let received = SnapshotData::Received(receiver.finish(&described).unwrap());
    follower.machine.install_snapshot(&described, received).await.unwrap();
    let check = || agreement::check(GROUP, &follower.journal, &follower.table);
    let upto = Applied { term: 2, index: 40 };
    assert_eq!(check().unwrap(), Agreement::Installed { upto });

    follower.log.purge(codec::log_id(upto)).await.unwrap();
    assert_eq!(check().unwrap(), Agreement::Whole);
    append(&follower.journal, &blank(2, 41));
    apply(&mut follower.machine, blank(2, 41)).await.unwrap();
    assert_eq!(check().unwrap(), Agreement::Whole);

    // From here on the log has to have what is applied.
    apply(&mut follower.machine, blank(2, 42)).await.unwrap();
    let error = check().unwrap_err().to_string();
    assert!(error.contains("log is damaged") && error.contains(advice::REJOIN), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_arrived_broken_never_gets_to_raft() {
    let mut chunks = Vec::new();
    let described = snapshot(&mut chunks).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arriving");
    let receive = |chunks: &[bytes::Bytes], described: &SnapshotMeta| -> Result<(), Error> {
        let mut receiver = Receiver::create(Arc::new(Real), &path).unwrap();
        chunks.iter().for_each(|chunk| receiver.write(chunk).unwrap());
        receiver.finish(described).map(|_| ())
    };
    receive(&chunks, &described).unwrap();
    let other = SnapshotMeta { last_log_id: None, ..described.clone() };
    let mut twice = chunks.clone();
    twice.extend(chunks.last().cloned());
    let without_end = &chunks[..chunks.len() - 1];
    for (chunks, described) in [
        (without_end, &described),
        (&twice, &described),
        (&chunks[..0], &described),
        (&chunks, &other),
    ] {
        let error = receive(chunks, described).unwrap_err().to_string();
        assert!(error.contains("fetch it again"), "{error}");
        assert!(!path.exists(), "a broken file does not stay");
    }
}
