//! Buckets: made, found, refused, removed.

use vaultaire_proto::row::BucketPhase;
use vaultaire_proto::settle::settle_bucket;
use vaultaire_proto::{
    Answer, BucketName, Catalog, Command, Consistency, GroupId, Operation, Query, RequestId,
    Response, TimeMs,
};

use crate::request_id::Fields;
use crate::test_support::world::World;

#[tokio::test]
async fn a_bucket_is_made_found_and_removed() {
    let world = World::new().await;
    let made = world.put("/photos").send().await.expect(200);
    assert_eq!(made.header("location"), "/photos");
    world.put("/photos/").send().await.expect(200);
    let head = world.head("/photos/").send().await.expect(200);
    assert_eq!(head.header("x-amz-bucket-region"), "us-east-1");
    let all = world.get("/").send().await.expect(200);
    assert_eq!(all.tags("Name"), ["photos"]);
    assert_eq!(all.tag("DisplayName").as_deref(), Some("ann"), "{}", all.text());
    let location = world.get("/photos?location").send().await.expect(200);
    assert!(location.text().contains("LocationConstraint"), "{}", location.text());
    world.put("/photos/k").body("x").send().await.expect(200);
    world.delete("/photos").send().await.refused(409, "BucketNotEmpty");
    world.put("/photos/l").body("still writable").send().await.expect(200);
    for key in ["k", "l"] {
        world.delete(&format!("/photos/{key}")).send().await.expect(204);
    }
    world.delete("/photos").send().await.expect(204);
    world.head("/photos").send().await.expect(404);
    world.get("/photos/k").send().await.refused(404, "NoSuchBucket");
    world.put("/photos").by(&world.bob).send().await.expect(200);
}

/// The id that a DeleteBucket of Ann's with this invocation id has.
fn delete_request(world: &World, bucket: &str, invocation: &str) -> RequestId {
    let mut fields = Fields::default();
    for text in [&world.ann.access, "DeleteBucket", bucket, "", "", "", ""] {
        fields.text(text);
    }
    fields.number(0);
    fields.text("");
    fields.bytes(invocation.as_bytes());
    RequestId(fields.digest())
}

#[tokio::test]
async fn a_retried_delete_of_a_bucket_that_is_empty_by_now_deletes_it() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("landed in between").send().await.expect(200);
    let name = BucketName::parse("photos").unwrap();
    let found = world.catalog.query(Query::Bucket(name), Consistency::Linearizable).await;
    let Ok(Answer::Bucket(Some(bucket))) = found else { panic!("{found:?}") };
    let first = Command {
        group: GroupId::CONTROL,
        request: delete_request(&world, "photos", "retried"),
        not_after: TimeMs(u64::MAX),
        operation: Operation::DeleteBucket { bucket: bucket.id },
    };
    let began = world.catalog.commit(first).await;
    let Ok(Response::Bucket(row)) = began else { panic!("{began:?}") };
    let ended = settle_bucket(&*world.catalog, row).await.unwrap();
    assert_eq!(ended.phase, BucketPhase::Open, "it was not empty");
    world.delete("/photos/k").send().await.expect(204);
    let retry = world.delete("/photos").header("amz-sdk-invocation-id", "retried");
    retry.send().await.expect(204);
    world.head("/photos").send().await.expect(404);
}

