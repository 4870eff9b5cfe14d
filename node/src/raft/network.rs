//! One group's calls to one other node, as openraft wants them. An answer that does not come is `Unreachable`: openraft then
//! waits before it tries again. Nobody is asked twice here.

use std::future::Future;
use std::iter::once;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt, stream};
use openraft::base::BoxFuture;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{EmptyNode, OptionalSend};
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::{GroupId, NodeId};

use super::snapshot::SnapshotData;
use super::types::{Snapshot, TypeConfig, Vote};
use super::wire::{self as messages, Ballot, Nonsense};
use crate::peer::calls::{Answers, CallError, Peers};
use crate::place::Place;
use crate::tables::stream::Start;
use crate::throttle::Throttle;

/// Chunks of a snapshot that wait for the connection.
const SNAPSHOT_CHUNKS_AHEAD: usize = 4;

/// A peer that has requests and answers none of them for this long is given up: its disk hangs, or it is gone. Longer than
/// a busy disk takes, and nothing waits for it: a group goes on with its other members.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long a peer may look at what it has of a snapshot: it reads and checks all of that.
const PROGRESS_MAX: Duration = Duration::from_secs(60);

/// After a stream could not be opened, nobody tries again for this long. openraft's own pause lies in the stream of requests, which
/// is not read before the stream is open: it would dial a member that is down a thousand times a second.
const OPENED_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The network of one group.
#[derive(Clone, Debug)]
pub struct Network {
    pub group: GroupId,
    pub peers: Arc<dyn Peers>,
    pub sending: Sending,
}

/// How snapshots are sent.
#[derive(Clone, Debug)]
pub struct Sending {
    /// Where their rows are read.
    pub place: Place,
    pub chunk_bytes: usize,
    /// For all groups of a node together: who sends a snapshot is in the middle of its work.
    pub throttle: Arc<Throttle>,
}

/// The way to one member of the group.
#[derive(Debug)]
pub struct Link {
    group: GroupId,
    target: NodeId,
    peers: Arc<dyn Peers>,
    sending: Sending,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Link {
        Link {
            group: self.group,
            target: NodeId(target),
            peers: Arc::clone(&self.peers),
            sending: self.sending.clone(),
        }
    }
}

impl Link {
    /// Where a snapshot goes on. At its start where the other side is of a release that cannot say. Where it does not answer it
    /// may have much of it, which a new start would throw away.
    async fn start(
        &self,
        head: &wire::snapshot_part::Head,
    ) -> Result<Start, Unreachable<TypeConfig>> {
        let asked = wire::SnapshotProgressRequest { head: Some(head.clone()) };
        let come = self.peers.snapshot_progress(self.target, PROGRESS_MAX, asked).await;
        let start = match come {
            Ok(come) => messages::read_snapshot_progress(come),
            Err(CallError::Refused(_)) => Start::default(),
            Err(error @ CallError::Failed(_)) => return Err(Unreachable::new(&error)),
        };
        if start.chunks > 0 {
            tracing::info!(
                group = %self.group, to = %self.target, chunks = start.chunks, rows = start.rows,
                "a snapshot that broke off goes on"
            );
        }
        Ok(start)
    }

    async fn ballot(
        &self,
        request: VoteRequest<TypeConfig>,
        ballot: Ballot,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let message = messages::vote_request(self.group, &request, ballot);
        let answer = self.peers.vote(self.target, option.soft_ttl(), message).await;
        Ok(messages::read_vote_response(answered(answer)?).map_err(nonsense)?)
    }
}

fn answered<T>(answer: Result<T, CallError>) -> Result<T, Unreachable<TypeConfig>> {
    answer.map_err(|error| Unreachable::new(&error))
}

fn nonsense(error: Nonsense) -> NetworkError<TypeConfig> {
    NetworkError::new(&error)
}

