//! Reads that must not be older than any write acknowledged before them. A read goes on once this node has applied everything
//! that was committed when the read arrived, and is then served from a view taken after that.
//!
//! R1 A read uses only a confirmation that was asked for after the read arrived. R2 A confirmation is used once. R3 It says in
//! which term its leader leads; where this node has heard of another leader meanwhile it is thrown away and asked for again.
//! R4 One view, taken after release. No leases: nothing here reads a clock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::metrics::RaftServerMetrics;
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{ReadPolicy, ServerState};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vaultaire_proto::planted::{self, Planted};
use vaultaire_proto::{CatalogError, GroupId, NodeId};

use super::forward::{Forward, ReadPoint};
use super::types::{Raft, StoredMembership, TypeConfig};
use crate::tables::table::Table;

/// Reads that may wait for one confirmation.
const QUEUE_MAX: usize = 8192;

/// A read that takes longer is answered as if there were no leader: the client repeats it.
const READ_WAIT: Duration = Duration::from_secs(5);

/// A confirmation that was overtaken by an election is asked for again so often.
const ATTEMPTS_MAX: usize = 3;

/// Who waits, and for what.
enum Waiting {
    /// A read on this node: until it has applied everything.
    Read(oneshot::Sender<Result<(), CatalogError>>),
    /// Another node's read: it applies by itself, and wants to hear from the leader alone.
    Point(oneshot::Sender<Result<ReadPoint, CatalogError>>),
}

/// One group's barrier.
pub struct Barrier {
    group: GroupId,
    node: u64,
    table: Arc<Table>,
    server: WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>,
    queue: mpsc::Sender<Waiting>,
}

impl std::fmt::Debug for Barrier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Barrier").field("group", &self.group).finish_non_exhaustive()
    }
}

impl Barrier {
    /// The second part is to be run by whoever owns the group, until `stop` is called.
    pub fn new(
        group: GroupId,
        node: NodeId,
        raft: Raft,
        table: Arc<Table>,
        forward: Forward,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let server = raft.server_metrics();
        let task = Task { group, node: node.0, raft, table: Arc::clone(&table), forward };
        (Self { group, node: node.0, table, server, queue }, task.run(waiting, stop))
    }

    /// Returns once a view of the group's table holds every write acknowledged before this call.
    pub async fn pass(&self) -> Result<(), CatalogError> {
        if self.is_sole_voter() || planted::is(Planted::ReadWithoutBarrier) {
            return Ok(());
        }
        self.confirmed().await
    }

    /// The general way: by a confirmation that some node still leads.
    pub async fn confirmed(&self) -> Result<(), CatalogError> {
        let (release, released) = oneshot::channel();
        self.wait(Waiting::Read(release), released).await
    }

    /// Where the group stands, if this node leads it: for a read on another node.
    pub async fn lead_point(&self) -> Result<ReadPoint, CatalogError> {
        let (release, released) = oneshot::channel();
        self.wait(Waiting::Point(release), released).await
    }

    async fn wait<T>(
        &self,
        waiting: Waiting,
        released: oneshot::Receiver<Result<T, CatalogError>>,
    ) -> Result<T, CatalogError> {
        match self.queue.try_send(waiting) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                return Err(CatalogError::Busy { group: self.group });
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(CatalogError::Stopped),
        }
        match timeout(READ_WAIT, released).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CatalogError::Stopped),
            Err(_) => Err(CatalogError::NoLeader { group: self.group }),
        }
    }

    /// Whether this node alone can have acknowledged anything, so that its own tables hold every acknowledged write.
    ///
    /// A write is acknowledged only after its rows are in the tables of the node that acknowledges (`tables::writer`). So it is
    /// enough that nobody else acknowledges now, and that what others once acknowledged has been applied here:
    /// * This node leads, and its committed and its effective membership have it as the one voter. Others can elect a leader
    ///   without this node's vote only under a membership that does not need it. The way there takes two entries, a joint
    ///   membership (which needs it still) and one more, and its Raft core publishes the first, in the metrics read here, before
    ///   it takes the proposal of the second: it publishes at the start of every round and takes proposals first in each. A vote
    ///   it gives ends its lead, and only a voter that has its whole log asks for one: under this membership there is none.
    ///   No clock and no task stand in between: the metrics are read where the core wrote them.
    /// * It has applied an entry of its own term, hence everything that was committed in terms before. What it acknowledged in
    ///   the same term before a restart was applied before anyone could ask (`Replica::recover`).
    fn is_sole_voter(&self) -> bool {
        let term = {
            let server = self.server.borrow_watched();
            let alone =
                |membership: &StoredMembership| is_only(membership.get_joint_config(), self.node);
            let leads = server.state == ServerState::Leader;
            if !(leads
                && alone(&server.membership_config)
                && alone(&server.committed_membership_config))
            {
                return false;
            }
            server.vote.leader_id.term
        };
        self.table.applied().is_some_and(|applied| applied.term == term)
    }
}

