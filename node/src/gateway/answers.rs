//! How a node that has rows answers those that have none: with its own catalog, which keeps every promise of a read or a write made
//! here. A read is no older than what was acknowledged before the gateway asked, since its barrier begins after that.

use vaultaire_proto::convert::Stored;
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::wire::v1::query_response::Outcome;
use vaultaire_proto::{CatalogError, Command, Consistency, GroupId, Query};

use crate::propose::Proposer;
use crate::raft::forward::{fault, outcome_of};
use crate::raft::peers::Refusal;
use crate::raft::wire::Nonsense;

/// While it starts, and on a gateway.
const CLOSED: CatalogError = CatalogError::NoLeader { group: GroupId::CONTROL };

/// Answers a question.
pub async fn query(
    proposer: Option<&Proposer>,
    request: wire::QueryRequest,
) -> Result<wire::QueryResponse, Refusal> {
    let asked = Query::decode(&request.query).map_err(|error| Nonsense(error.to_string()))?;
    let consistency = match request.stale {
        true => Consistency::Stale,
        false => Consistency::Linearizable,
    };
    let answer = match proposer {
        Some(proposer) => proposer.catalog().query(asked, consistency).await,
        None => Err(CLOSED),
    };
    let outcome = match answer {
        Ok(answer) => Outcome::Answer(answer.encode()),
        Err(error) => Outcome::Fault(fault(&error).into()),
    };
    Ok(wire::QueryResponse { outcome: Some(outcome), now_ms: now(proposer) })
}

/// Commits a command.
pub async fn commit(
    proposer: Option<&Proposer>,
    request: wire::CommitRequest,
) -> Result<wire::CommitResponse, Refusal> {
    let command = Command::decode(&request.command).map_err(|error| Nonsense(error.to_string()))?;
    // Not the proposer's own commit: who asks dates the command and repeats it.
    let answer = match proposer {
        Some(proposer) => proposer.catalog().commit(command).await,
        None => Err(CLOSED),
    };
    Ok(wire::CommitResponse { outcome: Some(outcome_of(answer)), now_ms: now(proposer) })
}

/// Zero, which moves no clock, where this node serves nobody.
fn now(proposer: Option<&Proposer>) -> u64 {
    proposer.map_or(0, |proposer| proposer.clock().now().0)
}
