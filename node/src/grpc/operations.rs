//! What takes longer than a call, told from the rows: changes of members, and backends that are emptied.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use vaultaire_proto::row::{BackendRow, BackendState, NodePhase, NodeRole, NodeRow};
use vaultaire_proto::wire::admin;
use vaultaire_proto::wire::admin::operation_service_server::OperationService;
use vaultaire_proto::{BackendId, Consistency, NodeId, Rejection};

use crate::ask;
use crate::error::Error;
use crate::grpc::backends::row_name;
use crate::grpc::call::Call;
use crate::grpc::{Parts, changes, info, names, status};
use crate::propose::rejected;

const FRESH: Consistency = Consistency::Linearizable;

/// How often it is looked whether something has changed.
const LOOK: Duration = Duration::from_millis(250);

/// So many looks that find no answer in a row end a watch.
const FAILURES_MAX: u32 = 120;

/// What is told to a watcher that does not take it waits, and is the last that it is told until it does.
const UPDATES_MAX: usize = 1;

/// What an operation is named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Node(NodeId),
    Backend(BackendId),
}

impl Subject {
    fn parse(name: &str) -> Result<Self, Error> {
        let own = names::within(names::OPERATIONS, name)?;
        let (of, id) = own.split_once('/').unwrap_or_default();
        let subject = match of {
            "nodes" => id.parse().ok().map(NodeId).map(Self::Node),
            "backends" => id.parse().ok().map(BackendId).map(Self::Backend),
            _ => None,
        };
        subject.ok_or_else(|| {
            Error::Usage(format!(
                "`{name}` is no operation: they are named like operations/nodes/4 and operations/backends/7"
            ))
        })
    }
}

/// The operation that changes a node.
pub fn of_node(node: NodeId) -> String {
    format!("{}{}{node}", names::OPERATIONS, names::NODES)
}

/// The operation that empties a backend.
pub fn of_backend(backend: BackendId) -> String {
    format!("{}{}{backend}", names::OPERATIONS, names::BACKENDS)
}

async fn list(parts: &Parts) -> Result<admin::ListOperationsResponse, Error> {
    let mut operations = Vec::new();
    for row in ask::nodes(parts.proposer.catalog(), FRESH).await? {
        if node_kind(&row).is_some() {
            operations.push(node_operation(parts, &row).await);
        }
    }
    for row in ask::backends(parts.proposer.catalog(), FRESH).await? {
        if backend_kind(&row).is_some() {
            operations.push(backend_operation(parts, &row).await?);
        }
    }
    operations.retain(|operation| !operation.done);
    Ok(admin::ListOperationsResponse { operations })
}

async fn get(parts: &Parts, subject: Subject) -> Result<admin::Operation, Error> {
    match subject {
        Subject::Node(node) => {
            let nodes = ask::nodes(parts.proposer.catalog(), FRESH).await?;
            match nodes.iter().find(|row| row.id == node) {
                Some(row) => Ok(node_operation(parts, row).await),
                None => Err(rejected(&format!("node {node}"), Rejection::NoSuchNode)),
            }
        }
        Subject::Backend(backend) => {
            let backends = ask::backends(parts.proposer.catalog(), FRESH).await?;
            match backends.iter().find(|row| row.id == backend) {
                Some(row) => backend_operation(parts, row).await,
                None => Err(rejected(&format!("backend {backend}"), Rejection::NoSuchBackend)),
            }
        }
    }
}

fn node_kind(row: &NodeRow) -> Option<admin::OperationKind> {
    match row.phase {
        NodePhase::Joining => Some(admin::OperationKind::Join),
        NodePhase::Changing => Some(admin::OperationKind::SetRole),
        NodePhase::Leaving => Some(admin::OperationKind::Remove),
        NodePhase::Member | NodePhase::Removed => None,
    }
}

async fn node_operation(parts: &Parts, row: &NodeRow) -> admin::Operation {
    let kind = node_kind(row);
    let left = match kind {
        Some(_) if row.role != NodeRole::Gateway => info::behind(parts, row.id).await,
        Some(_) | None => None,
    };
    admin::Operation {
        name: of_node(row.id),
        kind: kind.unwrap_or_default().into(),
        subject: format!("{}{}", names::NODES, row.id),
        done: kind.is_none(),
        left,
        unit: admin::OperationUnit::Entries.into(),
    }
}

