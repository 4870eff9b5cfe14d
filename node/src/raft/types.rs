//! The types openraft is used with. A log id is (term, index): with one leader per term nothing more is needed.
//! What an entry means is proto's; here it is bytes.

use std::fmt;

use bytes::Bytes;
use openraft::raft::responder::Responder;
use openraft::{EmptyNode, EntryPayload, OptionalSend, RaftTypeConfig};
use vaultaire_proto::Response;

use super::runtime::Runtime;
use super::state_machine::StateMachine;

/// One entry as its group's leader encoded it: made once, carried unread through log and network, decoded to be applied.
#[derive(Clone, PartialEq, Eq)]
pub struct Proposal(pub Bytes);

impl fmt::Debug for Proposal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Proposal({} bytes)", self.0.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes", self.0.len())
    }
}

/// What `apply` answered to the commands of one entry, in their order. Empty for entries that are Raft's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replies(pub Vec<Response>);

/// Tells a proposal's outcome by a call, on the thread that knows it: no task waits for each entry.
/// Dropped uncalled, the outcome is unknown.
pub struct Callback<T>(Box<dyn FnOnce(T) + Send>);

impl<T> Callback<T> {
    pub fn new(call: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Box::new(call))
    }
}

impl<T: OptionalSend + 'static> Responder<TypeConfig, T> for Callback<T> {
    fn on_complete(self, result: T) {
        (self.0)(result);
    }
}

/// openraft's configuration of types. Node addresses are rows of the control group, not Raft's business.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeConfig;

impl RaftTypeConfig for TypeConfig {
    type D = Proposal;
    type R = Replies;
    type NodeId = u64;
    type Node = EmptyNode;
    type Term = u64;
    type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = Runtime;
    type Responder<T>
        = Callback<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

pub type Payload = EntryPayload<Proposal, u64, EmptyNode>;
pub type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>;
pub type CommittedLeaderId = <LeaderId as openraft::vote::RaftLeaderId>::Committed;
pub type LogId = openraft::LogId<CommittedLeaderId>;
pub type Entry = openraft::Entry<CommittedLeaderId, Payload>;
pub type Vote = openraft::impls::Vote<LeaderId>;
pub type Membership = openraft::Membership<u64, EmptyNode>;
pub type StoredMembership = openraft::StoredMembership<CommittedLeaderId, u64, EmptyNode>;
pub type SnapshotMeta = openraft::SnapshotMeta<CommittedLeaderId, u64, EmptyNode>;
pub type Snapshot =
    openraft::Snapshot<CommittedLeaderId, u64, EmptyNode, super::snapshot::SnapshotData>;
pub type Raft = openraft::Raft<TypeConfig, StateMachine>;
