//! Every way of signing that clients use, and the ways around it that must not work.

use bytes::Bytes;
use chrono::{Duration, Utc};
use http::{HeaderMap, HeaderValue, Method};
use s3s::Body;

use crate::test_support::sign::{self, Scope};
use crate::test_support::world::{BASE_DOMAIN, HOST, World};

fn host(host: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::try_from(host).unwrap());
    headers
}

#[tokio::test]
async fn every_framing_is_understood() {
    let world = World::with_bucket("photos").await;
    let body: Bytes = (0..300_000_u32).map(|place| (place % 241) as u8).collect();
    world.put("/photos/hex").body(body.clone()).send().await.expect(200);
    let unsigned = world.put("/photos/unsigned").header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    unsigned.body(body.clone()).send().await.expect(200);
    world.put("/photos/chunks").body(body.clone()).send_chunks(65_536).await.expect(200);
    let crc = super::objects::crc32(&body);
    // One chunk of everything: s3s would collect it whole.
    for chunk in [70_000, 1 << 30] {
        let told = world.put("/photos/trailer").body(body.clone()).send_trailer(
            chunk,
            "x-amz-checksum-crc32",
            &crc,
        );
        assert_eq!(told.await.expect(200).header("x-amz-checksum-crc32"), crc);
    }
    for key in ["hex", "unsigned", "chunks", "trailer"] {
        let told = world.get(&format!("/photos/{key}")).send().await.expect(200);
        assert_eq!(told.bytes(), body, "{key}");
        assert!(
            !told.headers.contains_key("content-encoding"),
            "aws-chunked is not the object's encoding"
        );
    }
}

