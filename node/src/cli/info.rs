//! `vaultaire info`: every node of the cluster, as each says of itself.

use std::time::Duration;

use serde_json::{Value, json};
use vaultaire_proto::wire::admin;

use crate::cli::client::{Target, refused};
use crate::cli::cluster::{phase_name, role_name};
use crate::cli::output::{Output, bare, bytes, table};
use crate::error::Error;

/// Show how every node of the cluster is doing.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
}

pub async fn run(args: Args, output: Output) -> Result<(), Error> {
    let mut client = args.target.cluster().await?;
    let request = admin::GetInfoRequest {};
    let nodes = client.get_info(request).await.map_err(refused)?.into_inner().nodes;
    let value = json!({ "nodes": nodes.iter().map(shown).collect::<Vec<_>>() });
    output.print(&value, || text(&nodes))
}

fn text(nodes: &[admin::NodeInfo]) -> String {
    let rows = nodes.iter().map(|node| {
        let mut cells = vec![
            bare(&node.name).to_owned(),
            node.node_name.clone(),
            role_name(node.role()).to_owned(),
            phase_name(node.phase()).to_owned(),
        ];
        cells.extend(match node.error.is_empty() {
            true => [
                node.version.clone(),
                humantime::format_duration(Duration::from_secs(node.uptime_ms / 1000)).to_string(),
                leads(node).join(" "),
                node.term.to_string(),
                node.behind_entries.map_or_else(|| "-".to_owned(), |behind| behind.to_string()),
                format!("{} of {}", bytes(node.disk_free_bytes), bytes(node.disk_total_bytes)),
            ],
            false => ["-", "does not answer", "-", "-", "-", "-"].map(str::to_owned),
        });
        cells
    });
    let header =
        ["NODE", "NAME", "ROLE", "STATE", "RELEASE", "UP", "LEADS", "TERM", "BEHIND", "DISK FREE"];
    let why = nodes.iter().filter(|node| !node.error.is_empty());
    let why: String =
        why.map(|node| format!("\nnode {}: {}", bare(&node.name), node.error)).collect();
    format!("{}{why}", table(&header, rows))
}

fn leads(node: &admin::NodeInfo) -> Vec<&str> {
    node.leads.iter().map(|group| bare(group)).collect()
}

fn shown(node: &admin::NodeInfo) -> Value {
    json!({
        "node": bare(&node.name),
        "name": node.node_name,
        "role": role_name(node.role()),
        "state": phase_name(node.phase()),
        "zone": node.zone,
        "region": node.region,
        "version": node.version,
        "uptime_ms": node.uptime_ms,
        "leads": leads(node),
        "term": node.term,
        "behind_entries": node.behind_entries,
        "disk_free_bytes": node.disk_free_bytes,
        "disk_total_bytes": node.disk_total_bytes,
        "error": (!node.error.is_empty()).then_some(&node.error),
    })
}
