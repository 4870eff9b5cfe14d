//! The ways from one process to all others: what a node asks, carried by the network to the groups of another one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use vaultaire::peer::calls::{Answers, CallError, Peers};
use vaultaire::raft::peers::Refusal;
use vaultaire::raft::replica::Replica;
use vaultaire::tables::table::Table;
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::wire::v1::snapshot_part::Part;
use vaultaire_proto::{GroupId, NodeId};

use super::{End, Home, Network};

fn failed(why: &str) -> CallError {
    CallError::Failed(why.to_owned())
}

fn refused(error: &Refusal) -> CallError {
    CallError::Failed(error.to_string())
}

/// The ways from one process to all others.
#[derive(Debug)]
pub struct Way {
    network: Network,
    node: NodeId,
    life: u64,
}

impl Way {
    pub fn new(network: Network, node: NodeId, life: u64) -> Self {
        Self { network, node, life }
    }

    fn end(&self) -> End {
        (self.node, self.life)
    }

    /// Who runs there, if anybody does.
    async fn reach(&self, to: NodeId) -> Result<(End, Home), CallError> {
        if !self.network.lives(self.end()) {
            return std::future::pending().await;
        }
        let Some(home) = self.network.home(to) else {
            sleep(self.network.takes()).await;
            return Err(failed("the connection is refused"));
        };
        Ok(((to, home.life), home))
    }

    /// One question and its answer. What the other side has begun it ends, whether or not somebody still waits.
    async fn call<T, W>(
        &self,
        to: NodeId,
        what: &str,
        group: u32,
        deadline: Duration,
        work: impl FnOnce(Arc<Replica>) -> W + Send + 'static,
    ) -> Result<T, CallError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, CallError>> + Send,
    {
        let (network, from) = (self.network.clone(), self.end());
        let asked = async {
            let (end, home) = self.reach(to).await?;
            let (tell, told) = oneshot::channel();
            let what = what.to_owned();
            tokio::spawn(async move {
                let (lost, answer_lost) = (network.loses(), network.loses());
                if network.carry(from, end).await.is_err() || lost {
                    network.trace.add(format_args!("lost {what} {group} {from:?} {end:?}"));
                    return;
                }
                network.trace.add(format_args!("call {what} {group} {from:?} {end:?}"));
                let answer = match group_of(&home, group) {
                    Some(replica) => work(replica).await,
                    None => Err(CallError::Refused("the group does not run here".to_owned())),
                };
                if network.carry(end, from).await.is_err() || answer_lost {
                    network.trace.add(format_args!("lost answer {what} {group} {from:?} {end:?}"));
                    return;
                }
                let error = answer.as_ref().err();
                network.trace.add(format_args!("answer {what} {group} {from:?} {end:?} {error:?}"));
                let _ = tell.send(answer);
            });
            match told.await {
                Ok(answer) => answer,
                Err(_) => {
                    // A connection that breaks is noticed after a while.
                    sleep(self.network.takes()).await;
                    Err(failed("the connection broke"))
                }
            }
        };
        timeout(deadline, asked).await.unwrap_or_else(|_| Err(failed("no answer in time")))
    }
}

fn group_of(home: &Home, group: u32) -> Option<Arc<Replica>> {
    home.directory.get(GroupId(u16::try_from(group).ok()?))
}

/// Moves what comes at one end to the other, in order, until the connection breaks.
async fn pump<T: Send>(
    network: Network,
    from: End,
    to: End,
    mut items: BoxStream<'static, T>,
    out: mpsc::UnboundedSender<Result<T, CallError>>,
    describe: impl Fn(&T) -> String + Send,
) {
    loop {
        let item = tokio::select! {
            biased;
            // The other direction has broken, or nobody listens any more.
            () = out.closed() => return,
            item = items.next() => item,
        };
        let Some(item) = item else {
            return;
        };
        if network.carry(from, to).await.is_err() {
            network.trace.add(format_args!("broken {from:?} {to:?}"));
            let _ = out.send(Err(failed("the connection broke")));
            return;
        }
        network.trace.add(format_args!("{from:?} {to:?} {}", describe(&item)));
        if out.send(Ok(item)).is_err() {
            return;
        }
    }
}

fn receiver<T: Send + 'static>(from: mpsc::UnboundedReceiver<T>) -> BoxStream<'static, T> {
    stream::unfold(from, |mut from| async { from.recv().await.map(|item| (item, from)) }).boxed()
}

/// Ends with the first failure, as the other side of a broken connection sees it.
fn whole<T: Send + 'static>(
    items: BoxStream<'static, Result<T, CallError>>,
) -> BoxStream<'static, T> {
    items
        .take_while(|item| std::future::ready(item.is_ok()))
        .filter_map(|item| std::future::ready(item.ok()))
        .boxed()
}

fn of_request(request: &wire::AppendRequest) -> String {
    let id = |id: &Option<wire::LogId>| id.as_ref().map_or((0, 0), |id| (id.term, id.index));
    let term = request.vote.as_ref().map_or(0, |vote| vote.term);
    let bytes: usize = request.entries.iter().map(|entry| entry.payload.len()).sum();
    let sum = request
        .entries
        .iter()
        .flat_map(|entry| entry.payload.iter())
        .fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    format!(
        "append term {term} prev {:?} entries {} bytes {bytes} sum {sum:08x} committed {:?}",
        id(&request.prev),
        request.entries.len(),
        id(&request.committed),
    )
}

