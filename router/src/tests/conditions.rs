//! Conditions end to end: those that cannot be read never let through what they were to prevent.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use s3s::Body;

use crate::test_support::sign::{self, Scope};
use crate::test_support::world::{HOST, Told, World};

const BEFORE_1970: &str = "Wed, 31 Dec 1969 23:59:59 GMT";

/// A request with one header of any bytes, which are signed where s3s can sign them.
async fn raw(world: &World, method: Method, uri: &str, name: &str, value: &[u8]) -> Told {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static(HOST));
    headers.insert("content-length", HeaderValue::from_static("0"));
    headers.insert("x-amz-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
    if uri.contains("uploadId") || uri.contains("copy") {
        headers.insert("x-amz-copy-source", HeaderValue::from_static("photos/k"));
    }
    let amz = name.starts_with("x-amz-");
    let name = HeaderName::try_from(name).unwrap();
    let value = HeaderValue::from_bytes(value).unwrap();
    if amz {
        headers.insert(name.clone(), value.clone());
    }
    sign::in_header(&world.ann, &Scope::default(), &method, uri, &mut headers);
    headers.insert(name, value);
    world.raw(method, uri, headers, Body::empty()).await
}

#[tokio::test]
async fn a_condition_that_cannot_be_read_is_not_met() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("hello").send().await.expect(200);
    for name in ["if-match", "if-unmodified-since"] {
        raw(&world, Method::GET, "/photos/k", name, b"\xff")
            .await
            .refused(412, "PreconditionFailed");
    }
    for name in ["if-match", "if-none-match"] {
        raw(&world, Method::PUT, "/photos/k", name, b"\xff").await.refused(400, "InvalidArgument");
    }
    let told = world.get("/photos/k").header("if-unmodified-since", BEFORE_1970).send().await;
    told.refused(412, "PreconditionFailed");
    // UTF-8, so it can be signed; no ETag, no date and no range is.
    for name in ["x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match"] {
        let told = raw(&world, Method::PUT, "/photos/copy", name, "ü".as_bytes()).await;
        told.refused(412, "PreconditionFailed");
    }
    world.get("/photos/copy").send().await.refused(404, "NoSuchKey");
    assert_eq!(world.get("/photos/k").send().await.expect(200).bytes(), "hello");
}

#[tokio::test]
async fn a_range_that_cannot_be_read_is_not_everything() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("hello").send().await.expect(200);
    let id = world.post("/photos/m?uploads").send().await.expect(200).tag("UploadId").unwrap();
    let part = format!("/photos/m?uploadId={id}&partNumber=1");
    raw(&world, Method::PUT, &part, "x-amz-copy-source-range", "bytes=0-1ü".as_bytes())
        .await
        .refused(400, "InvalidArgument");
    let complete =
        world.post(&format!("/photos/m?uploadId={id}")).header("x-amz-mp-object-size", "5ü");
    complete.send().await.refused(400, "InvalidArgument");
}

#[tokio::test]
async fn deletions_have_conditions_of_every_time() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("hello").send().await.expect(200);
    let modified = world.head("/photos/k").send().await.header("last-modified").to_owned();
    let delete = |time: &str| {
        let body = format!(
            "<Delete><Object><Key>k</Key><LastModifiedTime>{time}</LastModifiedTime></Object></Delete>"
        );
        world.post("/photos?delete").body(body).send()
    };
    let told = delete(BEFORE_1970).await.expect(200);
    assert_eq!(told.tags("Code"), ["PreconditionFailed"], "{}", told.text());
    world
        .delete("/photos/k")
        .header("x-amz-if-match-last-modified-time", BEFORE_1970)
        .send()
        .await
        .refused(412, "PreconditionFailed");
    world.head("/photos/k").send().await.expect(200);
    let told = delete(&modified).await.expect(200);
    assert!(told.tags("Code").is_empty(), "{}", told.text());
    world.head("/photos/k").send().await.expect(404);
}

#[tokio::test]
async fn a_range_is_served_of_the_object_that_was_meant() {
    let world = World::with_bucket("photos").await;
    let put = world.put("/photos/k").header("cache-control", "max-age=60").body("hello");
    let etag = put.send().await.expect(200).header("etag").to_owned();
    let modified = world.head("/photos/k").send().await.header("last-modified").to_owned();
    let range = |if_range: &str| {
        world.get("/photos/k").header("range", "bytes=1-2").header("if-range", if_range).send()
    };
    for same in [etag.as_str(), modified.as_str()] {
        assert_eq!(range(same).await.expect(206).bytes(), "el");
    }
    for other in ["\"00000000000000000000000000000000\"", BEFORE_1970, "ü"] {
        let told = range(other).await.expect(200);
        assert_eq!((told.bytes().as_ref(), told.header("content-length")), (&b"hello"[..], "5"));
    }
    let same = world.get("/photos/k").header("if-none-match", &etag).send().await.expect(304);
    assert_eq!(same.header("cache-control"), "max-age=60");
}
