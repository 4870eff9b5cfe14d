//! Objects: put, read, copied, tagged, deleted.

use crate::test_support::world::World;

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let world = World::with_bucket("photos").await;
    let put = world
        .put("/photos/a%20b+c/%C3%BC//x")
        .header("content-type", "text/plain")
        .header("content-encoding", "gzip")
        .header("cache-control", "max-age=60")
        .header("expires", "soon")
        .header("x-amz-meta-color", "red")
        .header("x-amz-storage-class", "STANDARD_IA")
        .body("hello")
        .send()
        .await
        .expect(200);
    assert_eq!(put.header("etag"), "\"5d41402abc4b2a76b9719d911017c592\"");
    assert!(!put.headers.contains_key("x-amz-version-id"), "the bucket is not versioned");
    let get = world.get("/photos/a%20b+c/%C3%BC//x").send().await.expect(200);
    assert_eq!(get.bytes(), "hello");
    let head = world.head("/photos/a%20b+c/%C3%BC//x").send().await.expect(200);
    assert_eq!(head.bytes(), "");
    for told in [&get, &head] {
        for (name, value) in [
            ("content-type", "text/plain"),
            ("content-encoding", "gzip"),
            ("cache-control", "max-age=60"),
            ("expires", "soon"),
            ("x-amz-meta-color", "red"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("content-length", "5"),
            ("accept-ranges", "bytes"),
            ("etag", "\"5d41402abc4b2a76b9719d911017c592\""),
        ] {
            assert_eq!(told.header(name), value, "{name}");
        }
        assert_eq!(told.header("x-vaultaire-version"), put.header("x-vaultaire-version"));
        assert!(told.header("last-modified").ends_with(" GMT"));
    }
    world.get("/photos/missing").send().await.refused(404, "NoSuchKey");
    let missing = world.head("/photos/missing").send().await.expect(404);
    assert_eq!(missing.bytes(), "");
    assert!(missing.headers.contains_key("x-amz-request-id"));
}

#[tokio::test]
async fn ranges_are_served_or_refused() {
    let world = World::with_bucket("photos").await;
    let body: Vec<u8> = (0..600_000_u32).map(|place| (place % 251) as u8).collect();
    world.put("/photos/big").body(body.clone()).send().await.expect(200);
    assert_eq!(world.get("/photos/big").send().await.expect(200).bytes(), body, "a streamed body");
    for (range, from, to) in [
        ("bytes=0-99", 0, 100),
        ("bytes=599990-", 599_990, 600_000),
        ("bytes=-10", 599_990, 600_000),
        ("bytes=100-399999", 100, 400_000),
        ("bytes=5-99999999", 5, 600_000),
    ] {
        let told = world.get("/photos/big").header("range", range).send().await.expect(206);
        assert_eq!(told.bytes(), body[from..to], "{range}");
        assert_eq!(told.header("content-range"), format!("bytes {from}-{}/600000", to - 1));
        assert_eq!(told.header("content-length"), (to - from).to_string());
        let head = world.head("/photos/big").header("range", range).send().await.expect(206);
        assert_eq!(head.header("content-length"), (to - from).to_string());
    }
    let outside = world
        .get("/photos/big")
        .header("range", "bytes=600000-")
        .send()
        .await
        .refused(416, "InvalidRange");
    assert_eq!(outside.header("content-range"), "bytes */600000");
    for nonsense in ["bytes=9-2", "bytes=0-1,5-6", "lines=1-2"] {
        let told = world.get("/photos/big").header("range", nonsense).send().await.expect(200);
        assert_eq!(told.bytes().len(), body.len(), "{nonsense} is ignored, as at S3");
    }
    world.put("/photos/empty").send().await.expect(200);
    assert_eq!(world.get("/photos/empty").send().await.expect(200).bytes(), "");
    world
        .get("/photos/empty")
        .header("range", "bytes=0-1")
        .send()
        .await
        .refused(416, "InvalidRange");
    world.get("/photos/big?partNumber=1").send().await.expect(206);
    world.get("/photos/big?partNumber=2").send().await.refused(400, "InvalidPart");
}

