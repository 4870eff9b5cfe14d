//! How a node that has rows answers those that have none: with its own catalog, which keeps every promise of a read or a write made
//! here. A read is no older than what was acknowledged before the gateway asked, since its barrier begins after that.

use std::sync::Arc;

use vaultaire_proto::convert::Stored;
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::wire::v1::ask_response::Outcome;
use vaultaire_proto::{Catalog, CatalogError, Command, Consistency, GroupId, Query};

use crate::raft::forward::{fault, outcome_of};
use crate::raft::peers::Refusal;
use crate::raft::wire::Nonsense;

/// While it starts, and on a gateway.
const CLOSED: CatalogError = CatalogError::NoLeader { group: GroupId::CONTROL };

/// Answers a question.
pub async fn ask(
    catalog: Option<&Arc<dyn Catalog>>,
    request: wire::AskRequest,
) -> Result<wire::AskResponse, Refusal> {
    let query = Query::decode(&request.query).map_err(|error| Nonsense(error.to_string()))?;
    let consistency = match request.stale {
        true => Consistency::Stale,
        false => Consistency::Linearizable,
    };
    let answer = match catalog {
        Some(catalog) => catalog.query(query, consistency).await,
        None => Err(CLOSED),
    };
    let outcome = match answer {
        Ok(answer) => Outcome::Answer(answer.encode()),
        Err(error) => Outcome::Fault(fault(&error).into()),
    };
    Ok(wire::AskResponse { outcome: Some(outcome) })
}

/// Commits a command.
pub async fn commit(
    catalog: Option<&Arc<dyn Catalog>>,
    request: wire::CommitRequest,
) -> Result<wire::CommitResponse, Refusal> {
    let command = Command::decode(&request.command).map_err(|error| Nonsense(error.to_string()))?;
    let answer = match catalog {
        Some(catalog) => catalog.commit(command).await,
        None => Err(CLOSED),
    };
    Ok(wire::CommitResponse { outcome: Some(outcome_of(answer)) })
}
