//! What random sequences reach too seldom: versions that have several rows, parts with a row of their own, lost backends.

use crate::command::{
    CompleteUpload, Condition, CreateUpload, ListedPart, Operation, PutCopy, PutPart,
};
use crate::id::{BackendId, UploadId};
use crate::name::ObjectKey;
use crate::object::{Attributes, Blob, Body, INLINE_PARTS_MAX, Location, Version, VersionEntry};
use crate::response::{Rejection, Response};
use crate::row::{BackendState, BlobState, BucketPhase, Versioning};
use crate::state::tests::shard::{BACKEND, BUCKET, NODE, Shard, USER};
use crate::state::upload::PART_BYTES_MIN;
use crate::state::{invariants, key, query::scans, rows, version};
use crate::tables::Reader;

const OTHER: BackendId = BackendId(2);
const THIRD: BackendId = BackendId(3);

impl Shard {
    /// A copy of the bytes at `beside`, as a worker proposes it.
    fn copy_of(&mut self, beside: Location, backend: BackendId, replaces: bool) -> PutCopy {
        let row = scans::blobs(&self.tables, None, usize::MAX)
            .into_iter()
            .find_map(|(location, row)| (location == beside).then_some(row))
            .unwrap();
        let mut blob = Blob { size_bytes: row.size_bytes, ..self.blob() };
        blob.crc64nvme = row.crc64nvme;
        blob.copies[0].backend = backend;
        PutCopy { blob, beside, replaces }
    }

    fn moved(&mut self, beside: Location, backend: BackendId) -> Location {
        let put = self.copy_of(beside, backend, true);
        let new = put.blob.copies[0];
        assert_eq!(self.apply(Operation::PutCopy(put)), Response::Done);
        assert_eq!(invariants::check(&self.tables), Vec::<String>::new());
        new
    }

    fn head(&self, key: &str) -> Version {
        version::head(&self.tables, BUCKET, &ObjectKey::parse(key).unwrap()).unwrap()
    }

    fn is_known(&self, location: Location) -> bool {
        self.tables.get(&key::blob(location)).is_some()
    }

    /// An upload of so many parts, open.
    fn upload(&mut self, name: &str, parts: u16) -> UploadId {
        let target = self.target(name);
        let create =
            CreateUpload { target, owner: USER, attributes: Attributes::default(), checksum: None };
        let created = self.apply(Operation::CreateUpload(create));
        let Response::UploadCreated { upload } = created else { panic!("{created:?}") };
        for number in 1..=parts {
            let target = self.target(name);
            let blob = Blob { size_bytes: PART_BYTES_MIN, ..self.blob() };
            let (md5, digest) = ([7; 16], [0; 16]);
            let put = PutPart { target, upload, number, md5, checksum: None, blob, digest };
            let put = self.apply(Operation::PutPart(put));
            assert!(matches!(put, Response::PartPut { .. }), "{put:?}");
        }
        upload
    }

    fn complete(&mut self, name: &str, upload: UploadId, parts: u16) {
        let target = self.target(name);
        let listed = |number| ListedPart { number, md5: [7; 16], checksum: None };
        let complete = CompleteUpload {
            target,
            upload,
            parts: (1..=parts).map(listed).collect(),
            condition: Condition::default(),
            checksum: None,
            size_bytes: None,
        };
        let put = self.apply(Operation::CompleteUpload(complete));
        assert!(matches!(put, Response::Put(_)), "{put:?}");
    }
}

fn shard(versioning: Versioning) -> Shard {
    let mut shard = Shard::new(versioning);
    shard.backend(OTHER, BackendState::Active);
    shard.backend(THIRD, BackendState::Active);
    shard
}

#[test]
fn every_row_of_a_version_knows_where_it_is_now() {
    let mut shard = shard(Versioning::Off);
    let first = shard.put("k");
    shard.configure(BucketPhase::Open, Versioning::Suspended);
    // From here on the null version has a row beside the head.
    let second = shard.put("k");
    let new = shard.moved(second, OTHER);
    let head = shard.head("k");
    assert_eq!((head.body.clone(), head.place_epoch), (whole(&head, new), 2));
    let null = key::null_version(BUCKET, &ObjectKey::parse("k").unwrap());
    assert_eq!(rows::get(&shard.tables, &null), Some(VersionEntry::Object(head)));
    assert!(!matches!(row_state(&shard, second), BlobState::Live(_)), "the former copy is let go");
    let late = PutCopy { beside: first, ..shard.copy_of(new, THIRD, true) };
    assert_eq!(shard.apply(Operation::PutCopy(late)), Response::Rejected(Rejection::Superseded));
}

fn whole(version: &Version, copy: Location) -> Body {
    let Body::Whole(blob) = &version.body else { panic!("{version:?}") };
    Body::Whole(Blob { copies: vec![copy], ..blob.clone() })
}

