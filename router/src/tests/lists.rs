//! Lists: v1, v2 and versions, their pages and encodings.

use crate::test_support::world::World;

const KEYS: [&str; 7] = ["a", "b/1", "b/2", "b/c/3", "d e+f", "z", "ü"];

async fn world() -> World {
    let world = World::with_bucket("photos").await;
    for key in KEYS {
        let uri = format!("/photos/{}", crate::attributes::url_encode(key));
        world.put(&uri).body(key).send().await.expect(200);
    }
    world
}

#[tokio::test]
async fn version_two_pages_by_token() {
    let world = world().await;
    let all = world.get("/photos?list-type=2").send().await.expect(200);
    assert_eq!(all.tags("Key"), KEYS);
    assert_eq!(
        (all.tag("KeyCount").as_deref(), all.tag("IsTruncated").as_deref()),
        (Some("7"), Some("false"))
    );
    assert!(all.tag("Owner").is_none());
    assert_eq!(all.tags("Size"), ["1", "3", "3", "5", "5", "1", "2"]);
    let (mut found, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let told = world
            .get(&format!("/photos?list-type=2&max-keys=2&delimiter=/{token}"))
            .send()
            .await
            .expect(200);
        found.extend(told.tags("Key"));
        found.extend(told.tags("CommonPrefixes"));
        pages += 1;
        match told.tag("NextContinuationToken") {
            Some(next) => token = format!("&continuation-token={next}"),
            None => break,
        }
    }
    assert_eq!((pages, found.len()), (3, 5), "{found:?}");
    assert!(found.iter().any(|one| one.contains("<Prefix>b/</Prefix>")), "{found:?}");
    let after =
        world.get("/photos?list-type=2&start-after=b/2&fetch-owner=true").send().await.expect(200);
    assert_eq!(after.tags("Key"), ["b/c/3", "d e+f", "z", "ü"]);
    assert_eq!(after.tag("DisplayName").as_deref(), Some("ann"));
    let none = world.get("/photos?list-type=2&max-keys=0").send().await.expect(200);
    assert_eq!((none.tags("Key").len(), none.tag("IsTruncated").as_deref()), (0, Some("false")));
    for bad in ["continuation-token=x", "max-keys=x", "max-keys=-1", "encoding-type=base64"] {
        world
            .get(&format!("/photos?list-type=2&{bad}"))
            .send()
            .await
            .refused(400, "InvalidArgument");
    }
    world.get("/photos?list-type=3").send().await.refused(400, "InvalidArgument");
}

#[tokio::test]
async fn version_one_pages_by_marker() {
    let world = world().await;
    let told = world.get("/photos?prefix=b/&delimiter=/").send().await.expect(200);
    assert_eq!(told.tags("Key"), ["b/1", "b/2"]);
    assert!(
        told.text().contains("<CommonPrefixes><Prefix>b/c/</Prefix></CommonPrefixes>"),
        "{}",
        told.text()
    );
    let first = world.get("/photos?max-keys=2&delimiter=/").send().await.expect(200);
    assert_eq!(first.tag("NextMarker").as_deref(), Some("b/"));
    let second = world.get("/photos?max-keys=2&delimiter=/&marker=b/").send().await.expect(200);
    assert_eq!(second.tags("Key"), ["d e+f", "z"]);
    assert_eq!(second.tags("DisplayName"), ["ann", "ann"]);
}

#[tokio::test]
async fn names_are_encoded_when_asked() {
    let world = world().await;
    let told =
        world.get("/photos?list-type=2&encoding-type=url&prefix=d%20").send().await.expect(200);
    assert_eq!(told.tags("Key"), ["d%20e%2Bf"]);
    assert_eq!(told.tag("EncodingType").as_deref(), Some("url"));
    assert!(told.text().contains("<Prefix>d%20</Prefix>"), "{}", told.text());
}

/// XML reads a bare carriage return as the end of a line.
#[tokio::test]
async fn a_key_with_a_carriage_return_comes_back_as_itself() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/a%0D%0Ab").body("x").send().await.expect(200);
    for uri in ["/photos?list-type=2", "/photos", "/photos?versions"] {
        let text = world.get(uri).send().await.expect(200).text();
        assert!(text.contains("<Key>a&#13;\nb</Key>"), "{uri}: {text}");
        assert!(!text.contains('\r'), "{uri}: {text}");
    }
    let missing = world.get("/photos/%0D").send().await.refused(404, "NoSuchKey");
    assert!(missing.text().contains("<Key>&#13;</Key>"), "{}", missing.text());
    let delete = "<Delete><Object><Key>a&#13;\nb</Key></Object></Delete>";
    world.post("/photos?delete").body(delete).send().await.expect(200);
    world.get("/photos/a%0D%0Ab").send().await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn unversioned_objects_are_null_versions() {
    let world = world().await;
    let told = world.get("/photos?versions").send().await.expect(200);
    assert_eq!(told.tags("Key"), KEYS);
    assert!(told.tags("VersionId").iter().all(|id| id == "null"), "{}", told.text());
    assert!(told.tags("IsLatest").iter().all(|latest| latest == "true"));
    let first = world.get("/photos?versions&max-keys=3").send().await.expect(200);
    let (key, version) =
        (first.tag("NextKeyMarker").unwrap(), first.tag("NextVersionIdMarker").unwrap());
    assert_eq!(key, "b/2");
    for marker in [version.as_str(), "null"] {
        let uri = format!("/photos?versions&key-marker=b/2&version-id-marker={marker}");
        let rest = world.get(&uri).send().await.expect(200);
        assert_eq!(rest.tags("Key"), ["b/c/3", "d e+f", "z", "ü"]);
    }
    world.get("/photos/a?versionId=null").send().await.expect(200);
    world.get("/photos/a?versionId=nonsense").send().await.refused(400, "InvalidArgument");
    world
        .get(&format!("/photos/a?versionId={}", "0".repeat(32)))
        .send()
        .await
        .refused(404, "NoSuchVersion");
    world.delete("/photos/a?versionId=null").send().await.expect(204);
    world.get("/photos/a").send().await.refused(404, "NoSuchKey");
}
