//! Requests that must fail: each with its own error, and with nothing stored.

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::{Body, StdError};
use vaultaire_proto::BackendId;
use vaultaire_storage::backend::Backend;
use vaultaire_storage::backends::memory::Memory;

use crate::test_support::odd::Odd;
use crate::test_support::sign::{self, Scope};
use crate::test_support::world::{HOST, World};

/// No object, and no bytes at the backend.
async fn nothing_stored(world: &World, key: &str) {
    world.get(&format!("/photos/{key}")).send().await.refused(404, "NoSuchKey");
    assert!(world.memory.list("", None, 10).await.unwrap().is_empty(), "bytes were left");
}

#[tokio::test]
async fn wrong_checksums_store_nothing() {
    let world = World::with_bucket("photos").await;
    let put = || world.put("/photos/k").body("hello");
    put().header("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==").send().await.refused(400, "BadDigest");
    put().header("content-md5", "short").send().await.refused(400, "InvalidDigest");
    for (name, value) in [
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-checksum-crc32c", "AAAAAA=="),
        ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="),
        ("x-amz-checksum-sha1", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("x-amz-checksum-sha256", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ] {
        put().header(name, value).send().await.refused(400, "BadDigest");
        put().header(name, "bad").send().await.refused(400, "BadDigest");
        put().send_trailer(3, name, value).await.refused(400, "BadDigest");
    }
    let other = sign::hex_sha256(b"other");
    put()
        .header("x-amz-content-sha256", &other)
        .send()
        .await
        .refused(400, "XAmzContentSHA256Mismatch");
    nothing_stored(&world, "k").await;
}

#[tokio::test]
async fn wrong_lengths_store_nothing() {
    let world = World::with_bucket("photos").await;
    let short = world
        .put("/photos/k")
        .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        .header("content-length", "9");
    short.body("hello").send().await.refused(400, "IncompleteBody");
    let huge = world.put("/photos/k").header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    huge.header("content-length", "5368709121")
        .body("hello")
        .send()
        .await
        .refused(400, "EntityTooLarge");
    nothing_stored(&world, "k").await;
}

#[tokio::test]
async fn a_body_that_breaks_off_stores_nothing() {
    let world = World::with_bucket("photos").await;
    let pieces = [Ok(Frame::data(Bytes::from("hel"))), Err(StdError::from("connection reset"))];
    let broken = || Body::http_body(StreamBody::new(futures::stream::iter(pieces_of(&pieces))));
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static(HOST));
    headers.insert("content-length", HeaderValue::from_static("5"));
    headers.insert("x-amz-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
    sign::in_header(&world.ann, &Scope::default(), &Method::PUT, "/photos/k", &mut headers);
    world.raw(Method::PUT, "/photos/k", headers, broken()).await.refused(400, "IncompleteBody");
    nothing_stored(&world, "k").await;
}

fn pieces_of(pieces: &[Result<Frame<Bytes>, StdError>]) -> Vec<Result<Frame<Bytes>, StdError>> {
    let copy = pieces.iter().map(|piece| match piece {
        Ok(frame) => Ok(Frame::data(frame.data_ref().unwrap().clone())),
        Err(error) => Err(StdError::from(error.to_string())),
    });
    copy.collect()
}

#[tokio::test]
async fn chunks_that_lie_store_nothing() {
    let world = World::with_bucket("photos").await;
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static(HOST));
    headers.insert("x-amz-decoded-content-length", HeaderValue::from_static("5"));
    headers.insert(
        "x-amz-content-sha256",
        HeaderValue::from_static("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    );
    let scope = Scope::default();
    let seed = sign::in_header(&world.ann, &scope, &Method::PUT, "/photos/k", &mut headers);
    let good = sign::chunks(&world.ann, &scope, &seed, b"hello", 5);
    let mut forged = good.clone();
    let place = forged.windows(5).position(|window| window == b"hello").unwrap();
    forged[place] = b'j';
    for (wire, code) in [
        (forged, "SignatureDoesNotMatch"),
        (good[..good.len() / 2].to_vec(), "IncompleteBody"),
        (b"zz\r\nhello\r\n0\r\n\r\n".to_vec(), "InvalidRequest"),
        (b"7fffffff;chunk-signature=0\r\n".to_vec(), "InvalidRequest"),
    ] {
        let told = world.raw(Method::PUT, "/photos/k", headers.clone(), Body::from(wire)).await;
        assert_eq!(told.tag("Code").as_deref(), Some(code), "{}", told.text());
        assert!(told.status.is_client_error());
    }
    nothing_stored(&world, "k").await;
}

#[tokio::test]
async fn keys_and_metadata_have_limits() {
    let world = World::with_bucket("photos").await;
    let longest = "k".repeat(1024);
    world.put(&format!("/photos/{longest}")).body("x").send().await.expect(200);
    world
        .put(&format!("/photos/{longest}k"))
        .body("x")
        .send()
        .await
        .refused(400, "KeyTooLongError");
    let meta = "m".repeat(2048);
    world
        .put("/photos/m")
        .header("x-amz-meta-a", &meta)
        .send()
        .await
        .refused(400, "MetadataTooLarge");
    world
        .put("/photos/m")
        .header("x-amz-storage-class", "COLD")
        .send()
        .await
        .refused(400, "InvalidStorageClass");
    world
        .put("/photos/m")
        .header("x-amz-server-side-encryption", "AES256")
        .send()
        .await
        .refused(501, "NotImplemented");
}

#[tokio::test]
async fn a_header_that_says_two_things_is_refused() {
    let world = World::with_bucket("photos").await;
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static(HOST));
    headers.insert("x-amz-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
    headers.append("x-amz-storage-class", HeaderValue::from_static("STANDARD"));
    sign::in_header(&world.ann, &Scope::default(), &Method::PUT, "/photos/k", &mut headers);
    headers.append("x-amz-storage-class", HeaderValue::from_static("STANDARD_IA"));
    let told = world.raw(Method::PUT, "/photos/k", headers, Body::empty()).await;
    told.refused(400, "InvalidRequest");
    nothing_stored(&world, "k").await;
}

#[tokio::test]
async fn a_form_is_refused_before_its_file_is_read() {
    let world = World::with_bucket("photos").await;
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static(HOST));
    headers.insert("content-type", HeaderValue::from_static("multipart/form-data; boundary=x"));
    let fields = "--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--x\r\n\
                  Content-Disposition: form-data; name=\"file\"\r\n\r\nbegins";
    let fields = futures::stream::iter([Ok::<_, StdError>(Frame::data(Bytes::from(fields)))]);
    let never = StreamBody::new(fields.chain(futures::stream::pending()));
    world
        .raw(Method::POST, "/photos", headers, Body::http_body(never))
        .await
        .refused(403, "AccessDenied");
}

#[tokio::test]
async fn xml_has_a_bound() {
    let world = World::with_bucket("photos").await;
    let endless = "x".repeat(usize::try_from(crate::limits::XML_BODY_BYTES_MAX).unwrap() + 1);
    world
        .post("/photos?delete")
        .body(endless)
        .send()
        .await
        .refused(400, "MaxMessageLengthExceeded");
}

/// B11, end to end: with a signature, against real objects, which must all be there afterwards.
#[tokio::test]
async fn b11_unknown_sub_resources_are_501_and_change_nothing() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("hello").send().await.expect(200);
    let names = [
        "analytics",
        "intelligent-tiering",
        "inventory",
        "metadataTable",
        "metrics",
        "renameObject",
        "restore",
        "select&select-type=2",
        "session",
        "torrent",
        "append",
        "events",
        "publicAccessBlockX",
        "uploadIdX",
    ];
    for name in names {
        for uri in [format!("/photos?{name}"), format!("/photos/k?{name}")] {
            for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE] {
                world.ask(method, &uri).body("x").send().await.refused(501, "NotImplemented");
            }
            world.head(&uri).send().await.expect(501);
        }
    }
    for uri in ["/photos?lifecycle", "/photos?policy", "/photos?cors"] {
        world.put(uri).body("x").send().await.refused(501, "NotImplemented");
    }
    world.delete("/photos?logging").send().await.refused(501, "NotImplemented");
    world.delete("/photos?versioning").send().await.refused(501, "NotImplemented");
    assert_eq!(world.get("/photos/k").send().await.expect(200).bytes(), "hello");
    world.ask(Method::PATCH, "/photos/k").send().await.refused(405, "MethodNotAllowed");
    world.ask(Method::OPTIONS, "/photos/k").send().await.refused(403, "AccessForbidden");
}

