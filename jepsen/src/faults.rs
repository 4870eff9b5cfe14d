//! Which faults hit a cluster, and when: a plan that follows from the seed alone, and its carrying out. Every fault that
//! begins is ended, and the history says both.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::checker::{Kind, Violation};
use crate::cluster::Cluster;
use crate::error::Error;
use crate::history::{Line, Phase, Recorder};

/// The longest a fault lasts: longer than an election and than a lease.
const LASTS_MAX: Duration = Duration::from_secs(4);
const LASTS_MIN: Duration = Duration::from_millis(200);

/// The longest time between two faults.
const QUIET_MAX: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Nemesis {
    /// SIGKILL to one node, and a start some time later.
    Kill,
    /// SIGSTOP and SIGCONT: a node that does not know that time has passed.
    Pause,
    /// SIGTERM, a clean end, and a start some time later.
    Restart,
    /// SIGKILL to every node, and a start of them all.
    KillAll,
}

pub const NEMESES: [Nemesis; 4] =
    [Nemesis::Kill, Nemesis::Pause, Nemesis::Restart, Nemesis::KillAll];

impl Nemesis {
    pub fn name(self) -> &'static str {
        match self {
            Nemesis::Kill => "kill",
            Nemesis::Pause => "pause",
            Nemesis::Restart => "restart",
            Nemesis::KillAll => "kill all",
        }
    }
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub after: Duration,
    pub nemesis: Nemesis,
    pub node: u32,
    pub lasts: Duration,
}

/// Faults without end; the time of a run ends them. Every kind comes once before any comes twice.
#[derive(Debug)]
pub struct Plan {
    rng: StdRng,
    nodes: u32,
    nemeses: Vec<Nemesis>,
    next: usize,
}

impl Plan {
    pub fn new(seed: u64, nodes: u32, nemeses: &[Nemesis]) -> Self {
        let rng = StdRng::seed_from_u64(seed ^ 0xFA17);
        Self { rng, nodes, nemeses: nemeses.to_vec(), next: 0 }
    }
}

impl Iterator for Plan {
    type Item = Fault;

    fn next(&mut self) -> Option<Fault> {
        let rng = &mut self.rng;
        let nemesis = match self.nemeses.get(self.next) {
            Some(nemesis) => *nemesis,
            None => *self.nemeses.get(rng.random_range(0..self.nemeses.len().max(1)))?,
        };
        self.next += 1;
        Some(Fault {
            after: QUIET_MAX.mul_f64(rng.random_range(0.1..1.0)),
            nemesis,
            node: rng.random_range(0..self.nodes),
            lasts: LASTS_MIN + (LASTS_MAX - LASTS_MIN).mul_f64(rng.random_range(0.0..1.0)),
        })
    }
}

/// Carries out the plan until the time is over or everybody is told to stop. Afterwards every node runs.
pub async fn run(
    cluster: &mut Cluster,
    plan: Plan,
    recorder: &Recorder,
    time: Duration,
    stop: &AtomicBool,
) -> Result<Vec<Violation>, Error> {
    let began = Instant::now();
    let nodes = plan.nodes;
    let mut violations = Vec::new();
    for fault in plan {
        let left = time.saturating_sub(began.elapsed());
        tokio::time::sleep(fault.after.min(left)).await;
        if left.is_zero() || stop.load(Ordering::Relaxed) {
            break;
        }
        let is_all = fault.nemesis == Nemesis::KillAll;
        let node = (!is_all).then_some(fault.node);
        let all = if is_all { 0..nodes } else { fault.node..fault.node + 1 };
        note(recorder, fault.nemesis, node, Phase::Begin)?;
        for node in all.clone() {
            if let Err(why) = hurt(cluster, fault.nemesis, node).await {
                violations.push(Violation::new(Kind::Server, "", format!("node {node}: {why}")));
            }
        }
        tokio::time::sleep(fault.lasts.min(left)).await;
        for node in all {
            heal(cluster, fault.nemesis, node).await?;
        }
        note(recorder, fault.nemesis, node, Phase::End)?;
    }
    Ok(violations)
}

async fn hurt(cluster: &mut Cluster, nemesis: Nemesis, node: u32) -> Result<(), String> {
    match nemesis {
        Nemesis::Kill | Nemesis::KillAll => cluster.kill(node).await,
        Nemesis::Pause => cluster.pause(node),
        Nemesis::Restart => cluster.stop(node).await,
    }
}

async fn heal(cluster: &mut Cluster, nemesis: Nemesis, node: u32) -> Result<(), Error> {
    match nemesis {
        Nemesis::Kill | Nemesis::KillAll | Nemesis::Restart => cluster.begin(node).await,
        Nemesis::Pause => cluster
            .resume(node)
            .map_err(|why| Error::Command { what: format!("resuming node {node}"), why }),
    }
}

fn note(
    recorder: &Recorder,
    nemesis: Nemesis,
    node: Option<u32>,
    phase: Phase,
) -> Result<(), Error> {
    let (at_ns, kind) = (recorder.now_ns(), nemesis.name().to_owned());
    recorder.write(&Line::Nemesis { at_ns, kind, node, phase })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_follows_from_the_seed_and_begins_with_every_kind() {
        let plan = |seed| Plan::new(seed, 3, &NEMESES).take(50).collect::<Vec<_>>();
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
        for (fault, nemesis) in plan(1).iter().zip(NEMESES) {
            assert_eq!(fault.nemesis, nemesis);
        }
        assert!(plan(1).iter().all(|fault| fault.node < 3 && fault.lasts <= LASTS_MAX));
    }
}
