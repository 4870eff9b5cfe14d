//! The other side of `network`: what a group does when another member calls.

use std::path::PathBuf;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use tokio::sync::Semaphore;
use vaultaire_proto::steps::{self, Step};
use vaultaire_proto::wire::v1 as wire;

use super::log::disk::Disk;
use super::replica::Replica;
use super::snapshot::{Received, SnapshotData};
use super::types::Snapshot;
use super::wire::{self as messages, Ballot, Nonsense};
use crate::error::Error;
use crate::machine::Machine;
use crate::place::Place;

/// Snapshots are received one after another: each may fill a good part of a disk.
const SNAPSHOTS_AT_ONCE: usize = 1;

/// Where snapshots arrive.
pub struct Landing {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    place: Place,
    free: Arc<Semaphore>,
}

impl std::fmt::Debug for Landing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Landing").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Landing {
    /// Half a snapshot of an earlier life is fetched again: it goes. Blocks on the disk.
    pub fn clear(machine: &dyn Machine, folder: PathBuf) -> Result<Self, Error> {
        let (disk, place) = (machine.disk(), machine.place());
        disk.create_directory(&folder).map_err(|source| Error::file("create", &folder, source))?;
        let left = disk.list(&folder).map_err(|source| Error::file("list", &folder, source))?;
        for path in left.iter().map(|name| folder.join(name)) {
            disk.remove(&path).map_err(|source| Error::file("remove", &path, source))?;
        }
        Ok(Self { disk, folder, place, free: Arc::new(Semaphore::new(SNAPSHOTS_AT_ONCE)) })
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
        let Ok(_landed) = Arc::clone(&landing.free).try_acquire_owned() else {
            return Err(Refusal::Occupied);
        };
        let (vote, meta) = messages::read_snapshot_head(head)?;
        let path = landing.folder.join(format!("group-{}", self.id));
        let (disk, described) = (Arc::clone(&landing.disk), meta.clone());
        let run = landing.place.run(move || Received::create(disk, &path));
        let mut receiver = run.await.map_err(stopped)??;
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => {
                    let mut writing = receiver;
                    let run = landing.place.run(move || writing.write(&chunk).map(|()| writing));
                    receiver = run.await.map_err(stopped)??;
                }
                Err(error) => {
                    // What came is checked all the same, and then thrown away.
                    tracing::warn!(group = %self.id, %error, "a snapshot did not come to its end");
                    break;
                }
            }
        }
        let run = landing.place.run(move || receiver.finish(&described));
        let received = run.await.map_err(stopped)??;
        steps::reach(Step::SnapshotReceived);
        tracing::info!(group = %self.id, last = ?meta.last_log_id, "installing a snapshot");
        let snapshot = Snapshot { meta, snapshot: SnapshotData::Received(received) };
        let answer = self.raft().install_full_snapshot(vote, snapshot).await.map_err(stopped)?;
        Ok(wire::SnapshotResponse { vote: Some(messages::vote(&answer.vote)) })
    }
}
