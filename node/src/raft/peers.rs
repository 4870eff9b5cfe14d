//! The other side of `network`: what a group does when another member calls.

use futures::{Stream, StreamExt};
use vaultaire_proto::steps::{self, Step};
use vaultaire_proto::wire::v1 as wire;

use super::arriving::Landing;
use super::replica::Replica;
use super::snapshot::SnapshotData;
use super::types::Snapshot;
use super::wire::{self as messages, Ballot, Nonsense};
use crate::error::Error;

/// Why a peer gets no answer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Nonsense(#[from] Nonsense),
    /// Raft has stopped, or failed.
    #[error("the group does not run here: {0}")]
    Stopped(String),
    #[error("another snapshot is being received")]
    Occupied,
    #[error("what has come of this snapshot is not what the sender takes it for")]
    OutOfStep,
    #[error("the snapshot did not come to its end: {0}")]
    BrokeOff(String),
    #[error(transparent)]
    Broken(#[from] Error),
}

pub fn stopped(error: impl std::fmt::Display) -> Refusal {
    Refusal::Stopped(error.to_string())
}

impl Replica {
    /// Entries and heartbeats. Answers come in order; the stream ends with the first refusal, and with a message that makes
    /// no sense.
    pub fn append(
        &self,
        requests: impl Stream<Item = wire::AppendRequest> + Send + 'static,
    ) -> impl Stream<Item = Result<wire::AppendResponse, Refusal>> + Send + 'static {
        let group = self.id;
        let requests = requests
            .map(messages::read_append_request)
            .take_while(move |request| {
                if let Err(error) = request {
                    tracing::warn!(%group, %error, "a stream of entries is cut off");
                }
                std::future::ready(request.is_ok())
            })
            .filter_map(|request| std::future::ready(request.ok()));
        let answers = self.raft().stream_append(requests);
        answers.map(|answer| answer.map(messages::append_response).map_err(stopped))
    }

    /// A vote, or what it would be.
    pub async fn ballot(&self, request: wire::VoteRequest) -> Result<wire::VoteResponse, Refusal> {
        let (request, ballot) = messages::read_vote_request(request)?;
        let answer = match ballot {
            Ballot::Vote => self.raft().vote(request).await,
            Ballot::PreVote => self.raft().pre_vote(request).await,
        };
        Ok(messages::vote_response(&answer.map_err(stopped)?))
    }

    /// The leader hands over.
    pub async fn take_over(
        &self,
        request: wire::TransferLeaderRequest,
    ) -> Result<wire::TransferLeaderResponse, Refusal> {
        let request = messages::read_transfer_request(request)?;
        let answer = self.raft().handle_transfer_leader(request).await.map_err(stopped)?;
        Ok(messages::transfer_response(answer))
    }

    /// How much has come of the snapshot that is to be sent.
    pub async fn snapshot_progress(
        &self,
        landing: &Landing,
        head: wire::snapshot_part::Head,
    ) -> Result<wire::SnapshotProgressResponse, Refusal> {
        let (_, described) = messages::read_snapshot_head(head)?;
        let come = landing.progress(self.id, described).await;
        let start = come.map(|come| come.start).unwrap_or_default();
        Ok(messages::snapshot_progress(start))
    }

    /// Receives a snapshot into a file, checks all of it, and only then hands it to Raft.
    pub async fn install<E: std::fmt::Display>(
        &self,
        landing: &Landing,
        head: wire::snapshot_part::Head,
        chunks: impl Stream<Item = Result<bytes::Bytes, E>> + Send,
    ) -> Result<wire::SnapshotResponse, Refusal> {
        let _landed = landing.land()?;
        let first = head.first_chunk;
        let (vote, meta) = messages::read_snapshot_head(head)?;
        let arriving = self.arriving.begin(landing, self.id);
        let mut receiver = landing.open(self.id, first, &meta).await?;
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| Refusal::BrokeOff(error.to_string()))?;
            let mut writing = receiver;
            let run = landing.place.run(move || writing.write(&chunk).map(|()| writing));
            receiver = match run.await.map_err(stopped)? {
                Ok(receiver) => receiver,
                Err(error) => {
                    landing.discard(self.id).await;
                    self.arriving.end();
                    return Err(error.into());
                }
            };
        }
        let described = meta.clone();
        let run = landing.place.run_aside(move || receiver.finish(&described));
        let finished = run.await.map_err(stopped)?;
        drop(arriving);
        self.arriving.end();
        let received = finished?;
        steps::reach(Step::SnapshotReceived);
        tracing::info!(group = %self.id, last = ?meta.last_log_id, gone_on_at = first, "installing a snapshot");
        let snapshot = Snapshot { meta, snapshot: SnapshotData::Received(received) };
        let answer = self.raft().install_full_snapshot(vote, snapshot).await.map_err(stopped)?;
        Ok(wire::SnapshotResponse { vote: Some(messages::vote(&answer.vote)) })
    }
}
