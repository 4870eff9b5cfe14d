//! One node: everything put together, started in order and stopped in the reverse order. The parts are told
//! in their own modules; nothing is decided here but the order.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vaultaire_router::epochs::Epochs;
use vaultaire_router::server::Server;
use vaultaire_router::service::{Parts as RouterParts, S3Service};

use crate::absent;
use crate::blobs::watch;
use crate::compare::{self, Comparer};
use crate::discovery::{self, Announcement};
use crate::engine::{Begun, Engine, PeerPort};
use crate::error::Error;
use crate::founding::Opened;
use crate::gateway::{self, roster};
use crate::grpc;
use crate::http::{self, Ready};
use crate::identity::DataDir;
use crate::listen::{self, Listeners, address, url};
use crate::metrics::Metrics;
use crate::open_files;
use crate::opener::Opener;
use crate::raft::group::{Groups, Role};
use crate::secrets::Secret;
use crate::settings::Settings;
use crate::stopwatch::{Stopwatch, Timing};
use crate::tls::{self, Served};
use crate::workers::garbage::Collector;
use crate::workers::leaders::Leaders;
use crate::workers::repair::Repairer;
use crate::workers::sweep::Sweeper;
use crate::workers::{self, Context, Workers, epochs, membership, settle};

/// How long a stop waits for the servers once they are told.
const SERVERS_STOP_MAX: Duration = Duration::from_secs(35);

/// How long a stop waits for its write epochs to be closed. The last node of a cluster that stops finds no quorum.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// What is served once the start is over.
struct Ports {
    s3: TcpListener,
    admin: TcpListener,
    served: Option<Served>,
    token: Secret,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    announcement: Announcement,
    timings: Vec<Timing>,
    data_dir: DataDir,
    groups: Arc<Groups>,
    epochs: Arc<Epochs>,
    ready: Arc<Ready>,
    workers: Workers,
    /// The S3 port stops first, so that load balancers and operators can watch it drain.
    stop_s3: CancellationToken,
    stop_rest: CancellationToken,
    s3: TaskTracker,
    rest: TaskTracker,
    /// What the limit of open files leaves for S3.
    connections_max: usize,
}

impl Node {
    /// Starts a node on a directory that this process holds. When it returns, the node serves.
    pub async fn start(data_dir: DataDir, settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        let mut stopwatch = Stopwatch::begin();
        let connections_max = open_files::share_out(&settings)?;
        let identity = data_dir.identity()?;
        let served = tls::serve(&settings)?;
        let token = discovery::token(data_dir.path())?;
        let listeners = listen::bind(&settings).await?;
        let peer_port = listen::bind_peer(&settings).await?;
        warn_of_plain_admin(&settings);
        stopwatch.lap("files and sockets");
        let (stop_rest, rest) = (CancellationToken::new(), TaskTracker::new());
        // Where the start fails, what it has begun to serve ends.
        let guard = stop_rest.clone().drop_guard();
        let port = peer_port.map(|listener| PeerPort {
            listener,
            stop: stop_rest.clone(),
            servers: rest.clone(),
        });
        let begun = Begun { port, directory: Arc::default() };
        let announcement = announce(&listeners, served.as_ref())?;
        let pages = http::Parts::of_start(&begun.directory);
        // From now on it can be asked how far the start is: where there is no quorum it takes as long as that.
        rest.spawn(http::serve(listeners.http, pages.clone(), stop_rest.clone()));
        let gateway = identity.as_ref().filter(|identity| identity.gateway());
        let engine = match gateway {
            Some(identity) => {
                gateway::start::start(&data_dir, identity, &settings, begun, &mut stopwatch).await?
            }
            None => {
                Engine::start(&data_dir, identity.as_ref(), &settings, begun, &mut stopwatch)
                    .await?
            }
        };
        let _ = pages.groups.set(Arc::clone(&engine.groups));
        let mut node = Self {
            announcement,
            timings: Vec::new(),
            data_dir,
            groups: Arc::clone(&engine.groups),
            epochs: Arc::clone(&engine.epochs),
            ready: Arc::clone(&pages.ready),
            workers: Workers::default(),
            stop_s3: CancellationToken::new(),
            stop_rest,
            s3: TaskTracker::new(),
            rest,
            connections_max,
        };
        guard.disarm();
        let ports = Ports { s3: listeners.s3, admin: listeners.admin, served, token };
        node.serve(engine, &settings, ports, &pages);
        node.announcement.write(node.data_dir.path())?;
        node.ready.watch(node.groups.stall());
        node.ready.serve();
        stopwatch.lap("servers");
        node.timings = stopwatch.timings();
        Ok(node)
    }

    /// Where the node can be reached.
    pub fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// The directory it runs on.
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// How long each step of the start took.
    pub fn timings(&self) -> &[Timing] {
        &self.timings
    }

