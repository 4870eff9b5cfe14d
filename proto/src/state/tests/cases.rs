//! Rules that random sequences reach too seldom to rely on them, one case each.

use std::cell::Cell;
use std::ops::Bound;

use bytes::Bytes;

use crate::catalog::{Answer, Query};
use crate::command::{
    Command, CompleteUpload, Condition, CreateUpload, DeleteVersion, ListedPart, Operation,
    PutPart, shard_of,
};
use crate::id::{BackendId, GroupId, RequestId};
use crate::name::ObjectKey;
use crate::object::{Attributes, Location};
use crate::response::{Rejection, Response};
use crate::row::{
    BackendState, BucketPhase, ClusterRow, Epoch, EpochState, Garbage, ShardBackend, Versioning,
};
use crate::state::tests::shard::{BACKEND, BUCKET, NODE, SHARD, Shard, USER};
use crate::state::{Position, apply, dedupe, invariants, key, query, rows, shard};
use crate::tables::{MemTables, Pair, Reader, Tables};
use crate::time::TimeMs;

fn delete(shard: &Shard, key: &str) -> Operation {
    let condition = Condition::default();
    let target = shard.target(key);
    Operation::DeleteVersion(DeleteVersion { target, owner: USER, version: None, condition })
}

#[test]
fn a_bucket_that_was_reported_empty_stays_empty() {
    for versioning in [Versioning::Off, Versioning::Enabled, Versioning::Suspended] {
        let mut shard = Shard::new(versioning);
        assert!(shard.configure(BucketPhase::Deleting, versioning), "nothing was put");
        let answer = shard.apply(delete(&shard, "k"));
        match versioning {
            Versioning::Off => assert!(matches!(answer, Response::Deleted(_)), "{answer:?}"),
            Versioning::Enabled | Versioning::Suspended => {
                assert_eq!(answer, Response::Rejected(Rejection::OperationAborted));
            }
        }
        assert!(shard::is_empty(&shard.tables, BUCKET), "{versioning:?}");
    }
}

#[test]
fn a_command_of_another_group_or_shard_changes_nothing() {
    let mut shard = Shard::new(Versioning::Off);
    let founded: ClusterRow = rows::get(&shard.tables, &key::cluster()).unwrap();
    rows::put(&mut shard.tables, key::cluster(), &ClusterRow { shards: 2, ..founded });
    let of = |group: GroupId| {
        let mut names = (0..).map(|number| format!("k{number}"));
        let owned = |name: &String| shard_of(BUCKET, &ObjectKey::parse(name).unwrap(), 2) == group;
        names.find(owned).unwrap()
    };
    let foreign = shard.put_of(&of(GroupId(2)));
    let refused = Response::Rejected(Rejection::Malformed);
    assert_eq!(shard.apply(Operation::PutVersion(foreign)), refused);
    shard.put(&of(SHARD));
    let before = shard.tables.clone();
    let command = Command {
        group: GroupId(2),
        request: RequestId([7; 16]),
        not_after: TimeMs(u64::MAX),
        operation: delete(&shard, &of(SHARD)),
    };
    let position = Position { index: 1000, sub: 0, stamped_at: shard.now };
    assert_eq!(apply(&mut shard.tables, SHARD, position, &command), refused);
    assert_eq!(shard.tables, before);
}

