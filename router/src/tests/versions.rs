//! Versioned buckets: ids, markers, and the null version.

use crate::test_support::world::World;

const ON: &str = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";

async fn versioned() -> World {
    let world = World::with_bucket("photos").await;
    world.put("/photos?versioning").body(ON).send().await.expect(200);
    world
}

#[tokio::test]
async fn versions_are_kept_shown_and_removed() {
    let world = versioned().await;
    let status = world.get("/photos?versioning").send().await.expect(200);
    assert_eq!(status.tag("Status").as_deref(), Some("Enabled"));
    let put = async |body: &'static str| {
        let told = world.put("/photos/k").body(body).send().await.expect(200);
        told.header("x-amz-version-id").to_owned()
    };
    let (one, two) = (put("one").await, put("two").await);
    assert_ne!(one, two);
    let head = world.get("/photos/k").send().await.expect(200);
    assert_eq!(
        (head.bytes().as_ref(), head.header("x-amz-version-id")),
        (&b"two"[..], two.as_str())
    );
    let former = world.get(&format!("/photos/k?versionId={one}")).send().await.expect(200);
    assert_eq!(
        (former.bytes().as_ref(), former.header("x-amz-version-id")),
        (&b"one"[..], one.as_str())
    );
    let deleted = world.delete("/photos/k").send().await.expect(204);
    assert_eq!(deleted.header("x-amz-delete-marker"), "true");
    let marker = deleted.header("x-amz-version-id").to_owned();
    let gone = world.get("/photos/k").send().await.refused(404, "NoSuchKey");
    assert_eq!(gone.header("x-amz-delete-marker"), "true");
    let uri = format!("/photos/k?versionId={marker}");
    world.get(&uri).send().await.refused(405, "MethodNotAllowed");
    let listed = world.get("/photos?versions").send().await.expect(200);
    assert_eq!(listed.tags("VersionId"), [marker.as_str(), two.as_str(), one.as_str()]);
    assert_eq!(listed.tags("IsLatest"), ["true", "false", "false"]);
    assert!(world.get("/photos").send().await.tags("Key").is_empty());
    let removed = world.delete(&uri).send().await.expect(204);
    assert_eq!(removed.header("x-amz-delete-marker"), "true");
    assert_eq!(world.get("/photos/k").send().await.expect(200).bytes(), "two");
    world.delete("/photos").send().await.refused(409, "BucketNotEmpty");
    for version in [&one, &two] {
        world.delete(&format!("/photos/k?versionId={version}")).send().await.expect(204);
    }
    world.delete("/photos").send().await.expect(204);
}

#[tokio::test]
async fn a_bucket_with_nothing_but_old_versions_is_not_empty() {
    let world = versioned().await;
    world.put("/photos/k").body("x").send().await.expect(200);
    world.delete("/photos/k").send().await.expect(204);
    world.delete("/photos").send().await.refused(409, "BucketNotEmpty");
    world.put("/photos/l").body("writable again").send().await.expect(200);
}

#[tokio::test]
async fn what_was_there_before_is_the_null_version() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("before").send().await.expect(200);
    world.put("/photos?versioning").body(ON).send().await.expect(200);
    world.put("/photos/k").body("after").send().await.expect(200);
    let null = world.get("/photos/k?versionId=null").send().await.expect(200);
    assert_eq!((null.bytes().as_ref(), null.header("x-amz-version-id")), (&b"before"[..], "null"));
    let copy = world.put("/photos/c").header("x-amz-copy-source", "photos/k?versionId=null");
    let copied = copy.send().await.expect(200);
    assert_eq!(copied.header("x-amz-copy-source-version-id"), "null");
    assert_eq!(world.get("/photos/c").send().await.expect(200).bytes(), "before");
    let body = "<Delete><Object><Key>k</Key><VersionId>null</VersionId></Object><Object><Key>c</Key></Object></Delete>";
    let told = world.post("/photos?delete").body(body).send().await.expect(200);
    assert_eq!(told.tags("DeleteMarker"), ["true"], "{}", told.text());
    world.get("/photos/k?versionId=null").send().await.refused(404, "NoSuchVersion");
    for bad in ["<VersioningConfiguration/>", "nonsense"] {
        world.put("/photos?versioning").body(bad).send().await.refused(400, "MalformedXML");
    }
}

