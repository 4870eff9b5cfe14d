//! What the S3 backend promises beyond the shared suite: whose bucket it is, how much memory uploads take, and that
//! nothing unfinished stays. Over a fake endpoint; real servers are asked by the end-to-end tests.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;

use super::fake::{BUCKET, Fake};
use super::*;
use crate::backend::once;
use crate::config::SecretSource;

const MIB: u64 = 1024 * 1024;

fn config(prefix: &str, conditional_put: bool) -> S3Config {
    S3Config {
        endpoint: "http://fake".to_owned(),
        region: "r".to_owned(),
        bucket: BUCKET.to_owned(),
        prefix: prefix.to_owned(),
        access_key: "a".to_owned(),
        // A file that is always there; what is in it does not matter to the fake.
        secret_key: SecretSource::File(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into()),
        path_style: true,
        allow_http: true,
        conditional_put,
    }
}

async fn open_as(
    fake: &Arc<Fake>,
    (cluster, id): (&str, u32),
    config: &S3Config,
    expect: Expect,
) -> Result<S3, Error> {
    open_within(fake, (cluster, id), config, expect, Budget::of(64 * MIB)).await
}

async fn open_within(
    fake: &Arc<Fake>,
    (cluster, id): (&str, u32),
    config: &S3Config,
    expect: Expect,
    budget: Budget,
) -> Result<S3, Error> {
    let settings = Settings {
        id: BackendId(id),
        name: "warm".to_owned(),
        cluster: cluster.to_owned(),
        expect,
    };
    let clients = Clients::over("warm", config, fake.http())?;
    S3::open_over(settings, config, clients, Arc::new(budget)).await
}

fn key(text: &str) -> BackendKey {
    BackendKey::parse(text).unwrap()
}

async fn put(s3: &S3, name: &str, body: ByteStream) -> Result<Stored, Error> {
    s3.put(&key(name), &Attributes::default(), None, body).await
}