#[tokio::test]
async fn reads_have_conditions_and_overrides() {
    let world = World::with_bucket("photos").await;
    let put = world.put("/photos/k").body("hello").send().await.expect(200);
    let etag = put.header("etag");
    world.get("/photos/k").header("if-match", etag).send().await.expect(200);
    world
        .get("/photos/k")
        .header("if-match", "\"x\"")
        .send()
        .await
        .refused(412, "PreconditionFailed");
    let same = world.get("/photos/k").header("if-none-match", etag).send().await.expect(304);
    assert_eq!((same.header("etag"), same.bytes().len()), (etag, 0));
    let told = world
        .get("/photos/k?response-content-type=a%2Fb&response-content-disposition=attachment%3B%20filename%3Dx")
        .send()
        .await
        .expect(200);
    assert_eq!(told.header("content-type"), "a/b");
    assert_eq!(told.header("content-disposition"), "attachment; filename=x");
}

#[tokio::test]
async fn writes_have_conditions() {
    let world = World::with_bucket("photos").await;
    let create = || world.put("/photos/lock").header("if-none-match", "*").body("mine").send();
    create().await.expect(200);
    create().await.refused(412, "PreconditionFailed");
    world
        .put("/photos/none")
        .header("if-match", "\"5d41402abc4b2a76b9719d911017c592\"")
        .body("x")
        .send()
        .await
        .refused(404, "NoSuchKey");
    let etag = world.head("/photos/lock").send().await.header("etag").to_owned();
    world
        .put("/photos/lock")
        .header("if-match", "\"5d41402abc4b2a76b9719d911017c592\"")
        .body("x")
        .send()
        .await
        .refused(412, "PreconditionFailed");
    world.put("/photos/lock").header("if-match", &etag).body("y").send().await.expect(200);
    world
        .delete("/photos/lock")
        .header("if-match", &etag)
        .send()
        .await
        .refused(412, "PreconditionFailed");
}

#[tokio::test]
async fn one_of_many_concurrent_creates_wins() {
    let world = World::with_bucket("photos").await;
    for round in 0..20 {
        let uri = format!("/photos/lock{round}");
        let creates = (0..16)
            .map(|n| world.put(&uri).header("if-none-match", "*").body(n.to_string()).send());
        let told = futures::future::join_all(creates).await;
        let won: Vec<_> = told.iter().filter(|told| told.status == 200).collect();
        assert_eq!(won.len(), 1, "exactly one of 16 creates may win");
        assert!(told.iter().all(|told| told.status == 200 || told.status == 412));
    }
}

#[tokio::test]
async fn a_retry_of_a_create_is_the_same_create() {
    let world = World::with_bucket("photos").await;
    let create = |invocation| {
        world
            .put("/photos/k")
            .header("if-none-match", "*")
            .header("amz-sdk-invocation-id", invocation)
            .body("v")
            .send()
    };
    let first = create("i1").await.expect(200);
    let again = create("i1").await.expect(200);
    assert_eq!(first.header("x-vaultaire-version"), again.header("x-vaultaire-version"));
    create("i2").await.refused(412, "PreconditionFailed");
}

#[tokio::test]
async fn checksums_are_kept_and_echoed() {
    let world = World::with_bucket("photos").await;
    for (name, value) in [
        ("x-amz-checksum-crc32", "NhCmhg=="),
        ("x-amz-checksum-crc32c", "mnG7TA=="),
        ("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00="),
        ("x-amz-checksum-sha256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="),
    ] {
        let put = world.put("/photos/k").header(name, value).body("hello").send().await.expect(200);
        assert_eq!(put.header(name), value);
        let head = world
            .head("/photos/k")
            .header("x-amz-checksum-mode", "ENABLED")
            .send()
            .await
            .expect(200);
        assert_eq!(head.header(name), value);
        assert_eq!(head.header("x-amz-checksum-type"), "FULL_OBJECT");
        assert!(!world.head("/photos/k").send().await.headers.contains_key(name));
    }
    world.put("/photos/k").body("hello").send().await.expect(200);
    let head =
        world.head("/photos/k").header("x-amz-checksum-mode", "ENABLED").send().await.expect(200);
    assert!(head.headers.contains_key("x-amz-checksum-crc64nvme"), "the default is CRC-64/NVME");
}