/// What tools do that empty a bucket: a page, its versions, the next page.
#[tokio::test]
async fn a_page_that_is_deleted_hides_nothing_of_the_next() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("null").send().await.expect(200);
    world.put("/photos?versioning").body(ON).send().await.expect(200);
    let suspended = ON.replace("Enabled", "Suspended");
    for body in ["one", "two"] {
        world.put("/photos/k").body(body).send().await.expect(200);
    }
    world.put("/photos?versioning").body(suspended).send().await.expect(200);
    // The null version is the newest now, with others behind it.
    world.put("/photos/k").body("null again").send().await.expect(200);
    let mut marker = String::new();
    for page in 0.. {
        assert!(page < 3, "three versions are three pages");
        let uri = format!("/photos?versions&max-keys=1{marker}");
        let told = world.get(&uri).send().await.expect(200);
        let id = told.tag("VersionId").unwrap();
        world.delete(&format!("/photos/k?versionId={id}")).send().await.expect(204);
        let Some(next) = told.tag("NextVersionIdMarker") else { break };
        marker = format!("&key-marker=k&version-id-marker={next}");
    }
    world.delete("/photos").send().await.expect(204);
}

#[tokio::test]
async fn a_version_id_of_zeros_is_not_the_null_version() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("null").send().await.expect(200);
    world.put("/photos?versioning").body(ON).send().await.expect(200);
    world.put("/photos/k").body("one").send().await.expect(200);
    let uri = format!("/photos/k?versionId={}", "0".repeat(32));
    world.get(&uri).send().await.refused(404, "NoSuchVersion");
    world.delete(&uri).send().await.expect(204);
    let null = world.get("/photos/k?versionId=null").send().await.expect(200);
    assert_eq!(null.bytes(), "null");
}

#[tokio::test]
async fn old_versions_and_markers_keep_a_bucket() {
    let world = versioned().await;
    let put = world.put("/photos/k").body("x").send().await.expect(200);
    let marker = world.delete("/photos/k").send().await.expect(204);
    for id in [put.header("x-amz-version-id"), marker.header("x-amz-version-id")] {
        world.delete("/photos").send().await.refused(409, "BucketNotEmpty");
        world.delete(&format!("/photos/k?versionId={id}")).send().await.expect(204);
    }
    world.delete("/photos").send().await.expect(204);
}

#[tokio::test]
async fn versioning_is_on_or_suspended_and_nothing_else() {
    let world = World::with_bucket("photos").await;
    for body in ["<VersioningConfiguration/>", &ON.replace("Enabled", "Off"), "<Versioning"] {
        let told = world.put("/photos?versioning").body(body.to_owned()).send().await;
        told.refused(400, "MalformedXML");
    }
    let mfa = ON.replace("</V", "<MfaDelete>Enabled</MfaDelete></V");
    world.put("/photos?versioning").body(mfa).send().await.refused(501, "NotImplemented");
    world
        .put("/photos?versioning")
        .body(ON)
        .by(&world.bob)
        .send()
        .await
        .refused(403, "AccessDenied");
    let status = world.get("/photos?versioning").send().await.expect(200);
    assert_eq!(status.tag("Status"), None);
}

#[tokio::test]
async fn the_source_of_a_copy_is_checked_as_asked() {
    let world = versioned().await;
    world.put("/photos/k").body("x").send().await.expect(200);
    world.put("/photos/kept").body("x").send().await.expect(200);
    let marker = world.delete("/photos/k").send().await.header("x-amz-version-id").to_owned();
    let copy = |source: &str| world.put("/photos/to").header("x-amz-copy-source", source);
    copy(&format!("photos/k?versionId={marker}")).send().await.refused(400, "InvalidRequest");
    copy("photos/k").send().await.refused(404, "NoSuchKey");
    // The same bucket is checked as any other.
    let owner = "x-amz-source-expected-bucket-owner";
    copy("photos/kept").header(owner, "999").send().await.refused(403, "AccessDenied");
    world.get("/photos/to").send().await.refused(404, "NoSuchKey");
    copy("photos/kept").send().await.expect(200);
}
