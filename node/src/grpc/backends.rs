//! Backends over the admin API: what they hold, whether deletions on them are held, and what they can really do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ulid::Ulid;
use vaultaire_proto::row::{BackendRow, BackendState, ShardBackend};
use vaultaire_proto::wire::admin;
use vaultaire_proto::{BackendId, Consistency, GroupId, NodeId};
use vaultaire_storage::backend::Backend;
use vaultaire_storage::probe::{Row, Verdict, clean, probe};

use crate::ask;
use crate::blobs::client::shown_name;
use crate::error::Error;
use crate::grpc::{Parts, names, releases};
use crate::raft::group::Role;

/// No probe takes longer: what an older one wrote was left behind.
const PROBE_MAX_MS: u64 = 60 * 60 * 1000;

/// There are few: one page holds them all.
pub async fn list(parts: &Parts) -> Result<admin::ListBackendsResponse, Error> {
    let backends = all(parts, Consistency::Linearizable).await?;
    Ok(admin::ListBackendsResponse { backends, next_page_token: String::new() })
}

/// Every backend that is not removed, with what all shards hold of it.
pub async fn all(parts: &Parts, consistency: Consistency) -> Result<Vec<admin::Backend>, Error> {
    let catalog = parts.proposer.catalog();
    let mut held: BTreeMap<BackendId, (u64, u64)> = BTreeMap::new();
    for shard in parts.proposer.shards() {
        for (id, row) in ask::shard_backends(catalog, consistency, shard).await? {
            let ShardBackend { live_blobs, live_bytes, .. } = row;
            let sum = held.entry(id).or_default();
            *sum = (sum.0.saturating_add(live_blobs), sum.1.saturating_add(live_bytes));
        }
    }
    let rows = ask::backends(catalog, consistency).await?;
    let groups = parts.groups.metrics().into_iter();
    let led: BTreeSet<GroupId> = groups
        .filter(|metrics| matches!(metrics.role, Role::Leader))
        .map(|metrics| metrics.group)
        .collect();
    let shown = rows.into_iter().filter(|row| row.state != BackendState::Removed).map(|row| {
        let sum = held.get(&row.id).copied().unwrap_or_default();
        let configured = parts.registry.get(row.id).is_ok();
        let problem = parts.absent.why(row.id).unwrap_or_default();
        let hold = parts.brake.hold(row.id, |shard| led.contains(&shard));
        let held_deletions = hold.map(|hold| releases::held(parts, hold));
        let released = parts.brake.released_for(row.id);
        let released_until_ms = released.map(|left| releases::after(parts, left).0);
        admin::Backend {
            configured,
            problem,
            held_deletions,
            released_until_ms,
            ..shown(parts.node, row, sum)
        }
    });
    Ok(shown.collect())
}

/// Named as the answering node's registry names it, so that it can be asked for by that name. Another one may have the name of
/// one that is lost.
pub fn row_name(here: NodeId, row: &BackendRow) -> String {
    let name = match row.node {
        Some(node) if node != here => shown_name(&row.name, node),
        Some(_) | None => row.name.clone(),
    };
    match row.state {
        BackendState::Lost => format!("{name}#{}", row.id),
        BackendState::Active | BackendState::Draining | BackendState::Removed => name,
    }
}

/// What rows say of a backend.
pub fn shown(
    here: NodeId,
    row: BackendRow,
    (live_blobs, live_bytes): (u64, u64),
) -> admin::Backend {
    let state = match row.state {
        BackendState::Active => admin::BackendState::Active,
        BackendState::Draining => admin::BackendState::Draining,
        BackendState::Lost => admin::BackendState::Lost,
        BackendState::Removed => admin::BackendState::Unspecified,
    };
    let name = row_name(here, &row);
    admin::Backend {
        name: format!("{}{name}", names::BACKENDS),
        backend_id: row.id.0,
        kind: row.kind,
        state: state.into(),
        live_blobs,
        live_bytes,
        configured: false,
        problem: String::new(),
        held_deletions: None,
        released_until_ms: None,
        node: row.node.map(|node| node.0),
    }
}

pub async fn check(
    parts: &Parts,
    request: admin::CheckBackendRequest,
) -> Result<admin::CheckBackendResponse, Error> {
    let name = names::within(names::BACKENDS, &request.name)?;
    let backend = named(parts, name)?;
    let now = Ulid::new();
    let text = |ulid: Ulid| ulid.to_string().to_ascii_lowercase();
    let stale = Ulid::from_parts(now.timestamp_ms().saturating_sub(PROBE_MAX_MS), 0);
    if let Err(error) = clean(backend.as_ref(), &text(stale)).await {
        tracing::warn!(backend = name, %error, "what earlier probes left is tried again by the next");
    }
    let rows = probe(backend.as_ref(), &text(now)).await?;
    Ok(admin::CheckBackendResponse { probes: rows.into_iter().map(probe_shown).collect() })
}

/// The backend of a name; one that is configured and cannot be reached is told from one that nobody knows.
pub fn named(parts: &Parts, name: &str) -> Result<Arc<dyn Backend>, Error> {
    parts.absent.refuse(name)?;
    Ok(parts.registry.by_name(name)?)
}

fn probe_shown(row: Row) -> admin::Probe {
    let (outcome, detail) = match row.verdict {
        Verdict::Works => (admin::ProbeOutcome::Ok, String::new()),
        Verdict::Wrong(how) | Verdict::Fails(how) => (admin::ProbeOutcome::Failed, how),
    };
    admin::Probe {
        operation: row.operation.to_owned(),
        outcome: outcome.into(),
        duration_us: u64::try_from(row.took.as_micros()).unwrap_or(u64::MAX),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_has_the_name_by_which_this_node_finds_it() {
        let row = |node: Option<u64>| BackendRow {
            id: BackendId(7),
            name: "hot".to_owned(),
            kind: "disk".to_owned(),
            generation: 1,
            state: BackendState::Active,
            settled: true,
            node: node.map(NodeId),
        };
        let cases = [(None, "hot"), (Some(1), "hot"), (Some(3), "hot@3")];
        for (node, name) in cases {
            let shown = shown(NodeId(1), row(node), (0, 0));
            assert_eq!((shown.name, shown.node), (format!("backends/{name}"), node));
        }
    }
}