#[async_trait]
impl Peers for Way {
    /// Nodes are where they are.
    fn follow(&self, _control: Arc<Table>) {}

    async fn append(
        &self,
        to: NodeId,
        group: GroupId,
        requests: BoxStream<'static, wire::AppendRequest>,
    ) -> Result<Answers, CallError> {
        let (end, home) = self.reach(to).await?;
        let from = self.end();
        if self.network.carry(from, end).await.is_err() {
            return Err(failed("the connection broke"));
        }
        let Some(replica) = group_of(&home, u32::from(group.0)) else {
            return Err(CallError::Refused("the group does not run here".to_owned()));
        };
        let network = self.network.clone();
        let requests =
            requests.inspect(move |request| network.leads(group, request.vote.as_ref())).boxed();
        let (asked, asking) = mpsc::unbounded_channel();
        let (told, telling) = mpsc::unbounded_channel();
        let describe =
            move |request: &wire::AppendRequest| format!("{group} {}", of_request(request));
        tokio::spawn(pump(self.network.clone(), from, end, requests, asked, describe));
        let answers = replica.append(whole(receiver(asking))).boxed();
        let describe = move |answer: &Result<wire::AppendResponse, Refusal>| match answer {
            Ok(answer) => format!("{group} {:?}", answer.outcome),
            Err(_) => format!("{group} refused"),
        };
        tokio::spawn(pump(self.network.clone(), end, from, answers, told, describe));
        let answers = receiver(telling).map(|answer| match answer {
            Ok(answer) => answer.map_err(|error| refused(&error)),
            Err(broken) => Err(broken),
        });
        Ok(answers.boxed())
    }

    async fn vote(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::VoteRequest,
    ) -> Result<wire::VoteResponse, CallError> {
        let group = request.group;
        let (network, counts) = (self.network.clone(), !request.pre_vote);
        let work = move |replica: Arc<Replica>| async move {
            let answer = replica.ballot(request).await.map_err(|error| refused(&error));
            if counts && answer.as_ref().is_ok_and(|answer| answer.granted) {
                network.votes(to);
            }
            answer
        };
        self.call(to, "vote", group, deadline, work).await
    }

    async fn transfer_leader(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::TransferLeaderRequest,
    ) -> Result<wire::TransferLeaderResponse, CallError> {
        let group = request.group;
        let work = move |replica: Arc<Replica>| async move {
            replica.take_over(request).await.map_err(|error| refused(&error))
        };
        self.call(to, "transfer", group, deadline, work).await
    }

    async fn snapshot_progress(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::SnapshotProgressRequest,
    ) -> Result<wire::SnapshotProgressResponse, CallError> {
        let (_, home) = self.reach(to).await?;
        let head = request.head.unwrap_or_default();
        let (group, landing) = (head.group, Arc::clone(&home.landing));
        let work = move |replica: Arc<Replica>| async move {
            replica.snapshot_progress(&landing, head).await.map_err(|error| refused(&error))
        };
        self.call(to, "snapshot progress", group, deadline, work).await
    }

    async fn install_snapshot(
        &self,
        to: NodeId,
        mut parts: BoxStream<'static, wire::SnapshotPart>,
    ) -> Result<wire::SnapshotResponse, CallError> {
        let Some(Part::Head(head)) = parts.next().await.and_then(|part| part.part) else {
            return Err(CallError::Refused("a snapshot begins with its head".to_owned()));
        };
        let (end, home) = self.reach(to).await?;
        let (network, from) = (self.network.clone(), self.end());
        let landing = Arc::clone(&home.landing);
        let (sent, arriving) = mpsc::unbounded_channel();
        let describe = |part: &wire::SnapshotPart| match &part.part {
            Some(Part::Chunk(chunk)) => format!("snapshot chunk of {} bytes", chunk.len()),
            Some(Part::Head(_)) | None => "snapshot nonsense".to_owned(),
        };
        tokio::spawn(pump(network, from, end, parts, sent, describe));
        let chunks = receiver(arriving).map(|part| match part?.part {
            Some(Part::Chunk(chunk)) => Ok(chunk),
            Some(Part::Head(_)) | None => Err(failed("a snapshot goes on with its chunks")),
        });
        let group = head.group;
        let work = move |replica: Arc<Replica>| async move {
            replica.install(&landing, head, chunks).await.map_err(|error| refused(&error))
        };
        self.call(to, "snapshot", group, Duration::from_secs(3600), work).await
    }

    async fn propose(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::ProposeRequest,
    ) -> Result<wire::ProposeResponse, CallError> {
        let group = request.group;
        let work = move |replica: Arc<Replica>| async move {
            replica.take_proposals(request).await.map_err(|error| refused(&error))
        };
        self.call(to, "propose", group, deadline, work).await
    }

    async fn read_index(
        &self,
        to: NodeId,
        deadline: Duration,
        request: wire::ReadIndexRequest,
    ) -> Result<wire::ReadIndexResponse, CallError> {
        let group = request.group;
        let work = |replica: Arc<Replica>| async move { Ok(replica.take_read_index().await) };
        self.call(to, "read index", group, deadline, work).await
    }
}
