//! From a data directory to running groups: what is there is opened and recovered, and where there is nothing yet a cluster of
//! one is founded. Every step can be repeated, so a founding that was cut short is finished by the next start.

use std::path::Path;
use std::sync::Arc;

use futures::future::try_join_all;
use rand::RngExt;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use vaultaire_proto::command::InitCluster;
use vaultaire_proto::row::ClusterRow;
use vaultaire_proto::{
    Clock, ClusterId, Command, GroupId, Operation, Rejection, RequestId, Response, state,
};

use super::gather::Gather;
use super::group::{GroupsConfig, Origin};
use super::log::journal::Journal;
use super::log::{Identity, Report};
use super::replica::{Parts, Replica};
use crate::chance::Chance;
use crate::error::Error;
use crate::files::{self, Readers};
use crate::machine::Machine;
use crate::place::Place;
use crate::settings::SHARDS_MAX;
use crate::tables::Store;
use crate::throttle::Throttle;

/// How long the first command of a group may be on its way.
const FOUNDING_NOT_AFTER_MS: u64 = 10 * 60 * 1000;

/// Beside the tables: which cluster journal and tables are of. Written before either is.
const CLUSTER_FILE: &str = "cluster";

/// What is open before any group runs.
pub struct Opening {
    pub journal: Arc<Journal>,
    pub store: Arc<Store>,
    pub stop: CancellationToken,
    pub tasks: Vec<JoinHandle<()>>,
    pub founded: bool,
    pub gather: Arc<Gather>,
    /// Ends the tasks where the start fails, and when the groups are dropped without having been stopped.
    pub guard: DropGuard,
    config: GroupsConfig,
    throttle: Arc<Throttle>,
}

impl Opening {
    /// Opens journal and tables.
    pub async fn open(config: GroupsConfig) -> Result<(Self, Report), Error> {
        let directory = config.data_dir.clone();
        let identity = Identity { cluster: config.cluster.0, node: config.node.0 };
        let (machine, place) = (Arc::clone(&config.machine), config.machine.place());
        let opened = blocking(&place, move || open(&*machine, &directory, identity));
        let (journal, report, store) = opened.await?;
        let journal = Arc::new(journal);
        let stop = CancellationToken::new();
        let opening = Self {
            gather: Arc::new(Gather::new(Arc::downgrade(&journal))),
            journal,
            store: Arc::new(store),
            guard: stop.clone().drop_guard(),
            stop,
            tasks: Vec::new(),
            founded: false,
            throttle: Arc::new(Throttle::new(config.snapshot_bytes_per_second)),
            config,
        };
        Ok((opening, report))
    }

    /// Starts the control group, and founds it if it has never been.
    pub async fn control(&mut self) -> Result<Arc<Replica>, Error> {
        let control = self.group(GroupId::CONTROL).await?;
        self.config.peers.follow(Arc::clone(&control.table));
        self.found_or_wait(&control).await?;
        control.recover().await?;
        if state::cluster(&control.table.view()).is_none() {
            let foundation = self.foundation()?;
            self.init(&control, foundation).await?;
            self.founded = true;
        }
        Ok(control)
    }

    /// Makes a group's first member of this node, where it may.
    async fn found_or_wait(&self, group: &Replica) -> Result<(), Error> {
        if group.has_members().await? {
            return Ok(());
        }
        match &self.config.origin {
            Origin::Found(_) => group.found().await,
            // The leader of the group will call.
            Origin::Joined { .. } => Ok(()),
            Origin::Lost => Err(not_founded(&self.config.data_dir.join("journal"))),
        }
    }

    /// What the control group says it was founded with.
    pub fn cluster(&self, control: &Replica) -> Result<ClusterRow, Error> {
        let Some(cluster) = state::cluster(&control.table.view()) else {
            return Err(Error::Engine {
                what: "the control group",
                why: "it was founded, yet says nothing of its cluster; this is a bug, please report it".to_owned(),
            });
        };
        if cluster.cluster == self.config.cluster {
            return Ok(cluster);
        }
        Err(Error::OtherCluster {
            path: self.config.data_dir.join("tables"),
            found: cluster.cluster.to_string(),
            expected: self.config.cluster.to_string(),
            expected_by: "the file beside them",
        })
    }

    /// Starts every shard; one whose founding was cut short is founded now.
    pub async fn shards(&mut self, cluster: &ClusterRow) -> Result<Vec<Arc<Replica>>, Error> {
        let mut shards = Vec::new();
        for shard in 1..=cluster.shards {
            shards.push(self.group(GroupId(shard)).await?);
        }
        let opening = &*self;
        let recovered = shards.iter().map(|shard| opening.recover_shard(shard, cluster));
        try_join_all(recovered).await?;
        Ok(shards)
    }

