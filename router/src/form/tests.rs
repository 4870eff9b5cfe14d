//! Forms in pieces of every size, and policies that must refuse.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::TryStreamExt;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::{Body, StdError};
use vaultaire_proto::TimeMs;

use super::policy::Policy;
use super::{Fields, Form};

const FORM: &[u8] = b"preamble\r\n--xyz\r\nContent-Disposition: form-data; name=\"kEy\"; filename=\"key\"\r\n\r\n\
    a/${filename}\r\n--xyz\r\ncontent-disposition: form-data; name=\"acl\"\r\n\r\nprivate\r\n--xyz\r\n\
    Content-Disposition: form-data; name=\"file\"; filename=\"C:\\tmp\\f.txt\"\r\nContent-Type: text/plain\r\n\r\n\
    one\r\n--xytwo\r\n\r\n--xyz\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nignored\r\n--xyz--\r\n";

fn form(bytes: &[u8], chunk: usize) -> Form {
    let chunks: Vec<_> =
        bytes.chunks(chunk).map(|chunk| Ok::<_, StdError>(Bytes::copy_from_slice(chunk))).collect();
    let frames = chunks.into_iter().map(|chunk| chunk.map(Frame::data));
    let mut headers = HeaderMap::new();
    let kind = HeaderValue::from_static("multipart/form-data; boundary=\"xyz\"");
    headers.insert("content-type", kind);
    Form::open(&headers, Body::http_body(StreamBody::new(futures::stream::iter(frames)))).unwrap()
}

#[tokio::test]
async fn forms_are_read_however_they_arrive() {
    for chunk in 1..FORM.len() {
        let mut form = form(FORM, chunk);
        let (fields, file) = form.fields().await.unwrap();
        assert_eq!(fields.get("key"), Some("a/${filename}"), "chunks of {chunk}");
        assert_eq!(fields.get("acl"), Some("private"));
        assert_eq!(
            (file.name.as_str(), file.content_type.as_deref()),
            ("f.txt", Some("text/plain"))
        );
        let bytes: Vec<Bytes> = form.file().try_collect().await.unwrap();
        assert_eq!(bytes.concat(), b"one\r\n--xytwo\r\n", "chunks of {chunk}");
    }
}

#[tokio::test]
async fn forms_that_end_early_are_refused() {
    let end = FORM.windows(10).position(|bytes| bytes == b"\r\n--xyz--\r").unwrap();
    let file = FORM.windows(5).position(|bytes| bytes == b"one\r\n").unwrap();
    let last = FORM.windows(8).rposition(|bytes| bytes == b"\r\n--xyz\r").unwrap();
    for length in (0..last + 6).chain([end]) {
        let mut form = form(&FORM[..length], 7);
        let refused = match form.fields().await {
            Ok(_) => {
                assert!(length >= file, "{length}");
                let read: Result<Vec<Bytes>, _> = form.file().try_collect().await;
                read.map(|_| ()).map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match refused {
            Ok(()) => assert_eq!(length, end, "the file was whole"),
            Err(error) => assert!(error.starts_with("IncompleteBody"), "{length}: {error}"),
        }
    }
}

#[tokio::test]
async fn fields_are_bounded_and_unique() {
    let field = |name: &str, value: &str| {
        format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    for (body, code) in [
        (field("key", &"k".repeat(21 * 1024)), "MaxPostPreDataLengthExceededError"),
        (field("key", "a") + &field("KEY", "b") + "--xyz--", "MalformedPOSTRequest"),
        (field("key", "a") + "--xyz--\r\n", "InvalidArgument"),
        (
            "--xyz\r\nContent-Type: text/plain\r\n\r\nx\r\n--xyz--".to_owned(),
            "MalformedPOSTRequest",
        ),
        ("x".repeat(64 * 1024), "MaxPostPreDataLengthExceededError"),
    ] {
        let error = form(body.as_bytes(), 1024).fields().await.unwrap_err();
        assert_eq!(error.code(), code);
    }
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("multipart/form-data"));
    assert!(Form::open(&headers, Body::empty()).is_err());
}

fn parsed(json: &str) -> Result<Policy, String> {
    Policy::parse(&BASE64.encode(json)).map_err(|error| error.code().to_owned())
}

#[test]
fn policies_that_are_none_are_refused() {
    for json in [
        "",
        "[]",
        r#"{"conditions": []}"#,
        r#"{"expiration": "2030-01-01T00:00:00Z"}"#,
        r#"{"EXPIRATION": "2030-01-01T00:00:00Z", "conditions": []}"#,
        r#"{"expiration": "2030-01-01 00:00:00Z", "conditions": []}"#,
        r#"{"expiration": "2030-01-01T00:00:00+01:00", "conditions": []}"#,
        r#"{"expiration": "2030-01-01T00:00:00Z", "conditions": [{}]}"#,
        r#"{"expiration": "2030-01-01T00:00:00Z", "conditions": [{"a": "b", "c": "d"}]}"#,
        r#"{"expiration": "2030-01-01T00:00:00Z", "conditions": ["a"]}"#,
        r#"{"expiration": "2030-01-01T00:00:00Z", "conditions": [["like", "$a", "b"]]}"#,
        r#"{"expiration": "2030-01-01T00:00:00Z", "conditions": [["eq", "a", "b"]]}"#,
        r#"{"expiration": "2030-01-01T00:00:00Z", "conditions": [["content-length-range", 0]]}"#,
        r#"{"expiration": "2030-01-01T00:00:00Z", "conditions": [["content-length-range", -1, 0]]}"#,
    ] {
        assert_eq!(parsed(json), Err("InvalidPolicyDocument".to_owned()), "{json}");
    }
}

#[test]
fn every_field_is_covered_and_every_condition_holds() {
    let json = r#"{"expiration": "2030-01-01T00:00:00Z", "conditions": [{"bUcket": "photos"},
        ["starts-with", "$Key", "user/"], ["eq", "$acl", "private"], ["content-length-range", 1, "10"],
        ["content-length-range", 0, 20], ["content-length-range", 0, 10]]}"#;
    let policy = parsed(json).unwrap();
    let check = |pairs: &[(&str, &str)], bucket: &str, now: TimeMs| {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let checked = policy.check(&Fields(pairs.collect()), bucket, now);
        checked.map_err(|error| error.message().to_owned())
    };
    let good = [("key", "user/a"), ("acl", "private"), ("policy", "p"), ("x-ignore-me", "1")];
    assert_eq!(check(&good, "photos", TimeMs(0)), Ok(Some((1, 10))));
    let past = TimeMs(1_893_456_000_000);
    for (pairs, bucket, now, word) in [
        (&good[..], "other", TimeMs(0), "bucket"),
        (&good[..], "photos", past, "expired"),
        (&good[..1], "photos", TimeMs(0), "acl"),
        (&[("key", "usr/a"), ("acl", "private")], "photos", TimeMs(0), "key"),
        (&[good[0], good[1], ("x-amz-meta-a", "b")], "photos", TimeMs(0), "x-amz-meta-a"),
    ] {
        let refused = check(pairs, bucket, now).unwrap_err();
        assert!(refused.contains(word), "{refused}");
    }
    let open = parsed(r#"{"expiration": "2030-01-01T00:00:00Z", "conditions": []}"#).unwrap();
    let refused = open.check(&Fields::default(), "photos", TimeMs(0)).unwrap_err();
    assert!(refused.message().contains("bucket"), "{}", refused.message());
}
