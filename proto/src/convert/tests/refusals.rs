//! Bytes that are well-formed protobuf and still no value of ours: each is refused, and says why.

use std::fmt::Debug;

use prost::Message;

use super::samples;
use crate::convert::{DecodeError, FORMAT, Stored};
use crate::object::Version;
use crate::response::Response;
use crate::row::{Bucket, ClusterRow, Epoch, Upload};
use crate::wire::v1 as wire;

/// The bytes that hold `T`'s sample, as the message `M` that a test then spoils.
fn message<M: Message + Default>(stored: &impl Stored) -> M {
    M::decode(&stored.encode()[1..]).unwrap()
}

fn refused<T: Stored + Debug>(message: &impl Message, why: &str) {
    let mut bytes = vec![FORMAT];
    bytes.extend(message.encode_to_vec());
    match T::decode(&bytes) {
        Err(DecodeError::Malformed { what: _, why: said }) if said.contains(why) => {}
        other => panic!("expected a refusal for `{why}`, got {other:?}"),
    }
}

fn version() -> wire::Version {
    message(&samples::version())
}

#[test]
fn nothing_at_all() {
    assert!(matches!(Version::decode(&[]), Err(DecodeError::Malformed { .. })));
    refused::<Version>(&wire::Version::default(), "`id` is missing");
    refused::<Response>(&wire::Response::default(), "of no known kind");
}

#[test]
fn a_missing_message() {
    refused::<Version>(&wire::Version { etag: None, ..version() }, "`etag` is missing");
    refused::<Version>(&wire::Version { body: None, ..version() }, "body is of no known kind");
}

#[test]
fn an_enum_that_is_unspecified_or_newer() {
    let bucket = wire::Bucket { name: "my-bucket".to_owned(), phase: 1, ..Default::default() };
    refused::<Bucket>(&bucket, "`versioning` has the unknown value 0");
    refused::<Bucket>(&wire::Bucket { versioning: 99, ..bucket }, "unknown value 99");
    let checksum = Some(wire::ChecksumKind { algorithm: 1, scope: -1 });
    refused::<Upload>(&wire::Upload { checksum, ..Default::default() }, "unknown value -1");
    let rejected = wire::response::Response::Rejected(wire::Rejected { rejection: 0 });
    refused::<Response>(&wire::Response { response: Some(rejected) }, "`rejection`");
}

#[test]
fn a_number_out_of_range() {
    let cluster = wire::Cluster { cluster: vec![1; 16], shards: 65_536, ..Default::default() };
    refused::<ClusterRow>(&cluster, "`shards` is 65536");
    let etag = Some(wire::ETag { md5: vec![0; 16], parts: u32::MAX });
    refused::<Version>(&wire::Version { etag, ..version() }, "`parts`");
}

#[test]
fn a_digest_of_another_length() {
    for length in [0, 15, 17] {
        let cluster = wire::Cluster { cluster: vec![1; length], ..Default::default() };
        refused::<ClusterRow>(&cluster, "instead of 16");
    }
}

#[test]
fn a_name_that_no_user_could_have_chosen() {
    let bucket = wire::Bucket { phase: 1, versioning: 1, ..Default::default() };
    refused::<Bucket>(&wire::Bucket { name: "No".to_owned(), ..bucket }, "bucket name");
    let entry = samples::entry(samples::put_version());
    let mut spoiled: wire::Entry = message(&entry);
    let Some(wire::command::Operation::PutVersion(put)) = &mut spoiled.commands[0].operation else {
        panic!("the sample is a PutVersion");
    };
    put.target.as_mut().unwrap().key = "k".repeat(1025);
    refused::<crate::command::Entry>(&spoiled, "object key");
}

#[test]
fn text_that_is_not_utf8() {
    // Field 2 of a bucket row, the name, with one byte that no UTF-8 text has.
    let bytes = [FORMAT, 0x12, 0x01, 0xff];
    assert!(matches!(Bucket::decode(&bytes), Err(DecodeError::Malformed { .. })));
}

/// A newer release may add fields; this one skips them, which is what the format byte is the guard of.
#[test]
fn unknown_fields_are_skipped() {
    let epoch: Epoch = {
        let open = wire::epoch::State::Open(wire::epoch::Open {});
        let row = wire::Epoch { node: 3, state: Some(open), ..Default::default() };
        let mut bytes = vec![FORMAT];
        bytes.extend(row.encode_to_vec());
        // Field 500 as a varint.
        bytes.extend([0xa0, 0x1f, 0x01]);
        Epoch::decode(&bytes).unwrap()
    };
    assert_eq!(epoch.node.0, 3);
}
