//! One group's calls to one other node, as openraft wants them. An answer that does not come is `Unreachable`: openraft then
//! waits before it tries again. Nobody is asked twice here.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt, stream};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{EmptyNode, OptionalSend};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Response, Status};
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::wire::v1::peer_client::PeerClient;
use vaultaire_proto::{GroupId, NodeId};

use super::snapshot::SnapshotData;
use super::types::{Snapshot, TypeConfig, Vote};
use super::wire::{self as messages, Ballot, Nonsense};
use crate::peer::pool::{Lane, Pool};
use crate::peer::{GROUP, MESSAGE_BYTES_MAX};

/// Chunks of a snapshot that wait for the connection.
const SNAPSHOT_CHUNKS_AHEAD: usize = 4;

/// A peer that has requests and answers none of them for this long is given up: its disk hangs, or it is gone. Longer than
/// a busy disk takes, and nothing waits for it: a group goes on with its other members.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The network of one group.
#[derive(Clone, Debug)]
pub struct Network {
    pub group: GroupId,
    pub pool: Arc<Pool>,
}

/// The way to one member of the group.
#[derive(Debug)]
pub struct Link {
    group: GroupId,
    target: NodeId,
    pool: Arc<Pool>,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Link {
        Link { group: self.group, target: NodeId(target), pool: Arc::clone(&self.pool) }
    }
}

impl Link {
    fn client(&self, lane: Lane) -> Result<PeerClient<Channel>, Unreachable<TypeConfig>> {
        let channel = self.pool.channel(self.target, lane);
        let client = PeerClient::new(channel.map_err(|error| Unreachable::new(&error))?);
        Ok(client
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    fn request<T>(&self, deadline: Option<Duration>, message: T) -> tonic::Request<T> {
        let mut request = self.pool.request(self.target, deadline, message);
        request.metadata_mut().insert(GROUP, u64::from(self.group.0).into());
        request
    }

    async fn ballot(
        &self,
        request: VoteRequest<TypeConfig>,
        ballot: Ballot,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let message = messages::vote_request(self.group, &request, ballot);
        let mut client = self.client(Lane::Control)?;
        let answer = client.vote(self.request(Some(option.soft_ttl()), message)).await;
        Ok(messages::read_vote_response(answered(answer)?).map_err(nonsense)?)
    }
}

fn answered<T>(answer: Result<Response<T>, Status>) -> Result<T, Unreachable<TypeConfig>> {
    answer.map(Response::into_inner).map_err(|status| Unreachable::new(&status))
}

fn nonsense(error: Nonsense) -> NetworkError<TypeConfig> {
    NetworkError::new(&error)
}

type Answers<'s> = BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>;

impl RaftNetworkV2<TypeConfig> for Link {
    type SnapshotData = SnapshotData;

    /// Heartbeats, most of all. A stream of one request.
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let ttl = option.soft_ttl();
        let once = stream::once(std::future::ready(request)).boxed();
        let answer = async {
            let mut answers = self.stream_append(once, option).await?;
            answers.next().await.unwrap_or_else(|| Err(silent("ended without an answer").into()))
        };
        match tokio::time::timeout(ttl, answer).await {
            Ok(answer) => answer.map(AppendEntriesResponse::from),
            Err(_) => Err(silent("did not answer in time").into()),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<Answers<'s>, RPCError<TypeConfig>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let opened = async move {
            let mut client = self.client(Lane::Control)?;
            let unanswered = Arc::new(AtomicUsize::new(0));
            let sent = Arc::clone(&unanswered);
            let requests = input.map(move |request| {
                sent.fetch_add(1, Ordering::Relaxed);
                messages::append_request(request)
            });
            let opening = client.append(self.request(None, requests));
            let answers = match tokio::time::timeout(option.soft_ttl(), opening).await {
                Ok(opened) => answered(opened)?,
                Err(_) => return Err(silent("did not answer in time").into()),
            };
            let state = Some((answers, unanswered));
            Ok(stream::unfold(state, next_answer).boxed())
        };
        opened.boxed()
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ballot(request, Ballot::Vote, option).await
    }

    /// An error where there is no answer, not a grant as openraft's default has it: a peer that cannot be asked has not agreed.
    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ballot(request, Ballot::PreVote, option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let head = messages::snapshot_head(self.group, &vote, &snapshot.meta);
        let parts = parts(head, snapshot.snapshot);
        let mut client = self.client(Lane::Bulk)?;
        tokio::select! {
            closed = cancel => Err(closed.into()),
            answer = client.install_snapshot(self.request(None, parts)) => {
                let vote = messages::read_vote(answered(answer)?.vote).map_err(nonsense)?;
                Ok(SnapshotResponse::new(vote))
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let message = messages::transfer_request(self.group, &request);
        let mut client = self.client(Lane::Control)?;
        let answer = client.transfer_leader(self.request(Some(option.soft_ttl()), message)).await;
        Ok(messages::read_transfer_response(answered(answer)?).map_err(nonsense)?)
    }
}

fn silent(how: &str) -> Unreachable<TypeConfig> {
    Unreachable::from_string(format!("the peer {how}"))
}

type Open = (tonic::Streaming<wire::AppendResponse>, Arc<AtomicUsize>);
type Answer = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

/// Waits for the next answer; without end only where nothing was asked. An error is the last.
async fn next_answer(state: Option<Open>) -> Option<(Answer, Option<Open>)> {
    let (mut answers, unanswered) = state?;
    let answer = loop {
        let waiting = unanswered.load(Ordering::Relaxed);
        match tokio::time::timeout(ANSWER_MAX, answers.message()).await {
            Ok(answer) => break answer,
            // Requests that were there all the time.
            Err(_) if waiting > 0 => {
                return Some((Err(silent("does not answer any more").into()), None));
            }
            Err(_) => {}
        }
    };
    match answer {
        Ok(Some(answer)) => {
            unanswered.fetch_sub(1, Ordering::Relaxed);
            match messages::read_append_response(answer) {
                Ok(result) => {
                    let open = result.is_ok().then_some((answers, unanswered));
                    Some((Ok(result), open))
                }
                Err(error) => Some((Err(nonsense(error).into()), None)),
            }
        }
        Ok(None) => None,
        Err(status) => Some((Err(Unreachable::new(&status).into()), None)),
    }
}

/// The parts of a snapshot, read from the tables on a thread of their own and never far ahead of the connection.
fn parts(
    head: wire::snapshot_part::Head,
    data: SnapshotData,
) -> impl Stream<Item = wire::SnapshotPart> + Send + 'static {
    use wire::snapshot_part::Part;
    let part = |part| wire::SnapshotPart { part: Some(part) };
    let (ahead, chunks) = mpsc::channel(SNAPSHOT_CHUNKS_AHEAD);
    tokio::task::spawn_blocking(move || {
        if ahead.blocking_send(part(Part::Head(head))).is_err() {
            return;
        }
        let sent = data.chunks().and_then(|chunks| {
            for chunk in chunks {
                if ahead.blocking_send(part(Part::Chunk(chunk?))).is_err() {
                    // The transfer was given up.
                    return Ok(());
                }
            }
            Ok(())
        });
        if let Err(error) = sent {
            // The other side sees a snapshot without an end and throws it away.
            tracing::warn!(%error, "a snapshot could not be read to its end");
        }
    });
    ReceiverStream::new(chunks)
}