/// A backend that was drained stays so when it is empty; one that was lost is removed then.
fn backend_kind(row: &BackendRow) -> Option<admin::OperationKind> {
    match row.state {
        BackendState::Draining => Some(admin::OperationKind::Drain),
        BackendState::Lost => Some(admin::OperationKind::CopyAgain),
        BackendState::Active | BackendState::Removed => None,
    }
}

async fn backend_operation(parts: &Parts, row: &BackendRow) -> Result<admin::Operation, Error> {
    let kind = backend_kind(row);
    let left = match kind {
        Some(_) => changes::held(&parts.proposer, row.id).await?.0,
        None => 0,
    };
    let done = match row.state {
        BackendState::Draining => left == 0,
        BackendState::Lost => false,
        BackendState::Active | BackendState::Removed => true,
    };
    let kind = kind.filter(|_| !done).unwrap_or_default();
    Ok(admin::Operation {
        name: of_backend(row.id),
        kind: kind.into(),
        subject: format!("{}{}", names::BACKENDS, row_name(parts.node, row)),
        done,
        left: Some(left),
        unit: admin::OperationUnit::Blobs.into(),
    })
}

type Updates = Pin<Box<dyn Stream<Item = Result<admin::Operation, Status>> + Send>>;

/// Tells of an operation until it is done, nobody listens, or this node stops.
async fn watch(parts: &Arc<Parts>, subject: Subject) -> Result<Updates, Error> {
    // What cannot be watched is said at once.
    let mut last = get(parts, subject).await?;
    let (sender, received) = mpsc::channel(UPDATES_MAX);
    let parts = Arc::clone(parts);
    tokio::spawn(async move {
        let stop = parts.stop.clone();
        let tell = async {
            let mut failures = 0;
            let mut news = Some(Ok(last.clone()));
            loop {
                if let Some(news) = news.take()
                    && (sender.send(news).await.is_err() || last.done || failures > 0)
                {
                    return;
                }
                tokio::time::sleep(LOOK).await;
                match get(&parts, subject).await {
                    Ok(now) => {
                        failures = 0;
                        news = (now != last).then(|| Ok(now.clone()));
                        last = now;
                    }
                    // While a leader is elected nothing can be told.
                    Err(_) if failures < FAILURES_MAX => failures += 1,
                    Err(error) => news = Some(Err(status::of(&error))),
                }
            }
        };
        stop.run_until_cancelled(tell).await;
    });
    Ok(Box::pin(ReceiverStream::new(received)))
}

/// The handlers.
#[derive(Clone, Debug)]
pub struct Operations {
    parts: Arc<Parts>,
}

impl Operations {
    /// Over what the node is made of.
    pub fn new(parts: Arc<Parts>) -> Self {
        Self { parts }
    }
}

#[tonic::async_trait]
impl OperationService for Operations {
    type WatchOperationStream = Updates;

    async fn list_operations(
        &self,
        _request: Request<admin::ListOperationsRequest>,
    ) -> Result<Response<admin::ListOperationsResponse>, Status> {
        Call::question("ListOperations").answer(list(&self.parts).await)
    }

    async fn get_operation(
        &self,
        request: Request<admin::GetOperationRequest>,
    ) -> Result<Response<admin::Operation>, Status> {
        let call = Call::question("GetOperation");
        match Subject::parse(&request.into_inner().name) {
            Ok(subject) => call.answer(get(&self.parts, subject).await),
            Err(error) => call.answer(Err(error)),
        }
    }

    async fn watch_operation(
        &self,
        request: Request<admin::WatchOperationRequest>,
    ) -> Result<Response<Updates>, Status> {
        let call = Call::question("WatchOperation");
        match Subject::parse(&request.into_inner().name) {
            Ok(subject) => call.answer(watch(&self.parts, subject).await),
            Err(error) => call.answer(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn operations_are_named_after_what_they_change() {
        for subject in [Subject::Node(NodeId(4)), Subject::Backend(BackendId(7))] {
            let name = match subject {
                Subject::Node(node) => of_node(node),
                Subject::Backend(backend) => of_backend(backend),
            };
            assert_eq!(Subject::parse(&name).unwrap(), subject);
        }
        for wrong in ["", "nodes/4", "operations/4", "operations/nodes/", "operations/nodes/x"] {
            assert!(Subject::parse(wrong).is_err(), "{wrong}");
        }
    }
}
