//! Whether all nodes have the same rows: `vaultaire cluster compare`.

use vaultaire_proto::wire::admin;

use crate::compare::{Comparison, Replica};
use crate::error::Error;
use crate::grpc::{Parts, members, names};

pub async fn compare(parts: &Parts) -> Result<admin::CompareReplicasResponse, Error> {
    members::has_groups(parts)?;
    let groups = parts.comparer.compare().await?;
    Ok(admin::CompareReplicasResponse { groups: groups.into_iter().map(shown).collect() })
}

fn shown(comparison: Comparison) -> admin::GroupComparison {
    admin::GroupComparison {
        group: format!("{}{}", names::GROUPS, comparison.group),
        replicas: comparison.replicas.into_iter().map(replica).collect(),
    }
}

fn replica(replica: Replica) -> admin::ReplicaRows {
    let node = format!("{}{}", names::NODES, replica.node);
    match replica.digest {
        Ok(digest) => admin::ReplicaRows {
            node,
            index: digest.index,
            hash: digest.hash,
            rows: digest.rows,
            differs: replica.differs,
            error: String::new(),
        },
        Err(error) => admin::ReplicaRows { node, error, ..admin::ReplicaRows::default() },
    }
}
