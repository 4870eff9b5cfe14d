//! Faults of processes and of what they stand on: ends of every kind, stops, clocks, disks and journals.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::OwnedMutexGuard;

use super::lane::{Lane, Scene};
use super::{Fault, Nemesis, damage};
use crate::checker::{Kind, Violation};
use crate::cluster::Cluster;
use crate::cluster::membership::Seat;
use crate::cluster::site::Clock;
use crate::error::Error;

/// A clock differs by no more than this. Requests are refused whose signature is older than a quarter of an hour.
const SKEW_MAX_S: i64 = 240;

/// What is left of a full disk: nothing, next to nothing, or room for the journal and not for objects.
const FREE_BYTES: [u64; 3] = [0, 1 << 20, 100 << 20];

/// How a node says that it refuses its journal.
const DAMAGED: &str = "is damaged";

/// How often a new node in the place of a broken one tries to get in: another change may be under way.
const JOINS_MAX: u32 = 60;
const JOIN_PAUSE: Duration = Duration::from_millis(500);

/// The processes of a cluster.
#[derive(Debug)]
pub struct Processes<'a> {
    cluster: &'a mut Cluster,
    /// Held while a node is broken for ever and not replaced: nobody may give up another vote meanwhile.
    change: Option<OwnedMutexGuard<()>>,
    /// Whether the node that the fault hit has to be replaced.
    is_broken: bool,
    violations: Vec<Violation>,
}

impl<'a> Processes<'a> {
    pub fn new(cluster: &'a mut Cluster) -> Self {
        Self { cluster, change: None, is_broken: false, violations: Vec::new() }
    }

    fn check(&mut self, node: u32, done: Result<(), String>) {
        if let Err(why) = done {
            self.blame(node, why);
        }
    }

    fn blame(&mut self, node: u32, why: String) {
        self.violations.push(Violation::new(Kind::Server, "", format!("node {node}: {why}")));
    }

    /// Ends a node, damages its journal and starts it again: it may refuse, and must not pass over what it lost.
    async fn corrupt(&mut self, fault: &Fault, rng: &mut StdRng) -> Result<(), Error> {
        let node = fault.node;
        let stopped = self.cluster.stop(node).await;
        self.check(node, stopped);
        let journal = self.cluster.site.journal(node);
        match fault.nemesis {
            Nemesis::CutJournal => damage::cut(&journal, rng)?,
            _ => damage::flip(&journal, rng)?,
        }
        match self.cluster.try_begin(node).await {
            Err(Error::Start { why, .. }) if why.contains(DAMAGED) => {
                eprintln!("{:?}: node {node} refuses: {}", fault.nemesis, last_line(&why));
                self.is_broken = true;
            }
            Err(Error::Start { .. }) => {
                self.cluster.begin(node, None).await?;
                self.check_cut(fault).await;
            }
            Err(error) => return Err(error),
            Ok(()) => self.check_cut(fault).await,
        }
        Ok(())
    }

    /// A node that serves after damage in the midst of its journal must have lost nothing of it.
    async fn check_cut(&mut self, fault: &Fault) {
        let Ok(status) = self.cluster.site.ask(fault.node, &["status"]).await else { return };
        let cut_bytes = status["journal"]["cut_bytes"].as_u64().unwrap_or(0);
        eprintln!("{:?}: node {} serves, {cut_bytes} bytes cut", fault.nemesis, fault.node);
        if cut_bytes > 0 || fault.nemesis == Nemesis::CutJournal {
            let why = format!("it serves after {:?}, with {cut_bytes} bytes cut", fault.nemesis);
            self.blame(fault.node, why);
        }
    }

    /// A new node, with an id and disks of its own, in the place of one that is broken.
    async fn replace(&mut self, node: u32) -> Result<(), Error> {
        let site = self.cluster.site.clone();
        site.remove(node).await?;
        for attempt in 1.. {
            site.wipe(node)?;
            match site.join(node, Seat::Voter).await {
                Ok(()) => break,
                Err(error) if attempt >= JOINS_MAX => return Err(error),
                Err(error) => {
                    eprintln!("node {node} is not let in yet: {error}");
                    // The answer may have been lost, and the node been let in.
                    site.remove(node).await?;
                    tokio::time::sleep(JOIN_PAUSE).await;
                }
            }
        }
        self.cluster.begin(node, None).await?;
        site.settled().await
    }
}