#[tokio::test]
async fn presigned_urls_work_and_end() {
    let world = World::with_bucket("photos").await;
    let presign = |method: Method, uri: &str, scope: &Scope| {
        sign::in_query(&world.ann, scope, &method, uri, HOST, 60)
    };
    let put = presign(Method::PUT, "/photos/k?x-id=PutObject", &Scope::default());
    let mut headers = host(HOST);
    headers.insert("content-length", HeaderValue::from_static("5"));
    world.raw(Method::PUT, &put, headers, Body::from(Bytes::from("hello"))).await.expect(200);
    let get = presign(Method::GET, "/photos/k?response-content-type=a%2Fb", &Scope::default());
    let told = world.raw(Method::GET, &get, host(HOST), Body::empty()).await.expect(200);
    assert_eq!((told.bytes().as_ref(), told.header("content-type")), (&b"hello"[..], "a/b"));
    let old = Scope { at: Utc::now() - Duration::seconds(120), ..Scope::default() };
    let ended = presign(Method::GET, "/photos/k", &old);
    world.raw(Method::GET, &ended, host(HOST), Body::empty()).await.refused(403, "AccessDenied");
    let changed = get.replace("a%2Fb", "a%2Fc");
    world
        .raw(Method::GET, &changed, host(HOST), Body::empty())
        .await
        .refused(403, "SignatureDoesNotMatch");
    let mut smuggled = host(HOST);
    smuggled.insert("x-amz-copy-source", HeaderValue::from_static("photos/secret"));
    smuggled.insert("content-length", HeaderValue::from_static("0"));
    world.raw(Method::PUT, &put, smuggled, Body::empty()).await.refused(403, "AccessDenied");
    let v2 = sign::in_query_v2(&world.ann, &Method::GET, "/photos/k", Utc::now().timestamp() + 60);
    assert_eq!(
        world.raw(Method::GET, &v2, host(HOST), Body::empty()).await.expect(200).bytes(),
        "hello"
    );
    let gained = format!("{v2}&attributes");
    world.raw(Method::GET, &gained, host(HOST), Body::empty()).await.refused(403, "AccessDenied");
    let v2_old =
        sign::in_query_v2(&world.ann, &Method::GET, "/photos/k", Utc::now().timestamp() - 1);
    world.raw(Method::GET, &v2_old, host(HOST), Body::empty()).await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn wrong_signatures_are_refused() {
    let world = World::with_bucket("photos").await;
    let wrong = sign::Keys { secret: "guess".to_owned(), ..world.ann.clone() };
    world.get("/photos").by(&wrong).send().await.refused(403, "SignatureDoesNotMatch");
    let head = world.head("/photos").by(&wrong).send().await.expect(403);
    assert_eq!(head.bytes(), "");
    let nobody = sign::Keys { access: "AKNOBODY".to_owned(), ..world.ann.clone() };
    world.get("/photos").by(&nobody).send().await.refused(403, "InvalidAccessKeyId");
    let mut late = world.get("/photos");
    late.scope.at = Utc::now() - Duration::minutes(20);
    let told = late.send().await.refused(403, "RequestTimeTooSkewed");
    assert!(told.tag("ServerTime").is_some_and(|time| time.ends_with('Z')), "{}", told.text());
    world.get("/photos").by_nobody().send().await.refused(403, "AccessDenied");
    world
        .get("/photos")
        .by_nobody()
        .header("authorization", "AWS AKANN:c2ln")
        .send()
        .await
        .refused(400, "InvalidRequest");
    world
        .get("/photos")
        .by_nobody()
        .header("authorization", "Bearer x")
        .send()
        .await
        .refused(400, "InvalidRequest");
    let mut headers = host(HOST);
    headers.insert("x-amz-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
    sign::in_header(&world.ann, &Scope::default(), &Method::PUT, "/photos/k", &mut headers);
    headers.insert("x-amz-meta-smuggled", HeaderValue::from_static("x"));
    world.raw(Method::PUT, "/photos/k", headers, Body::empty()).await.refused(403, "AccessDenied");
}

/// A signed PUT that was seen on the wire, with a copy added to it. s3s leaves out of the canonical request what
/// it does not find under the listed name, and takes anything before the first space for the algorithm.
#[tokio::test]
async fn a_captured_put_gains_no_copy() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/secret").body("secret").send().await.expect(200);
    let mut captured = host(HOST);
    captured.insert("content-length", HeaderValue::from_static("0"));
    captured.insert("x-amz-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
    sign::in_header(&world.ann, &Scope::default(), &Method::PUT, "/photos/k", &mut captured);
    let signed = captured.get("authorization").unwrap().to_str().unwrap().to_owned();
    let source = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
    let listed = |more: &str| signed.replace(", Signature=", &format!(";{more}, Signature="));
    let hidden = "AWS4-HMAC-SHA256,SignedHeaders=host;content-length;x-amz-content-sha256;x-amz-date;\
                  x-amz-copy-source;z Credential=";
    for (authorization, value, status, code) in [
        (listed("X-Amz-Copy-Source"), source(b"photos/secret"), 403, "SignatureDoesNotMatch"),
        (listed("x-amz-copy-source"), source(b"photos/secret"), 403, "SignatureDoesNotMatch"),
        // Not UTF-8, so s3s does not see it, while the operation does.
        (listed("x-amz-copy-source"), source(b"photos/\xff"), 403, "SignatureDoesNotMatch"),
        (
            signed.replace("AWS4-HMAC-SHA256 Credential=", hidden),
            source(b"photos/secret"),
            400,
            "AuthorizationHeaderMalformed",
        ),
        (signed.clone(), source(b"photos/secret"), 403, "AccessDenied"),
    ] {
        let mut headers = captured.clone();
        headers.insert("authorization", HeaderValue::try_from(authorization).unwrap());
        headers.insert("x-amz-copy-source", value);
        world.raw(Method::PUT, "/photos/k", headers, Body::empty()).await.refused(status, code);
        world.get("/photos/k").send().await.refused(404, "NoSuchKey");
    }
    world.raw(Method::PUT, "/photos/k", captured, Body::empty()).await.expect(200);
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    use vaultaire_proto::{Catalog, Command, GroupId, Operation, TimeMs};
    let world = World::with_bucket("photos").await;
    world.get("/photos").send().await.expect(200);
    let command = Command {
        group: GroupId::CONTROL,
        request: crate::request_id::fresh(),
        not_after: TimeMs(u64::MAX),
        operation: Operation::DeleteAccessKey { access_key: world.ann.access.clone() },
    };
    world.catalog.commit(command).await.unwrap();
    world.get("/photos").send().await.refused(403, "InvalidAccessKeyId");
}

#[tokio::test]
async fn hosts_name_buckets_where_a_domain_is_set() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("hello").send().await.expect(200);
    let named = format!("photos.{BASE_DOMAIN}");
    let told = world.get("/k").header("host", &named).send().await.expect(200);
    assert_eq!(told.bytes(), "hello");
    let livez = world.put("/livez").header("host", &named).body("a key").send().await;
    livez.expect(200);
    let told = world.get("/livez").header("host", &named).send().await.expect(200);
    assert_eq!(told.bytes(), "a key", "health is asked where the host names no bucket");
    let strange = world.get("/photos/k").header("host", "some.other.name").send().await.expect(200);
    assert_eq!(strange.bytes(), "hello", "an unknown host is path style");
}
