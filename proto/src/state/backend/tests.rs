//! Whose disk a row is of: pools of one name, and the rows of releases that knew one node.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;

use super::all;
use crate::command::{Command, InitCluster, Operation};
use crate::id::{ClusterId, GroupId, NodeId, RequestId};
use crate::response::{Rejection, Response};
use crate::row::{BackendRow, BackendState, NodePhase, NodeRole, NodeRow};
use crate::state::{Position, apply, invariants, key, rows};
use crate::tables::MemTables;
use crate::time::TimeMs;

const FIRST: Option<NodeId> = Some(NodeId(1));
const SECOND: Option<NodeId> = Some(NodeId(2));

/// The control group of a cluster of two nodes.
struct Control {
    tables: MemTables,
    index: u64,
}

impl Control {
    fn new() -> Self {
        let mut control = Self { tables: MemTables::default(), index: 0 };
        let init = InitCluster {
            cluster: ClusterId([1; 16]),
            generation: 1,
            shards: 1,
            region: String::new(),
            token_key: Vec::new(),
        };
        assert_eq!(control.run(Operation::InitCluster(init)), Response::Done);
        for id in [NodeId(1), NodeId(2)] {
            let (name, address) = (format!("n{id}"), String::new());
            let (role, phase) = (NodeRole::Voter, NodePhase::Member);
            let (zone, region) = (String::new(), String::new());
            let row = NodeRow { id, name, incarnation: 1, address, role, phase, zone, region };
            rows::put(&mut control.tables, key::node(id), &row);
        }
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
        let position = Position { index: self.index, sub: 0, stamped_at: TimeMs(1) };
        apply(&mut self.tables, GroupId::CONTROL, position, &command)
    }

    fn try_put(&mut self, name: &str, kind: &str, node: Option<NodeId>) -> Response {
        let (name, kind, state) = (name.to_owned(), kind.to_owned(), BackendState::Active);
        self.run(Operation::PutBackend { name, kind, state, node })
    }

    fn put(&mut self, name: &str, kind: &str, node: Option<NodeId>) -> BackendRow {
        match self.try_put(name, kind, node) {
            Response::Backend(row) => row,
            other => panic!("{other:?}"),
        }
    }

    /// The row once every shard knows it.
    fn settled(&mut self, row: &BackendRow) -> BackendRow {
        let (backend, generation) = (row.id, row.generation);
        match self.run(Operation::SettleBackend { backend, generation }) {
            Response::Backend(row) => row,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_node_has_its_own_backend_of_a_name() {
    let mut control = Control::new();
    let first = control.put("hot", "disk", FIRST);
    let second = control.put("hot", "disk", SECOND);
    let shared = control.put("cloud", "s3", None);
    assert_eq!((first.node, second.node, shared.node), (FIRST, SECOND, None));
    assert_eq!(control.put("hot", "disk", FIRST), first, "a restart finds its own");
    assert_eq!(control.put("hot", "disk", SECOND), second);
    assert_eq!(control.put("cloud", "s3", None), shared);
    assert_eq!(all(&control.tables), [first, second, shared]);
}

#[test]
fn a_pool_is_of_one_kind() {
    let mut control = Control::new();
    control.put("hot", "disk", FIRST);
    for node in [SECOND, FIRST, None] {
        let refused = Response::Rejected(Rejection::AlreadyExists);
        assert_eq!(control.try_put("hot", "memory", node), refused, "{node:?}");
    }
}

#[test]
fn a_row_of_a_release_that_knew_one_node_becomes_that_nodes() {
    let mut control = Control::new();
    let former = control.put("hot", "disk", None);
    let former = control.settled(&former);
    // Settled means that its disk was opened before: an empty folder in its place is a lost disk, and must stay one.
    let adopted = BackendRow { node: FIRST, ..former };
    assert_eq!(control.put("hot", "disk", FIRST), adopted);
    assert_eq!(all(&control.tables), [adopted]);
}

#[test]
fn a_node_that_joined_later_takes_no_row_over() {
    let mut control = Control::new();
    let former = control.put("hot", "disk", None);
    let second = control.put("hot", "disk", SECOND);
    assert_ne!(second.id, former.id, "its disk was never that backend");
    let adopted = control.put("hot", "disk", FIRST);
    assert_eq!((adopted.id, adopted.node), (former.id, FIRST));
}

proptest! {
    #[test]
    fn backends_stay_told_apart(
        puts in prop::collection::vec((0..2_usize, 0..2_usize, prop::option::of(1..4_u64)), 1..40)
    ) {
        let mut control = Control::new();
        for (name, kind, node) in puts {
            control.try_put(["hot", "cold"][name], ["disk", "memory"][kind], node.map(NodeId));
            prop_assert_eq!(invariants::backends_are_told_apart(&control.tables), Ok(()));
        }
    }
}

#[test]
fn a_backend_lives_forward_and_frees_its_name_when_it_is_gone() {
    use BackendState::{Active, Draining, Lost, Removed};
    let mut control = Control::new();
    let first = control.put("hot", "disk", FIRST);
    let set = |control: &mut Control, state| {
        control.run(Operation::SetBackendState { backend: first.id, state })
    };
    let refused = Response::Rejected(Rejection::WrongBackendState);
    assert_eq!(set(&mut control, Removed), refused, "not before it is drained");
    for (generation, state) in [(2, Draining), (3, Active), (4, Lost)] {
        let row = BackendRow { generation, state, ..first.clone() };
        assert_eq!(set(&mut control, state), Response::Backend(row));
    }
    assert_eq!(set(&mut control, Lost), Response::Backend(all(&control.tables)[0].clone()));
    assert_eq!(set(&mut control, Active), refused, "its bytes are gone");
    let second = control.put("hot", "disk", FIRST);
    assert_ne!(second.id, first.id, "a new disk in the place of the lost one");
    assert_eq!(control.put("hot", "disk", FIRST), second);
    assert!(matches!(set(&mut control, Removed), Response::Backend(_)));
    assert_eq!(set(&mut control, Lost), refused);
    let unknown = Operation::SetBackendState { backend: crate::id::BackendId(9), state: Active };
    assert_eq!(control.run(unknown), Response::Rejected(Rejection::NoSuchBackend));
    assert_eq!(invariants::backends_are_told_apart(&control.tables), Ok(()));
}
