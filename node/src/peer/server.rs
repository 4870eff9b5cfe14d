//! The calls of other nodes. Thin: each finds its group and passes on.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use futures::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::wire::v1::blobs_server::BlobsServer;
use vaultaire_proto::wire::v1::join_server::JoinServer;
use vaultaire_proto::wire::v1::peer_server::{Peer, PeerServer};
use vaultaire_proto::wire::v1::snapshot_part::Part;
use vaultaire_proto::{GroupId, RequestId};

use super::authority::Credentials;
use super::guard::Guard;
use super::join::Host;
use super::{GROUP, MESSAGE_BYTES_MAX};
use crate::about::About;
use crate::blobs::server::OwnBackends;
use crate::error::Error;
use crate::gateway::answers;
use crate::grpc::status;
use crate::propose::Proposer;
use crate::raft::arriving::Landing;
use crate::raft::directory::Directory;
use crate::raft::replica::Replica;

/// Calls that one connection may have open: each group has a few, and every shard's commands and barriers one each.
const STREAMS_MAX: u32 = 4096;

/// A caller that sends nothing is asked whether it lives, and has as long again to say so: one without power would leave
/// what it reads and writes open for ever.
const CALLER_SILENT_MAX: Duration = Duration::from_secs(10);

/// What the calls work with.
#[derive(Debug)]
pub struct Calls {
    pub directory: Arc<Directory>,
    pub landing: Landing,
    pub about: Arc<About>,
    /// Answers gateways, once the groups are open. Never on a gateway: two could ask each other.
    pub proposer: Arc<OnceLock<Proposer>>,
    /// Ends streams of entries, which never end by themselves: the server waits for what is under way.
    pub stop: CancellationToken,
}

/// What the server needs beside them.
#[derive(Debug)]
pub struct Parts {
    pub calls: Calls,
    pub blobs: OwnBackends,
    pub guard: Guard,
    pub host: Host,
    pub credentials: Credentials,
}

/// Serves until told to stop.
pub async fn serve(listener: TcpListener, parts: Parts) -> Result<(), Error> {
    let engine = |error: tonic::transport::Error| Error::Engine {
        what: "the peer port",
        why: error.to_string(),
    };
    let Parts { calls, blobs, guard, host, credentials } = parts;
    let stop = calls.stop.clone();
    // Without a certificate only `Join` can be called: `Guard` asks for one.
    let tls = ServerTlsConfig::new()
        .identity(credentials.identity)
        .client_ca_root(credentials.authority)
        .client_auth_optional(true);
    let peer = PeerServer::new(calls)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let blobs = BlobsServer::new(blobs)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let same = guard.clone();
    Server::builder()
        .tls_config(tls)
        .map_err(engine)?
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(CALLER_SILENT_MAX))
        .http2_keepalive_timeout(Some(CALLER_SILENT_MAX))
        .initial_stream_window_size(super::pool::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(super::pool::CONNECTION_WINDOW_BYTES)
        .add_service(InterceptedService::new(peer, move |request| guard.check(request)))
        .add_service(InterceptedService::new(blobs, move |request| same.check(request)))
        .add_service(JoinServer::new(host))
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            stop.cancelled_owned(),
        )
        .await
        .map_err(engine)
}

impl Calls {
    fn group(&self, group: u32) -> Result<Arc<Replica>, Status> {
        let found = u16::try_from(group).ok().and_then(|group| self.directory.get(GroupId(group)));
        found.ok_or_else(|| status::group_absent(group))
    }
}

type Appended = Pin<Box<dyn Stream<Item = Result<wire::AppendResponse, Status>> + Send>>;

#[async_trait]
impl Peer for Calls {
    type AppendStream = Appended;

