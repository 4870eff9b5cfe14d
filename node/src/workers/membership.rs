//! Brings the Raft memberships of all groups to what the rows say, and leaders to where they should be. Each node looks after
//! the groups that it leads; the control group's leader records when all of them have arrived.

use std::time::Duration;

use vaultaire_proto::command::members::MemberChange;
use vaultaire_proto::row::{NodePhase, NodeRow};
use vaultaire_proto::state::member;
use vaultaire_proto::{Consistency, GroupId, Operation};

use crate::ask;
use crate::error::Error;
use crate::peer::pool::Pool;
use crate::propose::Proposer;
use crate::raft::group::Groups;
use crate::raft::members::Wanted;

/// How often the memberships are compared with the rows.
pub const PAUSE: Duration = Duration::from_millis(500);

/// One look.
pub async fn step(groups: &Groups, proposer: &Proposer, pool: &Pool) {
    if let Err(error) = bring(groups, proposer, pool).await {
        tracing::warn!(%error, "the membership is left as it is for the next round");
    }
}

async fn bring(groups: &Groups, proposer: &Proposer, pool: &Pool) -> Result<(), Error> {
    if !groups.replicas().iter().any(|replica| replica.leads()) {
        return Ok(());
    }
    let nodes = ask::nodes(proposer.catalog(), Consistency::Stale).await?;
    let changing = nodes.iter().find(|row| is_under_way(row));
    if changing.is_none() && nodes.len() < 2 {
        return Ok(());
    }
    // Whoever leads decides by rows that are no older than its lead.
    let nodes = ask::nodes(proposer.catalog(), Consistency::Linearizable).await?;
    let (voters, learners) = member::wanted(&nodes);
    let wanted = Wanted::new(voters, learners);
    for replica in groups.replicas() {
        replica.approach(&wanted).await?;
    }
    let leads_control = groups.replicas().first().is_some_and(|control| control.leads());
    let Some(row) = nodes.iter().find(|row| is_under_way(row)).filter(|_| leads_control) else {
        return Ok(());
    };
    // The first look costs nothing; a barrier may wait for an election, and no group's change should wait with it.
    if !have(groups, &wanted)? {
        return Ok(());
    }
    for replica in groups.replicas() {
        replica.barrier.pass().await?;
    }
    if !have(groups, &wanted)? {
        return Ok(());
    }
    let settle = MemberChange::Settle { node: row.id, phase: row.phase };
    let operation = Operation::ChangeMembers(settle);
    proposer.commit_accepted("a node", GroupId::CONTROL, operation).await?;
    tracing::info!(node = %row.id, phase = ?row.phase, by = %pool.node(), "a change of members is done");
    Ok(())
}

/// Whether all groups have these members, as far as this node has applied their logs.
fn have(groups: &Groups, wanted: &Wanted) -> Result<bool, Error> {
    for replica in groups.replicas() {
        if !replica.has(wanted)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_under_way(row: &NodeRow) -> bool {
    match row.phase {
        NodePhase::Joining | NodePhase::Changing | NodePhase::Leaving => true,
        NodePhase::Member | NodePhase::Removed => false,
    }
}