type Results<'s> = BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>;

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
    ) -> BoxFuture<'s, Result<Results<'s>, RPCError<TypeConfig>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let opened = async move {
            let unanswered = Arc::new(AtomicUsize::new(0));
            let sent = Arc::clone(&unanswered);
            let requests = input.map(move |request| {
                sent.fetch_add(1, Ordering::Relaxed);
                messages::append_request(request)
            });
            let opening = self.peers.append(self.target, self.group, requests.boxed());
            let answers = match tokio::time::timeout(option.soft_ttl(), opening).await {
                Ok(Ok(answers)) => answers,
                Ok(Err(error)) => {
                    tokio::time::sleep(OPENED_AGAIN_AFTER).await;
                    return Err(Unreachable::new(&error).into());
                }
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
        // Kept for the next attempt, which goes on where this one breaks off.
        let _pin = snapshot.snapshot.pin();
        let send = async {
            let start = self.start(&head).await?;
            let head = wire::snapshot_part::Head { first_chunk: start.chunks, ..head };
            let parts = parts(head, snapshot.snapshot, start, &self.sending);
            answered(self.peers.install_snapshot(self.target, parts).await)
        };
        tokio::select! {
            biased;
            closed = cancel => Err(closed.into()),
            answer = send => {
                let vote = messages::read_vote(answer?.vote).map_err(nonsense)?;
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
        let answer = self.peers.transfer_leader(self.target, option.soft_ttl(), message).await;
        Ok(messages::read_transfer_response(answered(answer)?).map_err(nonsense)?)
    }
}

fn silent(how: &str) -> Unreachable<TypeConfig> {
    Unreachable::from_string(format!("the peer {how}"))
}

type Open = (Answers, Arc<AtomicUsize>);
type Answer = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

/// Waits for the next answer; without end only where nothing was asked. An error is the last.
async fn next_answer(state: Option<Open>) -> Option<(Answer, Option<Open>)> {
    let (mut answers, unanswered) = state?;
    let answer = loop {
        let waiting = unanswered.load(Ordering::Relaxed);
        match tokio::time::timeout(ANSWER_MAX, answers.next()).await {
            Ok(answer) => break answer,
            // Requests that were there all the time.
            Err(_) if waiting > 0 => {
                return Some((Err(silent("does not answer any more").into()), None));
            }
            Err(_) => {}
        }
    };
    match answer {
        Some(Ok(answer)) => {
            unanswered.fetch_sub(1, Ordering::Relaxed);
            match messages::read_append_response(answer) {
                Ok(result) => {
                    let open = result.is_ok().then_some((answers, unanswered));
                    Some((Ok(result), open))
                }
                Err(error) => Some((Err(nonsense(error).into()), None)),
            }
        }
        None => None,
        Some(Err(error)) => Some((Err(Unreachable::new(&error).into()), None)),
    }
}

/// The parts of a snapshot, read from the tables where that holds up nobody, and never far ahead of the connection.
fn parts(
    head: wire::snapshot_part::Head,
    data: SnapshotData,
    start: Start,
    sending: &Sending,
) -> BoxStream<'static, wire::SnapshotPart> {
    use wire::snapshot_part::Part;
    let (mut chunks, chunk_bytes) = (None, sending.chunk_bytes);
    let read = std::iter::from_fn(move || {
        if chunks.is_none() {
            let read = data.chunks_from(start.clone(), chunk_bytes);
            chunks = Some(read.unwrap_or_else(|error| Box::new(once(Err(error)))));
        }
        match chunks.as_mut()?.next()? {
            Ok(chunk) => Some(Part::Chunk(chunk)),
            Err(error) => {
                // The other side sees a snapshot without an end and throws it away.
                tracing::warn!(%error, "a snapshot could not be read to its end");
                None
            }
        }
    });
    let parts = once(Part::Head(head)).chain(read.fuse());
    let parts = sending.place.stream(SNAPSHOT_CHUNKS_AHEAD, parts);
    let throttle = Arc::clone(&sending.throttle);
    let due = parts.then(move |part| {
        let throttle = Arc::clone(&throttle);
        async move {
            if let Part::Chunk(chunk) = &part {
                throttle.take(chunk.len() as u64).await;
            }
            wire::SnapshotPart { part: Some(part) }
        }
    });
    due.boxed()
}
