//! Commands on their way into one group's log: those that wait at the same time travel in one entry, each with its own answer.
//! Nobody waits for company: an entry takes what came while the ones before it were on their way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vaultaire_proto::command::COMMANDS_PER_ENTRY_MAX;
use vaultaire_proto::convert::Stored;
use vaultaire_proto::object::Attributes;
use vaultaire_proto::steps::{self, Step};
use vaultaire_proto::{
    CatalogError, Clock, Command, Entry, GroupId, NodeId, ObjectKey, Operation, Rejection, Response,
};

use super::codec;
use super::forward::Forward;
use super::gather::{Gather, Next};
use super::types::{Callback, Raft, TypeConfig};

/// Commands that may wait for a place in an entry; beyond them clients are told to slow down.
const QUEUE_MAX: usize = 4096;

/// Entries on their way through log and tables. Two keep the disk busy while the next one fills.
const ENTRIES_IN_FLIGHT_MAX: usize = 2;

/// An entry is closed when it has this many bytes, by estimate. One command that is larger travels alone.
const ENTRY_BYTES_MAX: usize = 256 << 10;

/// After this long an answer is not waited for any more: the outcome is unknown.
const OUTCOME_WAIT: Duration = Duration::from_secs(10);

/// What most commands take, encoded.
const COMMAND_BYTES: usize = 400;

/// What one part in a list of parts takes, and what one blob in a list of blobs takes.
const LISTED_PART_BYTES: usize = 64;

type Reply = oneshot::Sender<Result<Response, CatalogError>>;

struct Waiting {
    command: Command,
    reply: Reply,
}

/// How much one group has proposed.
#[derive(Debug, Default)]
pub struct Counters {
    pub commands: AtomicU64,
    pub entries: AtomicU64,
}

/// The way into one group's log.
#[derive(Debug)]
pub struct Proposer {
    group: GroupId,
    gather: Arc<Gather>,
    queue: mpsc::Sender<Waiting>,
    counters: Arc<Counters>,
}

impl Proposer {
    /// The second part is to be run by whoever owns the group, until `stop` is called and the queue is empty. The log takes
    /// no entry of more than `payload_bytes_max`.
    pub fn new(
        raft: Raft,
        forward: Forward,
        clock: Arc<dyn Clock>,
        gather: Arc<Gather>,
        payload_bytes_max: usize,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let counters = Arc::new(Counters::default());
        let in_flight = Arc::new(Semaphore::new(ENTRIES_IN_FLIGHT_MAX));
        let group = forward.group;
        let task = Task {
            group,
            raft,
            forward,
            clock,
            gather: Arc::clone(&gather),
            payload_bytes_max,
            counters: Arc::clone(&counters),
            in_flight,
            held: VecDeque::new(),
        };
        (Self { group, gather, queue, counters }, task.run(waiting, stop))
    }

    /// Proposes once. `OutcomeUnknown` says that it may or may not take effect.
    pub async fn propose(&self, command: Command) -> Result<Response, CatalogError> {
        let _begun = self.gather.begun();
        let (reply, answer) = oneshot::channel();
        match self.queue.try_send(Waiting { command, reply }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                return Err(CatalogError::Busy { group: self.group });
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(CatalogError::Stopped),
        }
        match timeout(OUTCOME_WAIT, answer).await {
            Ok(Ok(outcome)) => outcome,
            // Whoever had it was dropped without a word, or is still at it.
            Ok(Err(_)) | Err(_) => Err(CatalogError::OutcomeUnknown { group: self.group }),
        }
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many commands wait for a place in an entry.
    pub fn queued(&self) -> usize {
        QUEUE_MAX.saturating_sub(self.queue.capacity())
    }
}

struct Task {
    group: GroupId,
    raft: Raft,
    forward: Forward,
    clock: Arc<dyn Clock>,
    gather: Arc<Gather>,
    payload_bytes_max: usize,
    counters: Arc<Counters>,
    in_flight: Arc<Semaphore>,
    /// Taken from the queue, not yet in an entry.
    held: VecDeque<Waiting>,
}

impl Task {
    async fn run(mut self, queue: mpsc::Receiver<Waiting>, stop: CancellationToken) {
        self.propose_all(queue, stop).await;
        // Those who wait for an answer get it, if there is one to be had.
        let all = u32::try_from(ENTRIES_IN_FLIGHT_MAX).unwrap_or(u32::MAX);
        if timeout(OUTCOME_WAIT, self.in_flight.acquire_many(all)).await.is_err() {
            tracing::warn!(group = %self.group, "stopping with entries whose outcome is not known");
        }
    }