    /// Starts every server and worker.
    fn serve(&self, engine: Engine, settings: &Settings, ports: Ports, pages: &http::Parts) {
        let metrics = Arc::clone(&pages.metrics);
        let service = S3Service::new(RouterParts {
            catalog: engine.proposer.shared_catalog(),
            registry: Arc::clone(&engine.opened.registry),
            clock: Arc::clone(&engine.clock),
            secrets: Arc::new(Opener::new(Arc::clone(&engine.sealer))),
            epochs: Arc::clone(&engine.epochs),
            readiness: Arc::clone(&self.ready) as _,
            metrics: vaultaire_router::metrics::Metrics::register(&mut pages.registry.write()),
            settings: vaultaire_router::config::Settings {
                base_domain: settings.base_domain.clone(),
                ..vaultaire_router::config::Settings::new(Arc::clone(&engine.watch.targets))
            },
        });
        let tls = ports.served.map(|served| served.server);
        let server = Server::new(ports.s3, service, tls).at_most(self.connections_max);
        self.s3.spawn(server.run(self.stop_s3.clone()));
        let comparer = self.compare(&engine, &metrics);
        let admin = grpc::Parts {
            proposer: engine.proposer.clone(),
            registry: Arc::clone(&engine.opened.registry),
            absent: Arc::clone(&engine.opened.absent),
            sealer: Arc::clone(&engine.sealer),
            groups: Arc::clone(&engine.groups),
            authority: engine.authority.clone(),
            node: engine.node,
            gateway: engine.gateway,
            node_name: settings.node_name.clone(),
            data_dir: self.data_dir.path().to_owned(),
            pool: Arc::clone(&engine.pool),
            about: Arc::clone(&engine.about),
            comparer,
            cut: engine.cut,
            started: Instant::now(),
            deletions: grpc::buckets::Deletions::default(),
            brake: Arc::clone(&engine.brake),
            releases: grpc::releases::Releases::default(),
            stop: self.stop_rest.clone(),
        };
        self.rest.spawn(async move {
            if let Err(error) = grpc::serve(ports.admin, admin, ports.token).await {
                tracing::error!(%error, "the admin port stopped");
            }
        });
        if engine.gateway {
            self.follow_members(&engine);
        }
        self.start_workers(&engine, settings, metrics);
    }

    /// What compares replicas: when it is asked to, and from time to time.
    fn compare(&self, engine: &Engine, metrics: &Arc<Metrics>) -> Arc<Comparer> {
        let comparer = Arc::new(Comparer::new(
            engine.proposer.clone(),
            Arc::clone(&engine.pool),
            Arc::clone(&engine.about),
            Arc::clone(&engine.groups),
            Arc::clone(metrics),
        ));
        let compares = Arc::clone(&comparer);
        self.workers.every(compare::PAUSE, move || {
            let comparer = Arc::clone(&compares);
            async move { comparer.step().await }
        });
        comparer
    }

    fn start_workers(&self, engine: &Engine, settings: &Settings, metrics: Arc<Metrics>) {
        self.watch_backends(&engine.opened, &metrics);
        let groups = Arc::clone(&engine.groups);
        let context = Arc::new(Context {
            proposer: engine.proposer.clone(),
            registry: Arc::clone(&engine.opened.registry),
            leads: Arc::new(move |group| {
                let metrics = groups.metrics();
                let found = metrics.iter().find(|metrics| metrics.group == group);
                found.is_some_and(|metrics| matches!(metrics.role, Role::Leader))
            }),
            garbage: settings.garbage.clone(),
            brake: Arc::clone(&engine.brake),
            targets: Arc::clone(&engine.watch.targets),
            epochs: Arc::clone(&engine.epochs),
            metrics,
        });
        let (epochs, clock) = (Arc::clone(&engine.epochs), Arc::clone(&engine.clock));
        self.workers
            .every(epochs::PAUSE, move || epochs::step(Arc::clone(&epochs), Arc::clone(&clock)));
        let proposer = engine.proposer.clone();
        self.workers.every(settle::PAUSE, move || {
            let proposer = proposer.clone();
            async move { settle::step(&proposer).await }
        });
        let (members, proposer) = (Arc::clone(&engine.groups), engine.proposer.clone());
        let pool = Arc::clone(&engine.pool);
        self.workers.every(membership::PAUSE, move || {
            let (groups, proposer, pool) =
                (Arc::clone(&members), proposer.clone(), Arc::clone(&pool));
            async move { membership::step(&groups, &proposer, &pool).await }
        });
        let (proposer, watch) = (engine.proposer.clone(), Arc::clone(&engine.watch));
        self.workers.every(watch::PAUSE, move || {
            let (proposer, watch) = (proposer.clone(), Arc::clone(&watch));
            async move { watch.step(proposer.catalog()).await }
        });
        let leaders = Arc::new(tokio::sync::Mutex::new(Leaders::default()));
        let (groups, proposer) = (Arc::clone(&engine.groups), engine.proposer.clone());
        self.workers.every(workers::leaders::PAUSE, move || {
            let (leaders, groups) = (Arc::clone(&leaders), Arc::clone(&groups));
            let proposer = proposer.clone();
            async move { leaders.lock().await.step(&groups, &proposer).await }
        });
        let rate = settings.garbage.deletes_per_second;
        let collector = Arc::new(tokio::sync::Mutex::new(Collector::new(rate)));
        let shared = Arc::clone(&context);
        self.workers.every(workers::garbage::PAUSE, move || {
            let (collector, context) = (Arc::clone(&collector), Arc::clone(&shared));
            async move { collector.lock().await.step(&context).await }
        });
        let shared = Arc::clone(&context);
        self.workers.every(workers::fences::PAUSE, move || {
            let context = Arc::clone(&shared);
            async move { workers::fences::step(&context).await }
        });
        let repairer = Arc::new(tokio::sync::Mutex::new(Repairer::new(&settings.repair)));
        let shared = Arc::clone(&context);
        self.workers.every(workers::repair::PAUSE, move || {
            let (repairer, context) = (Arc::clone(&repairer), Arc::clone(&shared));
            async move { repairer.lock().await.step(&context).await }
        });
        let sweeper = Arc::new(tokio::sync::Mutex::new(Sweeper::new(rate)));
        self.workers.every(workers::sweep::pause(&settings.garbage), move || {
            let (sweeper, context) = (Arc::clone(&sweeper), Arc::clone(&context));
            async move { sweeper.lock().await.step(&context).await }
        });
    }

