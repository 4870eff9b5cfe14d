//! A group's Raft membership, brought to what the rows want, one step at a time and only by the group's leader. A node votes
//! only after it has caught up: a voter that is behind would hold up every commit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::raft::ClientWriteResponse;
use openraft::{ChangeMembers, EmptyNode, Instant, RaftMetrics};
use vaultaire_proto::NodeId;

use super::replica::Replica;
use super::snapshot;
use super::types::{LogId, StoredMembership, TypeConfig};
use crate::error::Error;

/// A node that lacks fewer entries than this has caught up: it fetches them while its first vote is asked for.
const BEHIND_MAX: u64 = 500;

/// Who should be in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub voters: BTreeSet<u64>,
    pub learners: BTreeSet<u64>,
}

impl Wanted {
    /// From rows.
    pub fn new(voters: Vec<NodeId>, learners: Vec<NodeId>) -> Self {
        let ids = |nodes: Vec<NodeId>| nodes.into_iter().map(|node| node.0).collect();
        Self { voters: ids(voters), learners: ids(learners) }
    }

    fn all(&self) -> BTreeSet<u64> {
        self.voters.union(&self.learners).copied().collect()
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    AddLearners(BTreeSet<u64>),
    SetVoters(BTreeSet<u64>),
    /// The leader itself is to go, or to lose its vote.
    HandOver,
    RemoveNodes(BTreeSet<u64>),
    /// Somebody has to catch up, or an earlier step is not committed.
    Wait,
    Nothing,
}

/// A group as its leader sees it.
struct Seen {
    node: u64,
    voters: BTreeSet<u64>,
    nodes: BTreeSet<u64>,
    /// No change is under way.
    steady: bool,
    /// A joint membership is committed, and the leader that wanted it has not gone on to these voters.
    halfway: Option<BTreeSet<u64>>,
    caught_up: BTreeSet<u64>,
}

impl Seen {
    fn of(metrics: &RaftMetrics<TypeConfig>, committed: &StoredMembership) -> Self {
        let membership = &metrics.membership_config;
        let configs = membership.membership().get_joint_config();
        let last = metrics.last_log_index.unwrap_or(0);
        let near = |matched: &Option<LogId>| {
            matched.as_ref().is_some_and(|id| id.index().saturating_add(BEHIND_MAX) >= last)
        };
        let replication = metrics.replication.iter().flatten();
        let is_committed = committed == &**membership;
        Self {
            node: metrics.id,
            voters: membership.voter_ids().collect(),
            nodes: membership.nodes().map(|(node, _)| *node).collect(),
            steady: configs.len() == 1 && is_committed,
            halfway: configs.last().filter(|_| configs.len() > 1 && is_committed).cloned(),
            caught_up: replication.filter(|(_, at)| near(at)).map(|(node, _)| *node).collect(),
        }
    }

    fn next(&self, wanted: &Wanted) -> Step {
        // A change takes two entries. Whoever leads now has to finish what another leader began.
        if let Some(voters) = &self.halfway {
            return match voters.contains(&self.node) {
                true => Step::SetVoters(voters.clone()),
                false => Step::HandOver,
            };
        }
        if !self.steady {
            return Step::Wait;
        }
        let missing: BTreeSet<u64> = wanted.all().difference(&self.nodes).copied().collect();
        if !missing.is_empty() {
            return Step::AddLearners(missing);
        }
        let stay = self.voters.intersection(&wanted.voters);
        let come = wanted.voters.iter().filter(|node| self.caught_up.contains(node));
        let voters: BTreeSet<u64> = stay.chain(come).copied().collect();
        // Those who leave go after those who replace them have come.
        let complete = voters == wanted.voters;
        let voters = if complete { voters } else { self.voters.union(&voters).copied().collect() };
        if voters != self.voters {
            return match voters.contains(&self.node) {
                true => Step::SetVoters(voters),
                false => Step::HandOver,
            };
        }
        if !complete {
            return Step::Wait;
        }
        let spare: BTreeSet<u64> = self.nodes.difference(&wanted.all()).copied().collect();
        match spare.is_empty() {
            true => Step::Nothing,
            false => Step::RemoveNodes(spare),
        }
    }
}

/// Another member, as a leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower {
    pub behind_entries: u64,
    /// None: never.
    pub heard_ms_ago: Option<u64>,
}