#[tokio::test]
async fn objects_are_copied() {
    let world = World::with_bucket("photos").await;
    world
        .put("/photos/from")
        .header("content-type", "text/plain")
        .header("x-amz-meta-a", "1")
        .header("x-amz-tagging", "t=1")
        .body("hello")
        .send()
        .await
        .expect(200);
    let copy = |to: &str| world.put(to).header("x-amz-copy-source", "/photos/from");
    let told = copy("/photos/to").send().await.expect(200);
    assert_eq!(told.tag("ETag").as_deref(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    let get = world.get("/photos/to").send().await.expect(200);
    assert_eq!(
        (get.bytes().as_ref(), get.header("content-type"), get.header("x-amz-meta-a")),
        (&b"hello"[..], "text/plain", "1")
    );
    assert_eq!(get.header("x-amz-tagging-count"), "1");
    copy("/photos/other")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-tagging-directive", "REPLACE")
        .header("x-amz-meta-b", "2")
        .send()
        .await
        .expect(200);
    let other = world.get("/photos/other").send().await.expect(200);
    assert_eq!(
        (other.header("x-amz-meta-b"), other.header("content-type")),
        ("2", "binary/octet-stream")
    );
    assert!(
        !other.headers.contains_key("x-amz-meta-a")
            && !other.headers.contains_key("x-amz-tagging-count")
    );
    copy("/photos/from").send().await.refused(400, "InvalidRequest");
    copy("/photos/from").header("x-amz-metadata-directive", "REPLACE").send().await.expect(200);
    assert!(!world.get("/photos/from").send().await.headers.contains_key("x-amz-meta-a"));
    copy("/photos/to")
        .header("x-amz-copy-source-if-match", "\"x\"")
        .send()
        .await
        .refused(412, "PreconditionFailed");
    let missing = world.put("/photos/to").header("x-amz-copy-source", "photos/missing");
    missing.send().await.refused(404, "NoSuchKey");
    world
        .put("/photos/to")
        .header("x-amz-copy-source", "nowhere/k")
        .send()
        .await
        .refused(404, "NoSuchBucket");
    world
        .put("/photos/to")
        .header("x-amz-copy-source", "nonsense")
        .send()
        .await
        .refused(400, "InvalidArgument");
}

#[tokio::test]
async fn tags_are_set_read_and_removed() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("x").send().await.expect(200);
    let tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
    world.put("/photos/k?tagging").body(tagging).send().await.expect(200);
    let told = world.get("/photos/k?tagging").send().await.expect(200);
    assert_eq!(
        (told.tags("Key"), told.tags("Value")),
        (vec!["a".to_owned()], vec!["1".to_owned()])
    );
    assert_eq!(world.head("/photos/k").send().await.header("x-amz-tagging-count"), "1");
    world.delete("/photos/k?tagging").send().await.expect(204);
    assert!(world.get("/photos/k?tagging").send().await.expect(200).tags("Key").is_empty());
    world.put("/photos/none?tagging").body(tagging).send().await.refused(404, "NoSuchKey");
    let twice = tagging.replace("</TagSet>", "<Tag><Key>a</Key><Value>2</Value></Tag></TagSet>");
    world.put("/photos/k?tagging").body(twice).send().await.refused(400, "InvalidTag");
}

#[tokio::test]
async fn many_objects_are_deleted_at_once() {
    let world = World::with_bucket("photos").await;
    for key in ["a", "b", "c%20d"] {
        world.put(&format!("/photos/{key}")).body("x").send().await.expect(200);
    }
    let body = "<Delete><Object><Key>a</Key></Object><Object><Key>c d</Key></Object>\
                <Object><Key>missing</Key></Object></Delete>";
    let told = world.post("/photos?delete").body(body).send().await.expect(200);
    assert_eq!(told.tags("Key"), ["a", "c d", "missing"]);
    assert!(told.tags("Code").is_empty());
    assert_eq!(world.get("/photos?list-type=2").send().await.tags("Key"), ["b"]);
    let quiet = "<Delete><Quiet>true</Quiet><Object><Key>b</Key></Object></Delete>";
    // CRC32 without Content-MD5, as SDKs send it.
    let crc = crc32(quiet.as_bytes());
    let told = world
        .post("/photos?delete")
        .header("x-amz-checksum-crc32", &crc)
        .body(quiet)
        .send()
        .await
        .expect(200);
    assert!(told.tags("Key").is_empty());
    let wrong = world
        .post("/photos?delete")
        .header("x-amz-checksum-crc32", "AAAAAA==")
        .body(quiet)
        .send()
        .await;
    wrong.refused(400, "BadDigest");
    let crc = crc32(body.as_bytes());
    let chunked =
        world.post("/photos?delete").body(body).send_trailer(20, "x-amz-checksum-crc32", &crc);
    assert_eq!(chunked.await.expect(200).tags("Key").len(), 3, "aws-chunked XML");
    let many: String = (0..1001).map(|n| format!("<Object><Key>{n}</Key></Object>")).collect();
    world
        .post("/photos?delete")
        .body(format!("<Delete>{many}</Delete>"))
        .send()
        .await
        .refused(400, "MalformedXML");
    world
        .post("/photos?delete")
        .body("<Delete></Delete>")
        .send()
        .await
        .refused(400, "MalformedXML");
    world.post("/photos?delete").body("not xml").send().await.refused(400, "MalformedXML");
}

#[tokio::test]
async fn cdata_and_references_name_the_keys_they_say() {
    let world = World::with_bucket("photos").await;
    for key in ["backup", "backup%26old", "%F0%9F%98%80"] {
        world.put(&format!("/photos/{key}")).body("x").send().await.expect(200);
    }
    let body = "<Delete><Object><Key>backup<![CDATA[&old]]></Key></Object>\
                <Object><Key>&#128512;</Key></Object></Delete>";
    let told = world.post("/photos?delete").body(body).send().await.expect(200);
    assert_eq!(told.tags("Key"), ["backup&old", "\u{1f600}"]);
    assert_eq!(world.get("/photos?list-type=2").send().await.tags("Key"), ["backup"]);
    let tagging = "<Tagging><TagSet><Tag><Key>a<![CDATA[<b>]]></Key><Value><![CDATA[1]]>2</Value></Tag>\
                   </TagSet></Tagging>";
    world.put("/photos/backup?tagging").body(tagging).send().await.expect(200);
    let told = world.get("/photos/backup?tagging").send().await.expect(200);
    assert_eq!(
        (told.tag("Key").unwrap(), told.tag("Value").unwrap()),
        ("a<b>".into(), "12".into())
    );
    let entity =
        "<!DOCTYPE d [<!ENTITY k 'backup'>]><Delete><Object><Key>&k;</Key></Object></Delete>";
    world.post("/photos?delete").body(entity).send().await.refused(400, "MalformedXML");
}

pub fn crc32(bytes: &[u8]) -> String {
    use base64::Engine;
    use vaultaire_storage::pipeline::checksum::{Algorithms, Digests};
    let mut digests = Digests::new(Algorithms { crc32: true, ..Algorithms::default() });
    digests.update(bytes);
    base64::engine::general_purpose::STANDARD.encode(digests.finish().crc32.unwrap().to_be_bytes())
}

#[tokio::test]
async fn attributes_are_answered_as_asked() {
    let world = World::with_bucket("photos").await;
    world
        .put("/photos/k")
        .header("x-amz-checksum-crc32", "NhCmhg==")
        .body("hello")
        .send()
        .await
        .expect(200);
    let told = world
        .get("/photos/k?attributes")
        .header("x-amz-object-attributes", "ETag,Checksum,ObjectSize,StorageClass");
    let told = told.send().await.expect(200);
    for (name, value) in [
        ("ETag", "5d41402abc4b2a76b9719d911017c592"),
        ("ChecksumCRC32", "NhCmhg=="),
        ("ChecksumType", "FULL_OBJECT"),
        ("ObjectSize", "5"),
        ("StorageClass", "STANDARD"),
    ] {
        assert_eq!(told.tag(name).as_deref(), Some(value));
    }
    world.get("/photos/k?attributes").send().await.refused(400, "InvalidArgument");
    world
        .get("/photos/k?attributes")
        .header("x-amz-object-attributes", "Nonsense")
        .send()
        .await
        .refused(400, "InvalidArgument");
}
