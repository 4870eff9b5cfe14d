//! What was acknowledged is there after a stop, after a lost tail of the tables, and after the log was shortened.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vaultaire_proto::{Catalog, Condition};

use super::{World, foundation, try_start};
use crate::advice;
use crate::raft::group::{GroupMetrics, Role};
use crate::raft::purge;

/// Puts every key once and fails unless each is acknowledged.
async fn put_all(world: &World, keys: &[String], content: u8) {
    let puts =
        keys.iter().map(|key| world.catalog.commit(world.put(key, content, Condition::default())));
    for outcome in futures::future::join_all(puts).await {
        assert!(matches!(outcome.unwrap(), vaultaire_proto::Response::Put(_)));
    }
}

async fn expect_all(world: &World, keys: &[String], content: u8) {
    for key in keys {
        assert_eq!(world.get(key).await, Some(content), "{key}");
    }
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("key-{number}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_every_acknowledged_command() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(&folder).await;
    assert_eq!(world.groups.metrics().len(), 5);
    let keys = keys(40);
    put_all(&world, &keys, 1).await;
    expect_all(&world, &keys, 1).await;
    world.stop().await;

    let world = World::start(&folder).await;
    expect_all(&world, &keys, 1).await;
    put_all(&world, &keys, 2).await;
    world.stop().await;

    let world = World::start(&folder).await;
    expect_all(&world, &keys, 2).await;
    let leads = |metrics: &GroupMetrics| metrics.role == Role::Leader && metrics.leader.is_some();
    assert!(world.groups.metrics().iter().all(leads));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_reports_and_a_second_one_does_not_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let started = try_start(folder.path(), Some(foundation())).await.unwrap();
    assert!(started.report.founded && started.report.journal.created);
    assert_eq!(started.catalog.cluster().cluster, foundation().cluster);
    started.groups.shutdown().await.unwrap();
    started.groups.shutdown().await.unwrap();
    drop(started);

    let other = vaultaire_proto::command::InitCluster {
        cluster: vaultaire_proto::ClusterId([1; 16]),
        ..foundation()
    };
    for offered in [Some(other), None] {
        let started = try_start(folder.path(), offered).await.unwrap();
        assert!(!started.report.founded && !started.report.journal.created);
        assert_eq!(
            started.catalog.cluster().cluster,
            foundation().cluster,
            "the first founding counts"
        );
        started.groups.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_directory_is_not_founded_by_accident() {
    let folder = tempfile::tempdir().unwrap();
    let error = try_start(folder.path(), None).await.unwrap_err().to_string();
    assert!(error.contains("no cluster has been founded"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_founding_cut_short_goes_on_under_its_first_id() {
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("tables");
    fs::create_dir_all(&tables).unwrap();
    fs::write(tables.join("cluster"), format!("{}\n", vaultaire_proto::ClusterId([3; 16])))
        .unwrap();
    let started = try_start(folder.path(), Some(foundation())).await.unwrap();
    assert_eq!(started.catalog.cluster().cluster, vaultaire_proto::ClusterId([3; 16]));
    started.groups.shutdown().await.unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of the directory made while the node runs is what a crash of the process leaves behind. Writes go on meanwhile; those
/// acknowledged before the copy began must be in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_of_writes_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let world = Arc::new(World::start(&folder).await);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let writer = {
        let (world, acknowledged) = (Arc::clone(&world), Arc::clone(&acknowledged));
        tokio::spawn(async move {
            for round in 0..40 {
                put_all(&world, &[format!("round-{round}"), format!("also-{round}")], 1).await;
                acknowledged.store(round + 1, Ordering::SeqCst);
            }
        })
    };
    while acknowledged.load(Ordering::SeqCst) < 5 {
        tokio::task::yield_now().await;
    }
    let promised = acknowledged.load(Ordering::SeqCst);
    let image = tempfile::tempdir().unwrap();
    // The tables first: like after a power cut they may be older than the log, never newer.
    copy(&folder.path().join("tables"), &image.path().join("tables"));
    copy(&folder.path().join("journal"), &image.path().join("journal"));
    writer.await.unwrap();
    world.groups.shutdown().await.unwrap();

    let crashed = World::start(&image).await;
    for round in 0..promised {
        assert_eq!(
            crashed.get(&format!("round-{round}")).await,
            Some(1),
            "round {round} of {promised}"
        );
        assert_eq!(
            crashed.get(&format!("also-{round}")).await,
            Some(1),
            "round {round} of {promised}"
        );
    }
    crashed.stop().await;
}

/// A power cut takes what the tables had not synced; the log has it all.
#[tokio::test(flavor = "multi_thread")]
async fn tables_that_lost_their_tail_are_filled_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(&folder).await;
    let keys = keys(40);
    put_all(&world, &keys[..20], 1).await;
    world.stop().await;
    let (tables, older) = (folder.path().join("tables"), folder.path().join("older"));
    copy(&tables, &older);

    let world = World::start(&folder).await;
    put_all(&world, &keys, 2).await;
    world.stop().await;
    fs::remove_dir_all(&tables).unwrap();
    fs::rename(&older, &tables).unwrap();

    let world = World::start(&folder).await;
    expect_all(&world, &keys, 2).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shortened_log_and_its_tables_go_together() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(&folder).await;
    let keys = keys(60);
    put_all(&world, &keys, 1).await;
    let older = folder.path().join("older");
    copy(&folder.path().join("tables"), &older);
    put_all(&world, &keys, 2).await;
    for round in 0..20 {
        put_all(&world, &keys[..1], round).await;
    }
    for replica in world.catalog.replicas() {
        purge::shorten(replica).await.unwrap();
    }
    put_all(&world, &keys, 3).await;
    let purged: Vec<u64> = world.groups.metrics().iter().map(|metrics| metrics.purged).collect();
    assert!(purged.iter().skip(1).all(|purged| *purged > 0), "{purged:?}");
    world.stop().await;

    let world = World::start(&folder).await;
    expect_all(&world, &keys, 3).await;
    world.stop().await;

    // Tables from before the purge: entries are missing that nobody has any more.
    fs::remove_dir_all(folder.path().join("tables")).unwrap();
    fs::rename(&older, folder.path().join("tables")).unwrap();
    let error = try_start(folder.path(), None).await.unwrap_err().to_string();
    assert!(error.contains("older than its log") && error.contains(advice::RESTORE), "{error}");
}

/// What the kernel has cannot be told from what the disk has by reading files, so the tables say what they synced.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_shortened_only_up_to_what_the_tables_made_durable() {
    let folder = tempfile::tempdir().unwrap();
    World::start(&folder).await.stop().await;
    let world = World::start(&folder).await;
    for replica in world.catalog.replicas() {
        assert_eq!(replica.table.durable(), None, "nothing was synced since the start");
        purge::shorten(replica).await.unwrap();
        while replica.metrics().purged == 0 {
            tokio::task::yield_now().await;
        }
        let durable = replica.table.durable().map(|durable| durable.index);
        assert!(durable >= Some(replica.metrics().purged), "{durable:?}: {:?}", replica.metrics());
    }
    // A crash right after that.
    put_all(&world, &keys(1), 1).await;
    let image = tempfile::tempdir().unwrap();
    copy(&folder.path().join("tables"), &image.path().join("tables"));
    copy(&folder.path().join("journal"), &image.path().join("journal"));
    world.stop().await;
    let crashed = World::start(&image).await;
    expect_all(&crashed, &keys(1), 1).await;
    crashed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_journal_is_not_taken_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    World::start(&folder).await.stop().await;
    fs::remove_dir_all(folder.path().join("journal")).unwrap();
    for offered in [None, Some(foundation())] {
        let error = try_start(folder.path(), offered).await.unwrap_err().to_string();
        assert!(error.contains("log is gone") && error.contains(advice::RESTORE), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_shorter_than_its_tables_costs_one_voter_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let older = folder.path().join("older-journal");
    World::start(&folder).await.stop().await;
    copy(&folder.path().join("journal"), &older);

    let world = World::start(&folder).await;
    let keys = keys(40);
    put_all(&world, &keys, 1).await;
    world.stop().await;
    fs::remove_dir_all(folder.path().join("journal")).unwrap();
    fs::rename(&older, folder.path().join("journal")).unwrap();

    let world = World::start(&folder).await;
    expect_all(&world, &keys, 1).await;
    put_all(&world, &keys, 2).await;
    world.stop().await;
    let world = World::start(&folder).await;
    expect_all(&world, &keys, 2).await;
    world.stop().await;
}
