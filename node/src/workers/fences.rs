//! Fences of nodes that were removed: their write epochs are closed, so that what they uploaded and never committed is swept,
//! and nothing that is still under way from them is ever referenced (I7).

use std::collections::BTreeSet;
use std::time::Duration;

use vaultaire_proto::row::{EpochState, NodePhase};
use vaultaire_proto::{Consistency, GroupId, NodeId, Operation};

use crate::ask;
use crate::error::Error;
use crate::workers::Context;

/// How often epochs of removed nodes are looked for.
pub const PAUSE: Duration = Duration::from_secs(5);

/// One look at every shard that this node leads.
pub async fn step(context: &Context) {
    if let Err(error) = close_all(context).await {
        tracing::warn!(%error, "epochs of removed nodes are left for the next look");
    }
}

async fn close_all(context: &Context) -> Result<(), Error> {
    let catalog = context.proposer.catalog();
    // Removed for ever: an old answer is as true as a fresh one.
    let nodes = ask::nodes(catalog, Consistency::Stale).await?;
    let is_removed = |phase: NodePhase| phase == NodePhase::Removed;
    let removed: BTreeSet<NodeId> =
        nodes.iter().filter(|row| is_removed(row.phase)).map(|row| row.id).collect();
    if removed.is_empty() {
        return Ok(());
    }
    for shard in context.proposer.shards().filter(|shard| (context.leads)(*shard)) {
        close(context, shard, &removed).await?;
    }
    Ok(())
}

async fn close(context: &Context, shard: GroupId, removed: &BTreeSet<NodeId>) -> Result<(), Error> {
    for row in ask::epochs(context.proposer.catalog(), Consistency::Stale, shard).await? {
        if row.state != EpochState::Open || !removed.contains(&row.node) {
            continue;
        }
        let (generation, node, epoch) = (row.generation, row.node, row.id);
        let close = Operation::CloseEpoch { generation, node, epoch };
        context.proposer.commit_accepted("an epoch of a removed node", shard, close).await?;
        tracing::info!(%shard, %node, %epoch, "closed a write epoch of a node that was removed");
    }
    Ok(())
}
