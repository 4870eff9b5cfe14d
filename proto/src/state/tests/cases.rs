//! Rules that random sequences reach too seldom to rely on them, one case each.

use crate::command::{
    CompleteUpload, Condition, CreateUpload, DeleteVersion, ListedPart, Operation, PutPart,
};
use crate::id::{BackendId, RequestId};
use crate::object::Attributes;
use crate::response::{Rejection, Response};
use crate::row::{BackendState, BucketPhase, ShardBackend, Versioning};
use crate::state::tests::shard::{BACKEND, BUCKET, Shard, USER};
use crate::state::{dedupe, invariants, key, rows, shard};
use crate::tables::Tables;

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