#[test]
fn a_completed_upload_answers_for_its_own_key_only() {
    let mut shard = Shard::new(Versioning::Off);
    let target = shard.target("k");
    let attributes = Attributes::default();
    let create = CreateUpload { target, owner: USER, attributes, checksum: None };
    let Response::UploadCreated { upload } = shard.apply(Operation::CreateUpload(create)) else {
        panic!()
    };
    let (md5, blob) = ([3; 16], shard.blob());
    let target = shard.target("k");
    let part = PutPart { target, upload, number: 1, md5, checksum: None, blob, digest: [0; 16] };
    assert!(matches!(shard.apply(Operation::PutPart(part)), Response::PartPut { .. }));
    let complete = |key: &str, shard: &Shard| {
        Operation::CompleteUpload(CompleteUpload {
            target: shard.target(key),
            upload,
            parts: vec![ListedPart { number: 1, md5, checksum: None }],
            condition: Condition::default(),
            checksum: None,
            size_bytes: None,
        })
    };
    let first = shard.apply(complete("k", &shard));
    assert!(matches!(first, Response::Put(_)), "{first:?}");
    assert_eq!(shard.apply(complete("k", &shard)), first, "a repeat");
    let other = shard.apply(complete("other", &shard));
    assert_eq!(other, Response::Rejected(Rejection::NoSuchUpload));
}

#[test]
fn bytes_that_are_known_are_never_answered_with_another_request() {
    let mut shard = Shard::new(Versioning::Off);
    let request = RequestId([7; 16]);
    let one = shard.put_of("one");
    let mut two = shard.put_of("two");
    two.digest = [2; 16];
    let first = shard.apply_as(request, Operation::PutVersion(one.clone()));
    assert_eq!(shard.apply_as(request, Operation::PutVersion(one.clone())), first);
    let second = shard.apply_as(request, Operation::PutVersion(two));
    assert!(matches!(second, Response::Put(_)) && second != first, "{second:?}");
    let again = shard.apply_as(request, Operation::PutVersion(one));
    assert_eq!(again, Response::Rejected(Rejection::Unknown), "its answer is no longer known");
}

#[test]
fn counters_of_a_backend_that_holds_nothing_are_checked() {
    let mut shard = Shard::new(Versioning::Off);
    shard.backend(BackendId(2), BackendState::Active);
    assert_eq!(invariants::counters_are_exact(&shard.tables), Ok(()));
    let row_key = key::shard_backend(BackendId(2));
    let row: ShardBackend = rows::get(&shard.tables, &row_key).unwrap();
    rows::put(&mut shard.tables, row_key, &ShardBackend { live_blobs: 1, ..row });
    assert!(invariants::counters_are_exact(&shard.tables).is_err(), "backend 2 holds nothing");
}

#[test]
fn a_backend_without_a_row_holds_nothing() {
    let mut shard = Shard::new(Versioning::Off);
    shard.put("k");
    shard.tables.delete(&key::shard_backend(BACKEND));
    assert!(invariants::counters_are_exact(&shard.tables).is_err());
}

#[test]
#[should_panic(expected = "is damaged")]
fn a_damaged_clock_is_not_the_beginning_of_time() {
    let mut shard = Shard::new(Versioning::Off);
    shard.tables.put(key::clock(), vec![0; 15]);
    dedupe::clock(&shard.tables);
}

fn swept(shard: &Shard, round: u32, last: bool) -> Operation {
    let (node, epoch, backend) = (NODE, shard.epoch, BACKEND);
    Operation::EpochSwept { generation: 1, node, epoch, backend, round, last }
}

fn close(shard: &Shard) -> Operation {
    Operation::CloseEpoch { generation: 1, node: NODE, epoch: shard.epoch }
}

fn epoch_row(shard: &Shard) -> Option<Epoch> {
    rows::get(&shard.tables, &key::epoch(1, NODE, shard.epoch))
}

#[test]
fn two_leaders_that_sweep_the_same_round_count_once() {
    let mut shard = Shard::new(Versioning::Off);
    shard.done(close(&shard));
    for round in [0, 0, 1, 0, 1, 7] {
        shard.done(swept(&shard, round, false));
    }
    let Some(EpochState::Closed { sweeps, .. }) = epoch_row(&shard).map(|row| row.state) else {
        panic!()
    };
    assert_eq!(sweeps.iter().map(|sweep| sweep.done).collect::<Vec<_>>(), [2]);
}

