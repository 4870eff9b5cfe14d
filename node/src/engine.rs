//! The first half of a start: journal, groups, rows and backends, everything but servers and workers. The peer port is the
//! exception: without it the groups of a cluster find no leader. A gateway's is in `gateway::start`.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rand::RngExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vaultaire_proto::command::InitCluster;
use vaultaire_proto::{Catalog, Clock, ClusterId, NodeId};
use vaultaire_router::epochs::Epochs;
use vaultaire_storage::registry::Registry;

use crate::about::About;
use crate::blobs::server::OwnBackends;
use crate::blobs::watch::Watch;
use crate::clock::NodeClock;
use crate::error::Error;
use crate::founding::{self, Opened};
use crate::identity::{DataDir, Identity};
use crate::machine::ThisMachine;
use crate::peer::authority::{Authority, Credentials};
use crate::peer::guard::Guard;
use crate::peer::join::{Admitting, Host};
use crate::peer::pool::Pool;
use crate::peer::server::{self, Calls};
use crate::propose::Proposer;
use crate::raft::arriving::Landing;
use crate::raft::directory::Directory;
use crate::raft::group::{Groups, GroupsConfig, Origin, Started};
use crate::raft::log::Cut;
use crate::raft::opening::cluster_id;
use crate::secrets::Sealer;
use crate::settings::{SHARDS, Settings, Work};
use crate::stopwatch::Stopwatch;
use crate::support::Support;
use crate::workers::brake::Brake;

/// Snapshots arrive in this folder of the data directory.
const SNAPSHOTS: &str = "snapshots";

/// Where peers will call, and who stops that.
#[derive(Debug)]
pub struct PeerPort {
    pub listener: TcpListener,
    pub stop: CancellationToken,
    pub servers: TaskTracker,
}

/// What there is of a node before its groups.
#[derive(Debug)]
pub struct Begun {
    pub port: Option<PeerPort>,
    /// Groups appear here while they are opened: who asks how far the start is looks here.
    pub directory: Arc<Directory>,
}

/// What the first half of a start leaves for the second.
#[derive(Debug)]
pub struct Engine {
    pub groups: Arc<Groups>,
    pub pool: Arc<Pool>,
    pub about: Arc<About>,
    pub proposer: Proposer,
    pub clock: Arc<dyn Clock>,
    pub node: NodeId,
    pub sealer: Arc<Sealer>,
    pub authority: Option<Authority>,
    pub opened: Opened,
    pub watch: Arc<Watch>,
    pub epochs: Arc<Epochs>,
    pub brake: Arc<Brake>,
    pub cut: Option<Cut>,
    /// It has no groups.
    pub gateway: bool,
}

/// What is open before any group runs.
pub struct Base {
    pub node: NodeId,
    pub cluster: ClusterId,
    pub sealer: Sealer,
    pub authority: Option<Authority>,
    credentials: Option<Credentials>,
    gateway: bool,
}

impl Engine {
    /// When it returns, every group has a leader, and this node has applied what was acknowledged before.
    pub async fn start(
        data_dir: &DataDir,
        identity: Option<&Identity>,
        settings: &Settings,
        begun: Begun,
        stopwatch: &mut Stopwatch,
    ) -> Result<Self, Error> {
        settings.check_backends(Work::Rows)?;
        let (base, origin) = base(data_dir, identity, settings)?;
        let ways = Ways::new(&base, data_dir, begun.directory);
        if let Some(port) = begun.port {
            ways.serve(data_dir, port, &base)?;
        }
        let Ways { pool, directory, about, registry, proposer: for_gateways, admitting } = ways;
        let Base { node, cluster, sealer, authority, .. } = base;
        let node_clock = NodeClock::system();
        let clock: Arc<dyn Clock> = Arc::clone(&node_clock) as _;
        let config = GroupsConfig {
            data_dir: data_dir.path().to_owned(),
            node,
            clock: node_clock,
            cluster,
            origin,
            peers: Arc::clone(&pool) as _,
            directory,
            machine: Arc::new(ThisMachine),
            snapshot_bytes_per_second: settings.snapshot_bytes_per_second,
        };
        let Started { groups, catalog, report } = Groups::start(config).await?;
        tell_of_cut(report.journal.cut.as_ref());
        if identity.is_none() {
            data_dir.found(catalog.cluster().cluster)?;
        }
        stopwatch.lap("journal, tables and groups");
        let proposer = Proposer::new(catalog, Arc::clone(&clock));
        // Set once: nobody else has them.
        let _ = for_gateways.set(proposer.clone());
        let support = Support::new(&proposer, &pool, &about, groups.kinds());
        let _ = admitting.set(Admitting { proposer: proposer.clone(), support });
        let first_made = identity.is_some_and(Identity::first_made);
        let (incarnation, opened) =
            make_ready(&proposer, node, &sealer, settings, first_made, registry).await?;
        let watch = watch(&pool, &opened, opened.write.clone());
        watch.follow(proposer.catalog()).await?;
        if !first_made {
            data_dir.note_first_made()?;
        }
        stopwatch.lap("backends and first rows");
        let epochs = Epochs::new(proposer.shared_catalog(), Arc::clone(&clock), node, incarnation);
        // Weak, since the epochs reach the groups through the catalog.
        let writes = Arc::downgrade(&epochs);
        groups.expect(Box::new(move || writes.upgrade().map_or(0, |epochs| epochs.in_flight())));
        let brake = Arc::new(Brake::new(&settings.garbage, proposer.catalog().cluster().shards));
        Ok(Self {
            groups: Arc::new(groups),
            pool,
            about,
            proposer,
            clock,
            node,
            sealer: Arc::new(sealer),
            authority,
            opened,
            watch: Arc::new(watch),
            epochs,
            brake,
            cut: report.journal.cut,
            gateway: false,
        })
    }
}

