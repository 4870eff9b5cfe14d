//! `vaultaire status`: the node, its groups, its journal and what it keeps.

use std::time::Duration;

use serde_json::{Value, json};
use vaultaire_proto::wire::admin;

use crate::cli::backend;
use crate::cli::client::{Target, refused};
use crate::cli::output::{Output, bare, bytes, table};
use crate::error::Error;

/// Show how the node and its groups are doing.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
}

pub async fn run(args: Args, output: Output) -> Result<(), Error> {
    let mut client = args.target.connect().await?;
    let request = admin::GetStatusRequest::default();
    let status = client.get_status(request).await.map_err(refused)?.into_inner();
    output.print(&shown(&status), || text(&status))
}

fn text(status: &admin::GetStatusResponse) -> String {
    let counts = status.counts.unwrap_or_default();
    let journal = status.journal.clone().unwrap_or_default();
    let tables = status.tables.unwrap_or_default();
    let uptime = Duration::from_secs(status.uptime_ms / 1000);
    let cut = match journal.cut_bytes {
        0 => String::new(),
        cut => format!("\ncut         {cut} bytes at the start: {}", journal.cut_detail),
    };
    let groups = status.groups.iter().map(|group| {
        let index =
            |index: Option<u64>| index.map_or_else(|| "-".to_owned(), |index| index.to_string());
        vec![
            bare(&group.name).to_owned(),
            role(group).to_owned(),
            group.term.to_string(),
            bare(&group.leader).to_owned(),
            index(group.last_index),
            index(group.committed_index),
            index(group.applied_index),
            index(group.snapshot_index),
        ]
    });
    let header = ["GROUP", "ROLE", "TERM", "LEADER", "LAST", "COMMITTED", "APPLIED", "SNAPSHOT"];
    format!(
        "node        {} ({}), release {}, up {}
cluster     {}, region {}, {} node(s)
keeps       {} bucket(s), {} object(s), {}, {} user(s), {} key(s)
journal     {} in {} segment(s), {} records and {} syncs since the start{cut}
tables      {}

{}

{}",
        status.node_name,
        status.node,
        status.version,
        humantime::format_duration(uptime),
        status.cluster_id,
        status.region,
        status.nodes,
        counts.buckets,
        counts.objects,
        bytes(counts.size_bytes),
        counts.users,
        counts.keys,
        bytes(journal.size_bytes),
        journal.segments,
        journal.records,
        journal.syncs,
        bytes(tables.size_bytes),
        table(&header, groups),
        backend::rows(&status.backends),
    )
}

fn shown(status: &admin::GetStatusResponse) -> Value {
    let counts = status.counts.unwrap_or_default();
    let journal = status.journal.clone().unwrap_or_default();
    json!({
        "node": bare(&status.node),
        "node_name": status.node_name,
        "cluster_id": status.cluster_id,
        "generation": status.generation,
        "region": status.region,
        "version": status.version,
        "uptime_ms": status.uptime_ms,
        "nodes": status.nodes,
        "groups": status.groups.iter().map(group_shown).collect::<Vec<_>>(),
        "journal": {
            "syncs": journal.syncs,
            "records": journal.records,
            "segments": journal.segments,
            "size_bytes": journal.size_bytes,
            "cut_bytes": journal.cut_bytes,
            "cut_detail": journal.cut_detail,
        },
        "tables": { "size_bytes": status.tables.unwrap_or_default().size_bytes },
        "backends": status.backends.iter().map(backend::shown).collect::<Vec<_>>(),
        "counts": {
            "buckets": counts.buckets,
            "users": counts.users,
            "keys": counts.keys,
            "objects": counts.objects,
            "size_bytes": counts.size_bytes,
        },
    })
}

fn group_shown(group: &admin::Group) -> Value {
    json!({
        "group": bare(&group.name),
        "role": role(group),
        "term": group.term,
        "leader": bare(&group.leader),
        "last_index": group.last_index,
        "committed_index": group.committed_index,
        "applied_index": group.applied_index,
        "purged_index": group.purged_index,
        "snapshot_index": group.snapshot_index,
    })
}

fn role(group: &admin::Group) -> &'static str {
    match group.role() {
        admin::Role::Leader => "leader",
        admin::Role::Follower => "follower",
        admin::Role::Candidate => "candidate",
        admin::Role::Learner => "learner",
        admin::Role::Shutdown => "stopped",
        admin::Role::Unspecified => "unknown",
    }
}
