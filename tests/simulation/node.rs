//! A node: what outlives its processes, and the process that runs at the moment. A process ends in one step, whatever it was doing:
//! from then on the network knows it no more, its files and rows are dead to it, and nobody hears its answers. Its tasks may run on
//! for a while, as ghosts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use vaultaire::catalog::RaftCatalog;
use vaultaire::clock::NodeClock;
use vaultaire::machine::Machine;
use vaultaire::propose::Proposer;
use vaultaire::raft::arriving::Landing;
use vaultaire::raft::group::{Groups, GroupsConfig, Origin, Started};
use vaultaire::raft::log::disk::simulated::{Faults, Image, Simulated as Files};
use vaultaire::raft::replica::Replica;
use vaultaire_proto::NodeId;

use super::dice::Dice;
use super::found::CLUSTER;
use super::gateway::Gateway;
use super::machine::{End, Held, Simulated, Steady, Wall, hanging, latency};
use super::rows;
use super::workers::work;
use super::world::World;

/// So little that a snapshot takes seconds: in one of a hundred its way breaks meanwhile.
const SNAPSHOT_BYTES_PER_SECOND: u64 = 2 << 10;

/// What a node has before its first process.
#[derive(Clone, Debug, Default)]
pub struct Possessions {
    pub files: Image,
    pub rows: rows::Groups,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The machine runs on: what was written is there for the next one.
    Kill,
    /// What was not synced is lost, kept or torn.
    PowerFailure,
}

pub struct Node {
    pub id: NodeId,
    pub wall: Arc<Wall>,
    world: Arc<World>,
    dice: Dice,
    files: Files,
    rows: rows::Disk,
    /// Until when its disk does not answer, in milliseconds of the world.
    hangs: Arc<AtomicU64>,
    process: Mutex<Process>,
}

#[derive(Default)]
struct Process {
    /// Numbers the processes of the node.
    life: u64,
    /// Faults were asked of its disk: its end is no surprise.
    armed: bool,
    /// How it ends, where that was decided in the middle of something.
    crash: Option<How>,
    running: Option<Running>,
}

struct Running {
    over: CancellationToken,
    tasks: Vec<AbortHandle>,
    ready: Option<Arc<Ready>>,
}

/// A process whose groups all run.
pub struct Ready {
    pub groups: Groups,
    pub catalog: Arc<RaftCatalog>,
    pub gateway: Gateway,
    /// It has ended.
    pub over: CancellationToken,
}

impl Ready {
    pub fn replicas(&self) -> &[Arc<Replica>] {
        self.groups.replicas()
    }
}

impl Node {
    pub fn new(world: Arc<World>, id: NodeId, has: Possessions) -> Arc<Self> {
        let dice = world.dice.fork(&format!("node {id}"));
        Arc::new(Self {
            id,
            wall: Arc::new(Wall::new(world.began)),
            files: Files::from_image(dice.draw(), &has.files),
            rows: rows::Disk::new(has.rows, world.witness(id)),
            hangs: Arc::default(),
            dice,
            world,
            process: Mutex::default(),
        })
    }

    /// What it has now.
    pub fn possessions(&self) -> Possessions {
        Possessions { files: self.files.image(), rows: self.rows.groups() }
    }

    /// The process, where its groups run.
    pub fn ready(&self) -> Option<Arc<Ready>> {
        self.process.lock().running.as_ref()?.ready.clone()
    }

    pub fn is_running(&self) -> bool {
        self.process.lock().running.is_some()
    }

    /// The disk will fail, soon.
    pub fn arm(&self, faults: Faults) {
        self.process.lock().armed = true;
        self.files.set_faults(faults);
    }

    /// Its disk will not fail any more. That it was to fail may still show.
    pub fn disarm(&self) {
        self.files.set_faults(Faults::default());
    }

    /// Its disk takes so much more and nothing beyond. Answers what ends that.
    pub fn fill(self: &Arc<Self>, free_bytes: u64) -> impl FnOnce() + Send + use<> {
        let space_bytes = Some(self.files.used_bytes() + free_bytes);
        let full = Faults { space_bytes, ..Faults::default() };
        self.arm(full);
        let node = Arc::clone(self);
        move || {
            // Another fault, or another life, has nothing to do with it.
            if node.files.faults() == full {
                node.disarm();
            }
        }
    }

    /// Its disk does not answer for so long.
    pub fn hang(&self, lasts: Duration) {
        let until = self.world.began.elapsed() + lasts;
        self.hangs.store(until.as_millis() as u64, Ordering::SeqCst);
    }

    /// Starts a process where none runs.
    pub fn start(self: &Arc<Self>, origin: Origin) {
        let mut process = self.process.lock();
        if process.running.is_some() {
            return;
        }
        process.life += 1;
        let life = process.life;
        self.world.trace.add(format_args!("start {} {life}", self.id));
        let over = CancellationToken::new();
        let started = tokio::spawn(Arc::clone(self).run(life, origin, over.clone()));
        let watched = tokio::spawn(Arc::clone(self).watch(life, over.clone()));
        let tasks = vec![started.abort_handle(), watched.abort_handle()];
        process.running = Some(Running { over, tasks, ready: None });
    }

