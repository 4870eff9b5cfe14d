//! Votes that are taken from nodes and given back, as `vaultaire cluster demote` and `promote` do it: a row of the control group says
//! what is wanted, and the leader of each group brings its membership there, whatever else goes wrong meanwhile.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use vaultaire_proto::command::members::MemberChange;
use vaultaire_proto::row::{NodePhase, NodeRole, NodeRow};
use vaultaire_proto::{
    Answer, Catalog, Command, Consistency, GroupId, NodeId, Operation, Query, Rejection, RequestId,
    Response,
};

use super::dice::Dice;
use super::found::NOT_AFTER;
use super::node::{Node, Nodes};
use super::world::World;

/// Between two looks at how far a change has come.
const LOOKED_AFTER: Duration = Duration::from_millis(200);

/// How long it may take in a healed cluster until everybody votes.
const RESTORED_MAX: Duration = Duration::from_secs(60);

/// Who has no vote, and what came of it.
#[derive(Debug, Default)]
pub struct Votes(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    taken: Option<NodeId>,
    /// A change is on its way: there is one at a time.
    changing: bool,
}

impl Votes {
    /// What is to change: a vote is given back before another one is taken. None: a change is under way.
    fn next(&self, from: &Dice, nodes: &Nodes) -> Option<(NodeId, NodeRole)> {
        let mut state = self.0.lock();
        if state.changing {
            return None;
        }
        state.changing = true;
        match state.taken.take() {
            Some(node) => Some((node, NodeRole::Voter)),
            None => {
                let ids: Vec<NodeId> = nodes.keys().copied().collect();
                state.taken = Some(*from.pick(&ids));
                state.taken.map(|node| (node, NodeRole::Learner))
            }
        }
    }

    fn settle(&self) {
        self.0.lock().changing = false;
    }

    fn are_whole(&self) -> bool {
        let state = self.0.lock();
        !state.changing && state.taken.is_none()
    }
}

/// Takes a vote, or gives it back. None: the last change goes on.
pub fn change(world: &Arc<World>, nodes: &Nodes, dice: &Dice) -> Option<&'static str> {
    let (node, role) = world.votes.next(dice, nodes)?;
    let change = Change {
        world: Arc::clone(world),
        nodes: nodes.values().cloned().collect(),
        dice: dice.fork("vote"),
    };
    tokio::spawn(change.run(node, role));
    match role {
        NodeRole::Voter => Some("a vote is given back"),
        NodeRole::Learner | NodeRole::Gateway => Some("a vote is taken"),
    }
}

/// In a healed cluster everybody votes again.
pub async fn restore(world: &Arc<World>, nodes: &Nodes) {
    let (began, dice) = (Instant::now(), world.dice.fork("votes"));
    while !world.votes.are_whole() {
        if began.elapsed() >= RESTORED_MAX {
            return world.fail(format!("a change of votes has no end: {:?}", world.votes));
        }
        change(world, nodes, &dice);
        sleep(LOOKED_AFTER).await;
    }
}

struct Change {
    world: Arc<World>,
    nodes: Vec<Arc<Node>>,
    dice: Dice,
}

impl Change {
    async fn run(self, node: NodeId, role: NodeRole) {
        let operation = Operation::ChangeMembers(MemberChange::SetRole { node, role });
        let (group, request) = (GroupId::CONTROL, RequestId(self.dice.bytes()));
        let command = Command { group, request, not_after: NOT_AFTER, operation };
        while !self.is_accepted(&command).await {
            sleep(LOOKED_AFTER).await;
        }
        self.world.trace.add(format_args!("votes: {node} is to be {role:?}"));
        while !self.is_done(node, role).await {
            sleep(LOOKED_AFTER).await;
        }
        self.world.trace.add(format_args!("votes: {node} is {role:?}"));
        self.world.votes.settle();
    }

    async fn is_accepted(&self, command: &Command) -> bool {
        let Some(ready) = self.dice.pick(&self.nodes).ready() else {
            return false;
        };
        match ready.catalog.commit(command.clone()).await {
            Ok(Response::Node(_)) => true,
            Ok(Response::Rejected(Rejection::MembershipChanging)) | Err(_) => false,
            Ok(other) => {
                self.world.fail(format!("a change of votes was answered {other:?}"));
                false
            }
        }
    }

    async fn is_done(&self, node: NodeId, role: NodeRole) -> bool {
        let Some(ready) = self.dice.pick(&self.nodes).ready() else {
            return false;
        };
        let Ok(Answer::Nodes(rows)) =
            ready.catalog.query(Query::Nodes, Consistency::Linearizable).await
        else {
            return false;
        };
        let is = |row: &NodeRow| row.id == node && row.phase == NodePhase::Member;
        rows.iter().any(|row| is(row) && row.role == role)
    }
}
