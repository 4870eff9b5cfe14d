//! One run: chaos, then healing, convergence and audit. Everything follows from the seed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Once};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vaultaire_proto::planted::{self, Planted};
use vaultaire_proto::steps::{self, Step};

use super::audit;
use super::client::Clients;
use super::faults::{Chaos, Counts, keep};
use super::found::{Founded, founded};
use super::node::{How, Node, Nodes};
use super::trace::Keep;
use super::votes;
use super::world::{Backends, World};

/// How long a run takes, in virtual time, and with whom.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub chaos: Duration,
    pub clients: u64,
    /// Of a thousand values so many are written in parts.
    pub in_parts_permille: u64,
    pub planted: Option<Planted>,
    pub crash: Option<Crash>,
    pub keep: Keep,
}

/// All nodes end at once, when one of them has come to a step so many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    pub step: Step,
    pub times: u64,
    pub how: How,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            chaos: Duration::from_secs(20),
            clients: 5,
            in_parts_permille: 120,
            planted: None,
            crash: None,
            keep: Keep::Sum,
        }
    }
}

/// What a run showed.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub seed: u64,
    pub failures: Vec<String>,
    /// Of the trace.
    pub sum: u64,
    pub lines: u64,
    pub trace: String,
    pub simulated: Duration,
    pub converged: Option<Duration>,
    /// Operations in checked histories.
    pub operations: u64,
    pub unknown: u64,
    /// Keys whose history was too much for the checker.
    pub undecided: u64,
    pub faults: Counts,
    pub leader_changes: u64,
    /// It came to the crash that was asked for.
    pub crashed: bool,
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A task that panics ends alone; here it must not end unseen.
fn notice_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
            before(info);
        }));
    });
    PANICS.with_borrow_mut(Vec::clear);
}

/// Runs a seed on this thread.
pub fn run(seed: u64, plan: Plan) -> Outcome {
    let founded = match founded(plan.planted) {
        Ok(founded) => founded,
        Err(failures) => return Outcome { seed, failures, ..Outcome::default() },
    };
    notice_panics();
    planted::plant_here(plan.planted);
    let mut outcome = super::runtime().block_on(simulate(seed, plan, &founded));
    planted::plant_here(None);
    PANICS.with_borrow(|panics| outcome.failures.extend(panics.iter().cloned()));
    outcome
}

async fn simulate(seed: u64, plan: Plan, founded: &Founded) -> Outcome {
    let world = World::new(seed, plan.keep, Backends::Fail);
    let has = |(id, has): (&_, &super::node::Possessions)| {
        (*id, Node::new(Arc::clone(&world), *id, has.clone()))
    };
    let nodes: Nodes = founded.nodes.iter().map(has).collect();
    let calm = CancellationToken::new();
    let mut keepers = JoinSet::new();
    for node in nodes.values() {
        node.start(super::found::origin(node.id));
        let dice = world.dice.fork("keeper");
        keepers.spawn(keep(Arc::clone(node), dice, calm.clone()));
    }
    let clients = Clients::new(Arc::clone(&world), nodes.clone(), plan.in_parts_permille);
    let mut working = JoinSet::new();
    for client in 1..=plan.clients {
        working.spawn(Arc::clone(&clients).run(client, world.dice.fork("client")));
    }
    let dice = world.dice.fork("chaos");
    let mut chaos =
        Chaos { world: Arc::clone(&world), nodes: nodes.clone(), dice, counts: Counts::new() };
    let crashed = plan.crash.map(|crash| crash_at(crash, &nodes));
    let has_crashed = || crashed.as_ref().is_some_and(|crashed| crashed.get());
    chaos.rage(plan.chaos, &has_crashed).await;
    steps::listen(None);
    chaos.heal();
    calm.cancel();
    // The first failure is the one that says something; and a run that did not come to its crash says nothing.
    let is_over = world.has_failed() || (crashed.is_some() && !has_crashed());
    let converged = match is_over {
        true => {
            // What is under way belongs to the histories too.
            clients.give_up(&mut working).await;
            None
        }
        false => heal(&world, &nodes, &clients, working).await,
    };
    let undecided = audit::histories(&world, &clients);
    let events = clients.history.events();
    Outcome {
        seed,
        failures: world.failures().into_iter().chain(world.network.violations()).collect(),
        sum: world.trace.sum(),
        lines: world.trace.count(),
        trace: world.trace.lines(),
        simulated: Instant::now() - world.began,
        converged,
        operations: events.values().map(|events| events.len() as u64).sum(),
        unknown: events.values().flatten().filter(|event| event.ended.is_none()).count() as u64,
        undecided,
        faults: chaos.counts,
        leader_changes: world.leader_changes(),
        crashed: has_crashed(),
    }
}

/// Answers whether it has come to that.
fn crash_at(crash: Crash, nodes: &Nodes) -> Rc<Cell<bool>> {
    let (nodes, crashed, times) = (nodes.clone(), Rc::new(Cell::new(false)), Cell::new(0));
    let told = Rc::clone(&crashed);
    steps::listen(Some(Box::new(move |step| {
        if step == crash.step && !told.get() {
            times.set(times.get() + 1);
            if times.get() >= crash.times {
                told.set(true);
                nodes.values().for_each(|node| node.crash(crash.how));
            }
        }
    })));
    crashed
}

/// Clients go on for a moment, so that the healed cluster is seen at work; then it is looked at in peace.
async fn heal(
    world: &Arc<World>,
    nodes: &Nodes,
    clients: &Clients,
    mut working: JoinSet<()>,
) -> Option<Duration> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    clients.give_up(&mut working).await;
    votes::restore(world, nodes).await;
    let converged = audit::converge(world, nodes).await?;
    clients.abort_some(&world.dice.fork("uploads")).await;
    clients.read_all(Duration::from_secs(60)).await;
    audit::rows(world, nodes);
    audit::bytes(world, nodes).await;
    Some(converged)
}
