//! One Raft group, running: its tables, its way in (proposer) and its way out (barrier).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{InitializeError, RaftError};
use openraft::storage::RaftLogStorage;
use openraft::{Config, EmptyNode, ServerState, SnapshotPolicy};
use tokio_util::sync::CancellationToken;
use vaultaire_proto::{CatalogError, GroupId, NodeId};

use super::agreement::{self, Agreement};
use super::arriving::Arriving;
use super::barrier::Barrier;
use super::codec;
use super::forward::Forward;
use super::gather::Gather;
use super::group::{GroupMetrics, Role};
use super::log::journal::Journal;
use super::log_store::LogStore;
use super::network::{Network, Sending};
use super::opening::blocking;
use super::proposer::Proposer;
use super::state_machine::StateMachine;
use super::types::{LogId, Raft};
use super::watch;
use crate::clock::NodeClock;
use crate::error::Error;
use crate::machine::Machine;
use crate::peer::calls::Peers;
use crate::tables::table::Table;
use crate::throttle::Throttle;

const HEARTBEAT: Duration = Duration::from_millis(200);

/// openraft counts the timeout from the end of the leader's lease, which is as long as the upper bound. So a leader that
/// is silent is followed by another after 2.1 to 3 s: far above what a busy disk delays, since one that is only slow must
/// not be deposed. A vote has to come, synced, within the lower bound.
const ELECTION_MIN: Duration = Duration::from_millis(600);
const ELECTION_MAX: Duration = Duration::from_millis(1500);

/// Per chunk of a snapshot.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(60);

/// A group that needs longer to lead or to apply what it has is reported instead of waited for.
const RECOVERY_WAIT: Duration = Duration::from_secs(120);

/// How often a start asks whether the group has a leader, and how often it says that it still waits.
const CATCH_UP_POLL: Duration = Duration::from_millis(100);
const CATCH_UP_TOLD_EVERY: Duration = Duration::from_secs(10);

/// What a group is made of.
pub struct Parts {
    pub group: GroupId,
    pub node: NodeId,
    pub journal: Arc<Journal>,
    pub table: Arc<Table>,
    pub clock: Arc<NodeClock>,
    pub gather: Arc<Gather>,
    pub peers: Arc<dyn Peers>,
    pub machine: Arc<dyn Machine>,
    /// What snapshots are sent at.
    pub throttle: Arc<Throttle>,
    pub stop: CancellationToken,
}

/// A running group.
#[derive(Debug)]
pub struct Replica {
    pub id: GroupId,
    pub table: Arc<Table>,
    pub proposer: Proposer,
    pub barrier: Barrier,
    raft: Raft,
    node: NodeId,
    appended_bytes: Arc<AtomicU64>,
    pub(super) arriving: Arriving,
}

