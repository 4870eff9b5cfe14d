//! Events as CloudTrail writes them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use super::*;
use crate::logs::tests::Folder;
use crate::logs::{Log, files};

fn try_read(text: &str) -> Result<Log, Error> {
    let folder = Folder::new();
    files::read(&folder.file("a.json", text.as_bytes()), None, |_| {})
}

fn read(events: &[Value]) -> Log {
    try_read(&json!({ "Records": events }).to_string()).unwrap()
}

/// The event of the Amazon S3 User Guide's kind, at a second of 2025-02-10.
fn event(second: u64, name: &str, key: &str, (came_in, went_out): (u64, u64)) -> Value {
    json!({
        "eventVersion": "1.11",
        "userIdentity": { "type": "AWSService", "invokedBy": "cloudfront.amazonaws.com" },
        "eventTime": format!("2025-02-10T05:04:{second:02}Z"),
        "eventSource": "s3.amazonaws.com",
        "eventName": name,
        "awsRegion": "us-east-1",
        "requestParameters": {
            "bucketName": "bucket-name",
            "Host": "bucket-name.s3.us-east-1.amazonaws.com",
            "key": key,
        },
        "responseElements": null,
        "additionalEventData": {
            "SignatureVersion": "SigV4",
            "bytesTransferredIn": came_in,
            "bytesTransferredOut": went_out,
        },
        "readOnly": true,
        "resources": [{ "type": "AWS::S3::Object", "ARN": format!("arn:aws:s3:::bucket-name/{key}") }],
        "eventCategory": "Data",
    })
}

fn with(mut event: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    event.pointer_mut(parent).unwrap()[name] = value;
    event
}

/// Each operation, second, size and bytes sent, of one key.
fn of(log: &Log, key: &str) -> Vec<(Operation, u64, Option<u64>, Option<u64>)> {
    let own =
        log.accesses.to_vec().into_iter().filter(|access| log.names.key(access.object) == key);
    own.map(|one| (one.operation, one.at_s() % 60, one.size_bytes(), one.sent_bytes())).collect()
}

#[test]
fn names_are_in_order() {
    assert!(NOTHING.is_sorted(), "they are searched for");
}

#[test]
fn a_put_tells_the_size_and_reads_what_was_sent() {
    let log = read(&[
        event(20, "GetObject", "sitemap.xml", (0, 339_117)),
        event(10, "PutObject", "sitemap.xml", (339_117, 0)),
        event(30, "GetObject", "sitemap.xml", (0, 4_096)),
        event(31, "HeadObject", "sitemap.xml", (0, 0)),
        event(40, "DeleteObject", "sitemap.xml", (0, 0)),
    ]);
    let size = Some(339_117);
    assert_eq!(
        of(&log, "sitemap.xml"),
        [
            (Operation::Put, 10, size, None),
            (Operation::Get, 20, size, size),
            (Operation::Get, 30, size, Some(4_096)),
            (Operation::Delete, 40, size, None),
        ]
    );
    assert_eq!((log.told.lines, log.told.ignored), (5, 1));
    // Events are in no order, so none of them is backwards.
    assert_eq!(log.told.backwards, 0);
    assert_eq!(log.first_s, 1_739_163_850);
}

#[test]
fn what_failed_or_is_no_objects_is_ignored() {
    let get = || event(1, "GetObject", "k", (0, 5));
    let log = read(&[
        get(),
        with(get(), "/errorCode", json!("AccessDenied")),
        with(get(), "/eventSource", json!("ec2.amazonaws.com")),
        with(event(2, "DeleteObject", "k", (0, 0)), "/requestParameters/versionId", json!("v1")),
        event(3, "RestoreObject", "k", (0, 0)),
        event(4, "DeleteObjects", "", (100, 100)),
        event(5, "PolishObject", "k", (0, 0)),
        with(get(), "/requestParameters", json!(null)),
        with(get(), "/eventTime", json!(17)),
        json!({}),
    ]);
    assert_eq!(of(&log, "k").len(), 1);
    let told = &log.told;
    assert_eq!(
        (told.lines, told.ignored, told.keyless, told.unknown, told.garbage),
        (10, 4, 1, 1, 3)
    );
    assert_eq!(told.first_unknown.as_deref(), Some("PolishObject"));
    assert!(told.warnings().iter().any(|one| one.contains("deleted objects without saying which")));
}

