//! The catalog of a node without rows: every question and every command is a call to a node that has them. Where that one does
//! not answer, the next is tried, the nearest first; a command keeps its request id, so that it takes effect once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use vaultaire_proto::catalog::Scope;
use vaultaire_proto::convert::Stored;
use vaultaire_proto::row::{ClusterRow, NodePhase, NodeRole, NodeRow};
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::wire::v1::query_response::Outcome;
use vaultaire_proto::{
    Answer, Catalog, CatalogError, Command, Consistency, GroupId, NodeId, Query, Response, TimeMs,
};

use crate::catalog::{COMMIT_DEADLINE, READ_DEADLINE, REPEAT_AFTER};
use crate::clock::NodeClock;
use crate::peer::calls::CallError;
use crate::peer::pool::Pool;
use crate::raft::forward;

/// A node that takes longer to answer is hung, or waits for an election that another may have heard the end of.
const ANSWER_WAIT: Duration = Duration::from_secs(4);

/// The same for a command, which has to be synced on most nodes first.
const OUTCOME_WAIT: Duration = Duration::from_secs(8);

/// The way to nodes that have rows.
#[derive(Debug)]
pub struct Way {
    pool: Arc<Pool>,
    /// Told what time it is where the rows are.
    clock: Arc<NodeClock>,
    /// Who answered last: it is asked first.
    last: AtomicU64,
}

impl Way {
    pub fn new(pool: Arc<Pool>, clock: Arc<NodeClock>) -> Self {
        Self { pool, clock, last: AtomicU64::new(0) }
    }

    /// Whom to ask, one after the other.
    fn order(&self) -> Vec<NodeId> {
        let last = NodeId(self.last.load(Ordering::Relaxed));
        in_order(self.pool.node(), last, &self.pool.told())
    }

    fn answered(&self, node: NodeId) {
        let former = self.last.swap(node.0, Ordering::Relaxed);
        if former != node.0 {
            tracing::info!(%node, "asking this node from now on");
        }
    }

    /// Asks until somebody has an answer, within a bound. `group` is what is told of where nobody has.
    pub async fn query(
        &self,
        group: GroupId,
        query: &Query,
        consistency: Consistency,
    ) -> Result<Answer, CatalogError> {
        let stale = consistency == Consistency::Stale;
        let message = wire::QueryRequest { query: query.encode(), stale };
        let deadline = Instant::now() + READ_DEADLINE;
        loop {
            for node in self.order() {
                let wait = ANSWER_WAIT.min(deadline.duration_since(Instant::now()));
                let asked = within(wait, self.pool.query(node, wait, message.clone())).await;
                self.clock.applied(TimeMs(asked.as_ref().map_or(0, |answer| answer.now_ms)));
                match read_answer(group, asked) {
                    Ok(answer) => {
                        self.answered(node);
                        return Ok(answer);
                    }
                    Err(CatalogError::NoLeader { .. }) if Instant::now() < deadline => {}
                    Err(error) => return Err(error),
                }
            }
            if Instant::now() >= deadline {
                return Err(CatalogError::NoLeader { group });
            }
            tokio::time::sleep(REPEAT_AFTER).await;
        }
    }

    /// Repeats what is not definite: `apply` answers a repeated request id as it did the first time.
    pub async fn commit(&self, command: &Command) -> Result<Response, CatalogError> {
        let group = command.group;
        let message = wire::CommitRequest { command: command.encode() };
        let deadline = Instant::now() + COMMIT_DEADLINE;
        let mut unknown = None;
        loop {
            for node in self.order() {
                let wait = OUTCOME_WAIT.min(deadline.duration_since(Instant::now()));
                let asked = within(wait, self.pool.commit(node, wait, message.clone())).await;
                self.clock.applied(TimeMs(asked.as_ref().map_or(0, |answer| answer.now_ms)));
                match read_outcome(group, asked) {
                    Ok(response) => {
                        self.answered(node);
                        return Ok(response);
                    }
                    Err(error @ CatalogError::OutcomeUnknown { .. }) => unknown = Some(error),
                    Err(CatalogError::NoLeader { .. }) if Instant::now() < deadline => {}
                    // Of an attempt whose outcome is unknown, no later failure says that nothing was changed.
                    Err(error) => return Err(unknown.unwrap_or(error)),
                }
                if Instant::now() >= deadline {
                    break;
                }
            }
            if Instant::now() >= deadline {
                return Err(unknown.unwrap_or(CatalogError::NoLeader { group }));
            }
            tokio::time::sleep(REPEAT_AFTER).await;
        }
    }
}

/// A connection that is being made has no deadline of its own.
async fn within<T>(
    wait: Duration,
    asked: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(wait, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(CallError::Failed(format!("no answer within {} ms", wait.as_millis()))),
    }
}

/// A question changes nothing: whatever went wrong, it may be asked again.
fn read_answer(
    group: GroupId,
    asked: Result<wire::QueryResponse, CallError>,
) -> Result<Answer, CatalogError> {
    match asked.map(|response| response.outcome) {
        Ok(Some(Outcome::Answer(bytes))) => Answer::decode(&bytes).map_err(|error| {
            tracing::error!(%group, %error, "the answer to a question cannot be read");
            CatalogError::NoLeader { group }
        }),
        Ok(Some(Outcome::Fault(fault))) => Err(match forward::read_fault(group, fault) {
            CatalogError::OutcomeUnknown { group } => CatalogError::NoLeader { group },
            other => other,
        }),
        Ok(None) => Err(CatalogError::NoLeader { group }),
        Err(error) => {
            tracing::debug!(%group, %error, "a question was not answered");
            Err(CatalogError::NoLeader { group })
        }
    }
}