fn is_only(configs: &[BTreeSet<u64>], node: u64) -> bool {
    matches!(configs, [voters] if voters.len() == 1 && voters.contains(&node))
}

struct Task {
    group: GroupId,
    node: u64,
    raft: Raft,
    table: Arc<Table>,
    forward: Forward,
}

impl Task {
    /// One confirmation at a time; it serves every read that arrived before it was asked for.
    async fn run(self, mut queue: mpsc::Receiver<Waiting>, stop: CancellationToken) {
        let mut waiting = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                count = queue.recv_many(&mut waiting, QUEUE_MAX) => if count == 0 {
                    return;
                },
            }
            self.serve(waiting.drain(..), &mut queue).await;
        }
    }

    /// Whoever does not wait any more has given its own answer, so a failed send is none.
    async fn serve(
        &self,
        waiting: impl Iterator<Item = Waiting>,
        queue: &mut mpsc::Receiver<Waiting>,
    ) {
        let own = self.own_point().await;
        let mut reads = Vec::new();
        for waiting in waiting {
            match waiting {
                Waiting::Point(release) => drop(release.send(own.clone())),
                Waiting::Read(release) => reads.push(release),
            }
        }
        if reads.is_empty() {
            return;
        }
        let point = match own {
            Err(CatalogError::NoLeader { .. }) => self.leaders_point().await,
            own => own,
        };
        while planted::is(Planted::ReadIndexReused)
            && let Ok(Waiting::Read(late)) = queue.try_recv()
        {
            reads.push(late);
        }
        let result = match point {
            Ok(point) => self.applied(point.index).await,
            Err(error) => Err(error),
        };
        for release in reads {
            drop(release.send(result.clone()));
        }
    }

    /// By asking the other members whether this node leads. It answers at once where it does not.
    async fn own_point(&self) -> Result<ReadPoint, CatalogError> {
        let confirmed = self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await;
        match confirmed {
            Ok(read) => {
                let term = self.leader().map_or(0, |(_, term)| term);
                Ok(ReadPoint { term, index: read.read_log_id().index() })
            }
            Err(RaftError::APIError(
                LinearizableReadError::ForwardToLeader(_)
                | LinearizableReadError::QuorumNotEnough(_),
            )) => Err(CatalogError::NoLeader { group: self.group }),
            Err(RaftError::Fatal(error)) => {
                tracing::warn!(group = %self.group, %error, "a group answers no reads");
                Err(CatalogError::Stopped)
            }
        }
    }

    /// By asking the leader.
    async fn leaders_point(&self) -> Result<ReadPoint, CatalogError> {
        let no_leader = CatalogError::NoLeader { group: self.group };
        for _ in 0..ATTEMPTS_MAX {
            let Some((leader, term)) = self.leader() else {
                return Err(no_leader);
            };
            if leader == self.node {
                return Err(no_leader);
            }
            let point = self.forward.read_index(NodeId(leader)).await?;
            // Of a term that this node had heard of when it asked, and of no later one since.
            if point.term == term && self.leader() == Some((leader, term)) {
                return Ok(point);
            }
        }
        Err(no_leader)
    }

    /// Who leads in which term, as far as this node knows.
    fn leader(&self) -> Option<(u64, u64)> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.current_leader.map(|leader| (leader, metrics.current_term))
    }

    async fn applied(&self, index: u64) -> Result<(), CatalogError> {
        let applied = timeout(READ_WAIT, self.table.wait_applied(index)).await;
        match applied {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(CatalogError::Stopped),
            Err(_) => Err(CatalogError::NoLeader { group: self.group }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_membership_of_one_is_alone() {
        let set = |nodes: &[u64]| nodes.iter().copied().collect::<BTreeSet<_>>();
        assert!(is_only(&[set(&[1])], 1));
        assert!(!is_only(&[set(&[1])], 2));
        assert!(!is_only(&[set(&[1, 2])], 1));
        assert!(!is_only(&[set(&[1]), set(&[1, 2, 3])], 1), "a joint membership needs both");
        assert!(!is_only(&[], 1));
    }
}