#[tokio::test]
async fn buckets_belong_to_their_owner() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("x").send().await.expect(200);
    world.put("/photos").by(&world.bob).send().await.refused(409, "BucketAlreadyExists");
    for ask in [
        world.get("/photos"),
        world.get("/photos/k"),
        world.put("/photos/k").body("y"),
        world.delete("/photos/k"),
        world.delete("/photos"),
        world.get("/photos?acl"),
        world.get("/photos?versions"),
        world.post("/photos/k?uploads"),
        world.post("/photos?delete").body("<Delete><Object><Key>k</Key></Object></Delete>"),
    ] {
        ask.clone().by(&world.bob).send().await.refused(403, "AccessDenied");
        ask.by_nobody().send().await.refused(403, "AccessDenied");
    }
    assert!(world.get("/").by(&world.bob).send().await.expect(200).tags("Name").is_empty());
    let copied = world.put("/bobs").by(&world.bob).send().await;
    copied.expect(200);
    let source = world.put("/bobs/k").by(&world.bob).header("x-amz-copy-source", "photos/k");
    source.send().await.refused(403, "AccessDenied");
    assert_eq!(world.get("/photos/k").send().await.expect(200).bytes(), "x");
    let owner = world.get("/photos").header("x-amz-expected-bucket-owner", "2");
    owner.send().await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn names_and_regions_have_limits() {
    let world = World::new().await;
    for name in
        ["ab", "Upper", "under_score", "192.168.0.1", "livez", "readyz", "a..b", "x-s3alias"]
    {
        world.put(&format!("/{name}")).send().await.refused(400, "InvalidBucketName");
    }
    let elsewhere = "<CreateBucketConfiguration><LocationConstraint>mars-1</LocationConstraint></CreateBucketConfiguration>";
    world
        .put("/photos")
        .body(elsewhere)
        .send()
        .await
        .refused(400, "IllegalLocationConstraintException");
    let here = elsewhere.replace("mars-1", "us-east-1");
    world.put("/photos").body(here).send().await.expect(200);
    world
        .put("/photos2")
        .body("<CreateBucketConfiguration")
        .send()
        .await
        .refused(400, "MalformedXML");
    world
        .put("/photos3")
        .header("x-amz-acl", "public-read")
        .send()
        .await
        .refused(400, "AccessControlListNotSupported");
}

#[tokio::test]
async fn lists_of_buckets_have_pages() {
    let world = World::new().await;
    for name in ["one", "three", "two", "twox"] {
        world.put(&format!("/{name}")).send().await.expect(200);
    }
    let first = world.get("/?max-buckets=2").send().await.expect(200);
    assert_eq!(first.tags("Name"), ["one", "three"]);
    let token = first.tag("ContinuationToken").unwrap();
    let second =
        world.get(&format!("/?max-buckets=2&continuation-token={token}")).send().await.expect(200);
    assert_eq!(second.tags("Name"), ["two", "twox"]);
    assert_eq!(second.tag("ContinuationToken"), None);
    assert_eq!(world.get("/?prefix=tw").send().await.expect(200).tags("Name"), ["two", "twox"]);
    world.get("/?continuation-token=forged").send().await.refused(400, "InvalidArgument");
}

#[tokio::test]
async fn configurations_that_no_bucket_has_are_answered_as_s3_does() {
    let world = World::with_bucket("photos").await;
    for (name, code) in [
        ("policy", "NoSuchBucketPolicy"),
        ("cors", "NoSuchCORSConfiguration"),
        ("tagging", "NoSuchTagSet"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("website", "NoSuchWebsiteConfiguration"),
        ("replication", "ReplicationConfigurationNotFoundError"),
        ("object-lock", "ObjectLockConfigurationNotFoundError"),
    ] {
        world.get(&format!("/photos?{name}")).send().await.refused(404, code);
    }
    for (name, root) in [
        ("versioning", "VersioningConfiguration"),
        ("logging", "BucketLoggingStatus"),
        ("notification", "NotificationConfiguration"),
        ("accelerate", "AccelerateConfiguration"),
        ("requestPayment", "RequestPaymentConfiguration"),
        ("ownershipControls", "OwnershipControls"),
        ("publicAccessBlock", "PublicAccessBlockConfiguration"),
        ("acl", "AccessControlPolicy"),
    ] {
        let told = world.get(&format!("/photos?{name}")).send().await.expect(200);
        assert!(told.text().contains(&format!("<{root}")), "{}", told.text());
    }
    let acl = world.get("/photos?acl").send().await.text();
    world.put("/photos?acl").body(acl.clone()).send().await.expect(200);
    world.put("/photos?acl").header("x-amz-acl", "private").send().await.expect(200);
    world
        .put("/photos?acl")
        .body(acl.replace("FULL_CONTROL", "READ"))
        .send()
        .await
        .refused(400, "AccessControlListNotSupported");
    world
        .put("/photos/none?acl")
        .header("x-amz-acl", "private")
        .send()
        .await
        .refused(404, "NoSuchKey");
    for name in ["policy", "cors", "tagging", "lifecycle", "website"] {
        world.delete(&format!("/photos?{name}")).send().await.expect(204);
    }
    world.put("/photos/k").body("x").send().await.expect(200);
    for name in ["legal-hold", "retention"] {
        let uri = format!("/photos/k?{name}");
        world.get(&uri).send().await.refused(400, "InvalidRequest");
        world.put(&uri).body("<Retention/>").send().await.refused(400, "InvalidRequest");
    }
    world.head("/photos").send().await.expect(200);
}
