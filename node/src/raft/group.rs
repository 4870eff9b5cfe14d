//! All Raft groups of a node: started, watched, and stopped in order. What one group is made of is `replica`; how a new node
//! becomes a cluster of one is `opening`.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use vaultaire_proto::command::InitCluster;
use vaultaire_proto::{ClusterId, GroupId, NodeId};

use super::directory::Directory;
use super::gather::{Gather, Writes};
use super::kinds::Kinds;
use super::log::journal::Journal;
use super::log::{Report, Stats};
use super::opening::{Opening, blocking};
use super::purge;
use super::replica::Replica;
use super::stall::{self, Stall};
use crate::catalog::RaftCatalog;
use crate::clock::NodeClock;
use crate::error::Error;
use crate::machine::Machine;
use crate::peer::calls::Peers;
use crate::place::Place;
use crate::tables::Store;

/// How long a stop waits for openraft's tasks to let go of the journal.
const RELEASE_WAIT: Duration = Duration::from_secs(5);
const RELEASE_POLL: Duration = Duration::from_millis(5);

/// How long a stop waits for others to take over.
const HAND_OVER_WAIT: Duration = Duration::from_secs(3);

/// What the groups of a node are started with.
#[derive(Debug)]
pub struct GroupsConfig {
    /// `journal` and `tables` are made in it.
    pub data_dir: PathBuf,
    /// The node whose directory it is: the same at every start.
    pub node: NodeId,
    /// Told what each group applies, and asked what entries are stamped with.
    pub clock: Arc<NodeClock>,
    /// As `opening::cluster_id` found it.
    pub cluster: ClusterId,
    pub origin: Origin,
    /// The way to other members.
    pub peers: Arc<dyn Peers>,
    /// Where peers find the groups.
    pub directory: Arc<Directory>,
    /// What journal and tables lie on.
    pub machine: Arc<dyn Machine>,
    /// How much this node sends of snapshots.
    pub snapshot_bytes_per_second: u64,
}

/// What an empty log means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Found a cluster of one. Where a founding was cut short it goes on, under the cluster id it began with.
    Found(InitCluster),
    /// A cluster has let this node in and has not been heard of since. `fresh`: no start came before this one.
    Joined { cluster: ClusterId, fresh: bool },
    /// Damage: the node has run here before.
    Lost,
}

/// Running groups, and what the start found.
#[derive(Debug)]
pub struct Started {
    pub groups: Groups,
    pub catalog: Arc<RaftCatalog>,
    pub report: StartReport,
}

/// What a start found and did.
#[derive(Clone, Debug)]
pub struct StartReport {
    /// This start made the cluster.
    pub founded: bool,
    pub took_ms: u64,
    pub journal: Report,
}

/// A group's state as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetrics {
    pub group: GroupId,
    pub role: Role,
    pub term: u64,
    pub leader: Option<NodeId>,
    /// Log indexes; zero where there is none yet.
    pub last_log: u64,
    pub committed: u64,
    pub applied: u64,
    pub snapshot: u64,
    pub purged: u64,
    /// Since the process started.
    pub commands_total: u64,
    pub entries_total: u64,
    /// Commands that wait for a place in an entry.
    pub queued: usize,
}

/// What this node is in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Leader,
    Follower,
    Candidate,
    Learner,
    /// Shut down, or failed: the log says why.
    Stopped,
}

impl Role {
    /// The word for it in output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
            Self::Stopped => "stopped",
        }
    }
}

/// The groups of this node. Whoever holds this stops them.
pub struct Groups {
    groups: Vec<Arc<Replica>>,
    /// None: there are no groups.
    store: Option<Arc<Store>>,
    gather: Arc<Gather>,
    directory: Arc<Directory>,
    journal: Mutex<Option<Arc<Journal>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    stop: CancellationToken,
    place: Place,
    stall: Arc<Stall>,
    kinds: Arc<Kinds>,
    /// Tasks end also where nobody calls `shutdown`.
    _guard: DropGuard,
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Groups").field("groups", &self.groups.len()).finish_non_exhaustive()
    }
}

impl Groups {
    /// Those of a node that has no rows.
    pub fn none() -> Self {
        let stop = CancellationToken::new();
        Self {
            groups: Vec::new(),
            store: None,
            gather: Arc::new(Gather::new(Weak::new())),
            directory: Arc::default(),
            journal: Mutex::default(),
            tasks: Mutex::default(),
            _guard: stop.clone().drop_guard(),
            stop,
            place: Place::Threads,
            stall: Arc::default(),
            kinds: Arc::default(),
        }
    }