#[tokio::test]
async fn health_needs_no_signature() {
    let world = World::new().await;
    let told = world.get("/livez").by_nobody().send().await.expect(200);
    assert_eq!(told.text(), "alive\n");
    assert_eq!(world.get("/readyz").by_nobody().send().await.expect(200).text(), "ready\n");
    world.put("/livez").send().await.refused(400, "InvalidBucketName");
}

#[tokio::test]
async fn a_damaged_blob_is_never_delivered_whole() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("hello").send().await.expect(200);
    let other = Memory::new(BackendId(1), "memory");
    let keys = world.memory.list("", None, 10).await.unwrap();
    let body = futures::stream::iter([Ok(Bytes::from("jello"))]).boxed();
    other.put(&keys[0].key, &Default::default(), Some(5), body).await.unwrap();
    world.registry.remove(BackendId(1)).unwrap();
    world.registry.insert(std::sync::Arc::new(other)).unwrap();
    world.get("/photos/k").send().await.refused(500, "InternalError");
    assert_eq!(world.head("/photos/k").send().await.expect(200).header("content-length"), "5");
}

#[tokio::test]
async fn a_backend_that_is_gone_is_503() {
    let world = World::with_bucket("photos").await;
    world.registry.remove(BackendId(1)).unwrap();
    let told = world.put("/photos/k").body("x").send().await.refused(503, "SlowDown");
    assert_eq!(told.header("retry-after"), "1");
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_serves_reads() {
    let world = World::with_bucket("photos").await;
    let odd = std::sync::Arc::new(Odd::filling(Memory::new(BackendId(1), "memory")));
    world.registry.remove(BackendId(1)).unwrap();
    world.registry.insert(odd.clone()).unwrap();
    world.put("/photos/k").body("hello").send().await.expect(200);
    odd.full.store(true, std::sync::atomic::Ordering::SeqCst);
    let told = world.put("/photos/l").body("x").send().await.refused(507, "InsufficientStorage");
    assert!(told.tag("Message").unwrap().contains("nothing was stored"));
    world.get("/photos/l").send().await.refused(404, "NoSuchKey");
    assert_eq!(world.get("/photos/k").send().await.expect(200).bytes(), "hello");
    odd.full.store(false, std::sync::atomic::Ordering::SeqCst);
    world.put("/photos/l").body("x").send().await.expect(200);
}

#[tokio::test]
async fn a_refused_body_is_read_away_or_the_connection_closed() {
    let world = World::new().await;
    let short =
        world.put("/nowhere/k").body("x".repeat(1000)).send().await.refused(404, "NoSuchBucket");
    assert!(!short.headers.contains_key("connection"));
    let waits = world.put("/nowhere/k").header("expect", "100-continue").body("x").send().await;
    assert_eq!(waits.refused(404, "NoSuchBucket").header("connection"), "close");
    let long = vec![0; crate::limits::UNWANTED_BODY_BYTES_MAX + 1];
    let long = world.put("/nowhere/k").body(long).send().await.refused(404, "NoSuchBucket");
    assert_eq!(long.header("connection"), "close");
}
