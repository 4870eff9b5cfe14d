//! The carrying out of a plan, one fault after the other. Every fault that begins is ended, and the history says both.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::links::Links;
use super::members::Members;
use super::processes::Processes;
use super::{Fault, Nemesis, Plan, Sort};
use crate::checker::{Kind, Violation};
use crate::cluster::Cluster;
use crate::error::Error;
use crate::history::{Line, Phase, Recorder};

/// How much longer than it should a fault lasts, until a client was served under it.
const UNSERVED_MAX: Duration = Duration::from_secs(4);

/// How long after a fault was healed its end waits for clients to be served: after a kill of all nodes they are not at once.
const HEALED_MAX: Duration = Duration::from_secs(20);

/// How long past its time a run goes on until every kind has come.
const OVERTIME_MAX: Duration = Duration::from_secs(90);

const POLL: Duration = Duration::from_millis(50);

/// What hurts one sort of thing.
pub trait Lane {
    /// Begins a fault and says so in the history. False: it cannot be done now.
    async fn hurt(&mut self, fault: &Fault, scene: &Scene<'_>) -> Result<bool, Error>;
    async fn heal(&mut self, fault: &Fault) -> Result<(), Error>;
    /// What a node did that none may do.
    fn violations(&mut self) -> Vec<Violation>;
}

/// What all lanes of a run share.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    pub recorder: &'a Recorder,
    pub time: Duration,
    /// Somebody cannot go on.
    pub stop: &'a AtomicBool,
}

impl Scene<'_> {
    pub fn begin(&self, fault: &Fault) -> Result<(), Error> {
        eprintln!("{:7.1} s: {:?} {}", self.seconds(), fault.nemesis, fault.node);
        self.note(fault, Phase::Begin)
    }

    fn end(&self, fault: &Fault) -> Result<(), Error> {
        eprintln!("{:7.1} s: {:?} is over", self.seconds(), fault.nemesis);
        self.note(fault, Phase::End)
    }

    fn seconds(&self) -> f64 {
        Duration::from_nanos(self.recorder.now_ns()).as_secs_f64()
    }

    fn note(&self, fault: &Fault, phase: Phase) -> Result<(), Error> {
        let (at_ns, kind) = (self.recorder.now_ns(), fault.nemesis.name().to_owned());
        let node = fault.nemesis.is_of_one_node().then_some(fault.node);
        self.recorder.write(&Line::Nemesis { at_ns, kind, node, phase })
    }
}

/// Hurts a cluster in every way of `nemeses` until the time is over. Afterwards every node runs and hears every other, or a
/// violation says why not.
pub async fn run(
    cluster: &mut Cluster,
    seed: u64,
    nemeses: &[Nemesis],
    scene: Scene<'_>,
) -> Vec<Violation> {
    let site = cluster.site.clone();
    let plan = |sort| Plan::new(seed, site.keepers(), sort, nemeses, scene.time);
    let mut processes = Processes::new(cluster);
    let mut links = Links::new(site.clone());
    let mut members = Members::new(site.clone());
    let done = tokio::join!(
        carry_out(&mut processes, plan(Sort::Process), scene),
        carry_out(&mut links, plan(Sort::Link), scene),
        carry_out(&mut members, plan(Sort::Member), scene),
    );
    let mut violations = processes.violations();
    violations.append(&mut links.violations());
    violations.append(&mut members.violations());
    let mut healed = vec![done.0, done.1, done.2, links.mend().await];
    for node in 0..site.keepers() {
        if !cluster.is_running(node) {
            healed.push(cluster.begin(node, None).await);
        }
    }
    for at in 0..site.sizes().1 {
        if !cluster.is_gateway_running(at) {
            healed.push(cluster.begin_gateway(at).await);
        }
    }
    healed.push(site.settled().await);
    let failed = healed.into_iter().filter_map(Result::err);
    violations.extend(failed.map(|error| Violation::new(Kind::Server, "", error.to_string())));
    violations
}

async fn carry_out(lane: &mut impl Lane, mut plan: Plan, scene: Scene<'_>) -> Result<(), Error> {
    let done = hurt_and_heal(lane, &mut plan, scene).await;
    if done.is_err() {
        scene.stop.store(true, Ordering::Relaxed);
    }
    done
}

async fn hurt_and_heal(
    lane: &mut impl Lane,
    plan: &mut Plan,
    scene: Scene<'_>,
) -> Result<(), Error> {
    let began = Instant::now();
    loop {
        let is_first_round = plan.is_first_round();
        let Some(fault) = plan.next() else { return Ok(()) };
        let left = scene.time.saturating_sub(began.elapsed());
        tokio::time::sleep(fault.after.min(left)).await;
        let is_over = match is_first_round {
            true => began.elapsed() >= scene.time + OVERTIME_MAX,
            false => began.elapsed() >= scene.time,
        };
        if is_over || scene.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        if !lane.hurt(&fault, &scene).await? {
            if is_first_round {
                plan.postpone(fault.nemesis);
            }
            continue;
        }
        // What was served before it took hold does not count.
        let served = scene.recorder.acknowledged();
        tokio::time::sleep(fault.lasts).await;
        served_since(served, UNSERVED_MAX, scene).await;
        lane.heal(&fault).await?;
        served_since(served, HEALED_MAX, scene).await;
        scene.end(&fault)?;
    }
}

/// Waits until a client was served since, or has not been for so long.
async fn served_since(served: u64, most: Duration, scene: Scene<'_>) {
    let began = Instant::now();
    while scene.recorder.acknowledged() == served
        && began.elapsed() < most
        && !scene.stop.load(Ordering::Relaxed)
    {
        tokio::time::sleep(POLL).await;
    }
}