    async fn run(self: Arc<Self>, life: u64, origin: Origin, over: CancellationToken) {
        let clock = NodeClock::new(Arc::clone(&self.wall) as _, Arc::new(Steady(self.world.began)));
        match self.open(life, origin, &clock, &over).await {
            Ok(Started { groups, catalog, .. }) => {
                self.world.trace.add(format_args!("ready {} {life}", self.id));
                let registry = Arc::clone(&self.world.registry);
                let who = (self.id, life);
                let gateway = Gateway::new(who, &catalog, Arc::clone(&clock) as _, registry);
                let proposer = Proposer::new(Arc::clone(&catalog) as _, clock);
                let ready = Arc::new(Ready { groups, catalog, gateway, over: over.clone() });
                self.install(life, &ready, proposer);
            }
            Err(error) => self.ends_by_itself(life, &over, &error.to_string()),
        }
    }

    fn open(
        self: &Arc<Self>,
        life: u64,
        origin: Origin,
        clock: &Arc<NodeClock>,
        over: &CancellationToken,
    ) -> BoxFuture<'static, Result<Started, vaultaire::error::Error>> {
        let (node, token) = (Arc::downgrade(self), over.clone());
        let end: End = Arc::new(move |why| {
            if let Some(node) = node.upgrade() {
                node.ends_by_itself(life, &token, why);
            }
        });
        let files = Arc::new(self.files.clone());
        let disk = latency(self.dice.fork("latency"));
        let machine = Arc::new(Simulated {
            disk: Arc::new(Held { disk: files, over: over.clone() }),
            rows: self.rows.open(),
            latency: hanging(disk, self.world.began, Arc::clone(&self.hangs)),
            end,
        });
        let data_dir = PathBuf::from(format!("/node-{}", self.id));
        let landing = Landing::clear(&*machine, data_dir.join("snapshots"));
        let directory = Arc::default();
        if let Ok(landing) = landing {
            self.world.network.arrive(self.id, life, Arc::clone(&directory), landing);
        }
        let config = GroupsConfig {
            data_dir,
            node: self.id,
            clock: Arc::clone(clock),
            cluster: CLUSTER,
            origin,
            peers: self.world.network.way(self.id, life),
            directory,
            machine: machine as Arc<dyn Machine>,
            snapshot_bytes_per_second: SNAPSHOT_BYTES_PER_SECOND,
        };
        Box::pin(Groups::start(config))
    }

    /// Its groups run: clients may come, and its workers begin.
    fn install(self: &Arc<Self>, life: u64, ready: &Arc<Ready>, proposer: Proposer) {
        let mut process = self.process.lock();
        if process.life != life {
            return;
        }
        if let Some(running) = &mut process.running {
            let registry = Arc::clone(&self.world.registry);
            let works = tokio::spawn(work(Arc::clone(ready), self.id, proposer, registry));
            running.tasks.push(works.abort_handle());
            running.ready = Some(Arc::clone(ready));
        }
    }

    /// The process stops itself, since it can promise nothing any more. Called on its own stack: no more than noted here.
    fn ends_by_itself(&self, life: u64, over: &CancellationToken, why: &str) {
        if over.is_cancelled() {
            return;
        }
        self.world.trace.add(format_args!("ends {} {life}: {why}", self.id));
        let armed = self.process.try_lock().is_none_or(|process| process.armed);
        if !armed {
            self.world.fail(format!("node {} ended by itself: {why}", self.id));
        }
        self.world.network.leave(self.id, life);
        over.cancel();
    }

    /// Cleans up after a process that has ended by itself.
    async fn watch(self: Arc<Self>, life: u64, over: CancellationToken) {
        over.cancelled().await;
        let how = {
            let process = self.process.lock();
            (process.life == life).then(|| process.crash.unwrap_or(How::PowerFailure))
        };
        if let Some(how) = how {
            self.end(how);
        }
    }

    /// Ends the process where it is, in the middle of anything: no more than noted here.
    pub fn crash(&self, how: How) {
        let Some(mut process) = self.process.try_lock() else {
            return;
        };
        let life = process.life;
        if let Some(running) = &process.running {
            running.over.cancel();
            self.world.network.leave(self.id, life);
            self.world.trace.add(format_args!("crash {} {life}", self.id));
            process.crash = Some(how);
        }
    }

    /// Ends the process, if one runs.
    pub fn end(&self, how: How) {
        let (running, life) = {
            let mut process = self.process.lock();
            let Some(running) = process.running.take() else {
                return;
            };
            // With the process go the faults.
            process.armed = false;
            process.crash = None;
            (running, process.life)
        };
        self.world.trace.add(format_args!("end {} {life} {how:?}", self.id));
        self.world.network.leave(self.id, life);
        running.over.cancel();
        match how {
            How::Kill => {
                self.files.kill();
                self.rows.kill();
            }
            How::PowerFailure => {
                let left = self.files.image_after_power_failure();
                self.files.restart(&left);
                self.rows.lose_power(&self.dice);
            }
        }
        running.tasks.iter().for_each(AbortHandle::abort);
    }

    /// Stops it as an operator does, and waits until it has.
    pub async fn stop(&self) {
        if let Some(ready) = self.ready()
            && let Err(error) = ready.groups.shutdown().await
        {
            self.world.fail(format!("node {} does not stop: {error}", self.id));
        }
        self.end(How::Kill);
    }
}

/// Nodes by id.
pub type Nodes = BTreeMap<NodeId, Arc<Node>>;