    async fn append(
        &self,
        request: Request<Streaming<wire::AppendRequest>>,
    ) -> Result<Response<Appended>, Status> {
        let group = request.metadata().get(GROUP).and_then(|value| value.to_str().ok());
        let Some(group) = group.and_then(|group| group.parse().ok()) else {
            return Err(status::foreign_peer("the call names no group"));
        };
        let group = self.group(group)?;
        // A broken connection ends the stream like its end does: what came before it counts.
        let requests = request
            .into_inner()
            .take_while(|request| std::future::ready(request.is_ok()))
            .filter_map(|request| std::future::ready(request.ok()))
            // Not the answers: openraft holds the requests for as long as they go on, and the connection with them.
            .take_until(self.stop.clone().cancelled_owned());
        let answers = group.append(requests);
        let answers = answers.map(|answer| answer.map_err(|error| status::of_refusal(&error)));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn vote(
        &self,
        request: Request<wire::VoteRequest>,
    ) -> Result<Response<wire::VoteResponse>, Status> {
        let request = request.into_inner();
        let answer = self.group(request.group)?.ballot(request).await;
        answer.map(Response::new).map_err(|error| status::of_refusal(&error))
    }

    async fn transfer_leader(
        &self,
        request: Request<wire::TransferLeaderRequest>,
    ) -> Result<Response<wire::TransferLeaderResponse>, Status> {
        let request = request.into_inner();
        let answer = self.group(request.group)?.take_over(request).await;
        answer.map(Response::new).map_err(|error| status::of_refusal(&error))
    }

    async fn snapshot_progress(
        &self,
        request: Request<wire::SnapshotProgressRequest>,
    ) -> Result<Response<wire::SnapshotProgressResponse>, Status> {
        let head = request.into_inner().head.unwrap_or_default();
        let answer = self.group(head.group)?.snapshot_progress(&self.landing, head).await;
        answer.map(Response::new).map_err(|error| status::of_refusal(&error))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<wire::SnapshotPart>>,
    ) -> Result<Response<wire::SnapshotResponse>, Status> {
        let mut parts = request.into_inner();
        let first = parts.message().await?.and_then(|part| part.part);
        let Some(Part::Head(head)) = first else {
            return Err(status::foreign_peer("a snapshot begins with its head"));
        };
        let group = self.group(head.group)?;
        let chunks = parts.map(|part| match part?.part {
            Some(Part::Chunk(chunk)) => Ok(chunk),
            Some(Part::Head(_)) | None => {
                Err(status::foreign_peer("a snapshot goes on with its chunks"))
            }
        });
        let answer = group.install(&self.landing, head, chunks).await;
        answer.map(Response::new).map_err(|error| status::of_refusal(&error))
    }

    async fn propose(
        &self,
        request: Request<wire::ProposeRequest>,
    ) -> Result<Response<wire::ProposeResponse>, Status> {
        let request = request.into_inner();
        let answer = self.group(request.group)?.take_proposals(request).await;
        answer.map(Response::new).map_err(|error| status::of_refusal(&error))
    }

    async fn read_index(
        &self,
        request: Request<wire::ReadIndexRequest>,
    ) -> Result<Response<wire::ReadIndexResponse>, Status> {
        let group = self.group(request.into_inner().group)?;
        Ok(Response::new(group.take_read_index().await))
    }

    async fn query(
        &self,
        request: Request<wire::QueryRequest>,
    ) -> Result<Response<wire::QueryResponse>, Status> {
        let answer = answers::query(self.proposer.get(), request.into_inner()).await;
        answer.map(Response::new).map_err(|error| status::of_refusal(&error))
    }

    async fn commit(
        &self,
        request: Request<wire::CommitRequest>,
    ) -> Result<Response<wire::CommitResponse>, Status> {
        let answer = answers::commit(self.proposer.get(), request.into_inner()).await;
        answer.map(Response::new).map_err(|error| status::of_refusal(&error))
    }

    async fn describe(
        &self,
        _request: Request<wire::DescribeRequest>,
    ) -> Result<Response<wire::DescribeResponse>, Status> {
        Ok(Response::new(self.about.tell()))
    }

    async fn get_digest(
        &self,
        request: Request<wire::GetDigestRequest>,
    ) -> Result<Response<wire::GetDigestResponse>, Status> {
        let wire::GetDigestRequest { group, request } = request.into_inner();
        let group = self.group(group)?.id;
        let Ok(request) = request.as_slice().try_into().map(RequestId) else {
            return Err(status::foreign_peer("a request id has 16 bytes"));
        };
        let told = self.about.digest(group, request);
        told.map(Response::new).ok_or_else(|| status::foreign_peer("there is no such group"))
    }
}
