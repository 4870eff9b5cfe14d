//! What a node asks of another one, whatever carries it: gRPC over mutual TLS here, and in simulations a network that delays,
//! loses and cuts. Nobody is asked twice here, and only calls with a deadline end by themselves.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::wire::v1::peer_client::PeerClient;
use vaultaire_proto::{GroupId, NodeId};

use super::pool::{Lane, Pool};
use super::{GROUP, MESSAGE_BYTES_MAX};
use crate::tables::table::Table;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing was done: it was not sent, or the other side refused before it looked at it.
    #[error("{0}")]
    Refused(String),
    /// What was asked may have been done.
    #[error("{0}")]
    Failed(String),
}

/// Answers to a stream of entries, in their order; an error is the last.
pub type Answers = BoxStream<'static, Result<wire::AppendResponse, CallError>>;

/// The ways from a node to all others.
#[async_trait]
pub trait Peers: Debug + Send + Sync {
    /// Takes the rows of the control group for what they say of other nodes, however old.
    fn follow(&self, control: Arc<Table>);

    /// Opens a stream of entries of one group.
    async fn append(
        &self,
        to: NodeId,
        group: GroupId,
        requests: BoxStream<'static, wire::AppendRequest>,
    ) -> Result<Answers, CallError>;

    async fn vote(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::VoteRequest,
    ) -> Result<wire::VoteResponse, CallError>;

    async fn transfer_leader(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::TransferLeaderRequest,
    ) -> Result<wire::TransferLeaderResponse, CallError>;

    /// Asks how much of a snapshot has come before.
    async fn snapshot_progress(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::SnapshotProgressRequest,
    ) -> Result<wire::SnapshotProgressResponse, CallError>;

    /// Sends a snapshot, head first. It takes the time it takes.
    async fn install_snapshot(
        &self,
        to: NodeId,
        parts: BoxStream<'static, wire::SnapshotPart>,
    ) -> Result<wire::SnapshotResponse, CallError>;

    async fn propose(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::ProposeRequest,
    ) -> Result<wire::ProposeResponse, CallError>;

    async fn read_index(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::ReadIndexRequest,
    ) -> Result<wire::ReadIndexResponse, CallError>;
}

fn client(pool: &Pool, to: NodeId, lane: Lane) -> Result<PeerClient<Channel>, CallError> {
    let channel = pool.channel(to, lane).map_err(|error| CallError::Refused(error.to_string()))?;
    Ok(PeerClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX))
}

fn failed(status: &Status) -> CallError {
    let why = reason(status);
    match status.code() {
        // The last one: by a release that does not know the call.
        Code::FailedPrecondition | Code::PermissionDenied | Code::Unimplemented => {
            CallError::Refused(why)
        }
        _ => CallError::Failed(why),
    }
}

/// What was said, and the first cause of it, which says most where a connection failed.
fn reason(status: &Status) -> String {
    let mut cause: Option<&dyn std::error::Error> = None;
    let mut next = std::error::Error::source(status);
    while let Some(deeper) = next {
        cause = Some(deeper);
        next = deeper.source();
    }
    match cause {
        Some(cause) => format!("{}: {cause}", status.message()),
        None => status.message().to_owned(),
    }
}

fn answered<T>(answer: Result<Response<T>, Status>) -> Result<T, CallError> {
    answer.map(Response::into_inner).map_err(|status| failed(&status))
}

fn of_group<T>(mut request: Request<T>, group: GroupId) -> Request<T> {
    request.metadata_mut().insert(GROUP, u64::from(group.0).into());
    request
}

/// A boxed stream under a name of its own: the compiler cannot prove of the bare type that a call with it may change threads.
struct Whole<T>(BoxStream<'static, T>);

impl<T> Stream for Whole<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.as_mut().poll_next(context)
    }
}

impl Pool {
    /// Asks a node how it is doing.
    pub async fn describe(
        &self,
        to: NodeId,
        deadline: Duration,
    ) -> Result<wire::DescribeResponse, CallError> {
        let request = self.request(to, Some(deadline), wire::DescribeRequest {});
        answered(client(self, to, Lane::Control)?.describe(request).await)
    }

    /// Asks a node that has rows.
    pub async fn query(
        &self,
        to: NodeId,
        deadline: Duration,
        query: wire::QueryRequest,
    ) -> Result<wire::QueryResponse, CallError> {
        let request = self.request(to, Some(deadline), query);
        answered(client(self, to, Lane::Control)?.query(request).await)
    }

    /// Has a node that has a log commit a command.
    pub async fn commit(
        &self,
        to: NodeId,
        deadline: Duration,
        command: wire::CommitRequest,
    ) -> Result<wire::CommitResponse, CallError> {
        let request = self.request(to, Some(deadline), command);
        answered(client(self, to, Lane::Control)?.commit(request).await)
    }

    /// Asks a node what its rows of a group came to.
    pub async fn digest(
        &self,
        to: NodeId,
        deadline: Duration,
        asked: wire::GetDigestRequest,
    ) -> Result<wire::GetDigestResponse, CallError> {
        let request = self.request(to, Some(deadline), asked);
        answered(client(self, to, Lane::Control)?.get_digest(request).await)
    }
}

#[async_trait]
impl Peers for Pool {
    fn follow(&self, control: Arc<Table>) {
        Pool::follow(self, control);
    }

    async fn append(
        &self,
        to: NodeId,
        group: GroupId,
        requests: BoxStream<'static, wire::AppendRequest>,
    ) -> Result<Answers, CallError> {
        let request = of_group(self.request(to, None, Whole(requests)), group);
        let mut client = client(self, to, Lane::Control)?;
        let answers = answered(client.append(request).await)?;
        Ok(answers.map(|answer| answer.map_err(|status| failed(&status))).boxed())
    }

    async fn vote(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::VoteRequest,
    ) -> Result<wire::VoteResponse, CallError> {
        let request = self.request(to, Some(deadline), request);
        answered(client(self, to, Lane::Control)?.vote(request).await)
    }

    async fn transfer_leader(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::TransferLeaderRequest,
    ) -> Result<wire::TransferLeaderResponse, CallError> {
        let request = self.request(to, Some(deadline), request);
        answered(client(self, to, Lane::Control)?.transfer_leader(request).await)
    }

    async fn snapshot_progress(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::SnapshotProgressRequest,
    ) -> Result<wire::SnapshotProgressResponse, CallError> {
        let request = self.request(to, Some(deadline), request);
        answered(client(self, to, Lane::Bulk)?.snapshot_progress(request).await)
    }

    async fn install_snapshot(
        &self,
        to: NodeId,
        parts: BoxStream<'static, wire::SnapshotPart>,
    ) -> Result<wire::SnapshotResponse, CallError> {
        let request = self.request(to, None, Whole(parts));
        let mut client = client(self, to, Lane::Bulk)?;
        answered(client.install_snapshot(request).await)
    }

    async fn propose(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::ProposeRequest,
    ) -> Result<wire::ProposeResponse, CallError> {
        let request = self.request(to, Some(deadline), request);
        answered(client(self, to, Lane::Control)?.propose(request).await)
    }

    async fn read_index(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::ReadIndexRequest,
    ) -> Result<wire::ReadIndexResponse, CallError> {
        let request = self.request(to, Some(deadline), request);
        answered(client(self, to, Lane::Control)?.read_index(request).await)
    }
}
