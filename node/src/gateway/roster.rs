//! Whom a gateway may ask. It is told at its join, asks again all the time, and keeps it in a file: when it starts, it has nothing
//! else to begin with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vaultaire_proto::row::{NodePhase, NodeRole, NodeRow};
use vaultaire_proto::{Catalog, Consistency, NodeId};

use crate::ask;
use crate::error::Error;
use crate::files::{self, Readers};
use crate::peer::pool::Pool;

const FILE: &str = "members.json";

/// How often it is asked again.
pub const PAUSE: Duration = Duration::from_secs(2);

/// A node that may be asked, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    node: u64,
    address: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    zone: String,
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// Keeps the nodes that can be asked.
pub fn save(data_dir: &Path, nodes: &[NodeRow]) -> Result<(), Error> {
    files::write_json(&path(data_dir), &members(nodes), Readers::Everyone)
}

fn members(nodes: &[NodeRow]) -> Vec<Member> {
    let can_be_asked = |row: &&NodeRow| {
        row.phase != NodePhase::Removed && row.role != NodeRole::Gateway && !row.address.is_empty()
    };
    let member = |row: &NodeRow| Member {
        node: row.id.0,
        address: row.address.clone(),
        zone: row.zone.clone(),
    };
    nodes.iter().filter(can_be_asked).map(member).collect()
}

/// Those that were kept, as rows that say no more than how to reach them.
pub fn load(data_dir: &Path) -> Result<Vec<NodeRow>, Error> {
    let damaged = |problem: &str| Error::Damaged {
        path: path(data_dir),
        problem: problem.to_owned(),
        advice: "remove this gateway with `vaultaire cluster remove` and let it join again: it holds nothing",
    };
    let members: Option<Vec<Member>> = files::read_json(&path(data_dir))?;
    let members = members.ok_or_else(|| damaged("missing"))?;
    if members.is_empty() {
        return Err(damaged("it names nobody"));
    }
    let rows = members.into_iter().map(|Member { node, address, zone }| NodeRow {
        id: NodeId(node),
        name: String::new(),
        incarnation: 0,
        address,
        role: NodeRole::Voter,
        phase: NodePhase::Member,
        zone,
        region: String::new(),
    });
    Ok(rows.collect())
}

/// One look.
pub async fn step(pool: &Pool, catalog: &dyn Catalog, data_dir: &Path) {
    if let Err(error) = follow(pool, catalog, data_dir).await {
        tracing::warn!(%error, "this gateway goes on with the nodes that it knows");
    }
}

/// Asks who there is.
pub async fn follow(pool: &Pool, catalog: &dyn Catalog, data_dir: &Path) -> Result<(), Error> {
    let nodes = ask::nodes(catalog, Consistency::Stale).await?;
    let backends = ask::backends(catalog, Consistency::Stale).await?;
    let changed = members(&nodes) != members(&pool.told());
    if changed && !members(&nodes).is_empty() {
        save(data_dir, &nodes)?;
    }
    pool.learn(nodes, backends);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn those_who_can_be_asked_are_known_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(folder.path()).unwrap_err().to_string().contains("members.json"));
        let row = |id, role, phase, address: &str| NodeRow {
            id: NodeId(id),
            name: "x".to_owned(),
            incarnation: 3,
            address: address.to_owned(),
            role,
            phase,
            zone: "a".to_owned(),
            region: String::new(),
        };
        let nodes = [
            row(1, NodeRole::Voter, NodePhase::Member, "one:9003"),
            row(2, NodeRole::Learner, NodePhase::Member, "two:9003"),
            row(3, NodeRole::Voter, NodePhase::Removed, "three:9003"),
            row(4, NodeRole::Gateway, NodePhase::Member, "four:9003"),
        ];
        save(folder.path(), &nodes).unwrap();
        let found = load(folder.path()).unwrap();
        let found: Vec<_> = found.iter().map(|row| (row.id.0, row.address.as_str())).collect();
        assert_eq!(found, [(1, "one:9003"), (2, "two:9003")]);
        save(folder.path(), &nodes[2..]).unwrap();
        assert!(load(folder.path()).unwrap_err().to_string().contains("names nobody"));
    }
}
