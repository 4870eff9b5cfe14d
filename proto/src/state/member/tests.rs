//! Joins, removals and changes of role, step by step.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]

use super::*;
use crate::command::{Command, InitCluster, Operation};
use crate::id::{ClusterId, GroupId, RequestId};
use crate::state::{Position, apply};
use crate::tables::MemTables;

const HASH: [u8; 16] = [7; 16];
const OTHER_HASH: [u8; 16] = [8; 16];

struct Control {
    tables: MemTables,
    index: u64,
    now: u64,
}

impl Control {
    fn new() -> Self {
        let mut control = Self { tables: MemTables::default(), index: 0, now: 1000 };
        let init = InitCluster {
            cluster: ClusterId([1; 16]),
            generation: 1,
            shards: 1,
            region: String::new(),
            token_key: Vec::new(),
        };
        assert_eq!(control.run(Operation::InitCluster(init)), Response::Done);
        assert_eq!(control.register(1, 1), Response::Done);
        control
    }

    fn run(&mut self, operation: Operation) -> Response {
        self.index += 1;
        let command = Command {
            group: GroupId::CONTROL,
            request: RequestId(u128::from(self.index).to_be_bytes()),
            not_after: TimeMs(u64::MAX),
            operation,
        };
        let position = Position { index: self.index, sub: 0, stamped_at: TimeMs(self.now) };
        apply(&mut self.tables, GroupId::CONTROL, position, &command)
    }

    fn change(&mut self, change: MemberChange) -> Response {
        self.run(Operation::ChangeMembers(change))
    }

    fn register(&mut self, node: u64, incarnation: u64) -> Response {
        self.run(Operation::RegisterNode {
            node: NodeId(node),
            incarnation,
            name: format!("n{node}"),
            address: format!("host-{node}:9003"),
            zone: String::new(),
            region: String::new(),
        })
    }

    fn invite(&mut self, hash: [u8; 16]) {
        let expires_at = TimeMs(self.now + 100);
        assert_eq!(self.change(MemberChange::Invite { hash, expires_at }), Response::Done);
    }

    fn try_join(&mut self, hash: [u8; 16], name: &str) -> Response {
        self.try_join_as(NodeRole::Voter, hash, name)
    }

    fn try_join_as(&mut self, role: NodeRole, hash: [u8; 16], name: &str) -> Response {
        let (name, address) = (name.to_owned(), format!("{name}:9003"));
        self.change(MemberChange::Join { hash, name, address, role })
    }

    /// Invited, joined and settled.
    fn member(&mut self, name: &str) -> NodeId {
        self.invite(HASH);
        let Response::Node(row) = self.try_join(HASH, name) else { panic!("not joined") };
        assert_eq!(row.phase, NodePhase::Joining);
        self.settle(row.id, NodePhase::Joining);
        row.id
    }

    fn settle(&mut self, node: NodeId, phase: NodePhase) -> NodePhase {
        match self.change(MemberChange::Settle { node, phase }) {
            Response::Node(row) => row.phase,
            other => panic!("{other:?}"),
        }
    }

    fn wanted(&self) -> (Vec<NodeId>, Vec<NodeId>) {
        wanted(&all(&self.tables))
    }
}

fn no(rejection: Rejection) -> Response {
    Response::Rejected(rejection)
}

#[test]
fn a_token_lets_one_node_in_for_a_while() {
    let mut control = Control::new();
    assert_eq!(control.try_join(HASH, "two"), no(Rejection::InvalidToken));
    control.invite(HASH);
    control.now += 101;
    assert_eq!(control.try_join(HASH, "two"), no(Rejection::InvalidToken), "it has expired");
    let two = control.member("two");
    assert_eq!(two, NodeId(2));
    assert_eq!(control.try_join(HASH, "three"), no(Rejection::TokenUsed));
    assert_eq!(control.wanted().0, [NodeId(1), NodeId(2)]);
}

#[test]
fn expired_tokens_are_forgotten() {
    let mut control = Control::new();
    control.invite(HASH);
    control.now += 101;
    control.invite(OTHER_HASH);
    let tokens = scan(&control.tables, &key::all(Prefix::JoinToken)).count();
    assert_eq!(tokens, 1);
}