impl Replica {
    /// The other members, where this node leads the group.
    pub fn followers(&self) -> BTreeMap<u64, Follower> {
        let metrics = self.raft().metrics().borrow_watched().clone();
        let last = metrics.last_log_index.unwrap_or(0);
        let heartbeat = metrics.heartbeat.unwrap_or_default();
        let replication = metrics.replication.unwrap_or_default();
        let others = replication.into_iter().filter(|(node, _)| *node != metrics.id);
        others
            .map(|(node, matched)| {
                let at = matched.as_ref().map_or(0, LogId::index);
                let heard = heartbeat.get(&node).copied().flatten();
                let ago = heard.map(|heard| heard.elapsed().as_millis());
                let follower = Follower {
                    behind_entries: last.saturating_sub(at),
                    heard_ms_ago: ago.map(|ago| u64::try_from(ago).unwrap_or(u64::MAX)),
                };
                (node, follower)
            })
            .collect()
    }

    /// One step towards what is wanted, where this node leads the group.
    pub async fn approach(&self, wanted: &Wanted) -> Result<(), Error> {
        if !self.leads() || wanted.voters.is_empty() {
            return Ok(());
        }
        let seen = {
            let committed = self.committed_membership();
            let metrics = self.raft().metrics();
            let metrics = metrics.borrow_watched().clone();
            Seen::of(&metrics, &committed)
        };
        let step = seen.next(wanted);
        if step != Step::Nothing && step != Step::Wait {
            tracing::info!(group = %self.id, ?step, ?wanted, "changing the membership of a group");
        }
        let raft = self.raft();
        let nodes = |ids: BTreeSet<u64>| -> BTreeMap<u64, EmptyNode> {
            ids.into_iter().map(|id| (id, EmptyNode::default())).collect()
        };
        let changed = match step {
            Step::Nothing | Step::Wait => return Ok(()),
            Step::HandOver => return self.hand_over(&wanted.voters).await,
            Step::AddLearners(ids) => {
                raft.change_membership(ChangeMembers::AddNodes(nodes(ids)), true).await
            }
            // Who loses its vote stays as a learner until the last step removes it.
            Step::SetVoters(ids) => {
                raft.change_membership(ChangeMembers::ReplaceAllVoters(ids), true).await
            }
            Step::RemoveNodes(ids) => {
                raft.change_membership(ChangeMembers::RemoveNodes(ids), true).await
            }
        };
        self.told(changed)
    }

    /// Lets the most caught-up of `candidates` lead.
    pub async fn hand_over(&self, candidates: &BTreeSet<u64>) -> Result<(), Error> {
        let metrics = self.raft().metrics().borrow_watched().clone();
        let replication = metrics.replication.unwrap_or_default();
        let best = replication
            .iter()
            .filter(|(node, _)| **node != metrics.id && candidates.contains(node))
            .max_by_key(|(_, matched)| matched.as_ref().map_or(0, LogId::index));
        let Some((node, _)) = best else {
            return Ok(());
        };
        tracing::info!(group = %self.id, to = node, "handing the lead over");
        let handed = self.raft().trigger().transfer_leader(*node).await;
        handed.map_err(|error| engine(&error))
    }

    /// Lets any other voter lead, where this node does, and waits until one says that it does.
    pub async fn hand_over_to_any(&self, wait: Duration) {
        let voters: BTreeSet<u64> = self.committed_membership().voter_ids().collect();
        if !self.leads() || voters.len() < 2 {
            return;
        }
        if let Err(error) = self.hand_over(&voters).await {
            tracing::warn!(group = %self.id, %error, "the lead is not handed over");
            return;
        }
        let here = self.raft().metrics().borrow_watched().id;
        let elsewhere = move |metrics: &RaftMetrics<TypeConfig>| {
            metrics.current_leader.is_some_and(|leader| leader != here)
        };
        let moved = self.raft().wait(Some(wait)).metrics(elsewhere, "another leader").await;
        if moved.is_err() {
            tracing::warn!(group = %self.id, "nobody has taken the lead over in time; an election will find a leader");
        }
    }

    /// Whether the group has exactly the members that are wanted, as far as this node has applied its log: who is behind may also take
    /// members of long ago for those that are wanted again, so this says something behind a barrier alone.
    pub fn has(&self, wanted: &Wanted) -> Result<bool, Error> {
        let meta = self.table.meta_of(&self.table.view())?;
        let described = snapshot::describe(&meta);
        let members = described.map_err(|error| engine(&error))?.last_membership;
        let voters: BTreeSet<u64> = members.voter_ids().collect();
        let nodes: BTreeSet<u64> = members.nodes().map(|(node, _)| *node).collect();
        Ok(members.membership().get_joint_config().len() == 1
            && voters == wanted.voters
            && nodes == wanted.all())
    }