#[tokio::test]
async fn an_empty_prefix_becomes_ours_and_stays_ours() {
    for conditional_put in [true, false] {
        let fake = Arc::new(Fake::default());
        let config = config("a/b", conditional_put);
        let s3 = open_as(&fake, ("c", 1), &config, Expect::FreshOrOurs).await.unwrap();
        s3.check().await.unwrap();
        assert!(fake.objects.lock().contains_key("a/b/identity.json"));
        put(&s3, "w/1", once(Bytes::from_static(b"x"))).await.unwrap();
        for expect in [Expect::FreshOrOurs, Expect::Ours] {
            open_as(&fake, ("c", 1), &config, expect).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_renamed_backend_or_another_cluster_is_refused() {
    for conditional_put in [true, false] {
        let fake = Arc::new(Fake::default());
        let config = config("", conditional_put);
        open_as(&fake, ("c", 1), &config, Expect::FreshOrOurs).await.unwrap();
        for other in [("c", 2), ("d", 1)] {
            for expect in [Expect::FreshOrOurs, Expect::Ours] {
                let error = open_as(&fake, other, &config, expect).await.unwrap_err();
                assert!(matches!(error, Error::IdentityMismatch { .. }), "{error:?}");
                assert!(error.to_string().contains("give back the former name"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn of_clusters_that_race_for_a_prefix_one_wins() {
    let fake = Arc::new(Fake { pause: Duration::from_millis(1), ..Fake::default() });
    let config = config("p", true);
    let openings =
        ["c", "d", "e"].map(|cluster| open_as(&fake, (cluster, 1), &config, Expect::FreshOrOurs));
    let opened: Vec<_> = join_all(openings).await;
    assert_eq!(opened.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{opened:?}");
}

#[tokio::test]
async fn a_store_that_lost_its_identity_is_not_an_empty_one() {
    let fake = Arc::new(Fake::default());
    let config = config("p", true);
    let lost = open_as(&fake, ("c", 1), &config, Expect::Ours).await.unwrap_err();
    assert!(matches!(lost, Error::IdentityMissing { .. }), "{lost:?}");
    fake.objects.lock().insert("p/Holiday.jpg".to_owned(), Bytes::new());
    let foreign = open_as(&fake, ("c", 1), &config, Expect::FreshOrOurs).await.unwrap_err();
    assert!(matches!(foreign, Error::IdentityMissing { .. }), "{foreign:?}");
    fake.objects.lock().clear();
    let s3 = open_as(&fake, ("c", 1), &config, Expect::FreshOrOurs).await.unwrap();
    let kept = fake.objects.lock().remove("p/identity.json").unwrap();
    for outcome in [s3.identify().await, s3.check().await] {
        assert!(matches!(outcome, Err(Error::IdentityMissing { .. })), "{outcome:?}");
    }
    let advice = open_as(&fake, ("c", 1), &config, Expect::Ours).await.unwrap_err().to_string();
    assert!(advice.contains(std::str::from_utf8(&kept).unwrap()), "{advice}");
    fake.objects.lock().insert("p/identity.json".to_owned(), kept);
    s3.identify().await.unwrap();
}

/// An endpoint that is down keeps no node from starting; nothing is written to it before it was proved.
#[tokio::test(start_paused = true)]
async fn a_known_backend_opens_while_its_endpoint_is_down_and_is_proved_later() {
    let fake = Arc::new(Fake::default());
    let config = config("p", true);
    fake.is_down.store(true, Ordering::SeqCst);
    assert!(open_as(&fake, ("c", 1), &config, Expect::FreshOrOurs).await.is_err());
    let s3 = open_as(&fake, ("c", 1), &config, Expect::Ours).await.unwrap();
    assert!(s3.identify().await.is_err() && s3.check().await.is_err());
    fake.is_down.store(false, Ordering::SeqCst);
    let other = Identity::new("d", BackendId(1)).to_text();
    fake.objects.lock().insert("p/identity.json".to_owned(), other.into());
    let body = || once(Bytes::from_static(b"x"));
    let refused = put(&s3, "w/1", body()).await;
    assert!(matches!(refused, Err(Error::IdentityMismatch { .. })), "{refused:?}");
    assert!(s3.copy(&key("w/1"), &key("w/2")).await.is_err());
    let ours = Identity::new("c", BackendId(1)).to_text();
    fake.objects.lock().insert("p/identity.json".to_owned(), ours.into());
    put(&s3, "w/1", body()).await.unwrap();
}

#[tokio::test]
async fn the_identity_is_no_blob() {
    let fake = Arc::new(Fake::default());
    let s3 = open_as(&fake, ("c", 1), &config("p", true), Expect::FreshOrOurs).await.unwrap();
    put(&s3, "a", once(Bytes::from_static(b"x"))).await.unwrap();
    let listed = s3.list("", None, 10).await.unwrap();
    assert_eq!(listed, [Listed { key: key("a"), size_bytes: 1 }]);
    assert!(s3.delete(&key("identity.json")).await.is_err());
    assert!(s3.copy(&key("a"), &key("identity.json")).await.is_err());
    assert!(put(&s3, "identity.json", once(Bytes::new())).await.is_err());
    s3.identify().await.unwrap();
    // Only under its own name: elsewhere it is a key like any other.
    put(&s3, "w/identity.json", once(Bytes::new())).await.unwrap();
    s3.delete(&key("w/identity.json")).await.unwrap();
}

#[tokio::test]
async fn unfinished_uploads_of_a_prefix_are_aborted_and_no_others() {
    let fake = Arc::new(Fake::default());
    let s3 = open_as(&fake, ("c", 1), &config("p", true), Expect::FreshOrOurs).await.unwrap();
    let begin = |name: String| {
        fake.uploads.lock().insert(format!("id-of-{name}+/="), (name, 5));
    };
    for number in 0..7 {
        begin(format!("p/w/c/1/1/1/7/{number}"));
    }
    begin("p/w/c/1/1/1/77/1".to_owned());
    begin("q/w/c/1/1/1/7/1".to_owned());
    assert_eq!(s3.abort_unfinished("w/c/1/1/1/7/").await.unwrap(), 7);
    assert_eq!(s3.abort_unfinished("w/c/1/1/1/7/").await.unwrap(), 0);
    let left: Vec<String> = fake.uploads.lock().values().map(|(key, _)| key.clone()).collect();
    assert_eq!(left, ["p/w/c/1/1/1/77/1", "q/w/c/1/1/1/7/1"]);
}

/// A body of zeros that counts what was received of it, and the most that all bodies held at once.
fn counted(
    bytes: u64,
    fake: &Arc<Fake>,
    received: &Arc<AtomicU64>,
    most: &Arc<AtomicU64>,
) -> ByteStream {
    const CHUNK: Bytes = Bytes::from_static(&[0; CHUNK_BYTES as usize]);
    let (fake, received, most) = (Arc::clone(fake), Arc::clone(received), Arc::clone(most));
    Box::pin(futures::stream::iter(0..bytes / CHUNK_BYTES).map(move |_| {
        let received = received.fetch_add(CHUNK_BYTES, Ordering::SeqCst) + CHUNK_BYTES;
        let held = received.saturating_sub(fake.taken_bytes.load(Ordering::SeqCst));
        most.fetch_max(held, Ordering::SeqCst);
        Ok(CHUNK)
    }))
}

const CHUNK_BYTES: u64 = 64 * 1024;

#[tokio::test(start_paused = true)]
async fn uploads_share_one_bound_of_memory_and_all_end() {
    const UPLOADS: u64 = 24;
    const UPLOAD_BYTES: u64 = 20 * MIB;
    const BUDGET_BYTES: u64 = 24 * MIB;
    let fake = Arc::new(Fake { pause: Duration::from_millis(20), ..Fake::default() });
    let budget = Budget::of(BUDGET_BYTES);
    let config = config("p", true);
    let s3 = open_within(&fake, ("c", 1), &config, Expect::FreshOrOurs, budget).await.unwrap();
    // The identity was taken and never counted as received.
    fake.taken_bytes.store(0, Ordering::SeqCst);
    let (received, most) = (Arc::default(), Arc::default());
    let uploads = (0..UPLOADS).map(|number| {
        let body = counted(UPLOAD_BYTES, &fake, &received, &most);
        let (s3, size_hint) = (&s3, (number % 2 == 0).then_some(UPLOAD_BYTES));
        async move {
            let key = key(&format!("w/{number}"));
            s3.put(&key, &Attributes::default(), size_hint, body).await
        }
    });
    let hour = Duration::from_secs(3600);
    let ended =
        tokio::time::timeout(hour, join_all(uploads)).await.expect("no upload waits for ever");
    for outcome in ended {
        assert_eq!(outcome.unwrap().size_bytes, UPLOAD_BYTES);
    }
    // Each body may have one chunk more at hand, to tell whether its part was the last.
    let bound = BUDGET_BYTES + UPLOADS * CHUNK_BYTES;
    let most = most.load(Ordering::SeqCst);
    assert!(most <= bound, "{most} bytes were held at once, {bound} are allowed");
    assert!(most > BUDGET_BYTES / 2, "{most} bytes: the budget was not used, so nothing was shown");
}

#[tokio::test(start_paused = true)]
async fn a_part_larger_than_the_budget_still_passes_and_room_is_given_back() {
    let fake = Arc::new(Fake { pause: Duration::from_millis(20), ..Fake::default() });
    let config = config("p", true);
    let budget = Budget::of(MIB);
    let s3 = open_within(&fake, ("c", 1), &config, Expect::FreshOrOurs, budget).await.unwrap();
    let hour = Duration::from_secs(3600);
    for round in 0..3 {
        let (received, most) = (Arc::default(), Arc::default());
        let body = counted(20 * MIB, &fake, &received, &most);
        let broken = futures::stream::iter([Err(Error::Body { source: "reset".into() })]);
        let name = format!("broken-{round}");
        let failed = put(&s3, &name, Box::pin(body.chain(broken)));
        tokio::time::timeout(hour, failed).await.expect("room is given back").unwrap_err();
        let body = counted(20 * MIB, &fake, &received, &most);
        let name = format!("sound-{round}");
        let sound = put(&s3, &name, body);
        tokio::time::timeout(hour, sound).await.expect("room is given back").unwrap();
        let never = Box::pin(futures::stream::pending());
        let name = format!("dropped-{round}");
        let dropped = put(&s3, &name, never);
        tokio::time::timeout(Duration::from_secs(1), dropped).await.unwrap_err();
    }
    assert!(fake.uploads.lock().is_empty(), "broken uploads are aborted");
}