fn read_outcome(
    group: GroupId,
    asked: Result<wire::CommitResponse, CallError>,
) -> Result<Response, CatalogError> {
    match asked {
        Ok(wire::CommitResponse { outcome: Some(outcome), .. }) => {
            forward::read_outcome(group, outcome)
        }
        Ok(wire::CommitResponse { outcome: None, .. }) => {
            Err(CatalogError::OutcomeUnknown { group })
        }
        Err(error) => {
            tracing::debug!(%group, %error, "a command was not answered");
            Err(match error {
                CallError::Refused(_) => CatalogError::NoLeader { group },
                CallError::Failed(_) => CatalogError::OutcomeUnknown { group },
            })
        }
    }
}

/// Who answered last, then those of the same zone, then the others. Which of them comes first differs from gateway to gateway.
fn in_order(here: NodeId, last: NodeId, nodes: &[NodeRow]) -> Vec<NodeId> {
    let zone = nodes.iter().find(|row| row.id == here).map(|row| &row.zone);
    let mut rows: Vec<&NodeRow> = nodes.iter().filter(|row| has_rows(row)).collect();
    let turn = usize::try_from(here.0).unwrap_or(0).checked_rem(rows.len()).unwrap_or(0);
    rows.rotate_left(turn);
    let is_near = |row: &NodeRow| !row.zone.is_empty() && Some(&row.zone) == zone;
    rows.sort_by_key(|row| (row.id != last, !is_near(row)));
    rows.into_iter().map(|row| row.id).collect()
}

fn has_rows(row: &NodeRow) -> bool {
    let stays = match row.phase {
        NodePhase::Member | NodePhase::Changing => true,
        NodePhase::Joining | NodePhase::Leaving | NodePhase::Removed => false,
    };
    stays && row.role != NodeRole::Gateway
}

/// The replicated state, by way of other nodes.
#[derive(Debug)]
pub struct RemoteCatalog {
    cluster: ClusterRow,
    way: Way,
}

impl RemoteCatalog {
    pub fn new(cluster: ClusterRow, way: Way) -> Self {
        Self { cluster, way }
    }
}

#[async_trait]
impl Catalog for RemoteCatalog {
    fn cluster(&self) -> &ClusterRow {
        &self.cluster
    }

    async fn query(&self, query: Query, consistency: Consistency) -> Result<Answer, CatalogError> {
        let group = match query.clone().scope(self.cluster.shards) {
            Scope::Group(group, _) => group,
            // Of all shards: which one had no leader is not told.
            Scope::Objects(_) | Scope::Versions(_) | Scope::Uploads(_) => GroupId(1),
        };
        self.way.query(group, &query, consistency).await
    }

    async fn commit(&self, command: Command) -> Result<Response, CatalogError> {
        self.way.commit(&command).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, role: NodeRole, phase: NodePhase, zone: &str) -> NodeRow {
        let (id, zone) = (NodeId(id), zone.to_owned());
        let (name, address, region) = (String::new(), String::new(), String::new());
        NodeRow { id, name, incarnation: 1, address, role, phase, zone, region }
    }

    #[test]
    fn those_with_rows_are_asked_the_nearest_first() {
        let (voter, learner, gateway) = (NodeRole::Voter, NodeRole::Learner, NodeRole::Gateway);
        let member = NodePhase::Member;
        let nodes = vec![
            row(1, voter, member, "a"),
            row(2, voter, member, "b"),
            row(3, voter, member, "c"),
            row(4, learner, member, "b"),
            row(5, voter, NodePhase::Joining, "b"),
            row(6, voter, NodePhase::Removed, "b"),
            row(7, gateway, member, "b"),
            row(8, gateway, member, "b"),
        ];
        let ids = |ids: &[u64]| ids.iter().map(|id| NodeId(*id)).collect::<Vec<_>>();
        assert_eq!(in_order(NodeId(8), NodeId(0), &nodes), ids(&[2, 4, 1, 3]));
        assert_eq!(in_order(NodeId(7), NodeId(0), &nodes), ids(&[4, 2, 1, 3]));
        assert_eq!(in_order(NodeId(7), NodeId(3), &nodes), ids(&[3, 4, 2, 1]));
        assert_eq!(in_order(NodeId(7), NodeId(0), &[]), ids(&[]));
    }

    #[test]
    fn a_call_that_may_have_been_heard_leaves_a_command_unknown_and_a_question_unanswered() {
        let group = GroupId(2);
        let failed = || CallError::Failed("cut".to_owned());
        let refused = || CallError::Refused("foreign".to_owned());
        let unknown = Err(CatalogError::OutcomeUnknown { group });
        let no_leader = CatalogError::NoLeader { group };
        assert_eq!(read_outcome(group, Err(failed())), unknown);
        assert_eq!(read_outcome(group, Ok(wire::CommitResponse::default())), unknown);
        assert_eq!(read_outcome(group, Err(refused())), Err(no_leader.clone()));
        assert_eq!(read_answer(group, Err(failed())), Err(no_leader.clone()));
        let fault = Outcome::Fault(wire::Fault::OutcomeUnknown.into());
        let said = wire::QueryResponse { outcome: Some(fault), now_ms: 0 };
        assert_eq!(read_answer(group, Ok(said)), Err(no_leader));
    }
}
