//! A check over the real state machine in memory: what is wrong is found, and what is right is not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use tokio::sync::mpsc;
use vaultaire_proto::row::BackendState;
use vaultaire_proto::{BackendKey, GroupId, Operation};
use vaultaire_storage::backend::{Attributes, Backend, once};

use crate::settings::Garbage;
use crate::verify::{Event, Finding, Kind, Options, Summary, Verifier};
use crate::workers::garbage::Collector;
use crate::workers::sweep::Sweeper;
use crate::world::World;

fn quick() -> Garbage {
    Garbage { upload_grace_ms: 1000, drain_ms: 500, resweep_ms: Vec::new(), ..Garbage::default() }
}

async fn verify(world: &World) -> (Summary, Vec<Finding>) {
    let (events, mut received) = mpsc::channel(64);
    let options = Options { checksums: true, backend: None };
    let context = &world.context;
    let verifier =
        Verifier::new(context.proposer.clone(), context.registry.clone(), options, events);
    let running = tokio::spawn(verifier.run());
    let (mut findings, mut summary) = (Vec::new(), None);
    while let Some(event) = received.recv().await {
        match event.unwrap() {
            Event::Progress(_) => {}
            Event::Finding(finding) => findings.push(finding),
            Event::Summary(last) => assert!(summary.replace(last).is_none(), "one summary"),
        }
    }
    running.await.unwrap().unwrap();
    (summary.unwrap(), findings)
}

#[tokio::test]
async fn a_sound_cluster_is_sound_while_uploads_and_garbage_are_about() {
    let world = World::new(quick()).await;
    world.put("a", b"0123456789").await;
    world.put("a", b"01234567").await;
    world.upload(b"under way").await;
    let (summary, findings) = verify(&world).await;
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!((summary.objects, summary.blobs, summary.checked_bytes), (1, 1, 8));
    assert_eq!(summary.unswept, 1, "the upload under way: {summary:?}");
}

#[tokio::test]
async fn lost_bytes_are_dangling() {
    let world = World::new(quick()).await;
    let cluster = world.context.proposer.catalog().cluster().cluster;
    let lost = world.put("a/lost", b"bytes").await;
    world.backend.delete(&lost.key.backend_key(cluster)).await.unwrap();
    let (summary, findings) = verify(&world).await;
    assert_eq!((summary.dangling, findings.len()), (1, 1), "{findings:?}");
    let finding = &findings[0];
    assert_eq!((finding.kind, finding.bucket.as_str()), (Kind::Dangling, "photos"));
    assert_eq!((finding.object_key.as_str(), finding.backend.as_str()), ("a/lost", "memory"));
}

#[tokio::test]
async fn changed_bytes_are_told_from_cut_ones() {
    let world = World::new(quick()).await;
    let cluster = world.context.proposer.catalog().cluster().cluster;
    for (key, bytes) in [("changed", b"bYtes".as_slice()), ("cut", b"byt")] {
        let location = world.put(key, b"bytes").await;
        let backend_key = location.key.backend_key(cluster);
        world.backend.delete(&backend_key).await.unwrap();
        let body = once(bytes.to_vec().into());
        world.backend.put(&backend_key, &Attributes::default(), None, body).await.unwrap();
    }
    let (summary, findings) = verify(&world).await;
    let mut found: Vec<_> =
        findings.iter().map(|finding| (finding.object_key.as_str(), finding.kind)).collect();
    found.sort_unstable_by_key(|(key, _)| *key);
    assert_eq!(found, [("changed", Kind::ChecksumMismatch), ("cut", Kind::SizeMismatch)]);
    assert_eq!((summary.checksum_mismatches, summary.size_mismatches), (1, 1));
}

#[tokio::test]
async fn what_no_sweep_will_find_is_an_orphan() {
    let world = World::new(quick()).await;
    let cluster = world.context.proposer.catalog().cluster().cluster;
    world.put("a", b"bytes").await;
    world.close_epoch().await;
    world.clock.advance_ms(1000);
    for _ in 0..2 {
        Sweeper::new(1000).step(&world.context).await;
    }
    let (_, findings) = verify(&world).await;
    assert!(findings.is_empty(), "an epoch that is gone keeps its live blobs: {findings:?}");
    world.upload(b"a zombie of a swept epoch").await;
    let foreign = BackendKey::parse(&format!("w/{cluster}/notes")).unwrap();
    world.backend.put(&foreign, &Attributes::default(), None, once("x".into())).await.unwrap();
    let (summary, findings) = verify(&world).await;
    assert_eq!((summary.orphans, summary.unswept), (2, 0), "{findings:?}");
    assert!(findings.iter().all(|finding| finding.kind == Kind::Orphan), "{findings:?}");
}

#[tokio::test]
async fn a_backend_that_is_gone_is_not_asked_for_its_keys() {
    let world = World::new(quick()).await;
    let cluster = world.context.proposer.catalog().cluster().cluster;
    let foreign = BackendKey::parse(&format!("w/{cluster}/notes")).unwrap();
    world.backend.put(&foreign, &Attributes::default(), None, once("x".into())).await.unwrap();
    assert_eq!(verify(&world).await.0.orphans, 1);
    let backend = world.backend.id();
    for state in [BackendState::Lost, BackendState::Removed] {
        let set = Operation::SetBackendState { backend, state };
        let proposer = &world.context.proposer;
        proposer.commit_accepted("it", GroupId::CONTROL, set).await.unwrap();
        let (summary, findings) = verify(&world).await;
        assert!(summary.orphans == 0 && findings.is_empty(), "{findings:?}");
    }
}

#[tokio::test]
async fn a_check_after_collection_finds_nothing_to_say() {
    let world = World::new(quick()).await;
    world.put("a", b"old").await;
    world.put("a", b"new").await;
    world.put("b", b"gone").await;
    world.delete("b").await;
    world.upload(b"abandoned").await;
    world.close_epoch().await;
    world.clock.advance_ms(2000);
    Collector::new(1000).step(&world.context).await;
    Sweeper::new(1000).step(&world.context).await;
    let (summary, findings) = verify(&world).await;
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!((summary.objects, summary.blobs, summary.unswept), (1, 1, 0));
    assert_eq!(world.backend.list("", None, 10).await.unwrap().len(), 1);
}
