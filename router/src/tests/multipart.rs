//! Multipart uploads, from begin to end, and what goes wrong with them.

use bytes::Bytes;

use crate::test_support::world::{Told, World};

const PART: usize = 5 * 1024 * 1024;

async fn begin(world: &World, key: &str, headers: &[(&str, &str)]) -> String {
    let mut ask = world.post(&format!("/photos/{key}?uploads"));
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    ask.send().await.expect(200).tag("UploadId").unwrap()
}

async fn part(world: &World, key: &str, id: &str, number: u32, body: Bytes) -> Told {
    world.put(&format!("/photos/{key}?uploadId={id}&partNumber={number}")).body(body).send().await
}

fn listed(parts: &[(u32, &str)]) -> String {
    let lines = parts.iter().map(|(number, etag)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    });
    format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", lines.collect::<String>())
}

async fn complete(world: &World, key: &str, id: &str, parts: &[(u32, &str)]) -> Told {
    world.post(&format!("/photos/{key}?uploadId={id}")).body(listed(parts)).send().await
}

fn filled(byte: u8, length: usize) -> Bytes {
    Bytes::from(vec![byte; length])
}

#[tokio::test]
async fn parts_become_an_object() {
    let world = World::with_bucket("photos").await;
    let id = begin(&world, "k", &[("content-type", "image/png"), ("x-amz-meta-a", "1")]).await;
    let one = part(&world, "k", &id, 1, filled(1, PART)).await.expect(200);
    let two = part(&world, "k", &id, 7, filled(2, 1000)).await.expect(200);
    let (one, two) = (one.header("etag").to_owned(), two.header("etag").to_owned());
    let parts = world.get(&format!("/photos/k?uploadId={id}")).send().await.expect(200);
    assert_eq!(parts.tags("PartNumber"), ["1", "7"]);
    let page = world.get(&format!("/photos/k?uploadId={id}&max-parts=1")).send().await.expect(200);
    assert_eq!(
        (page.tag("IsTruncated").as_deref(), page.tag("NextPartNumberMarker").as_deref()),
        (Some("true"), Some("1"))
    );
    let uploads = world.get("/photos?uploads").send().await.expect(200);
    assert_eq!(uploads.tags("UploadId"), [id.as_str()]);
    world.get("/photos/k").send().await.refused(404, "NoSuchKey");
    let done = complete(&world, "k", &id, &[(1, &one), (7, &two)]).await.expect(200);
    assert!(done.tag("ETag").unwrap().ends_with("-2\""), "{}", done.text());
    let again = complete(&world, "k", &id, &[(1, &one), (7, &two)]).await.expect(200);
    assert_eq!(done.tag("ETag"), again.tag("ETag"), "a repeated Complete gets the same answer");
    let whole = [filled(1, PART), filled(2, 1000)].concat();
    let get = world.get("/photos/k").send().await.expect(200);
    assert_eq!(get.bytes(), whole);
    assert_eq!((get.header("content-type"), get.header("x-amz-meta-a")), ("image/png", "1"));
    let across = format!("bytes={}-{}", PART - 3, PART + 2);
    let range = world.get("/photos/k").header("range", &across).send().await.expect(206);
    assert_eq!(range.bytes(), whole[PART - 3..PART + 3]);
    let seventh = world.get("/photos/k?partNumber=7").send().await.expect(206);
    assert_eq!((seventh.bytes().len(), seventh.header("x-amz-mp-parts-count")), (1000, "2"));
    assert!(world.get("/photos?uploads").send().await.tags("UploadId").is_empty());
    world.get(&format!("/photos/k?uploadId={id}")).send().await.refused(404, "NoSuchUpload");
}

#[tokio::test]
async fn wrong_completes_are_refused_and_keep_the_upload() {
    let world = World::with_bucket("photos").await;
    let id = begin(&world, "k", &[]).await;
    let small = part(&world, "k", &id, 1, filled(1, 10)).await.header("etag").to_owned();
    let last = part(&world, "k", &id, 2, filled(2, 10)).await.header("etag").to_owned();
    complete(&world, "k", &id, &[(1, &small), (2, &last)]).await.refused(400, "EntityTooSmall");
    complete(&world, "k", &id, &[(2, &last), (1, &small)]).await.refused(400, "InvalidPartOrder");
    complete(&world, "k", &id, &[(3, &last)]).await.refused(400, "InvalidPart");
    complete(&world, "k", &id, &[(1, "\"00000000000000000000000000000000\"")])
        .await
        .refused(400, "InvalidPart");
    complete(&world, "k", &id, &[]).await.refused(400, "MalformedXML");
    world
        .post(&format!("/photos/k?uploadId={id}"))
        .body("<Nonsense/>")
        .send()
        .await
        .refused(400, "MalformedXML");
    let sized =
        world.post(&format!("/photos/k?uploadId={id}")).header("x-amz-mp-object-size", "11");
    sized.body(listed(&[(2, &last)])).send().await.refused(400, "BadDigest");
    complete(&world, "k", &id, &[(2, &last)]).await.expect(200);
    assert_eq!(world.get("/photos/k").send().await.bytes(), filled(2, 10));
}