fn row_state(shard: &Shard, location: Location) -> BlobState {
    let rows = scans::blobs(&shard.tables, None, usize::MAX);
    rows.into_iter().find(|(found, _)| *found == location).unwrap().1.state
}

#[test]
fn an_old_version_moves_and_the_head_stays() {
    let mut shard = shard(Versioning::Enabled);
    let old = shard.put("k");
    shard.put("k");
    let head = shard.head("k");
    shard.moved(old, OTHER);
    assert_eq!(shard.head("k"), head);
}

#[test]
fn parts_move_while_their_upload_is_open_and_when_it_is_complete() {
    for parts in [2, u16::try_from(INLINE_PARTS_MAX).unwrap() + 1] {
        let mut shard = shard(Versioning::Off);
        let upload = shard.upload("k", parts);
        let open = crate::state::upload::parts(&shard.tables, upload);
        let beside = open[1].part.blob.copies[0];
        let moved = shard.moved(beside, OTHER);
        shard.complete("k", upload, parts);
        assert_eq!(invariants::check(&shard.tables), Vec::<String>::new());
        let again = shard.moved(moved, THIRD);
        let blobs = version::blobs(&shard.tables, &shard.head("k"));
        assert_eq!(blobs[1].copies, [again]);
        assert_eq!(blobs.len(), usize::from(parts));
    }
}

#[test]
fn a_second_copy_is_never_on_the_backend_of_the_first() {
    let mut shard = shard(Versioning::Off);
    let first = shard.put("k");
    let refused = shard.copy_of(first, BACKEND, false);
    let new = refused.blob.copies[0];
    assert_eq!(shard.apply(Operation::PutCopy(refused)), Response::Rejected(Rejection::Superseded));
    assert!(!matches!(row_state(&shard, new), BlobState::Live(_)), "found by the collector");
    let beside = shard.copy_of(first, OTHER, false);
    assert_eq!(shard.apply(Operation::PutCopy(beside.clone())), Response::Done);
    assert_eq!(shard.head("k").body, {
        let mut body = whole(&shard.head("k"), first);
        let Body::Whole(blob) = &mut body else { unreachable!() };
        blob.copies.push(beside.blob.copies[0]);
        body
    });
    assert_eq!(shard.apply(Operation::PutCopy(beside)), Response::Rejected(Rejection::Unknown));
    let other = PutCopy { ..shard.copy_of(first, THIRD, true) };
    let other = PutCopy { blob: Blob { crc64nvme: 1 << 40, ..other.blob }, ..other };
    assert_eq!(shard.apply(Operation::PutCopy(other)), Response::Rejected(Rejection::BadDigest));
}

#[test]
fn what_a_lost_backend_held_is_forgotten_when_nothing_needs_it() {
    let mut shard = shard(Versioning::Off);
    let (kept, deleted) = (shard.put("kept"), shard.put("deleted"));
    let before = shard.put("overwritten");
    shard.put("overwritten");
    shard.backend(BACKEND, BackendState::Lost);
    let late = shard.copy_of(kept, BACKEND, true);
    assert_eq!(shard.apply(Operation::PutCopy(late)), Response::Rejected(Rejection::StaleConfig));
    let target = shard.target("deleted");
    let (owner, version, condition) = (USER, None, Condition::default());
    let delete = crate::command::DeleteVersion { target, owner, version, condition };
    shard.apply(Operation::DeleteVersion(delete));
    assert!(!shard.is_known(deleted), "nobody could ever delete these bytes");
    assert!(shard.is_known(before), "garbage from before");
    shard.done(Operation::Collected { blobs: vec![before, kept] });
    assert!(!shard.is_known(before) && shard.is_known(kept), "a live row stays");
    shard.moved(kept, OTHER);
    assert!(!shard.is_known(kept));
    let held = scans::shard_backends(&shard.tables);
    let lost = held.iter().find(|(id, _)| *id == BACKEND).unwrap().1;
    assert_eq!(lost.live_blobs, 1, "the new bytes of the overwritten one");
}

#[test]
fn an_epoch_waits_for_no_sweep_of_a_lost_backend() {
    let mut shard = shard(Versioning::Off);
    let (epoch, node) = (shard.epoch, NODE);
    shard.done(Operation::CloseEpoch { generation: 1, node, epoch });
    for backend in [BACKEND, OTHER] {
        let (generation, round, last) = (1, 0, true);
        shard.done(Operation::EpochSwept { generation, node, epoch, backend, round, last });
    }
    let row_key = key::epoch(1, node, epoch);
    let state = |shard: &Shard| rows::get::<crate::row::Epoch>(&shard.tables, &row_key).unwrap();
    assert_ne!(state(&shard).state, crate::row::EpochState::Swept);
    shard.backend(THIRD, BackendState::Lost);
    assert_eq!(state(&shard).state, crate::row::EpochState::Swept);
}
