//! Browsers' forms: signed in both ways, refused, and streamed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, Method};
use s3s::Body;
use sha1::Sha1;

use crate::test_support::sign::{self, Keys, Scope};
use crate::test_support::world::{Told, World};

const CONDITIONS: &str =
    r#"{"bucket": "photos"}, ["starts-with", "$key", "f"], ["content-length-range", 2, 20]"#;

fn policy(conditions: &str) -> String {
    BASE64.encode(format!(
        r#"{{"expiration": "2099-01-01T00:00:00Z", "conditions": [{conditions}]}}"#
    ))
}

fn v2(keys: &Keys, policy: &str) -> Vec<(String, String)> {
    let mut mac = Hmac::<Sha1>::new_from_slice(keys.secret.as_bytes()).unwrap();
    mac.update(policy.as_bytes());
    let signature = BASE64.encode(mac.finalize().into_bytes());
    pairs(&[("AWSAccessKeyId", &keys.access), ("policy", policy), ("signature", &signature)])
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn post(world: &World, fields: &[(String, String)], file: &str) -> Told {
    let mut body = String::new();
    for (name, value) in fields {
        body += &format!(
            "--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
    }
    body += "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\n\r\n";
    body += &format!("{file}\r\n--edge--\r\n");
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost"));
    headers.insert("content-length", HeaderValue::from(body.len()));
    let kind = HeaderValue::from_static("multipart/form-data; boundary=edge");
    headers.insert("content-type", kind);
    world.raw(Method::POST, "/photos", headers, Body::from(body)).await
}

#[tokio::test]
async fn a_form_is_stored_as_its_policy_allows() {
    let world = World::with_bucket("photos").await;
    let conditions = format!(
        r#"{CONDITIONS}, {{"x-amz-meta-color": "red"}}, {{"Content-Type": "text/css"}}, ["eq", "$tagging",
           "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"]"#
    );
    let mut fields = v2(&world.ann, &policy(&conditions));
    fields.extend(pairs(&[
        ("key", "${filename}"),
        ("x-amz-meta-color", "red"),
        ("Content-Type", "text/css"),
        ("tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"),
    ]));
    let told = post(&world, &fields, "hello").await.expect(204);
    assert_eq!(told.header("etag"), "\"5d41402abc4b2a76b9719d911017c592\"");
    let got = world.get("/photos/f.txt").send().await.expect(200);
    assert_eq!(got.bytes(), "hello");
    assert_eq!((got.header("content-type"), got.header("x-amz-meta-color")), ("text/css", "red"));
    assert_eq!(got.header("x-amz-tagging-count"), "1");
}

#[tokio::test]
async fn forms_are_signed_with_sigv4_too() {
    let world = World::with_bucket("photos").await;
    let scope = Scope::default();
    let day = scope.at.format("%Y%m%d");
    let credential = format!("{}/{day}/us-east-1/s3/aws4_request", world.ann.access);
    let conditions = format!(
        r#"{CONDITIONS}, {{"x-amz-algorithm": "AWS4-HMAC-SHA256"}}, {{"x-amz-credential": "{credential}"}},
           {{"success_action_status": "201"}}"#
    );
    let policy = policy(&conditions);
    let signature = sign::signature(&world.ann, &scope, &policy);
    let fields = pairs(&[
        ("key", "f/ü"),
        ("success_action_status", "201"),
        ("policy", &policy),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", &credential),
        ("x-amz-signature", &signature),
    ]);
    let told = post(&world, &fields, "hello").await.expect(201);
    assert_eq!(told.tag("Key").as_deref(), Some("f/ü"));
    let redirected = r#"{"success_action_redirect": "https://a.example/?x=1"}"#;
    let mut fields = v2(&world.ann, &self::policy(&format!("{CONDITIONS}, {redirected}")));
    fields.extend(pairs(&[("key", "f"), ("success_action_redirect", "https://a.example/?x=1")]));
    let told = post(&world, &fields, "hello").await.expect(303);
    let to =
        "https://a.example/?x=1&bucket=photos&key=f&etag=%225d41402abc4b2a76b9719d911017c592%22";
    assert_eq!(told.header("location"), to);
}

#[tokio::test]
async fn forms_are_refused_for_what_is_wrong_with_them() {
    let world = World::with_bucket("photos").await;
    let ann = world.ann.clone();
    let nobody = Keys { access: "AKNOBODY".to_owned(), secret: "x".to_owned() };
    let wrong = Keys { access: ann.access.clone(), secret: "x".to_owned() };
    let good = policy(CONDITIONS);
    let acl = policy(&format!(r#"{CONDITIONS}, {{"acl": "public-read"}}"#));
    let sum = "x-amz-checksum-crc32";
    for (keys, policy, extra, file, status, code) in [
        (&nobody, &good, &[("key", "f")][..], "hello", 403, "InvalidAccessKeyId"),
        (&wrong, &good, &[("key", "f")], "hello", 403, "SignatureDoesNotMatch"),
        (&world.bob, &good, &[("key", "f")], "hello", 403, "AccessDenied"),
        (&ann, &good, &[("key", "g")], "hello", 403, "AccessDenied"),
        (&ann, &good, &[], "hello", 400, "InvalidArgument"),
        (&ann, &good, &[("key", "f"), ("acl", "private")], "hello", 403, "AccessDenied"),
        (&ann, &good, &[("key", "f")], "h", 400, "EntityTooSmall"),
        (&ann, &good, &[("key", "f")], "hello hello hello hello", 400, "EntityTooLarge"),
        (&ann, &good, &[("key", "f"), (sum, "AAAAAA==")], "hello", 400, "BadDigest"),
        (
            &ann,
            &acl,
            &[("key", "f"), ("acl", "public-read")],
            "hello",
            400,
            "AccessControlListNotSupported",
        ),
        (&ann, &"e30=".to_owned(), &[("key", "f")], "hello", 400, "InvalidPolicyDocument"),
    ] {
        let mut fields = v2(keys, policy);
        fields.extend(pairs(extra));
        post(&world, &fields, file).await.refused(status, code);
    }
    post(&world, &pairs(&[("key", "f")]), "hello").await.refused(403, "AccessDenied");
    let unsigned = pairs(&[("key", "f"), ("policy", &good), ("AWSAccessKeyId", &ann.access)]);
    post(&world, &unsigned, "hello").await.refused(400, "InvalidArgument");
    assert!(world.get("/photos").send().await.expect(200).tags("Key").is_empty());
}
