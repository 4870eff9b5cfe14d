//! How every node of the cluster is doing, by asking each: `vaultaire info`. It answers without a quorum, and says who did not.

use std::collections::BTreeMap;

use futures::future::join_all;
use vaultaire_proto::row::{NodePhase, NodeRow};
use vaultaire_proto::wire::{admin, v1 as wire};
use vaultaire_proto::{Consistency, NodeId};

use crate::ask;
use crate::error::Error;
use crate::grpc::{Parts, members, names};
use crate::support;

/// What a node says of itself, or why it says nothing.
type Told = Result<wire::DescribeResponse, String>;

pub async fn info(parts: &Parts) -> Result<admin::GetInfoResponse, Error> {
    let rows = ask::nodes(parts.proposer.catalog(), Consistency::Stale).await?;
    let rows: Vec<NodeRow> =
        rows.into_iter().filter(|row| row.phase != NodePhase::Removed).collect();
    let told: Vec<Told> = join_all(rows.iter().map(|row| ask_one(parts, row.id))).await;
    let furthest = furthest(&told);
    let nodes = rows.iter().zip(told).map(|(row, told)| shown(row, told, &furthest));
    Ok(admin::GetInfoResponse { nodes: nodes.collect() })
}

pub async fn ask_one(parts: &Parts, node: NodeId) -> Told {
    match node == parts.node {
        true => Ok(parts.about.tell()),
        false => support::answer(parts.pool.describe(node, support::PATIENCE)).await,
    }
}

/// How many entries a node lacks of what another has applied, in the group where that is the most. None: it does not answer.
pub async fn behind(parts: &Parts, node: NodeId) -> Option<u64> {
    let rows = ask::nodes(parts.proposer.catalog(), Consistency::Stale).await.ok()?;
    let here = rows.iter().filter(|row| row.phase != NodePhase::Removed);
    let told: Vec<(NodeId, Told)> =
        join_all(here.map(|row| async { (row.id, ask_one(parts, row.id).await) })).await;
    let own = told.iter().find(|(id, _)| *id == node)?.1.clone().ok()?;
    let all: Vec<Told> = told.into_iter().map(|(_, told)| told).collect();
    lacks(&own, &furthest(&all))
}

fn lacks(told: &wire::DescribeResponse, furthest: &BTreeMap<u32, u64>) -> Option<u64> {
    let behind = told.groups.iter().map(|state| {
        let most = furthest.get(&state.group).copied().unwrap_or_default();
        most.saturating_sub(state.applied)
    });
    behind.max()
}

/// Up to where some node has applied each group.
fn furthest(told: &[Told]) -> BTreeMap<u32, u64> {
    let mut furthest = BTreeMap::new();
    for state in told.iter().flatten().flat_map(|told| &told.groups) {
        let applied = furthest.entry(state.group).or_insert(state.applied);
        *applied = state.applied.max(*applied);
    }
    furthest
}

fn shown(row: &NodeRow, told: Told, furthest: &BTreeMap<u32, u64>) -> admin::NodeInfo {
    let (told, error) = match told {
        Ok(told) => (told, String::new()),
        Err(why) => (wire::DescribeResponse::default(), why),
    };
    let behind_entries = lacks(&told, furthest);
    let leads = told.groups.iter().filter(|state| state.leads);
    admin::NodeInfo {
        name: format!("{}{}", names::NODES, row.id),
        node_name: row.name.clone(),
        role: members::role_of(row).into(),
        phase: members::phase_of(row).into(),
        zone: row.zone.clone(),
        region: row.region.clone(),
        version: told.version,
        uptime_ms: told.uptime_ms,
        leads: leads.map(|state| format!("{}{}", names::GROUPS, state.group)).collect(),
        term: told.groups.iter().map(|state| state.term).max().unwrap_or_default(),
        behind_entries,
        disk_free_bytes: told.disk_free_bytes,
        disk_total_bytes: told.disk_total_bytes,
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_behind_by_what_another_has_applied_more() {
        let state = |group, applied| wire::GroupState { group, term: 3, leads: false, applied };
        let told = |groups| Ok(wire::DescribeResponse { groups, ..Default::default() });
        let all = [
            told(vec![state(0, 10), state(1, 50)]),
            Err("no answer".to_owned()),
            told(vec![state(0, 12), state(1, 20)]),
        ];
        assert_eq!(furthest(&all), BTreeMap::from([(0, 12), (1, 50)]));
    }
}