/// What the peer port serves, empty at first: it is filled while the node starts.
pub struct Ways {
    pub pool: Arc<Pool>,
    directory: Arc<Directory>,
    pub about: Arc<About>,
    pub registry: Arc<Registry>,
    proposer: Arc<OnceLock<Proposer>>,
    admitting: Arc<OnceLock<Admitting>>,
}

impl Ways {
    pub fn new(base: &Base, data_dir: &DataDir, directory: Arc<Directory>) -> Self {
        let about = About {
            directory: Arc::clone(&directory),
            data_dir: data_dir.path().to_owned(),
            started: Instant::now(),
        };
        Self {
            pool: Arc::new(Pool::new(base.cluster, base.node, base.credentials.clone())),
            directory,
            about: Arc::new(about),
            registry: Arc::default(),
            proposer: Arc::default(),
            admitting: Arc::default(),
        }
    }

    /// Serves peers until the port's owner stops that.
    pub fn serve(&self, data_dir: &DataDir, port: PeerPort, base: &Base) -> Result<(), Error> {
        let (Some(authority), Some(credentials)) = (&base.authority, &base.credentials) else {
            return Ok(());
        };
        let host = Host {
            cluster: base.cluster,
            authority: authority.clone(),
            sealing_key: base.sealer.text(data_dir.path())?,
            gateway: base.gateway,
            admitting: Arc::clone(&self.admitting),
        };
        let PeerPort { listener, stop, servers } = port;
        let landing = Landing::clear(&ThisMachine, data_dir.path().join(SNAPSHOTS))?;
        let parts = server::Parts {
            calls: Calls {
                directory: Arc::clone(&self.directory),
                landing,
                about: Arc::clone(&self.about),
                proposer: Arc::clone(&self.proposer),
                stop,
            },
            blobs: OwnBackends::new(Arc::clone(&self.registry), Arc::clone(&self.pool)),
            guard: Guard::new(Arc::clone(&self.pool)),
            host,
            credentials: credentials.clone(),
        };
        servers.spawn(async move {
            if let Err(error) = server::serve(listener, parts).await {
                tracing::error!(%error, "the peer port stopped");
            }
        });
        Ok(())
    }
}

/// One of several nodes has to say where the others reach it.
pub fn has_peers(identity: &Identity, settings: &Settings) -> Result<(), Error> {
    match identity.joined() && settings.peer.is_none() {
        false => Ok(()),
        true => Err(Error::Setting {
            key: "peer.addr".to_owned(),
            why: "is missing, and this node is one of a cluster: add the [peer] section that it joined with"
                .to_owned(),
        }),
    }
}

/// What looks after the backends that can be reached from here.
pub fn watch(pool: &Arc<Pool>, opened: &Opened, write_to: Vec<String>) -> Watch {
    let (pool, registry) = (Arc::clone(pool), Arc::clone(&opened.registry));
    Watch { pool, registry, targets: Arc::default(), write_to }
}

