//! What goes wrong, by the dice: ways are cut, slow or lossy, processes are killed, the power fails at one node or at all of them,
//! disks fail or lose power within a write, clocks are set, logs are shortened, leads move. Nothing keeps a quorum alive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use vaultaire::error::Error;
use vaultaire::raft::log::disk::simulated::Faults;
use vaultaire::raft::purge;
use vaultaire::raft::replica::Replica;
use vaultaire_proto::row::BackendState;
use vaultaire_proto::{Catalog, Command, GroupId, NodeId, Operation, RequestId, Response};

use super::dice::Dice;
use super::found;
use super::network::Weather;
use super::node::{How, Node, Nodes};
use super::votes;
use super::world::{Trouble, World};

/// How often somebody looks whether a node has to be started again.
const LOOKED_AFTER: Duration = Duration::from_millis(50);

/// How long clients go on after what was to happen.
const AFTERMATH: Duration = Duration::from_secs(2);

/// What a full disk still takes: less than a segment of the log, or a little more.
const FREE_BYTES_MAX: u64 = 200 << 10;

/// Between two attempts to tell a shard of a backend.
const CONFIGURED_AFTER: Duration = Duration::from_millis(200);

/// Kinds of faults, as they are counted.
pub type Counts = BTreeMap<&'static str, u64>;

/// Starts a node whenever it does not run: after a while in bad times, soon in good ones.
pub async fn keep(node: Arc<Node>, dice: Dice, calm: CancellationToken) {
    loop {
        if !node.is_running() {
            let pause = dice.ms(20, 5000);
            tokio::select! {
                biased;
                () = calm.cancelled() => {}
                () = sleep(pause) => {}
            }
            node.start(found::origin(node.id));
        }
        sleep(LOOKED_AFTER).await;
    }
}

pub struct Chaos {
    pub world: Arc<World>,
    pub nodes: Nodes,
    pub dice: Dice,
    pub counts: Counts,
}

impl Chaos {
    /// One fault after another, for so long, until something is wrong that should not be, or until a while after it is enough.
    pub async fn rage(&mut self, lasts: Duration, enough: &dyn Fn() -> bool) {
        let ends = Instant::now() + lasts;
        loop {
            let pause = self.dice.ms(20, 1800);
            if Instant::now() + pause >= ends {
                break;
            }
            sleep(pause).await;
            if self.world.has_failed() {
                return;
            }
            if enough() {
                return sleep(AFTERMATH).await;
            }
            let what = self.fault();
            *self.counts.entry(what).or_default() += 1;
        }
        tokio::time::sleep_until(ends).await;
    }

    /// From now on everything is well; who does not run is started again by who keeps it.
    pub fn heal(&self) {
        self.world.trace.add(format_args!("heal"));
        self.world.network.change(|weather| *weather = Weather::fair());
        self.world.network.watch_votes(None);
        for node in self.nodes.values() {
            node.disarm();
            node.wall.set_skew(0);
        }
    }

    fn node(&self) -> Arc<Node> {
        let nodes: Vec<Arc<Node>> = self.nodes.values().cloned().collect();
        Arc::clone(self.dice.pick(&nodes))
    }