    /// Returns when it was told to stop and everything that waited then was proposed.
    async fn propose_all(&mut self, mut queue: mpsc::Receiver<Waiting>, stop: CancellationToken) {
        let mut arrived = Vec::with_capacity(COMMANDS_PER_ENTRY_MAX);
        // A place first, commands second: what comes while there is no place shares the next entry.
        while let Ok(place) = Arc::clone(&self.in_flight).acquire_owned().await {
            let room = COMMANDS_PER_ENTRY_MAX.saturating_sub(self.held.len());
            if self.held.is_empty() {
                tokio::select! {
                    biased;
                    () = stop.cancelled(), if !queue.is_closed() => {
                        // New commands are refused from here on; those that wait are still carried out.
                        queue.close();
                        continue;
                    }
                    count = queue.recv_many(&mut arrived, room) => if count == 0 {
                        return;
                    },
                }
            } else {
                while arrived.len() < room {
                    let Ok(waiting) = queue.try_recv() else {
                        break;
                    };
                    arrived.push(waiting);
                }
            }
            self.held.extend(arrived.drain(..));
            match self.elsewhere() {
                Some(leader) => self.send_on(leader, place),
                None => {
                    self.gather(&mut queue, &mut arrived).await;
                    self.submit(place).await;
                }
            }
        }
    }

    /// The leader, if it is another node. Where nobody leads, Raft refuses what it is given.
    fn elsewhere(&self) -> Option<NodeId> {
        if self.raft.is_leader() {
            return None;
        }
        let leader = self.raft.metrics().borrow_watched().current_leader;
        leader.map(NodeId).filter(|leader| *leader != self.forward.node)
    }

    /// Sends one entry's worth of commands to the leader. The place is held until they are answered: what comes meanwhile
    /// travels together.
    fn send_on(&mut self, leader: NodeId, place: OwnedSemaphorePermit) {
        let (commands, replies) = self.take();
        let forward = self.forward.clone();
        tokio::spawn(async move {
            let answers = forward.propose(leader, commands).await;
            steps::reach(Step::Proposed);
            drop(place);
            for (reply, answer) in replies.into_iter().zip(answers) {
                // A client that went away does not hear; its command took effect all the same.
                let _ = reply.send(answer);
            }
        });
    }

    /// Waits for company where it is worth it, and takes what comes meanwhile.
    async fn gather(&mut self, queue: &mut mpsc::Receiver<Waiting>, arrived: &mut Vec<Waiting>) {
        let Next::Wait(turn) = self.gather.join(self.held.len()) else {
            return;
        };
        loop {
            let room = COMMANDS_PER_ENTRY_MAX.saturating_sub(self.held.len());
            tokio::select! {
                biased;
                () = self.gather.released(&turn) => break,
                count = queue.recv_many(arrived, room), if room > 0 => {
                    self.held.extend(arrived.drain(..));
                    if count == 0 {
                        break;
                    }
                    self.gather.add(&turn, count);
                }
            }
        }
    }

    /// Proposes one entry of what is held.
    async fn submit(&mut self, place: OwnedSemaphorePermit) {
        let (commands, replies) = self.take();
        let count = commands.len();
        let entry = Entry { stamped_at: self.clock.now(), commands };
        let proposal = codec::proposal(&entry.encode());
        if proposal.0.len() > self.payload_bytes_max {
            return self.refuse(proposal.0.len(), replies);
        }
        self.counters.entries.fetch_add(1, Ordering::Relaxed);
        self.counters.commands.fetch_add(count as u64, Ordering::Relaxed);
        let group = self.group;
        let waiting = Arc::new(Mutex::new(replies));
        let told = Arc::clone(&waiting);
        let answer = Callback::new(move |outcome| {
            drop(place);
            tell(group, std::mem::take(&mut *told.lock()), outcome);
        });
        let given = self.raft.client_write_ff(proposal, Some(answer)).await;
        steps::reach(Step::Proposed);
        if let Err(error) = given {
            tracing::warn!(%group, %error, commands = count, "a group takes no proposals");
            // An error here says that Raft never had the proposal, so nothing was changed, and that it never will have one.
            tell_all(std::mem::take(&mut *waiting.lock()), &CatalogError::Stopped);
        }
    }

