//! Lines as S3 writes them, and as it never should.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;
use crate::logs::tests::Folder;
use crate::logs::{Log, files};

/// The example of the Amazon S3 User Guide ("Amazon S3 server access log format").
const EXAMPLE: &str = r#"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be amzn-s3-demo-bucket1 [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be 3E57427F3EXAMPLE REST.GET.VERSIONING - "GET /amzn-s3-demo-bucket1?versioning HTTP/1.1" 200 - 113 - 7 - "-" "S3Console/0.4" - s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234= SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader amzn-s3-demo-bucket1.s3.us-west-1.amazonaws.com TLSV1.2 arn:aws:s3:us-west-1:123456789012:accesspoint/example-AP Yes
79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be amzn-s3-demo-bucket1 [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be 891CE47D2EXAMPLE REST.GET.LOGGING_STATUS - "GET /amzn-s3-demo-bucket1?logging HTTP/1.1" 200 - 242 - 11 - "-" "S3Console/0.4" - 9vKBE6vMhrNiWHZmb2L0mXOcqPGzQOI5XLnCtZNPxev+Hf+7tpT6sxDwDty4LHBUOZJG96N1234= SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader amzn-s3-demo-bucket1.s3.us-west-1.amazonaws.com TLSV1.2 - -
79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be amzn-s3-demo-bucket1 [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be A1206F460EXAMPLE REST.GET.BUCKETPOLICY - "GET /amzn-s3-demo-bucket1?policy HTTP/1.1" 404 NoSuchBucketPolicy 297 - 38 - "-" "S3Console/0.4" - BNaBsXZQQDbssi6xMBdBU2sLt+Yf5kZDmeBUP35sFoKa3sLLeMC78iwEIWxs99CRUrbS4n11234= SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader amzn-s3-demo-bucket1.s3.us-west-1.amazonaws.com TLSV1.2 - Yes
79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be amzn-s3-demo-bucket1 [06/Feb/2019:00:01:00 +0000] 192.0.2.3 79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be 7B4A0FABBEXAMPLE REST.GET.VERSIONING - "GET /amzn-s3-demo-bucket1?versioning HTTP/1.1" 200 - 113 - 33 - "-" "S3Console/0.4" - Ke1bUcazaN1jWuUlPJaxF64cQVpUEhoZKEG/hmy/gijN/I1DeWqDfFvnpybfEseEME/u7ME1234= SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader amzn-s3-demo-bucket1.s3.us-west-1.amazonaws.com TLSV1.2 - -
79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be amzn-s3-demo-bucket1 [06/Feb/2019:00:01:57 +0000] 192.0.2.3 79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be DD6CC733AEXAMPLE REST.PUT.OBJECT s3-dg.pdf "PUT /amzn-s3-demo-bucket1/s3-dg.pdf HTTP/1.1" 200 - - 4406583 41754 28 "-" "S3Console/0.4" - 10S62Zv81kBW7BB6SX4XJ48o6kpcl6LPwEoizZQQxJd5qDSCTLX0TgS37kYUBKQW3+bPdrg1234= SigV4 ECDHE-RSA-AES128-SHA AuthHeader amzn-s3-demo-bucket1.s3.us-west-1.amazonaws.com TLSV1.2 - Yes
"#;

fn read(text: &str) -> Log {
    let folder = Folder::new();
    files::read(&folder.file("a", text.as_bytes()), None, |_| {}).unwrap()
}

/// A line with these fields, from the operation to the turn-around time, and what is behind.
fn line(fields: &str) -> String {
    format!("owner bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3 requester ID {fields}\n")
}

/// Of an operation on the key `k`.
fn done(operation: &str, status: &str, sent: &str, size: &str) -> String {
    line(&format!(
        r#"{operation} k "GET /k HTTP/1.1" {status} - {sent} {size} 7 5 "-" "agent" - host SigV4 - AuthHeader b.s3.amazonaws.com TLSv1.2 - -"#
    ))
}

/// Each operation, size and bytes sent, in order.
fn accesses(log: &Log) -> Vec<(Operation, Option<u64>, Option<u64>)> {
    let all = log.accesses.to_vec().into_iter();
    all.map(|access| (access.operation, access.size_bytes(), access.sent_bytes())).collect()
}

/// With an access before, so that there is one in any case.
fn taken(lines: &str) -> Log {
    let first = line(r#"REST.PUT.OBJECT other "PUT /other HTTP/1.1" 200 - - 1 7 5 "-" "agent" -"#);
    read(&format!("{first}{lines}"))
}

#[test]
fn the_example_of_the_guide_is_one_put_and_four_requests_that_do_not_matter() {
    let log = read(EXAMPLE);
    assert_eq!((log.told.lines, log.told.ignored, log.told.garbage), (5, 4, 0));
    assert_eq!(accesses(&log), [(Operation::Put, Some(4_406_583), None)]);
    assert_eq!((log.first_s, log.last_s), (1_549_411_317, 1_549_411_317));
    assert_eq!((log.names.bucket(0), log.names.key(0)), ("amzn-s3-demo-bucket1", "s3-dg.pdf"));
    assert_eq!(log.told.warnings(), [""; 0]);
    let old = r#"314159b66967d86f031c7249d1d9a80249109428335cd0ef1cdc487b4566cb1b mybucket [04/Aug/2006:22:34:02 +0000] 72.21.206.5 - 3E57427F33A59F07 REST.GET.OBJECT photos/2006/08/puppy.jpg "GET /mybucket/photos/2006/08/puppy.jpg?x-foo=bar" 200 - 2662992 3462992 70 10 "http://www.amazon.com/webservices" "curl/7.15.1""#;
    assert_eq!(accesses(&read(old)), [(Operation::Get, Some(3_462_992), Some(2_662_992))]);
}

#[test]
fn every_operation_is_what_it_does() {
    let of = |operation| class(operation, false);
    for (wanted, operations) in [
        (Class::Read, "REST.GET.OBJECT WEBSITE.GET.OBJECT SOAP.GetObject SOAP.GetObjectExtended"),
        (Class::ReadAll, "REST.COPY.OBJECT_GET REST.SELECT.OBJECT"),
        (Class::ReadPart, "REST.COPY.PART_GET"),
        (Class::Write, "REST.PUT.OBJECT REST.POST.OBJECT SOAP.PutObject SOAP.PutObjectInline"),
        (Class::Assemble, "REST.POST.UPLOAD REST.COPY.OBJECT SOAP.CopyObject"),
        (Class::Delete, "REST.DELETE.OBJECT BATCH.DELETE.OBJECT SOAP.DeleteObject"),
        (Class::Delete, "S3.EXPIRE.OBJECT S3.CREATE.DELETEMARKER"),
        (
            Class::Transition,
            "S3.TRANSITION.OBJECT S3.TRANSITION_SIA.OBJECT S3.TRANSITION_ZIA.OBJECT",
        ),
        (
            Class::Transition,
            "S3.TRANSITION_INT.OBJECT S3.TRANSITION_GIR.OBJECT S3.TRANSITION_GDA.OBJECT",
        ),
        (
            Class::Nothing,
            "S3.DELETE.UPLOAD S3.COMPUTE.OBJECT.CHECKSUM REST.POST.MULTI_OBJECT_DELETE",
        ),
        (
            Class::Nothing,
            "REST.HEAD.OBJECT REST.HEAD.BUCKET WEBSITE.HEAD.OBJECT REST.OPTIONS.PREFLIGHT",
        ),
        (Class::Nothing, "REST.GET.BUCKET REST.GET.BUCKETVERSIONS REST.GET.ACL REST.PUT.ACL"),
        (
            Class::Nothing,
            "REST.PUT.PART REST.COPY.PART REST.POST.UPLOADS REST.DELETE.UPLOAD REST.GET.UPLOAD",
        ),
        (
            Class::Nothing,
            "REST.GET.OBJECT_TAGGING REST.PUT.OBJECT_TAGGING REST.DELETE.OBJECT_TAGGING",
        ),
        (
            Class::Nothing,
            "REST.GET.OBJECT_LOCK_CONFIGURATION REST.GET.INTELLIGENT_TIERING REST.POST.RESTORE",
        ),
        (
            Class::Nothing,
            "REST.GET.LIFECYCLE REST.PUT.BUCKETPOLICY REST.GET.LOCATION WEBSITE.INVALIDOPERATION",
        ),
        (Class::Nothing, "SOAP.ListBucket SOAP.CreateBucket REST.DELETE.BUCKET REST.GET.SERVICE"),
        (
            Class::Unknown,
            "REST.GET.SOMETHING_NEW SOAP.SomethingNew S3.SOMETHING.OBJECT REST OTHER.GET.OBJECT",
        ),
    ] {
        for operation in operations.split(' ') {
            assert_eq!(of(operation), wanted, "{operation}");
        }
    }
    assert_eq!(class("REST.POST.OBJECT", true), Class::ReadAll);
}

#[test]
fn only_what_succeeded_is_an_access() {
    let of = |operation: &str, status: &str| {
        let log = taken(&done(operation, status, "5", "9"));
        (log.accesses.len() - 1, log.told.ignored)
    };
    for (operation, status) in [
        ("REST.GET.OBJECT", "200"),
        ("REST.GET.OBJECT", "206"),
        ("REST.PUT.OBJECT", "200"),
        ("REST.POST.OBJECT", "204"),
        ("REST.POST.OBJECT", "303"),
        ("REST.DELETE.OBJECT", "204"),
        ("S3.EXPIRE.OBJECT", "-"),
    ] {
        assert_eq!(of(operation, status), (1, 0), "{operation} {status}");
    }
    for status in ["304", "403", "404", "412", "416", "500", "503", "303", "-"] {
        assert_eq!(of("REST.GET.OBJECT", status), (0, 1), "{status}");
    }
}

#[test]
fn bytes_are_those_of_the_columns() {
    let of = |operation: &str, sent: &str, size: &str| {
        let log = taken(&done(operation, "200", sent, size));
        *accesses(&log).iter().find(|one| one.1 != Some(1)).unwrap()
    };
    assert_eq!(of("REST.GET.OBJECT", "5", "9"), (Operation::Get, Some(9), Some(5)));
    // Nothing was sent before the reader hung up.
    assert_eq!(of("REST.GET.OBJECT", "-", "9"), (Operation::Get, Some(9), Some(0)));
    assert_eq!(of("REST.COPY.OBJECT_GET", "-", "9"), (Operation::Get, Some(9), None));
    assert_eq!(of("REST.PUT.OBJECT", "-", "-"), (Operation::Put, Some(0), None));
    assert_eq!(of("REST.POST.UPLOAD", "303", "9"), (Operation::Put, Some(9), None));
    let select = line(
        r#"REST.POST.OBJECT k "POST /k?select&select-type=2 HTTP/1.1" 200 - 5 9 7 5 "-" "a" -"#,
    );
    assert_eq!(accesses(&taken(&select))[1], (Operation::Get, Some(9), None));
}

#[test]
fn quotes_within_fields_are_part_of_them() {
    for (uri, referer, agent) in [
        (r#"GET /k HTTP/1.1"#, r#"http://x/?id=452""#, "Mozilla/5.0 (compatible; MSIE 9.0)"),
        (r#"GET /a" "b HTTP/1.1"#, "-", r#"say "hello" 200 - 1 2 3 4 "-""#),
        (r#"GET /k?x=" 200 HTTP/1.1"#, r#""""#, r#"" 404 "#),
        ("", "", ""),
    ] {
        let text = line(&format!(
            r#"REST.GET.OBJECT k "{uri}" 206 - 5 9 7 - "{referer}" "{agent}" 3HL4kqtJvjVBH40Nrjfkd host SigV4 - - - TLSv1.3 - - us-east-1 "a field to come""#
        ));
        let request = request(text.as_bytes()).unwrap();
        assert_eq!(
            (request.status, request.sent_bytes, request.size_bytes),
            (Some(206), Some(5), Some(9))
        );
        assert_eq!(request.uri, uri.as_bytes());
    }
    let not_utf_8 = [
        line(r#"REST.GET.OBJECT k "GET /k" 200 - 5 9 7 - "-" "#).trim_end().as_bytes(),
        b" \"\xff\xfe\" -",
    ]
    .concat();
    assert_eq!(request(&not_utf_8).unwrap().size_bytes, Some(9));
}

#[test]
fn a_delete_of_a_former_version_ends_nothing() {
    let delete = |operation: &str, version: &str| {
        line(&format!(r#"{operation} k "DELETE /k HTTP/1.1" 204 - - 9 7 - "-" "a" {version} host"#))
    };
    for (operation, version, is_access) in [
        ("REST.DELETE.OBJECT", "-", true),
        ("REST.DELETE.OBJECT", "null", true),
        ("REST.DELETE.OBJECT", "3HL4kqtJvjVBH40Nrjfkd", false),
        ("BATCH.DELETE.OBJECT", "3HL4kqtJvjVBH40Nrjfkd", false),
        ("S3.EXPIRE.OBJECT", "3HL4kqtJvjVBH40Nrjfkd", false),
        ("S3.EXPIRE.OBJECT", "-", true),
    ] {
        let log = taken(&delete(operation, version));
        assert_eq!(log.accesses.len() == 2, is_access, "{operation} {version}");
    }
    // As S3 writes what it did by itself.
    let own =
        "BATCH.DELETE.OBJECT k - 204 - - 9 - - - - - host SigV4 cipher AuthHeader s3 TLSv1.2 - -";
    assert_eq!(accesses(&taken(&line(own)))[1], (Operation::Delete, Some(9), None));
    let own = "S3.EXPIRE.OBJECT k - - - - 9 - - - - 3HL4kqtJvjVBH40Nrjfkd -";
    assert_eq!(taken(&line(own)).told.ignored, 1);
}

#[test]
fn keys_are_the_same_however_they_are_encoded() {
    let get =
        |key: &str| line(&format!(r#"REST.GET.OBJECT {key} "GET /k" 200 - 5 5 7 5 "-" "a" -"#));
    let log =
        read(&format!("{}{}{}", get("a%2520b/%25C3%25BC"), get("a%20b/%C3%BC"), get("a+b/%C3%BC")));
    assert_eq!(log.names.objects.len(), 1);
    assert_eq!(log.names.key(0), "a b/ü");
}

#[test]
fn what_is_no_request_is_garbage_and_what_is_unknown_is_told() {
    let new = line(r#"REST.GET.HOLOGRAM k "GET /k?hologram" 200 - 5 5 7 5 "-" "a" -"#);
    let moved = line("S3.TRANSITION_GDA.OBJECT k - - - - 9 - - - - - -");
    let no_key = line(r#"REST.GET.OBJECT - "GET /k" 200 - 5 5 7 5 "-" "a" -"#);
    let no_time = new.replace("06/Feb/2019", "31/Feb/2019");
    let short = "owner bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3\n";
    let long = format!("{}\n", "x".repeat(600 << 10));
    let log = taken(&format!(
        "{new}{moved}\n{no_key}{no_time}{short}{long}{}",
        done("REST.GET.OBJECT", "200", "1", "9")
    ));
    let told = &log.told;
    assert_eq!((told.lines, told.unknown, told.transitions, told.garbage), (8, 1, 1, 4));
    assert_eq!(told.first_unknown.as_deref(), Some("REST.GET.HOLOGRAM"));
    assert_eq!(log.accesses.len(), 2);
    let warnings = log.told.warnings();
    assert!(warnings[0].starts_with("4 of 8 lines are no accesses"), "{warnings:?}");
    assert!(warnings[1].contains("the first is \"REST.GET.HOLOGRAM\""), "{warnings:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_line_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = request(&bytes);
    }

    /// Most of it is as it should be.
    #[test]
    fn no_broken_line_is_too_strange(from in 0_usize..500, to in 0_usize..500, bytes in prop::collection::vec(any::<u8>(), 0..9)) {
        let mut text = EXAMPLE.lines().last().unwrap().as_bytes().to_vec();
        let (from, to) = (from.min(text.len()), to.min(text.len()));
        text.splice(from.min(to)..from.max(to), bytes);
        let _ = request(&text);
    }

    #[test]
    fn what_is_written_is_read(
        sent in prop::option::of(0_u64..1 << 40), size in prop::option::of(0_u64..1 << 40),
        key in "[a-z%/]{1,20}", uri in "[ -~]{0,40}", agent in "[ -~]{0,40}", status in 200_u16..600,
    ) {
        // A path that ends like all the fields behind it cannot be told from them.
        prop_assume!(!uri.contains("\" "));
        let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
        let text = line(&format!(r#"REST.GET.OBJECT {key} "{uri}" {status} - {} {} 7 - "-" "{agent}" - h"#, number(sent), number(size)));
        let found = request(text.as_bytes()).unwrap();
        prop_assert_eq!((found.sent_bytes, found.size_bytes, found.status), (sent, size, Some(status)));
        prop_assert_eq!((found.key, found.uri, found.at_s), (Some(key.as_str()), uri.as_bytes(), 1_549_411_238));
        prop_assert_eq!(found.version, None);
    }
}