#[test]
fn an_epoch_of_a_former_generation_is_still_closed_and_swept() {
    let mut shard = Shard::new(Versioning::Off);
    let row: ClusterRow = rows::get(&shard.tables, &key::cluster()).unwrap();
    rows::put(&mut shard.tables, key::cluster(), &ClusterRow { generation: 2, ..row });
    shard.done(close(&shard));
    shard.done(swept(&shard, 0, true));
    assert_eq!(epoch_row(&shard).map(|row| row.state), Some(EpochState::Swept));
}

/// Tables that count the rows that are read one after another.
struct Counted {
    tables: MemTables,
    rows: Cell<usize>,
}

impl Reader for Counted {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.tables.get(key)
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Box<dyn Iterator<Item = Pair> + '_> {
        let rows = self.tables.range(from, to);
        Box::new(rows.inspect(|_| self.rows.set(self.rows.get() + 1)))
    }

    fn range_reverse(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Box<dyn Iterator<Item = Pair> + '_> {
        self.tables.range_reverse(from, to)
    }
}

impl Tables for Counted {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.tables.put(key, value);
    }

    fn delete(&mut self, key: &[u8]) {
        self.tables.delete(key);
    }
}

#[test]
fn a_page_of_a_prune_costs_what_a_page_costs() {
    let mut shard = Shard::new(Versioning::Off);
    let kept: Vec<_> = (0..40).map(|number| shard.put(&format!("kept {number}"))).collect();
    let mut spent: Vec<_> = (0..3).map(|_| shard.put("replaced")).collect();
    spent.truncate(2);
    shard.done(Operation::Collected { blobs: spent.clone() });
    shard.done(close(&shard));
    shard.done(swept(&shard, 0, true));
    let command = Command {
        group: SHARD,
        request: RequestId([9; 16]),
        not_after: TimeMs(u64::MAX),
        operation: Operation::PruneEpoch {
            generation: 1,
            node: NODE,
            epoch: shard.epoch,
            limit: 4,
        },
    };
    let mut tables = Counted { tables: shard.tables, rows: Cell::new(0) };
    let mut pages = 0;
    loop {
        tables.rows.set(0);
        pages += 1;
        let position = Position { index: 1000 + pages, sub: 0, stamped_at: shard.now };
        let response = apply(&mut tables, SHARD, position, &command);
        let read = tables.rows.get();
        assert!(read <= 4 + 1, "a page of 4 reads {read} rows, of which one is a backend");
        match response {
            Response::Pruned { more: true } => {}
            Response::Pruned { more: false } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pages, 11, "43 rows in pages of 4");
    assert!(kept.iter().all(|location| tables.get(&key::blob(*location)).is_some()));
    assert!(spent.iter().all(|location| tables.get(&key::blob(*location)).is_none()));
    assert_eq!(tables.get(&key::epoch(1, NODE, shard.epoch)), None);
}

#[test]
fn garbage_is_found_by_backend_and_believed_by_its_row() {
    let mut shard = Shard::new(Versioning::Off);
    let second = BackendId(2);
    shard.backend(second, BackendState::Active);
    let mut put = shard.put_of("k");
    let copy = Location { backend: second, ..put.blob.copies[0] };
    put.blob.copies.push(copy);
    assert!(matches!(shard.apply(Operation::PutVersion(put)), Response::Put(_)));
    let live = shard.put("k");
    // A row of the index that no blob row agrees with.
    shard.tables.put(key::garbage(TimeMs(0), live), Vec::new());
    let due = |backend| {
        let query = Query::Garbage { shard: SHARD, backend, until: shard.now, limit: 1 };
        match query::answer(&shard.tables, &query) {
            Answer::Garbage(due) => due,
            other => panic!("{other:?}"),
        }
    };
    let of = |location| Garbage { ready_at: shard.now, location, size_bytes: 10 };
    assert_eq!(due(second), [of(copy)]);
    assert_eq!(due(BACKEND), [of(Location { backend: BACKEND, ..copy })]);
    assert_eq!(due(BackendId(3)), []);
}