    /// Opens journal and tables, starts every group, founds the cluster if there is none, and returns when all groups
    /// have a leader and have applied whatever may have been acknowledged before.
    pub async fn start(config: GroupsConfig) -> Result<Started, Error> {
        let began = Instant::now();
        let directory = Arc::clone(&config.directory);
        let place = config.machine.place();
        let (mut opening, journal_report) = Opening::open(config).await?;
        let control = opening.control().await?;
        let cluster = opening.cluster(&control)?;
        let mut groups = vec![control];
        groups.extend(opening.shards(&cluster).await?);
        opening.keep(purge::run(groups.clone(), opening.stop.clone()));
        let stall = Arc::default();
        let watched = (groups.clone(), Arc::clone(&opening.journal), Arc::clone(&stall));
        opening.keep(stall::run(watched.0, watched.1, watched.2, opening.stop.clone()));
        let kinds = Arc::<Kinds>::default();
        let catalog = Arc::new(RaftCatalog::new(cluster, groups.clone(), Arc::clone(&kinds)));
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let report = StartReport { founded: opening.founded, took_ms, journal: journal_report };
        tracing::info!(
            groups = groups.len(),
            founded = report.founded,
            took_ms,
            "consensus is ready"
        );
        let Opening { journal, store, gather, stop, tasks, guard, .. } = opening;
        let (journal, tasks) = (Mutex::new(Some(journal)), Mutex::new(tasks));
        Ok(Started {
            groups: Self {
                groups,
                store: Some(store),
                gather,
                directory,
                journal,
                tasks,
                stop,
                place,
                stall,
                kinds,
                _guard: guard,
            },
            catalog,
            report,
        })
    }

    /// One line per group, the control group first.
    pub fn metrics(&self) -> Vec<GroupMetrics> {
        self.groups.iter().map(|group| group.metrics()).collect()
    }

    /// This node's groups, the control group first.
    pub fn replicas(&self) -> &[Arc<Replica>] {
        &self.groups
    }

    /// What may be proposed.
    pub fn kinds(&self) -> &Arc<Kinds> {
        &self.kinds
    }

    /// Whether the log waits for its disk.
    pub fn stall(&self) -> Arc<Stall> {
        Arc::clone(&self.stall)
    }

    /// Says where to ask how many writes are on their way: their commands wait for each other, where this node leads their
    /// groups. The others travel to other nodes.
    pub fn expect(&self, writes: Writes) {
        let shards: Vec<Weak<Replica>> = self.groups.iter().skip(1).map(Arc::downgrade).collect();
        self.gather.expect(Box::new(move || {
            let leads = |shard: &&Weak<Replica>| shard.upgrade().is_some_and(|shard| shard.leads());
            let led = shards.iter().filter(leads).count() as u64;
            writes().saturating_mul(led).checked_div(shards.len() as u64).unwrap_or(0)
        }));
    }

    /// Lets others lead what this node leads, so that nobody has to notice that it has gone. Those who cannot take over
    /// leave it to an election.
    pub async fn hand_over(&self) {
        let handed = self.groups.iter().map(|group| group.hand_over_to_any(HAND_OVER_WAIT));
        join_all(handed).await;
    }

    /// The journal's counters; zero once it is closed.
    pub fn journal(&self) -> Stats {
        self.journal.lock().as_ref().map(|journal| journal.stats()).unwrap_or_default()
    }

    /// Makes the tables durable. Not needed for durability, which the log gives; it shortens the start after a power cut.
    pub async fn persist(&self) -> Result<(), Error> {
        let Some(store) = self.store.clone() else {
            return Ok(());
        };
        blocking(&self.place, move || {
            store.persist();
            Ok(())
        })
        .await
    }

    /// Refuses new commands, finishes those that wait, and stops Raft, tables and journal, in this order. Idempotent.
    pub async fn shutdown(&self) -> Result<(), Error> {
        let Some(journal) = self.journal.lock().take() else {
            return Ok(());
        };
        self.stop.cancel();
        self.directory.clear();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of consensus failed before it was stopped");
            }
        }
        // A second call has nothing left to stop. So every step is done, whatever became of the ones before.
        let mut result = Ok(());
        for group in &self.groups {
            result = result.and(group.shutdown().await);
        }
        let store = self.store.clone();
        let closed = blocking(&self.place, move || {
            store.iter().for_each(|store| store.close());
            Ok(())
        });
        result.and(closed.await).and(release(journal, &self.place).await)
    }
}

/// Closes the journal once openraft's last task has dropped it.
async fn release(journal: Arc<Journal>, place: &Place) -> Result<(), Error> {
    let mut journal = journal;
    let deadline = Instant::now() + RELEASE_WAIT;
    loop {
        journal = match Arc::try_unwrap(journal) {
            Ok(journal) => {
                return blocking(place, move || {
                    journal.close();
                    Ok(())
                })
                .await;
            }
            Err(shared) => shared,
        };
        if Instant::now() >= deadline {
            tracing::warn!("the journal is still in use; it is closed when its last user goes");
            return Ok(());
        }
        tokio::time::sleep(RELEASE_POLL).await;
    }
}