    /// Whom a gateway may ask.
    fn follow_members(&self, engine: &Engine) {
        let (pool, proposer) = (Arc::clone(&engine.pool), engine.proposer.clone());
        let data_dir = self.data_dir.path().to_owned();
        self.workers.every(roster::PAUSE, move || {
            let (pool, proposer, data_dir) =
                (Arc::clone(&pool), proposer.clone(), data_dir.clone());
            async move { roster::step(&pool, proposer.catalog(), &data_dir).await }
        });
    }

    /// Shows which backends are here, and tries those again that are not.
    fn watch_backends(&self, opened: &Opened, metrics: &Arc<Metrics>) {
        for backend in opened.registry.all() {
            metrics.backend_opened(backend.name());
        }
        for name in opened.absent.names() {
            metrics.backend_absent(&name);
        }
        let (registry, absent) = (Arc::clone(&opened.registry), Arc::clone(&opened.absent));
        let metrics = Arc::clone(metrics);
        self.workers.every(absent::PAUSE, move || {
            let (registry, absent) = (Arc::clone(&registry), Arc::clone(&absent));
            let metrics = Arc::clone(&metrics);
            async move { absent.step(&registry, &metrics).await }
        });
    }

    /// Drains and stops: requests under way are answered, then everything below them ends.
    pub async fn stop(self) -> Result<(), Error> {
        self.ready.refuse("draining: the node is being stopped");
        self.groups.hand_over().await;
        self.stop_s3.cancel();
        ended("S3", &self.s3).await;
        if tokio::time::timeout(CLOSE_MAX, self.epochs.close_all()).await.is_err() {
            tracing::info!(
                "write epochs are left to be closed by the next start: there is no quorum"
            );
        }
        self.workers.stop().await;
        self.stop_rest.cancel();
        ended("admin and HTTP", &self.rest).await;
        Announcement::remove(self.data_dir.path());
        // The groups are shut down whether or not the tables could be synced: the log has everything.
        let persisted = self.groups.persist().await;
        self.groups.shutdown().await.and(persisted)
    }
}

/// Waits for servers that were told to stop, within a bound.
async fn ended(surface: &str, servers: &TaskTracker) {
    servers.close();
    if tokio::time::timeout(SERVERS_STOP_MAX, servers.wait()).await.is_err() {
        tracing::warn!(surface, left = servers.len(), "servers did not stop in time");
    }
}

/// The admin port speaks plain gRPC: its bearer token can be read on the way.
fn warn_of_plain_admin(settings: &Settings) {
    if !settings.admin_addr.ip().is_loopback() {
        tracing::warn!(addr = %settings.admin_addr,
            "the admin port can be reached from other machines and is not encrypted: keep it inside a trusted network");
    }
}

fn announce(listeners: &Listeners, served: Option<&Served>) -> Result<Announcement, Error> {
    let scheme = match served {
        Some(_) => "https",
        None => "http",
    };
    Ok(Announcement {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        s3_url: url(scheme, address(&listeners.s3)?),
        admin_url: url("http", address(&listeners.admin)?),
        http_url: url("http", address(&listeners.http)?),
        ca_file: served.and_then(|served| served.ca_file.clone()),
    })
}