#[test]
fn one_change_at_a_time() {
    let mut control = Control::new();
    control.invite(HASH);
    control.invite(OTHER_HASH);
    assert!(matches!(control.try_join(HASH, "two"), Response::Node(_)));
    assert_eq!(control.try_join(OTHER_HASH, "three"), no(Rejection::MembershipChanging));
    let demote = MemberChange::SetRole { node: NodeId(1), role: NodeRole::Learner };
    assert_eq!(control.change(demote), no(Rejection::MembershipChanging));
    let remove = MemberChange::Remove { node: NodeId(1) };
    assert_eq!(control.change(remove), no(Rejection::MembershipChanging));
    assert_eq!(control.settle(NodeId(2), NodePhase::Joining), NodePhase::Member);
    assert!(matches!(control.try_join(OTHER_HASH, "three"), Response::Node(_)));
}

#[test]
fn a_join_that_hangs_can_be_given_up() {
    let mut control = Control::new();
    control.invite(HASH);
    assert!(matches!(control.try_join(HASH, "two"), Response::Node(_)));
    let remove = MemberChange::Remove { node: NodeId(2) };
    assert!(matches!(control.change(remove), Response::Node(_)));
    assert_eq!(control.wanted().0, [NodeId(1)]);
    // What somebody saw of the join must not end the removal.
    assert_eq!(control.settle(NodeId(2), NodePhase::Joining), NodePhase::Leaving);
    assert_eq!(control.settle(NodeId(2), NodePhase::Leaving), NodePhase::Removed);
}

#[test]
fn an_id_is_never_given_twice_and_never_comes_back() {
    let mut control = Control::new();
    let two = control.member("two");
    control.change(MemberChange::Remove { node: two });
    control.settle(two, NodePhase::Leaving);
    assert_eq!(control.register(2, 9), no(Rejection::NodeRemoved));
    let role = NodeRole::Learner;
    let change = MemberChange::SetRole { node: two, role };
    assert_eq!(control.change(change), no(Rejection::NodeRemoved));
    control.now += 1;
    assert_eq!(control.member("two"), NodeId(3), "its name may come back");
}

#[test]
fn a_node_that_never_joined_cannot_register() {
    let mut control = Control::new();
    assert_eq!(control.register(2, 1), no(Rejection::NoSuchNode));
}

#[test]
fn a_late_report_of_an_older_life_changes_nothing() {
    let mut control = Control::new();
    control.register(1, 5);
    control.register(1, 4);
    assert_eq!(all(&control.tables)[0].incarnation, 5);
}

#[test]
fn the_last_voter_stays() {
    let mut control = Control::new();
    let (one, two) = (NodeId(1), control.member("two"));
    let demote = |node| MemberChange::SetRole { node, role: NodeRole::Learner };
    assert!(matches!(control.change(demote(two)), Response::Node(_)));
    assert_eq!(control.wanted(), (vec![one], vec![two]));
    control.settle(two, NodePhase::Changing);
    assert_eq!(control.change(demote(one)), no(Rejection::LastVoter));
    assert_eq!(control.change(MemberChange::Remove { node: one }), no(Rejection::LastVoter));
}

#[test]
fn a_gateway_is_of_no_group_and_stays_what_it_is() {
    let mut control = Control::new();
    let two = control.member("two");
    control.invite(OTHER_HASH);
    let joined = control.try_join_as(NodeRole::Gateway, OTHER_HASH, "front");
    let Response::Node(NodeRow { id: front, .. }) = joined else { panic!("{joined:?}") };
    control.settle(front, NodePhase::Joining);
    assert_eq!(control.wanted(), (vec![NodeId(1), two], vec![]));
    for (node, role) in
        [(front, NodeRole::Voter), (front, NodeRole::Learner), (two, NodeRole::Gateway)]
    {
        let change = MemberChange::SetRole { node, role };
        assert_eq!(control.change(change), no(Rejection::Malformed));
    }
    assert!(matches!(control.change(MemberChange::Remove { node: front }), Response::Node(_)));
    assert_eq!(control.settle(front, NodePhase::Leaving), NodePhase::Removed);
}

#[test]
fn names_are_unique_among_those_who_are_there() {
    let mut control = Control::new();
    control.member("two");
    control.invite(OTHER_HASH);
    assert_eq!(control.try_join(OTHER_HASH, "two"), no(Rejection::AlreadyExists));
    assert!(matches!(control.try_join(OTHER_HASH, "three"), Response::Node(_)), "not used up");
}