#[test]
fn a_copy_reads_one_object_and_writes_another() {
    let copied = "/bucket-name/the%20source?versionId=v1";
    let source = |event| with(event, "/requestParameters/x-amz-copy-source", json!(copied));
    let part = |second, range: Option<&str>| {
        let event = source(event(second, "UploadPartCopy", "whole", (0, 0)));
        with(event, "/requestParameters/x-amz-copy-source-range", json!(range))
    };
    let log = read(&[
        event(1, "PutObject", "the source", (1_000, 0)),
        source(event(2, "CopyObject", "the copy", (0, 200))),
        part(3, Some("bytes=0-599")),
        part(4, Some("bytes=600-999")),
        event(5, "CompleteMultipartUpload", "whole", (300, 300)),
        event(6, "GetObject", "the copy", (0, 1_000)),
        event(7, "GetObject", "whole", (0, 900)),
    ]);
    let size = Some(1_000);
    assert_eq!(
        of(&log, "the source"),
        [
            (Operation::Put, 1, size, None),
            (Operation::Get, 2, size, None),
            (Operation::Get, 3, size, size)
        ]
    );
    assert_eq!(log.accesses.to_vec().iter().filter(|one| one.requests() == 2).count(), 1);
    // Nothing tells the sizes of what was not put in one piece.
    assert_eq!(of(&log, "the copy")[0], (Operation::Put, 2, size, None));
    assert_eq!(of(&log, "whole")[0], (Operation::Put, 5, Some(900), None));
    assert_eq!(log.told.guessed, 2);
}

#[test]
fn numbers_may_be_written_as_fractions_and_fields_as_anything() {
    let came_in = "/additionalEventData/bytesTransferredIn";
    let log = read(&[
        with(event(1, "PutObject", "a", (0, 0)), came_in, json!(1_205.0)),
        with(event(1, "PutObject", "b", (0, 0)), came_in, json!("1206")),
        with(event(1, "PutObject", "c", (0, 0)), came_in, json!({ "of": ["a kind", 7] })),
        with(event(1, "PutObject", "d", (0, 0)), "/errorCode", json!(null)),
    ]);
    assert_eq!(of(&log, "a")[0].2, Some(1_205));
    assert_eq!(of(&log, "b")[0].2, Some(1_206));
    assert_eq!(of(&log, "d")[0].2, Some(0));
    assert_eq!((of(&log, "c").len(), log.told.sizeless), (0, 1));
}

#[test]
fn many_records_are_read_and_none_that_is_too_long() {
    let padding = "x".repeat(1 << 20);
    let long =
        |seconds: u64| with(event(seconds, "GetObject", "k", (0, 5)), "/userAgent", json!(padding));
    let log = read(&(0..20).map(long).collect::<Vec<_>>());
    assert_eq!(log.told.lines, 20);
    let longer = with(long(0), "/eventName", json!(padding.repeat(17)));
    let found = try_read(&json!({ "Records": [longer] }).to_string()).unwrap_err().to_string();
    assert!(found.contains("one record is longer than 16 MiB"), "{found}");
}

#[test]
fn a_file_that_is_none_is_refused() {
    let told = |text: &str| try_read(text).unwrap_err().to_string();
    let whole = json!({ "Records": [event(1, "GetObject", "k", (0, 5))] }).to_string();
    assert!(try_read(&whole).is_ok());
    assert!(
        told(&whole[..whole.len() - 9]).contains("is not as a file of CloudTrail has to be (EOF")
    );
    assert!(told("{\"Records\": 5}").contains("a list of events"));
    assert!(told("{\"events\": []}").contains("missing field `Records`"));
    assert!(told(&format!("{whole} and more")).contains("trailing characters"));
    let nothing = json!({ "Records": [event(1, "HeadObject", "k", (0, 0))] }).to_string();
    assert!(told(&nothing).contains("none of 1 lines reads, writes or deletes an object"));
}
