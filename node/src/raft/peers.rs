//! The other side of `network`: what a group does when another member calls.

use std::path::PathBuf;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use tokio::sync::Semaphore;
use vaultaire_proto::wire::v1 as wire;

use super::replica::Replica;
use super::snapshot::{Received, SnapshotData};
use super::types::Snapshot;
use super::wire::{self as messages, Ballot, Nonsense};
use crate::error::Error;

/// Snapshots are received one after another: each may fill a good part of a disk.
const SNAPSHOTS_AT_ONCE: usize = 1;

/// Chunks of a snapshot between connection and disk.
const CHUNKS_AHEAD: usize = 4;

/// Where snapshots arrive.
#[derive(Debug)]
pub struct Landing {
    folder: PathBuf,
    place: Arc<Semaphore>,
}

impl Landing {
    /// Half a snapshot of an earlier life is fetched again: it goes. Blocks on the disk.
    pub fn clear(folder: PathBuf) -> Result<Self, Error> {
        if folder.exists() {
            std::fs::remove_dir_all(&folder)
                .map_err(|source| Error::file("remove", &folder, source))?;
        }
        crate::files::create_private_dir(&folder)
            .map_err(|source| Error::file("create", &folder, source))?;
        Ok(Self { folder, place: Arc::new(Semaphore::new(SNAPSHOTS_AT_ONCE)) })
    }
}

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
    #[error(transparent)]
    Broken(#[from] Error),
}

fn stopped(error: impl std::fmt::Display) -> Refusal {
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

    /// Receives a snapshot into a file, checks all of it, and only then hands it to Raft.
    pub async fn install<E: std::fmt::Display>(
        &self,
        landing: &Landing,
        head: wire::snapshot_part::Head,
        chunks: impl Stream<Item = Result<bytes::Bytes, E>> + Send,
    ) -> Result<wire::SnapshotResponse, Refusal> {
        let Ok(_place) = Arc::clone(&landing.place).try_acquire_owned() else {
            return Err(Refusal::Occupied);
        };
        let (vote, meta) = messages::read_snapshot_head(head)?;
        let path = landing.folder.join(format!("group-{}", self.id));
        let described = meta.clone();
        let (ahead, mut arrived) = tokio::sync::mpsc::channel::<bytes::Bytes>(CHUNKS_AHEAD);
        let kept = tokio::task::spawn_blocking(move || {
            let mut receiver = Received::create(&path)?;
            while let Some(chunk) = arrived.blocking_recv() {
                receiver.write(&chunk)?;
            }
            receiver.finish(&described)
        });
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            match chunk {
                // Where the thread has ended it says why below.
                Ok(chunk) => {
                    if ahead.send(chunk).await.is_err() {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!(group = %self.id, %error, "a snapshot did not come to its end");
                    break;
                }
            }
        }
        drop(ahead);
        let received = kept.await.map_err(stopped)??;
        tracing::info!(group = %self.id, last = ?meta.last_log_id, "installing a snapshot");
        let snapshot = Snapshot { meta, snapshot: SnapshotData::Received(received) };
        let answer = self.raft().install_full_snapshot(vote, snapshot).await.map_err(stopped)?;
        Ok(wire::SnapshotResponse { vote: Some(messages::vote(&answer.vote)) })
    }
}