/// Everything that files alone say.
fn base(
    data_dir: &DataDir,
    identity: Option<&Identity>,
    settings: &Settings,
) -> Result<(Base, Origin), Error> {
    if let Some(identity) = identity {
        has_peers(identity, settings)?;
    }
    if identity.is_none() && settings.peer.is_some() && !data_dir.may_found() {
        return Err(Error::Found(format!(
            "{} belongs to no cluster yet: run `vaultaire cluster init` on one node, and `vaultaire cluster join` on every other",
            data_dir.path().display()
        )));
    }
    let sealer = match identity {
        Some(_) => Sealer::open(data_dir.path())?,
        None => Sealer::open_or_create(data_dir.path())?,
    };
    match identity {
        Some(_) => data_dir.end_founding()?,
        None => data_dir.begin_founding()?,
    }
    let node = identity.map_or(NodeId(1), Identity::node);
    let origin = origin(data_dir, identity, settings)?;
    let cluster = cluster_id(data_dir.path(), &origin)?;
    same_cluster(data_dir, identity, cluster)?;
    // From here on this directory has a log of its own, however short.
    data_dir.end_joining()?;
    let authority = match &settings.peer {
        Some(_) => Some(authority(data_dir, identity)?),
        None => None,
    };
    let credentials = authority.as_ref().map(|authority| authority.credentials(cluster, node));
    let credentials = credentials.transpose()?;
    Ok((Base { node, cluster, sealer, authority, credentials, gateway: false }, origin))
}

/// The same of a gateway, whose directory has no log.
pub fn base_of_gateway(data_dir: &DataDir, identity: &Identity) -> Result<Base, Error> {
    let (node, cluster) = (identity.node(), identity.cluster(data_dir.path())?);
    let sealer = Sealer::open(data_dir.path())?;
    let authority = authority(data_dir, Some(identity))?;
    let credentials = Some(authority.credentials(cluster, node)?);
    Ok(Base { node, cluster, sealer, authority: Some(authority), credentials, gateway: true })
}

/// Only a directory without identity may become a new cluster: with one, an empty journal is a lost journal.
fn origin(
    data_dir: &DataDir,
    identity: Option<&Identity>,
    settings: &Settings,
) -> Result<Origin, Error> {
    Ok(match identity {
        None => Origin::Found(foundation(settings)),
        Some(identity) if identity.joined() => Origin::Joined {
            cluster: identity.cluster(data_dir.path())?,
            fresh: data_dir.is_joining(),
        },
        Some(_) => Origin::Lost,
    })
}

/// A node that founded its cluster without peers makes the authority when it is told to have some.
fn authority(data_dir: &DataDir, identity: Option<&Identity>) -> Result<Authority, Error> {
    if let Some(authority) = Authority::open(data_dir.path())? {
        return Ok(authority);
    }
    if identity.is_some_and(Identity::joined) {
        return Err(Error::Damaged {
            path: data_dir.path().join("peer"),
            problem: "missing".to_owned(),
            advice: "copy the folder from another node of the cluster",
        });
    }
    let authority = Authority::generate()?;
    authority.save(data_dir.path())?;
    Ok(authority)
}

/// What must be true before the node serves; answers the incarnation of this start and the backends.
async fn make_ready(
    proposer: &Proposer,
    node: NodeId,
    sealer: &Sealer,
    settings: &Settings,
    first_made: bool,
    registry: Arc<Registry>,
) -> Result<(u64, Opened), Error> {
    let incarnation = founding::register(proposer, node, settings).await?;
    let (opened, (), (), ()) = tokio::try_join!(
        founding::open_backends(proposer, node, settings, registry),
        founding::share_settings(proposer, &settings.garbage),
        founding::close_former_epochs(proposer, node, incarnation),
        founding::make_first(proposer, sealer, &settings.first, first_made),
    )?;
    Ok((incarnation, opened))
}

fn tell_of_cut(cut: Option<&Cut>) {
    if let Some(cut) = cut {
        tracing::warn!(
            segment = cut.segment,
            offset = cut.offset,
            bytes = cut.bytes,
            "a torn tail of the journal was cut off: as a rule an unfinished write, never acknowledged"
        );
    }
}

fn foundation(settings: &Settings) -> InitCluster {
    let token_key: [u8; 32] = rand::rng().random();
    InitCluster {
        cluster: ClusterId(rand::rng().random()),
        generation: 1,
        shards: settings.first.shards.unwrap_or(SHARDS),
        region: settings.region.clone(),
        token_key: token_key.to_vec(),
    }
}

/// The tables say which cluster they are of; the identity file must say the same.
fn same_cluster(
    data_dir: &DataDir,
    identity: Option<&Identity>,
    cluster: ClusterId,
) -> Result<(), Error> {
    let Some(identity) = identity else {
        return Ok(());
    };
    let expected = identity.cluster(data_dir.path())?;
    if expected == cluster {
        return Ok(());
    }
    Err(Error::OtherCluster {
        path: data_dir.path().to_owned(),
        found: cluster.to_string(),
        expected: expected.to_string(),
        expected_by: "its identity.json",
    })
}
