//! How the node and its groups are doing, for `vaultaire status`. It answers without a quorum: from what
//! this node has applied.

use std::path::Path;

use vaultaire_proto::row::BucketPhase;
use vaultaire_proto::wire::admin;
use vaultaire_proto::{BucketName, Consistency, UserId};

use crate::ask;
use crate::error::Error;
use crate::grpc::{Parts, backends, names};
use crate::raft::group::{GroupMetrics, Role};

/// How many pages are counted before a number means "at least".
const PAGES_MAX: usize = 100;

pub async fn status(parts: &Parts) -> Result<admin::GetStatusResponse, Error> {
    let catalog = parts.proposer.catalog();
    let cluster = catalog.cluster();
    let nodes = ask::nodes(catalog, Consistency::Stale).await?.len();
    let tables = parts.data_dir.join("tables");
    let tables_bytes = tokio::task::spawn_blocking(move || folder_bytes(&tables)).await;
    let uptime = parts.started.elapsed().as_millis();
    Ok(admin::GetStatusResponse {
        node: format!("{}{}", names::NODES, parts.node),
        node_name: parts.node_name.clone(),
        cluster_id: cluster.cluster.to_string(),
        generation: cluster.generation,
        region: cluster.region.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_ms: u64::try_from(uptime).unwrap_or(u64::MAX),
        groups: parts.groups.metrics().iter().map(group).collect(),
        journal: Some(journal(parts)),
        tables: Some(admin::Tables { size_bytes: tables_bytes.unwrap_or_default() }),
        backends: backends::all(parts, Consistency::Stale).await?,
        counts: Some(counts(parts).await?),
        nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
    })
}

fn group(metrics: &GroupMetrics) -> admin::Group {
    let role = match metrics.role {
        Role::Leader => admin::Role::Leader,
        Role::Follower => admin::Role::Follower,
        Role::Candidate => admin::Role::Candidate,
        Role::Learner => admin::Role::Learner,
        Role::Stopped => admin::Role::Shutdown,
    };
    // Raft numbers its entries from one: zero stands for none yet.
    let some = |index: u64| (index > 0).then_some(index);
    admin::Group {
        name: format!("{}{}", names::GROUPS, metrics.group),
        role: role.into(),
        term: metrics.term,
        leader: metrics.leader.map(|id| format!("{}{id}", names::NODES)).unwrap_or_default(),
        last_index: some(metrics.last_log),
        committed_index: some(metrics.committed),
        applied_index: some(metrics.applied),
        purged_index: some(metrics.purged),
        snapshot_index: some(metrics.snapshot),
    }
}

fn journal(parts: &Parts) -> admin::Journal {
    let stats = parts.groups.journal();
    let (cut_bytes, cut_detail) = match &parts.cut {
        Some(cut) => {
            (cut.bytes, format!("segment {}, offset {}: a torn tail", cut.segment, cut.offset))
        }
        None => (0, String::new()),
    };
    admin::Journal {
        syncs: stats.syncs,
        records: stats.records,
        segments: stats.segments,
        size_bytes: stats.live_bytes,
        cut_bytes,
        cut_detail,
    }
}

/// The bytes of all files below a folder; files that vanish while they are counted do not count.
fn folder_bytes(folder: &Path) -> u64 {
    let mut bytes = 0_u64;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => bytes = bytes.saturating_add(metadata.len()),
                Err(_) => {}
            }
        }
    }
    bytes
}

/// How much there is. Objects and bytes are exact; they are counted by the shards as they apply.
async fn counts(parts: &Parts) -> Result<admin::Counts, Error> {
    let mut counts = admin::Counts::default();
    count_buckets(parts, &mut counts).await?;
    let catalog = parts.proposer.catalog();
    let stale = Consistency::Stale;
    let mut after: Option<UserId> = None;
    for _ in 0..PAGES_MAX {
        let page = ask::users(catalog, stale, after, ask::PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        counts.users += u64::try_from(page.len()).unwrap_or(u64::MAX);
    }
    let mut after: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let page = ask::access_keys(catalog, stale, None, after, ask::PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.access_key.clone());
        counts.keys += u64::try_from(page.len()).unwrap_or(u64::MAX);
    }
    Ok(counts)
}

async fn count_buckets(parts: &Parts, counts: &mut admin::Counts) -> Result<(), Error> {
    let catalog = parts.proposer.catalog();
    let stale = Consistency::Stale;
    let mut after: Option<BucketName> = None;
    for _ in 0..PAGES_MAX {
        let page = ask::buckets(catalog, stale, after, String::new(), ask::PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        for bucket in page.iter().filter(|bucket| bucket.phase != BucketPhase::Deleted) {
            counts.buckets += 1;
            for shard in parts.proposer.shards() {
                if let Some(held) = ask::shard_bucket(catalog, stale, shard, bucket.id).await? {
                    counts.objects = counts.objects.saturating_add(held.objects);
                    counts.size_bytes = counts.size_bytes.saturating_add(held.size_bytes);
                }
            }
        }
    }
    Ok(())
}