#[tokio::test]
async fn unknown_uploads_take_nothing() {
    let world = World::with_bucket("photos").await;
    for id in ["nonsense", &"0".repeat(36)] {
        part(&world, "k", id, 1, filled(1, 1)).await.refused(404, "NoSuchUpload");
        complete(&world, "k", id, &[(1, "\"00000000000000000000000000000000\"")])
            .await
            .refused(404, "NoSuchUpload");
        world.delete(&format!("/photos/k?uploadId={id}")).send().await.refused(404, "NoSuchUpload");
    }
    let id = begin(&world, "k", &[]).await;
    part(&world, "other", &id, 1, filled(1, 1)).await.refused(404, "NoSuchUpload");
    for number in ["0", "10001", "x"] {
        let uri = format!("/photos/k?uploadId={id}&partNumber={number}");
        world.put(&uri).body("x").send().await.refused(400, "InvalidArgument");
    }
    world.delete(&format!("/photos/k?uploadId={id}")).send().await.expect(204);
    part(&world, "k", &id, 1, filled(1, 1)).await.refused(404, "NoSuchUpload");
}

#[tokio::test]
async fn checksums_of_parts_become_the_objects() {
    let world = World::with_bucket("photos").await;
    for (algorithm, scope, suffix) in [
        ("CRC32", "FULL_OBJECT", ""),
        ("CRC32", "COMPOSITE", "-2"),
        ("SHA256", "COMPOSITE", "-2"),
        ("CRC64NVME", "FULL_OBJECT", ""),
    ] {
        let headers = [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", scope)];
        let id = begin(&world, "k", &headers).await;
        let one = part(&world, "k", &id, 1, filled(1, PART)).await.header("etag").to_owned();
        let two = part(&world, "k", &id, 2, filled(2, 10)).await.header("etag").to_owned();
        let done = complete(&world, "k", &id, &[(1, &one), (2, &two)]).await.expect(200);
        let name = format!("Checksum{algorithm}");
        let value = done.tag(&name).unwrap_or_else(|| panic!("no {name} in {}", done.text()));
        assert!(value.ends_with(suffix), "{value}");
        assert_eq!(done.tag("ChecksumType").as_deref(), Some(scope));
        if algorithm == "CRC32" && scope == "FULL_OBJECT" {
            let whole = [filled(1, PART), filled(2, 10)].concat();
            assert_eq!(value, super::objects::crc32(&whole));
        }
        let told = world
            .get("/photos/k?attributes")
            .header("x-amz-object-attributes", "Checksum,ObjectParts");
        let told = told.send().await.expect(200);
        assert_eq!(
            (told.tag(&name).as_deref(), told.tags("PartNumber").len()),
            (Some(value.as_str()), 2)
        );
    }
    let sha = [("x-amz-checksum-algorithm", "SHA256"), ("x-amz-checksum-type", "FULL_OBJECT")];
    let mut ask = world.post("/photos/k?uploads");
    for (name, value) in sha {
        ask = ask.header(name, value);
    }
    ask.send().await.refused(400, "InvalidRequest");
    let id = begin(&world, "k", &[("x-amz-checksum-algorithm", "SHA256")]).await;
    let other = world
        .put(&format!("/photos/k?uploadId={id}&partNumber=1"))
        .header("x-amz-checksum-crc32", "NhCmhg==");
    other.body("hello").send().await.refused(400, "InvalidRequest");
}

#[tokio::test]
async fn parts_are_copied_and_multipart_objects_too() {
    let world = World::with_bucket("photos").await;
    let body: Vec<u8> = (0..PART + 1000).map(|place| (place % 253) as u8).collect();
    world.put("/photos/from").body(body.clone()).send().await.expect(200);
    let id = begin(&world, "to", &[]).await;
    let copy = |number: u32, range: String| {
        let uri = format!("/photos/to?uploadId={id}&partNumber={number}");
        world
            .put(&uri)
            .header("x-amz-copy-source", "photos/from")
            .header("x-amz-copy-source-range", &range)
            .send()
    };
    let one = copy(1, format!("bytes=0-{}", PART - 1)).await.expect(200).tag("ETag").unwrap();
    let two =
        copy(2, format!("bytes={PART}-{}", PART + 999)).await.expect(200).tag("ETag").unwrap();
    copy(3, "bytes=0-99999999".to_owned()).await.refused(416, "InvalidRange");
    copy(3, "bytes=1-".to_owned()).await.refused(400, "InvalidArgument");
    complete(&world, "to", &id, &[(1, &one), (2, &two)]).await.expect(200);
    assert_eq!(world.get("/photos/to").send().await.bytes(), body);
    world.put("/photos/again").header("x-amz-copy-source", "photos/to").send().await.expect(200);
    let again = world.get("/photos/again").send().await.expect(200);
    assert_eq!(again.bytes(), body);
    assert!(!again.header("etag").contains('-'), "a copy is one blob");
}

#[tokio::test]
async fn parts_are_shown_with_their_own_checksums() {
    let world = World::with_bucket("photos").await;
    let id = begin(&world, "k", &[("x-amz-checksum-algorithm", "CRC32")]).await;
    let one = part(&world, "k", &id, 1, filled(1, PART)).await.expect(200);
    let two = part(&world, "k", &id, 4, filled(2, 10)).await.expect(200);
    let (one, two) = (one.header("etag").to_owned(), two.header("etag").to_owned());
    complete(&world, "k", &id, &[(1, &one), (4, &two)]).await.expect(200);
    let last = world.get("/photos/k?partNumber=4").header("x-amz-checksum-mode", "ENABLED");
    let last = last.send().await.expect(206);
    assert_eq!(last.header("x-amz-checksum-crc32"), super::objects::crc32(&filled(2, 10)));
    assert_eq!(last.header("x-amz-mp-parts-count"), "2");
    let plain = begin(&world, "plain", &[]).await;
    let one = part(&world, "plain", &plain, 1, filled(1, 10)).await.header("etag").to_owned();
    complete(&world, "plain", &plain, &[(1, &one)]).await.expect(200);
    for (key, count) in [("k", "2"), ("plain", "1")] {
        let told = world.get(&format!("/photos/{key}?attributes"));
        let told = told.header("x-amz-object-attributes", "ObjectParts").send().await.expect(200);
        assert_eq!(told.tag("PartsCount").as_deref(), Some(count), "{}", told.text());
        assert_eq!(told.tags("Size").len().to_string(), count, "{}", told.text());
    }
}

#[tokio::test]
async fn uploads_in_progress_do_not_keep_a_bucket() {
    let world = World::with_bucket("photos").await;
    let id = begin(&world, "k", &[]).await;
    part(&world, "k", &id, 1, filled(1, 10)).await.expect(200);
    begin(&world, "l", &[]).await;
    world.put("/photos/kept").body("x").send().await.expect(200);
    world.delete("/photos").send().await.refused(409, "BucketNotEmpty");
    assert_eq!(world.get("/photos?uploads").send().await.expect(200).tags("UploadId").len(), 2);
    world.delete("/photos/kept").send().await.expect(204);
    world.delete("/photos").send().await.expect(204);
    world.put("/photos").send().await.expect(200);
    assert!(world.get("/photos?uploads").send().await.expect(200).tags("UploadId").is_empty());
    part(&world, "k", &id, 1, filled(1, 10)).await.refused(404, "NoSuchUpload");
}

#[tokio::test]
async fn what_a_complete_announces_is_compared_or_refused() {
    let world = World::with_bucket("photos").await;
    let begun = [("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", "COMPOSITE")];
    let id = begin(&world, "k", &begun).await;
    let one = part(&world, "k", &id, 1, filled(1, 10)).await.header("etag").to_owned();
    let complete = |id: &str, headers: &[(&str, &str)]| {
        let mut ask = world.post(&format!("/photos/k?uploadId={id}"));
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        ask.body(listed(&[(1, &one)])).send()
    };
    // The checksum of the one part's checksum.
    let of_part = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        super::objects::crc32(&filled(1, 10)),
    );
    let right = super::objects::crc32(&of_part.unwrap());
    let (two, one_part) = (format!("{right}-2"), format!("{right}-1"));
    for (headers, code) in [
        (&[("x-amz-checksum-crc32c", "AAAAAA==")][..], "InvalidRequest"),
        (&[("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00=")], "InvalidRequest"),
        (
            &[("x-amz-checksum-crc32", right.as_str()), ("x-amz-checksum-crc32c", "AAAAAA==")],
            "InvalidRequest",
        ),
        (&[("x-amz-checksum-crc32", "AAAAAA==-1")], "BadDigest"),
        (&[("x-amz-checksum-crc32", two.as_str())], "BadDigest"),
        (&[("x-amz-checksum-type", "FULL_OBJECT")], "InvalidRequest"),
        (&[("x-amz-checksum-type", "HALF")], "InvalidRequest"),
    ] {
        let told = complete(&id, headers).await;
        assert_eq!(told.refused(400, code).status, 400, "{headers:?}");
    }
    let all = [("x-amz-checksum-crc32", one_part.as_str()), ("x-amz-checksum-type", "COMPOSITE")];
    complete(&id, &all).await.expect(200);
    let plain = begin(&world, "k", &[]).await;
    part(&world, "k", &plain, 1, filled(1, 10)).await.expect(200);
    complete(&plain, &[("x-amz-checksum-crc32", "AAAAAA==")]).await.refused(400, "InvalidRequest");
    complete(&plain, &[("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")])
        .await
        .refused(400, "BadDigest");
    complete(&plain, &[]).await.expect(200);
}