    async fn recover_shard(&self, shard: &Replica, cluster: &ClusterRow) -> Result<(), Error> {
        self.found_or_wait(shard).await?;
        shard.recover().await?;
        if state::cluster(&shard.table.view()).is_some() {
            return Ok(());
        }
        let ClusterRow { cluster, generation, shards, region, token_key } = cluster.clone();
        self.init(shard, InitCluster { cluster, generation, shards, region, token_key }).await
    }

    async fn group(&mut self, group: GroupId) -> Result<Arc<Replica>, Error> {
        let store = Arc::clone(&self.store);
        let place = self.config.machine.place();
        let table = blocking(&place, move || store.table(group)).await?;
        let parts = Parts {
            group,
            node: self.config.node,
            journal: Arc::clone(&self.journal),
            table,
            clock: Arc::clone(&self.config.clock),
            gather: Arc::clone(&self.gather),
            peers: Arc::clone(&self.config.peers),
            machine: Arc::clone(&self.config.machine),
            throttle: Arc::clone(&self.throttle),
            stop: self.stop.clone(),
        };
        let (group, tasks) = Replica::start(parts).await?;
        tasks.into_iter().for_each(|task| self.keep(task));
        let group = Arc::new(group);
        self.config.directory.insert(Arc::clone(&group));
        Ok(group)
    }

    /// Runs a task until the groups are stopped.
    pub fn keep(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(task));
    }

    fn foundation(&self) -> Result<InitCluster, Error> {
        let Origin::Found(foundation) = self.config.origin.clone() else {
            return Err(not_founded(&self.config.data_dir.join("journal")));
        };
        if foundation.shards == 0 || foundation.shards > SHARDS_MAX {
            return Err(Error::Setting {
                key: "shards".to_owned(),
                why: format!("{} is not a number from 1 to {SHARDS_MAX}", foundation.shards),
            });
        }
        Ok(InitCluster { cluster: self.config.cluster, ..foundation })
    }

    /// The first command of a group's life.
    async fn init(&self, group: &Replica, init: InitCluster) -> Result<(), Error> {
        let command = Command {
            group: group.id,
            request: RequestId(Chance.random()),
            not_after: self.config.clock.now().plus_ms(FOUNDING_NOT_AFTER_MS),
            operation: Operation::InitCluster(init),
        };
        match group.proposer.propose(command).await? {
            Response::Rejected(Rejection::AlreadyInitialised) => Ok(()),
            Response::Rejected(rejection) => {
                Err(Error::Rejected { subject: format!("founding group {}", group.id), rejection })
            }
            _ => Ok(()),
        }
    }
}

fn open(
    machine: &dyn Machine,
    directory: &Path,
    identity: Identity,
) -> Result<(Journal, Report, Store), Error> {
    let options = machine.journal(identity);
    let (journal, report) = Journal::open(machine.disk(), &directory.join("journal"), options)
        .map_err(|error| Error::Engine { what: "the journal", why: error.to_string() })?;
    let tables = directory.join("tables");
    let store = Store::over(machine.tables(&tables)?, &tables, machine.place())?;
    Ok((journal, report, store))
}

/// The cluster that journal and tables are of. A new one is noted before anything is written for it, so that a founding that
/// was cut short goes on under the same id.
pub fn cluster_id(data_dir: &Path, origin: &Origin) -> Result<ClusterId, Error> {
    let directory = data_dir.join("tables");
    let path = directory.join(CLUSTER_FILE);
    if let Some(bytes) = files::read(&path)? {
        let text = String::from_utf8_lossy(&bytes);
        return ClusterId::parse(text.trim_end()).map_err(|invalid| Error::Damaged {
            path,
            problem: invalid.to_string(),
            advice: "write the id that the identity file of this data directory has into it",
        });
    }
    let cluster = match origin {
        Origin::Found(foundation) => foundation.cluster,
        Origin::Joined { cluster, fresh: true } => *cluster,
        Origin::Joined { fresh: false, .. } => return Err(wiped(&path)),
        Origin::Lost => return Err(not_founded(&path)),
    };
    files::create_private_dir(&directory)
        .map_err(|source| Error::file("create", &directory, source))?;
    files::write(&path, format!("{cluster}\n").as_bytes(), Readers::Owner)?;
    Ok(cluster)
}

/// What this node promised the others is lost: under its old id it could vote twice.
fn wiped(path: &Path) -> Error {
    Error::Engine {
        what: "this node's log and tables are gone",
        why: format!(
            "{} is missing; restore the data directory, or remove this node with `vaultaire cluster remove` on another one \
             and let it join again, with an empty data directory and a new token",
            path.display()
        ),
    }
}

fn not_founded(path: &Path) -> Error {
    Error::Engine {
        what: "no cluster has been founded in this data directory",
        why: format!(
            "{} is missing; if a node ran here before, its files were lost: restore them; else start it with `vaultaire dev` once",
            path.display()
        ),
    }
}

/// Runs what blocks on the disk where it holds up nobody.
pub async fn blocking<T: Send + 'static>(
    place: &Place,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    place
        .run(work)
        .await
        .map_err(|error| Error::Engine { what: "consensus", why: error.to_string() })?
}