    fn fault(&self) -> &'static str {
        let what = match self.dice.below(100) {
            0..10 => self.isolate(),
            10..18 => self.cut_one_way(),
            18..38 => self.mend(),
            38..44 => self.slow(),
            44..50 => self.lossy(),
            50..60 => self.end(How::Kill),
            60..68 => self.end(How::PowerFailure),
            68..72 => self.blackout(),
            72..80 => self.break_disk(),
            80..85 => self.set_clock(),
            85..91 => self.shorten(),
            91..94 => self.hand_over(),
            94..96 => self.drain(),
            96..98 => self.change_votes(),
            _ => self.darken_voters(),
        };
        self.world.trace.add(format_args!("fault {what}"));
        what
    }

    fn isolate(&self) -> &'static str {
        let alone = self.node().id;
        let others: Vec<NodeId> = self.nodes.keys().copied().filter(|id| *id != alone).collect();
        self.world.network.change(|weather| {
            for other in others {
                weather.cut.extend([(alone, other), (other, alone)]);
            }
        });
        "a node is cut off"
    }

    fn cut_one_way(&self) -> &'static str {
        let (from, to) = (self.node().id, self.node().id);
        self.world.network.change(|weather| _ = weather.cut.insert((from, to)));
        "a way is cut in one direction"
    }

    fn mend(&self) -> &'static str {
        self.world.network.change(|weather| *weather = Weather::fair());
        "the network is mended"
    }

    fn slow(&self) -> &'static str {
        let most = self.dice.between(20, 400);
        self.world.network.change(|weather| weather.takes_ms = (1, most));
        "the network is slow"
    }

    fn lossy(&self) -> &'static str {
        let lost = self.dice.between(20, 300);
        self.world.network.change(|weather| weather.lost_permille = lost);
        "the network loses calls"
    }

    fn end(&self, how: How) -> &'static str {
        self.node().end(how);
        match how {
            How::Kill => "a process is killed",
            How::PowerFailure => "the power fails at a node",
        }
    }

    fn blackout(&self) -> &'static str {
        self.nodes.values().for_each(|node| node.end(How::PowerFailure));
        "the power fails everywhere"
    }

    fn break_disk(&self) -> &'static str {
        let after = Some(self.dice.below(60));
        let (faults, what) = match self.dice.below(5) {
            4 => return self.fill_disk(),
            0 => (Faults { syncs_before_error: after, ..Faults::default() }, "a sync fails"),
            1 => (Faults { reads_before_error: after, ..Faults::default() }, "a read fails"),
            _ => {
                let faults = Faults { power_off_after: after, ..Faults::default() };
                (faults, "the power fails within a write")
            }
        };
        self.node().arm(faults);
        what
    }

    /// There is room again after a while, or once its process has ended for want of it.
    fn fill_disk(&self) -> &'static str {
        let (node, lasts) = (self.node(), self.dice.ms(500, 6000));
        let make_room = node.fill(self.dice.below(FREE_BYTES_MAX));
        tokio::spawn(async move {
            sleep(lasts).await;
            make_room();
        });
        "a disk is full"
    }

    fn set_clock(&self) -> &'static str {
        if self.world.trouble == Trouble::LateWrites {
            return self.mend();
        }
        // What was stamped ahead of time has to come true before anything is collected: far jumps are rare.
        let most = if self.dice.permille(100) { 100_000 } else { 10_000 };
        let ms = self.dice.between(0, 2 * most) as i64 - most as i64;
        self.node().wall.set_skew(ms);
        "a clock is set"
    }

    /// The power fails at those who have just given their votes away, for a moment, while an election goes on.
    fn darken_voters(&self) -> &'static str {
        let left = AtomicU64::new(self.dice.between(1, 6));
        let (nodes, dice) = (self.nodes.clone(), self.dice.fork("voters"));
        self.world.network.watch_votes(Some(Arc::new(move |voter| {
            if left.load(Ordering::SeqCst) == 0 {
                return;
            }
            left.fetch_sub(1, Ordering::SeqCst);
            let (node, dice) = (Arc::clone(&nodes[&voter]), dice.clone());
            tokio::spawn(async move {
                sleep(dice.ms(0, 4)).await;
                node.end(How::PowerFailure);
                sleep(dice.ms(0, 20)).await;
                node.start(found::origin(node.id));
            });
        })));
        let most = self.dice.between(50, 400);
        self.world.network.change(|weather| weather.takes_ms = (1, most));
        let leads = |node: &&Arc<Node>| {
            node.ready().is_some_and(|ready| ready.replicas().iter().any(|group| group.leads()))
        };
        if let Some(leader) = self.nodes.values().find(leads) {
            leader.end(How::Kill);
        }
        "the power fails at those who vote"
    }

    /// As the node does it itself when a log is long; or all of it, so that whoever lacks an entry needs a snapshot.
    fn shorten(&self) -> &'static str {
        let (node, world) = (self.node(), Arc::clone(&self.world));
        let all = self.dice.permille(700);
        for replica in node.ready().iter().flat_map(|ready| ready.replicas()).cloned() {
            let (id, world) = (node.id, Arc::clone(&world));
            tokio::spawn(async move {
                let shortened =
                    if all { forget(&replica).await } else { purge::shorten(&replica).await };
                let upto = shortened.ok();
                world.trace.add(format_args!("shortened {id} {}: {upto:?}", replica.id));
            });
        }
        if all { "logs are forgotten" } else { "logs are shortened" }
    }

    /// One backend at most is drained at a time, so that there is always a place for what it has.
    fn drain(&self) -> &'static str {
        let drained = match self.world.drained() {
            Some(_) => None,
            None => Some(*self.dice.pick(&found::BACKENDS)),
        };
        let generation = self.world.drain(drained);
        for shard in (1..=found::SHARDS).map(GroupId) {
            let nodes: Vec<Arc<Node>> = self.nodes.values().cloned().collect();
            let states = found::BACKENDS.map(|backend| {
                let state = match drained == Some(backend) {
                    true => BackendState::Draining,
                    false => BackendState::Active,
                };
                Operation::ConfigureBackend { backend, generation, state }
            });
            tokio::spawn(configure(nodes, shard, states, self.dice.fork("drain")));
        }
        if drained.is_some() { "a backend is drained" } else { "no backend is drained any more" }
    }

    fn change_votes(&self) -> &'static str {
        votes::change(&self.world, &self.nodes, &self.dice).unwrap_or_else(|| self.mend())
    }

    fn hand_over(&self) -> &'static str {
        if let Some(ready) = self.node().ready() {
            let replica = Arc::clone(self.dice.pick(ready.replicas()));
            tokio::spawn(async move { replica.hand_over_to_any(Duration::from_secs(2)).await });
        }
        "a lead is handed over"
    }
}

/// Until the shard has it, as the control group's leader does.
async fn configure(nodes: Vec<Arc<Node>>, shard: GroupId, states: [Operation; 3], dice: Dice) {
    for operation in states {
        loop {
            if let Some(ready) = dice.pick(&nodes).ready() {
                let request = RequestId(dice.bytes());
                let not_after = found::NOT_AFTER;
                let operation = operation.clone();
                let command = Command { group: shard, request, not_after, operation };
                if let Ok(Response::Done) = ready.catalog.commit(command).await {
                    break;
                }
            }
            sleep(CONFIGURED_AFTER).await;
        }
    }
}

async fn forget(replica: &Replica) -> Result<u64, Error> {
    let durable = replica.snapshot().await?;
    replica.purge(durable).await?;
    Ok(durable)
}