    fn committed_membership(&self) -> StoredMembership {
        let server = self.raft().server_metrics();
        let server = server.borrow_watched();
        (*server.committed_membership_config).clone()
    }

    fn told(
        &self,
        changed: Result<
            ClientWriteResponse<TypeConfig>,
            RaftError<TypeConfig, ClientWriteError<TypeConfig>>,
        >,
    ) -> Result<(), Error> {
        match changed {
            Ok(_) => Ok(()),
            // Somebody else leads now, and goes on.
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Ok(()),
            Err(error) => {
                Err(Error::Engine { what: "consensus", why: format!("group {}: {error}", self.id) })
            }
        }
    }
}

fn engine(error: &dyn std::error::Error) -> Error {
    Error::Engine { what: "consensus", why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(nodes: &[u64]) -> BTreeSet<u64> {
        nodes.iter().copied().collect()
    }

    fn wanted(voters: &[u64], learners: &[u64]) -> Wanted {
        Wanted { voters: set(voters), learners: set(learners) }
    }

    /// Led by node 1.
    fn seen(voters: &[u64], learners: &[u64], caught_up: &[u64]) -> Seen {
        Seen {
            node: 1,
            voters: set(voters),
            nodes: voters.iter().chain(learners).copied().collect(),
            steady: true,
            halfway: None,
            caught_up: set(caught_up),
        }
    }

    #[test]
    fn a_new_voter_follows_first_and_votes_when_it_has_caught_up() {
        let target = wanted(&[1, 2], &[]);
        assert_eq!(seen(&[1], &[], &[1]).next(&target), Step::AddLearners(set(&[2])));
        assert_eq!(seen(&[1], &[2], &[1]).next(&target), Step::Wait);
        assert_eq!(seen(&[1], &[2], &[1, 2]).next(&target), Step::SetVoters(set(&[1, 2])));
        assert_eq!(seen(&[1, 2], &[], &[1, 2]).next(&target), Step::Nothing);
    }

    #[test]
    fn who_leaves_stays_until_its_replacement_votes() {
        let target = wanted(&[1, 2, 4], &[]);
        let behind = seen(&[1, 2, 3], &[4], &[1, 2, 3]);
        assert_eq!(behind.next(&target), Step::Wait);
        let ready = seen(&[1, 2, 3], &[4], &[1, 2, 3, 4]);
        assert_eq!(ready.next(&target), Step::SetVoters(set(&[1, 2, 4])));
        let voted = seen(&[1, 2, 4], &[3], &[1, 2, 4]);
        assert_eq!(voted.next(&target), Step::RemoveNodes(set(&[3])));
    }

    #[test]
    fn a_leader_that_goes_hands_over_first() {
        let target = wanted(&[2, 3], &[]);
        assert_eq!(seen(&[1, 2, 3], &[], &[1, 2, 3]).next(&target), Step::HandOver);
        let demoted = wanted(&[2, 3], &[1]);
        assert_eq!(seen(&[1, 2, 3], &[], &[1, 2, 3]).next(&demoted), Step::HandOver);
    }

    #[test]
    fn one_change_is_finished_before_the_next() {
        let unsteady = Seen { steady: false, ..seen(&[1], &[2], &[1, 2]) };
        assert_eq!(unsteady.next(&wanted(&[1, 2], &[])), Step::Wait);
    }

    #[test]
    fn a_change_that_another_leader_left_halfway_is_finished() {
        let halfway = |voters: &[u64]| Seen {
            steady: false,
            halfway: Some(set(voters)),
            ..seen(&[1, 2, 3], &[], &[1, 2, 3])
        };
        let target = wanted(&[1, 3], &[2]);
        assert_eq!(halfway(&[1, 2, 3]).next(&target), Step::SetVoters(set(&[1, 2, 3])));
        assert_eq!(halfway(&[2, 3]).next(&target), Step::HandOver);
    }

    #[test]
    fn learners_never_vote() {
        let target = wanted(&[1], &[2]);
        assert_eq!(seen(&[1], &[2], &[1, 2]).next(&target), Step::Nothing);
        assert_eq!(seen(&[1, 2], &[], &[1, 2]).next(&target), Step::SetVoters(set(&[1])));
    }
}
