//! Spreads the leaders of the groups over the voters: each group has a preferred one, by its number, and goes there when that
//! node is well and the lead has settled. A lead that somebody moved by hand, or an election, stays for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use vaultaire_proto::{Consistency, GroupId};

use crate::ask;
use crate::error::Error;
use crate::propose::Proposer;
use crate::raft::group::Groups;

/// How often the leads are looked at.
pub const PAUSE: Duration = Duration::from_secs(2);

/// A lead that began less than this ago stays where it is.
const SETTLED_AFTER: Duration = Duration::from_secs(20);

/// The preferred node must have been heard of within this time, and lack no more than so many entries.
const HEARD_MAX_MS: u64 = 1_000;
const BEHIND_MAX: u64 = 100;

/// Since when this node leads what it leads.
#[derive(Debug, Default)]
pub struct Leaders {
    since: BTreeMap<GroupId, Instant>,
}

impl Leaders {
    /// One look; at most one lead moves.
    pub async fn step(&mut self, groups: &Groups, proposer: &Proposer) {
        if let Err(error) = self.spread(groups, proposer).await {
            tracing::warn!(%error, "leads stay where they are for the next round");
        }
    }

    async fn spread(&mut self, groups: &Groups, proposer: &Proposer) -> Result<(), Error> {
        let now = Instant::now();
        for replica in groups.replicas() {
            match replica.leads() {
                true => drop(self.since.entry(replica.id).or_insert(now)),
                false => drop(self.since.remove(&replica.id)),
            }
        }
        let settled = |group: &GroupId| {
            self.since.get(group).is_some_and(|since| now.duration_since(*since) >= SETTLED_AFTER)
        };
        if !groups.replicas().iter().any(|replica| settled(&replica.id)) {
            return Ok(());
        }
        let nodes = ask::nodes(proposer.catalog(), Consistency::Stale).await?;
        let (voters, _) = vaultaire_proto::state::member::wanted(&nodes);
        for replica in groups.replicas().iter().filter(|replica| settled(&replica.id)) {
            let Some(preferred) = preferred(replica.id, &voters) else {
                return Ok(());
            };
            let followers = replica.followers();
            let Some(follower) = followers.get(&preferred.0) else {
                continue;
            };
            let well = follower.behind_entries <= BEHIND_MAX
                && follower.heard_ms_ago.is_some_and(|ago| ago <= HEARD_MAX_MS);
            if well {
                return replica.hand_over(&[preferred.0].into()).await;
            }
        }
        Ok(())
    }
}

/// The voter that should lead a group.
fn preferred<T: Copy>(group: GroupId, voters: &[T]) -> Option<T> {
    let place = usize::from(group.0).checked_rem(voters.len())?;
    voters.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_are_spread_evenly() {
        let voters = [1, 2, 3];
        let counts = |groups: u16| {
            let mut counts = BTreeMap::new();
            for group in 0..groups {
                *counts.entry(preferred(GroupId(group), &voters)).or_insert(0) += 1;
            }
            counts.into_values().collect::<Vec<u16>>()
        };
        assert_eq!(counts(5), [2, 2, 1]);
        assert_eq!(counts(9), [3, 3, 3]);
        assert_eq!(preferred::<u64>(GroupId(1), &[]), None);
    }
}
