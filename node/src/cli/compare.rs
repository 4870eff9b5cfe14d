//! `vaultaire cluster compare`: whether all nodes have the same rows.

use serde_json::{Value, json};
use vaultaire_proto::wire::admin;

use crate::cli::client::{ClusterClient, refused};
use crate::cli::output::{Output, bare, table};
use crate::compare::ADVICE;
use crate::error::Error;

/// How much of a digest is shown to people.
const DIGEST_SHOWN: usize = 12;

pub async fn run(mut client: ClusterClient, output: Output) -> Result<(), Error> {
    let request = admin::CompareReplicasRequest {};
    let groups = client.compare_replicas(request).await.map_err(refused)?.into_inner().groups;
    output.print(&json!({ "groups": groups.iter().map(shown).collect::<Vec<_>>() }), || {
        text(&groups)
    })?;
    let replicas = || groups.iter().flat_map(|group| &group.replicas);
    let differ: Vec<_> = replicas().filter(|replica| replica.differs).collect();
    if let Some(one) = differ.first() {
        return Err(Error::Found(format!(
            "{} of the replicas have other rows than most, one of them on node {}: {ADVICE}",
            differ.len(),
            bare(&one.node)
        )));
    }
    match replicas().find(|replica| !replica.error.is_empty()) {
        Some(silent) => Err(Error::Unmet(format!(
            "node {} has nothing to compare: {}; ask again",
            bare(&silent.node),
            silent.error
        ))),
        None => Ok(()),
    }
}

fn text(groups: &[admin::GroupComparison]) -> String {
    let rows = groups.iter().flat_map(|group| {
        group.replicas.iter().map(|replica| {
            let said = match (replica.error.is_empty(), replica.differs) {
                (false, _) => replica.error.clone(),
                (true, true) => "differs".to_owned(),
                (true, false) => "same".to_owned(),
            };
            let digest: String = hex::encode(&replica.hash).chars().take(DIGEST_SHOWN).collect();
            vec![
                bare(&group.group).to_owned(),
                bare(&replica.node).to_owned(),
                replica.index.to_string(),
                replica.rows.to_string(),
                digest,
                said,
            ]
        })
    });
    table(&["GROUP", "NODE", "AFTER ENTRY", "ROWS", "DIGEST", "ROWS ARE"], rows)
}

fn shown(group: &admin::GroupComparison) -> Value {
    let replicas = group.replicas.iter().map(|replica| {
        json!({
            "node": bare(&replica.node),
            "index": replica.index,
            "rows": replica.rows,
            "hash": hex::encode(&replica.hash),
            "differs": replica.differs,
            "error": (!replica.error.is_empty()).then_some(&replica.error),
        })
    });
    json!({ "group": bare(&group.group), "replicas": replicas.collect::<Vec<_>>() })
}
