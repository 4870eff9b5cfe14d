//! Commands and queries through the catalog, many at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use vaultaire_proto::catalog::List;
use vaultaire_proto::command::shard_of;
use vaultaire_proto::{
    Answer, Catalog, CatalogError, Condition, Consistency, ObjectKey, Query, Rejection, Response,
};

use super::{BUCKET, SHARDS, World, create_only};
use crate::raft::barrier::Barrier;
use crate::tables::overlay::Overlay;
use crate::tables::writer::Outcome;

/// Clients that create the same key at the same time.
const RIVALS: u8 = 64;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_creates_exactly_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let world = Arc::new(World::start(&folder).await);
    for round in 0..5 {
        let key = format!("lock-{round}");
        let rivals = (0..RIVALS).map(|rival| {
            let (world, command) = (Arc::clone(&world), world.put(&key, rival, create_only()));
            tokio::spawn(async move { (rival, world.catalog.commit(command).await.unwrap()) })
        });
        let mut winners = Vec::new();
        for outcome in futures::future::join_all(rivals).await {
            match outcome.unwrap() {
                (rival, Response::Put(_)) => winners.push(rival),
                (_, Response::Rejected(Rejection::PreconditionFailed)) => {}
                (rival, other) => panic!("rival {rival} was answered {other:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(world.get(&key).await, winners.first().copied());
    }
    let metrics = world.groups.metrics();
    let (commands, entries): (u64, u64) = metrics
        .iter()
        .fold((0, 0), |sum, group| (sum.0 + group.commands_total, sum.1 + group.entries_total));
    assert!(
        commands > 2 * entries,
        "{commands} commands took {entries} entries: they do not share"
    );
    world.groups.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_sees_every_write_acknowledged_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let world = Arc::new(World::start(&folder).await);
    let clients = (0..8).map(|client| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let key = format!("client-{client}");
            for content in 0..50 {
                let put = world.put(&key, content, Condition::default());
                assert!(matches!(world.catalog.commit(put).await.unwrap(), Response::Put(_)));
                assert_eq!(world.get(&key).await, Some(content));
            }
        })
    });
    for client in futures::future::join_all(clients).await {
        client.unwrap();
    }
    world.groups.shutdown().await.unwrap();
}

/// The general way, which a cluster of several takes: a read waits for what was committed before it, and is released then.
#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_read_waits_for_what_was_committed_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let world = Arc::new(World::start(&folder).await);
    let put = world.put("a", 1, Condition::default());
    let replicas = world.catalog.replicas();
    let replica = Arc::clone(replicas.iter().find(|replica| replica.id == put.group).unwrap());
    let applied = || replica.table.applied().unwrap().index;

    // Tables have one writer: while it is held up in one group, no other one applies.
    let control = Arc::clone(&replicas[0].table);
    let meta = control.meta_of(&control.view()).unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let hold = move |_: &mut Overlay<'_>| {
        held.recv().unwrap();
        Outcome { meta, then: Box::new(|| {}) }
    };
    let holding = tokio::spawn(async move { control.apply(Box::new(hold)).await.unwrap() });
    let before = applied();
    let writer = Arc::clone(&world);
    let writing = tokio::spawn(async move { writer.catalog.commit(put).await });
    while replica.metrics().committed == before {
        tokio::task::yield_now().await;
    }

    let reads = (0..100).map(|_| Barrier::confirmed(&replica.barrier));
    let mut reads = std::pin::pin!(futures::future::join_all(reads));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut reads).await;
    assert!(early.is_err(), "a read was released though entry {} is not applied", before + 1);
    assert_eq!(applied(), before);
    release.send(()).unwrap();
    for read in reads.await {
        read.unwrap();
    }
    assert!(applied() > before);
    assert_eq!(world.get("a").await, Some(1));
    holding.await.unwrap();
    writing.await.unwrap().unwrap();
    world.groups.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_merges_all_shards_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(&folder).await;
    let keys: BTreeSet<String> = (0..50).map(|number| format!("{number:03}")).collect();
    let shards: BTreeSet<u16> = keys
        .iter()
        .map(|key| shard_of(BUCKET, &ObjectKey::parse(key).unwrap(), SHARDS).0)
        .collect();
    assert_eq!(shards.len(), usize::from(SHARDS), "the keys must lie in every shard");
    for key in &keys {
        world.catalog.commit(world.put(key, 1, Condition::default())).await.unwrap();
    }
    let list = List {
        bucket: BUCKET,
        prefix: String::new(),
        delimiter: String::new(),
        after: String::new(),
        limit: 1000,
    };
    let Answer::List(page) =
        world.catalog.query(Query::List(list), Consistency::Linearizable).await.unwrap()
    else {
        panic!("an answer of another kind");
    };
    let found: Vec<String> = page
        .items
        .iter()
        .map(|item| match item {
            vaultaire_proto::catalog::Item::Entry(object) => object.key.as_str().to_owned(),
            vaultaire_proto::catalog::Item::Prefix(prefix) => panic!("a prefix {prefix}"),
        })
        .collect();
    assert!(found.iter().eq(keys.iter()), "{found:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_is_answered_as_the_first_time() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(&folder).await;
    let mut first = world.put("a", 1, create_only());
    let answer = world.catalog.commit(first.clone()).await.unwrap();
    assert!(matches!(answer, Response::Put(_)));
    // The client's retry: the same request id and content, bytes uploaded again.
    let again = world.put("a", 1, create_only());
    first.operation = again.operation;
    assert_eq!(world.catalog.commit(first).await.unwrap(), answer);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_larger_than_an_entry_is_refused_and_its_group_lives() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(&folder).await;
    let mut large = world.put("a", 1, Condition::default());
    let vaultaire_proto::Operation::PutVersion(put) = &mut large.operation else {
        panic!("a PUT is a PUT");
    };
    put.attributes.tags = vec![("tag".to_owned(), "x".repeat(33 << 20))];
    let answer = world.catalog.commit(large).await.unwrap();
    assert_eq!(answer, Response::Rejected(Rejection::Malformed));
    let small = world.put("a", 2, Condition::default());
    assert!(matches!(world.catalog.commit(small).await.unwrap(), Response::Put(_)));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_commands_are_refused_and_views_still_answer() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(&folder).await;
    let put = world.put("a", 1, Condition::default());
    world.catalog.commit(put).await.unwrap();
    let late = world.put("a", 2, Condition::default());
    world.groups.shutdown().await.unwrap();
    assert_eq!(world.catalog.commit(late).await, Err(CatalogError::Stopped));
    let key = ObjectKey::parse("a").unwrap();
    let query = Query::Version { bucket: BUCKET, key, version: None, manifest: false };
    assert!(world.catalog.query(query, Consistency::Stale).await.is_ok());
}