impl Lane for Processes<'_> {
    async fn hurt(&mut self, fault: &Fault, scene: &Scene<'_>) -> Result<bool, Error> {
        let Fault { nemesis, node, dice, .. } = *fault;
        let mut rng = StdRng::seed_from_u64(dice);
        if matches!(nemesis, Nemesis::FlippedJournal | Nemesis::CutJournal) {
            let Ok(change) = self.cluster.site.changes.clone().try_lock_owned() else {
                return Ok(false);
            };
            self.change = Some(change);
        }
        scene.begin(fault)?;
        match nemesis {
            Nemesis::Pause => {
                let paused = self.cluster.pause(node);
                self.check(node, paused);
            }
            Nemesis::Restart => {
                let stopped = self.cluster.stop(node).await;
                self.check(node, stopped);
            }
            Nemesis::KillAll => {
                for node in 0..self.cluster.site.keepers() {
                    let killed = self.cluster.kill(node).await;
                    self.check(node, killed);
                }
            }
            Nemesis::KillGateway => {
                let at = gateway(fault, self.cluster);
                let killed = self.cluster.kill_gateway(at).await;
                self.check(self.cluster.site.gateways().start + at, killed);
            }
            Nemesis::DiskFull => {
                let free = FREE_BYTES[rng.random_range(0..FREE_BYTES.len())];
                self.cluster.site.squeeze(node, Some(free)).await?;
            }
            Nemesis::FlippedJournal | Nemesis::CutJournal => self.corrupt(fault, &mut rng).await?,
            // Everything else begins with a kill.
            _ => {
                let killed = self.cluster.kill(node).await;
                self.check(node, killed);
            }
        }
        match nemesis {
            Nemesis::TornJournal => damage::tear(&self.cluster.site.journal(node), &mut rng)?,
            Nemesis::ClockSkew => {
                let clock = Clock::find(skew(&mut rng));
                self.cluster.begin(node, clock.as_ref()).await?;
            }
            _ => {}
        }
        Ok(true)
    }

    async fn heal(&mut self, fault: &Fault) -> Result<(), Error> {
        let node = fault.node;
        match fault.nemesis {
            Nemesis::Pause => {
                let resumed = self.cluster.resume(node);
                self.check(node, resumed);
            }
            Nemesis::KillAll => self.cluster.begin_all().await?,
            Nemesis::KillGateway => {
                let at = gateway(fault, self.cluster);
                self.cluster.begin_gateway(at).await?;
            }
            Nemesis::ClockSkew => {
                let killed = self.cluster.kill(node).await;
                self.check(node, killed);
                self.cluster.begin(node, None).await?;
            }
            Nemesis::DiskFull => {
                self.cluster.site.squeeze(node, None).await?;
                // A node that cannot write its log has to stop.
                if !self.cluster.is_running(node) {
                    eprintln!("DiskFull: node {node} had ended");
                    self.cluster.begin(node, None).await?;
                }
            }
            Nemesis::FlippedJournal | Nemesis::CutJournal => {
                if std::mem::take(&mut self.is_broken) {
                    self.replace(node).await?;
                }
                self.change = None;
            }
            _ => self.cluster.begin(node, None).await?,
        }
        Ok(())
    }

    fn violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }
}

/// Which gateway a fault hits.
fn gateway(fault: &Fault, cluster: &Cluster) -> u32 {
    fault.node % cluster.site.sizes().1
}

/// Ahead or behind, or at another rate.
fn skew(rng: &mut StdRng) -> String {
    let offset = rng.random_range(-SKEW_MAX_S..=SKEW_MAX_S);
    match rng.random_range(0..3) {
        0 => format!("{offset:+}s x{:.1}", rng.random_range(1.1..3.0)),
        1 => format!("{offset:+}s x{:.1}", rng.random_range(0.3..0.9)),
        _ => format!("{offset:+}s"),
    }
}

fn last_line(text: &str) -> &str {
    text.trim().lines().last().unwrap_or_default()
}