    /// The journal would refuse it too, but then of its leader, who takes that for a failed disk.
    fn refuse(&self, bytes: usize, replies: Vec<Reply>) {
        let (group, commands) = (self.group, replies.len());
        tracing::error!(%group, bytes, commands, "commands larger than a log entry may be are refused");
        for reply in replies {
            let _ = reply.send(Ok(Response::Rejected(Rejection::Malformed)));
        }
    }

    fn take(&mut self) -> (Vec<Command>, Vec<Reply>) {
        let mut bytes = 0;
        let (mut commands, mut replies) = (Vec::new(), Vec::new());
        while let Some(Waiting { command, .. }) = self.held.front() {
            bytes += estimate_bytes(command);
            if commands.len() == COMMANDS_PER_ENTRY_MAX
                || (bytes > ENTRY_BYTES_MAX && !commands.is_empty())
            {
                break;
            }
            if let Some(Waiting { command, reply }) = self.held.pop_front() {
                commands.push(command);
                replies.push(reply);
            }
        }
        (commands, replies)
    }
}

/// Commands are small but for a few that carry lists or the user's metadata.
fn estimate_bytes(command: &Command) -> usize {
    let pairs = |pairs: &[(String, String)]| {
        pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    };
    let object = |key: &ObjectKey, with: &Attributes| {
        key.as_str().len() + pairs(&with.user_metadata) + pairs(&with.tags)
    };
    let variable = match &command.operation {
        Operation::PutVersion(put) => object(&put.target.key, &put.attributes),
        Operation::CreateUpload(create) => object(&create.target.key, &create.attributes),
        Operation::CompleteUpload(complete) => complete.parts.len() * LISTED_PART_BYTES,
        Operation::Collected { blobs } => blobs.len() * LISTED_PART_BYTES,
        Operation::SetTags { tags, .. } => pairs(tags),
        Operation::InitCluster(_)
        | Operation::CreateBucket { .. }
        | Operation::SetVersioning { .. }
        | Operation::SetCopies { .. }
        | Operation::DeleteBucket { .. }
        | Operation::SettleBucket { .. }
        | Operation::CreateUser { .. }
        | Operation::CreateAccessKey { .. }
        | Operation::DeleteAccessKey { .. }
        | Operation::PutBackend { .. }
        | Operation::SettleBackend { .. }
        | Operation::SetBackendState { .. }
        | Operation::RegisterNode { .. }
        | Operation::ChangeMembers(_)
        | Operation::PutSettings(_)
        | Operation::ConfigureBucket(_)
        | Operation::ConfigureBackend { .. }
        | Operation::OpenEpoch { .. }
        | Operation::CloseEpoch { .. }
        | Operation::EpochSwept { .. }
        | Operation::PruneEpoch { .. }
        | Operation::DeleteVersion(_)
        | Operation::PutPart(_)
        | Operation::PutCopy(_)
        | Operation::DropCopy { .. }
        | Operation::AbortUpload { .. }
        | Operation::CompareRows => 0,
    };
    COMMAND_BYTES + variable
}

fn tell(group: GroupId, replies: Vec<Reply>, outcome: ClientWriteResult<TypeConfig>) {
    let unknown = || CatalogError::OutcomeUnknown { group };
    match outcome {
        Ok(response) => {
            let mut responses = response.data.0.into_iter();
            for reply in replies {
                // A client that went away does not hear; its command took effect all the same.
                let _ = reply.send(responses.next().ok_or_else(unknown));
            }
        }
        Err(error) => {
            let error = match error {
                // Not appended: nothing was changed.
                ClientWriteError::ForwardToLeader(_) => CatalogError::NoLeader { group },
                ClientWriteError::LogEntryDiscarded(_)
                | ClientWriteError::ChangeMembershipError(_)
                | ClientWriteError::PreconditionFailed(_) => unknown(),
            };
            tell_all(replies, &error);
        }
    }
}

fn tell_all(replies: Vec<Reply>, error: &CatalogError) {
    for reply in replies {
        let _ = reply.send(Err(error.clone()));
    }
}