/// What has to run for a group; its owner waits for it when the group is stopped.
pub type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Replica {
    /// Starts Raft on what journal and tables hold.
    pub async fn start(parts: Parts) -> Result<(Self, Vec<Task>), Error> {
        let Parts { group, node, journal, table, clock, gather, peers, machine, throttle, stop } =
            parts;
        let mut log = LogStore::new(Arc::clone(&journal), group);
        match agreement::check(group, &journal, &table)? {
            Agreement::Whole => {}
            Agreement::Installed { upto } => {
                log.purge(codec::log_id(upto)).await.map_err(|error| engine(group, &error))?
            }
        }
        let payload_bytes_max = journal.payload_bytes_max();
        drop(journal);
        let appended_bytes = log.appended_bytes();
        let rows = StateMachine::new(Arc::clone(&table), log.clone(), Arc::clone(&clock))?;
        let config = Arc::new(config(group)?);
        let chunk_bytes = machine.snapshot_chunk_bytes();
        let sending = Sending { place: machine.place(), chunk_bytes, throttle };
        let network = Network { group, peers: Arc::clone(&peers), sending };
        let raft = Raft::new(node.0, config, network, log, rows)
            .await
            .map_err(|error| engine(group, &error))?;
        let forward = Forward { group, node, peers };
        let (proposer, propose) = Proposer::new(
            raft.clone(),
            forward.clone(),
            clock,
            gather,
            payload_bytes_max,
            stop.clone(),
        );
        let death = watch::run(group, raft.clone(), machine, stop.clone());
        let (barrier, confirm) =
            Barrier::new(group, node, raft.clone(), Arc::clone(&table), forward, stop);
        let tasks: Vec<Task> = vec![Box::pin(propose), Box::pin(confirm), Box::pin(death)];
        let arriving = Arriving::default();
        let replica =
            Self { id: group, table, proposer, barrier, raft, node, appended_bytes, arriving };
        Ok((replica, tasks))
    }

    /// Whether the group has ever had members.
    pub async fn has_members(&self) -> Result<bool, Error> {
        self.raft.is_initialized().await.map_err(|error| engine(self.id, &error))
    }

    /// Makes this node the group's one member.
    pub async fn found(&self) -> Result<(), Error> {
        let members = BTreeMap::from([(self.node.0, EmptyNode::default())]);
        match self.raft.initialize(members).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(engine(self.id, &error)),
        }
    }

    /// Whether this node leads the group, as far as it knows.
    pub fn leads(&self) -> bool {
        self.raft.is_leader()
    }

    /// Waits until the group leads or follows, and has applied everything that may have been acknowledged before the start.
    pub async fn recover(&self) -> Result<(), Error> {
        if !self.is_sole_voter() {
            return self.catch_up().await;
        }
        if !self.raft.is_leader() {
            // Nobody else can answer, so there is nothing to wait for.
            self.raft.trigger().elect(false).await.map_err(|error| engine(self.id, &error))?;
        }
        let wait = self.raft.wait(Some(RECOVERY_WAIT));
        let led = wait.metrics(|metrics| metrics.current_leader.is_some(), "a leader").await;
        led.map_err(|error| engine(self.id, &error))?;
        let recovered = self.raft.wait_for_recovery(Some(RECOVERY_WAIT)).await;
        recovered.map_err(|error| engine(self.id, &error))?;
        Ok(())
    }

    /// Waits for as long as it takes: the other members may be started hours later, and a member that joins has a whole
    /// cluster's rows to fetch.
    async fn catch_up(&self) -> Result<(), Error> {
        let began = tokio::time::Instant::now();
        let mut told = began;
        loop {
            match self.barrier.confirmed().await {
                Ok(()) => return Ok(()),
                Err(CatalogError::Stopped) => return Err(Error::Catalog(CatalogError::Stopped)),
                Err(_) => {}
            }
            if told.elapsed() >= CATCH_UP_TOLD_EVERY {
                told = tokio::time::Instant::now();
                let metrics = self.metrics();
                tracing::warn!(
                    group = %self.id, waited_s = began.elapsed().as_secs(), leader = ?metrics.leader,
                    applied = metrics.applied, "waiting for the other members of the cluster"
                );
            }
            tokio::time::sleep(CATCH_UP_POLL).await;
        }
    }

    /// Whether this node is heard of as a leader and stands for election.
    pub fn stand(&self, stands: bool) {
        let config = self.raft.runtime_config();
        config.heartbeat(stands);
        config.elect(stands);
    }

    pub(super) fn raft(&self) -> &Raft {
        &self.raft
    }

    fn is_sole_voter(&self) -> bool {
        let server = self.raft.server_metrics();
        let voters: Vec<u64> = server.borrow_watched().membership_config.voter_ids().collect();
        voters == [self.node.0]
    }

    pub fn metrics(&self) -> GroupMetrics {
        // Copied at once: openraft cannot publish while its metrics are borrowed.
        let metrics = self.raft.metrics().borrow_watched().clone();
        let index = |id: &Option<LogId>| id.as_ref().map_or(0, LogId::index);
        let counters = self.proposer.counters();
        GroupMetrics {
            group: self.id,
            role: match metrics.state {
                ServerState::Leader => Role::Leader,
                ServerState::Follower => Role::Follower,
                ServerState::Candidate => Role::Candidate,
                ServerState::Learner => Role::Learner,
                ServerState::Shutdown => Role::Stopped,
            },
            term: metrics.current_term,
            leader: metrics.current_leader.map(NodeId),
            last_log: metrics.last_log_index.unwrap_or(0),
            committed: index(&metrics.local_committed),
            applied: self.table.applied().map_or(0, |applied| applied.index),
            snapshot: index(&metrics.snapshot),
            purged: index(&metrics.purged),
            commands_total: counters.commands.load(Ordering::Relaxed),
            entries_total: counters.entries.load(Ordering::Relaxed),
            queued: self.proposer.queued(),
        }
    }

    /// Payload bytes appended to this group's log since the process started.
    pub fn appended_bytes(&self) -> u64 {
        self.appended_bytes.load(Ordering::Relaxed)
    }

    /// Makes the tables durable and returns the index up to which they are.
    pub async fn snapshot(&self) -> Result<u64, Error> {
        let table = Arc::clone(&self.table);
        // Not left to openraft alone: where it has a snapshot of this index, one of the start for example, it builds none.
        let durable = blocking(self.table.place(), move || Ok(table.persist())).await?;
        let Some(applied) = durable else {
            return Ok(0);
        };
        self.raft.trigger().snapshot().await.map_err(|error| engine(self.id, &error))?;
        let reached = move |metrics: &openraft::RaftMetrics<super::types::TypeConfig>| {
            metrics.snapshot.as_ref().is_some_and(|id| id.index() >= applied.index)
        };
        let built = self.raft.wait(Some(SNAPSHOT_TIMEOUT)).metrics(reached, "a snapshot").await;
        built.map_err(|error| engine(self.id, &error))?;
        Ok(applied.index)
    }

    /// Lets go of what snapshots that do not go on have left. To be called all the time.
    pub async fn look_after_snapshots(&self) {
        self.table.pins().look_after();
        self.arriving.look_after(self.id, self.table.place()).await;
    }

    /// Forgets the log up to `index`. openraft goes no further than its last snapshot.
    pub async fn purge(&self, index: u64) -> Result<(), Error> {
        self.raft.trigger().purge_log(index).await.map_err(|error| engine(self.id, &error))
    }

    pub async fn shutdown(&self) -> Result<(), Error> {
        self.raft.shutdown().await.map_err(|error| engine(self.id, &error))
    }
}

fn config(group: GroupId) -> Result<Config, Error> {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: format!("group-{group}"),
        heartbeat_interval: ms(HEARTBEAT),
        election_timeout_min: ms(ELECTION_MIN),
        election_timeout_max: ms(ELECTION_MAX),
        install_snapshot_timeout: ms(SNAPSHOT_TIMEOUT),
        // `purge` decides when the tables are made durable and what the log may forget then.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        enable_pre_vote: Some(true),
        // A leader sends entries while its own disk still writes them. Were it to lead again in the same term after a crash that
        // took them from it, it would give their positions to other entries, and nobody could tell the two apart.
        enable_leader_restore: Some(false),
        ..Config::default()
    };
    config.validate().map_err(|error| engine(group, &error))
}

fn engine(group: GroupId, error: &dyn std::fmt::Display) -> Error {
    Error::Engine { what: "consensus", why: format!("group {group}: {error}") }
}
