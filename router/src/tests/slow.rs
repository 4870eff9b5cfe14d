//! Clients that send slowly or not at all, and memory that others have taken: each has its bound and its error.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::{Body, StdError};

use crate::limits;
use crate::test_support::sign::{self, Scope};
use crate::test_support::world::{HOST, World};

fn headers(length: &str, payload: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("host", HOST), ("content-length", length), ("x-amz-content-sha256", payload)]
    {
        headers.insert(name, HeaderValue::try_from(value).unwrap());
    }
    headers
}

fn silent() -> Body {
    let first = futures::stream::iter([Ok::<_, StdError>(Frame::data(Bytes::from("5;")))]);
    Body::http_body(StreamBody::new(first.chain(futures::stream::pending())))
}

/// One byte now and then, for ever: never idle, and never done.
fn dripping() -> Body {
    let drops = futures::stream::unfold((), |()| async {
        tokio::time::sleep(limits::BODY_IDLE_TIMEOUT / 2).await;
        Some((Ok::<_, StdError>(Frame::data(Bytes::from(" "))), ()))
    });
    Body::http_body(StreamBody::new(Box::pin(drops)))
}

#[tokio::test(start_paused = true)]
async fn a_body_that_falls_silent_is_told_so_in_every_framing() {
    let world = World::with_bucket("photos").await;
    let hash = sign::hex_sha256(b"hello");
    for payload in [
        "UNSIGNED-PAYLOAD",
        hash.as_str(),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    ] {
        let mut headers = headers("500", payload);
        headers.insert("x-amz-decoded-content-length", HeaderValue::from_static("400"));
        headers.insert("x-amz-trailer", HeaderValue::from_static("x-amz-checksum-crc32"));
        if !payload.starts_with("STREAMING") {
            headers.remove("x-amz-decoded-content-length");
            headers.remove("x-amz-trailer");
        }
        sign::in_header(&world.ann, &Scope::default(), &Method::PUT, "/photos/k", &mut headers);
        let told = world.raw(Method::PUT, "/photos/k", headers, silent()).await;
        told.refused(400, "RequestTimeout");
    }
    world.get("/photos/k").send().await.refused(404, "NoSuchKey");
}

#[tokio::test(start_paused = true)]
async fn xml_has_a_time_within_which_all_of_it_must_come() {
    let world = World::with_bucket("photos").await;
    let mut headers = headers("1000", "UNSIGNED-PAYLOAD");
    sign::in_header(&world.ann, &Scope::default(), &Method::POST, "/photos?delete", &mut headers);
    let began = tokio::time::Instant::now();
    let told = world.raw(Method::POST, "/photos?delete", headers, dripping()).await;
    assert_eq!(told.refused(400, "RequestTimeout").header("connection"), "close");
    let most = limits::XML_BODY_TIMEOUT + limits::UNWANTED_BODY_TIMEOUT + Duration::from_secs(1);
    assert!(began.elapsed() <= most);
}

#[tokio::test]
async fn xml_pays_for_what_it_brings() {
    let world = World::with_bucket("photos").await;
    let delete = "<Delete><Object><Key>a</Key></Object></Delete>";
    let mut headers = headers("0", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    headers.remove("content-length");
    headers.insert("x-amz-decoded-content-length", HeaderValue::from_static("0"));
    headers.insert("x-amz-trailer", HeaderValue::from_static("x-amz-checksum-crc32"));
    sign::in_header(&world.ann, &Scope::default(), &Method::POST, "/photos?delete", &mut headers);
    let crc = super::objects::crc32(delete.as_bytes());
    let wire = sign::unsigned_chunks(delete.as_bytes(), 20, ("x-amz-checksum-crc32", &crc));
    let told = world.raw(Method::POST, "/photos?delete", headers, Body::from(wire)).await;
    told.refused(400, "IncompleteBody");
}

#[tokio::test(start_paused = true)]
async fn memory_that_others_hold_ends_in_slow_down() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("hello").send().await.expect(200);
    world.put("/photos/large").body(vec![1; 600_000]).send().await.expect(200);
    let ctx = world.service.context().clone();
    let all = |budget: &tokio::sync::Semaphore| u32::try_from(budget.available_permits()).unwrap();
    let held = ctx.budget_out.acquire_many(all(&ctx.budget_out)).await.unwrap();
    for key in ["k", "large"] {
        let told = world.get(&format!("/photos/{key}")).send().await.refused(503, "SlowDown");
        assert_eq!(told.header("retry-after"), "1");
    }
    world
        .put("/photos/l")
        .body("those who read slowly keep nobody from writing")
        .send()
        .await
        .expect(200);
    drop(held);
    let held = ctx.budget_in.acquire_many(all(&ctx.budget_in)).await.unwrap();
    world.put("/photos/k").body("other").send().await.refused(503, "SlowDown");
    world.put("/photos/k").body("other").send_chunks(3).await.refused(503, "SlowDown");
    assert_eq!(world.get("/photos/k").send().await.expect(200).bytes(), "hello");
    drop(held);
    let held = ctx.xml_budget.acquire_many(all(&ctx.xml_budget)).await.unwrap();
    let delete = "<Delete><Object><Key>k</Key></Object></Delete>";
    world.post("/photos?delete").body(delete).send().await.refused(503, "SlowDown");
    drop(held);
    world.post("/photos?delete").body(delete).send().await.expect(200);
}
