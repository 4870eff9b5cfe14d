//! What a node that does not lead a group asks of the one that does, and how it is answered there: commands, many in one call,
//! and up to where a reader must have applied.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use vaultaire_proto::convert::Stored;
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::wire::v1::propose_response::{Outcome, outcome};
use vaultaire_proto::{CatalogError, Command, Entry, GroupId, NodeId, Response, TimeMs};

use super::peers::Refusal;
use super::replica::Replica;
use super::wire::Nonsense;
use crate::peer::calls::{CallError, Peers};

/// After this long an answer to commands is not waited for any more: their outcome is unknown.
const OUTCOME_WAIT: Duration = Duration::from_secs(10);

/// A leader that cannot say in this time that it leads is asked again, or another one is.
const READ_INDEX_WAIT: Duration = Duration::from_secs(2);

/// The outcome of one command.
pub type Answer = Result<Response, CatalogError>;

/// Where a confirmed leader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPoint {
    pub term: u64,
    pub index: u64,
}

/// The way to the leader of one group.
#[derive(Clone, Debug)]
pub struct Forward {
    pub group: GroupId,
    /// This one.
    pub node: NodeId,
    pub peers: Arc<dyn Peers>,
}

impl Forward {
    /// Proposes commands at the leader; one answer for each.
    pub async fn propose(&self, leader: NodeId, commands: Vec<Command>) -> Vec<Answer> {
        let (group, count) = (self.group, commands.len());
        // The leader stamps: this one would be another clock's.
        let entry = Entry { stamped_at: TimeMs::default(), commands }.encode();
        let message = wire::ProposeRequest { group: u32::from(group.0), entry };
        let outcomes = match self.peers.propose(leader, OUTCOME_WAIT, message).await {
            Ok(response) => response.outcomes,
            Err(error) => {
                tracing::debug!(%group, %leader, %error, "commands were not answered");
                let error = match error {
                    CallError::Refused(_) => CatalogError::NoLeader { group },
                    CallError::Failed(_) => CatalogError::OutcomeUnknown { group },
                };
                return vec![Err(error); count];
            }
        };
        let mut answers: Vec<Answer> =
            outcomes.into_iter().map(|outcome| read_outcome(group, outcome)).collect();
        answers.resize(count, Err(CatalogError::OutcomeUnknown { group }));
        answers
    }

    /// Asks the leader to confirm that it leads, after this call began.
    pub async fn read_index(&self, leader: NodeId) -> Result<ReadPoint, CatalogError> {
        let group = self.group;
        let message = wire::ReadIndexRequest { group: u32::from(group.0) };
        let answer = match self.peers.read_index(leader, READ_INDEX_WAIT, message).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%group, %leader, %error, "a read was not confirmed");
                return Err(CatalogError::NoLeader { group });
            }
        };
        match answer.index {
            Some(id) => Ok(ReadPoint { term: answer.term, index: id.index }),
            None => Err(CatalogError::NoLeader { group }),
        }
    }
}

/// What the other side said became of a command.
pub fn read_outcome(group: GroupId, outcome: Outcome) -> Answer {
    match outcome.outcome {
        Some(outcome::Outcome::Response(bytes)) => Response::decode(&bytes).map_err(|error| {
            tracing::error!(%group, %error, "the answer to a command cannot be read");
            CatalogError::OutcomeUnknown { group }
        }),
        Some(outcome::Outcome::Fault(fault)) => Err(read_fault(group, fault)),
        None => Err(CatalogError::OutcomeUnknown { group }),
    }
}

/// Why the other side has no answer.
pub fn read_fault(group: GroupId, fault: i32) -> CatalogError {
    match wire::Fault::try_from(fault) {
        // The other node stops, this one does not: somebody else will lead.
        Ok(wire::Fault::NoLeader | wire::Fault::Stopped) => CatalogError::NoLeader { group },
        Ok(wire::Fault::Busy) => CatalogError::Busy { group },
        Ok(wire::Fault::Unsupported) => CatalogError::Unsupported,
        Ok(wire::Fault::OutcomeUnknown | wire::Fault::Unspecified) | Err(_) => {
            CatalogError::OutcomeUnknown { group }
        }
    }
}

/// The same for the other side.
pub fn fault(error: &CatalogError) -> wire::Fault {
    match error {
        CatalogError::NoLeader { .. } => wire::Fault::NoLeader,
        CatalogError::OutcomeUnknown { .. } => wire::Fault::OutcomeUnknown,
        CatalogError::Busy { .. } => wire::Fault::Busy,
        CatalogError::Stopped => wire::Fault::Stopped,
        CatalogError::Unsupported => wire::Fault::Unsupported,
    }
}

/// What became of a command, for the other side.
pub fn outcome_of(answer: Answer) -> Outcome {
    let outcome = match answer {
        Ok(response) => outcome::Outcome::Response(response.encode()),
        Err(error) => outcome::Outcome::Fault(fault(&error).into()),
    };
    Outcome { outcome: Some(outcome) }
}

impl Replica {
    /// Commands that another node has sent here because it takes this one for the leader.
    pub async fn take_proposals(
        &self,
        request: wire::ProposeRequest,
    ) -> Result<wire::ProposeResponse, Refusal> {
        let entry = Entry::decode(&request.entry).map_err(|error| Nonsense(error.to_string()))?;
        if let Some(other) = entry.commands.iter().find(|command| command.group != self.id) {
            return Err(Nonsense(format!("a command of group {}", other.group)).into());
        }
        // Sent on from here they could go round in circles.
        let leads = self.leads();
        let answers = entry.commands.into_iter().map(|command| async move {
            match leads {
                true => self.proposer.propose(command).await,
                false => Err(CatalogError::NoLeader { group: self.id }),
            }
        });
        let outcomes = join_all(answers).await.into_iter().map(outcome_of);
        Ok(wire::ProposeResponse { outcomes: outcomes.collect() })
    }

    /// Confirms for another node that this one leads.
    pub async fn take_read_index(&self) -> wire::ReadIndexResponse {
        match self.barrier.lead_point().await {
            Ok(ReadPoint { term, index }) => wire::ReadIndexResponse {
                index: Some(wire::LogId { term, index }),
                fault: wire::Fault::Unspecified.into(),
                term,
            },
            Err(error) => {
                wire::ReadIndexResponse { index: None, fault: fault(&error).into(), term: 0 }
            }
        }
    }
}
