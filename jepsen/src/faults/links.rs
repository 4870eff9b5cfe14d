//! Faults of links: partitions of every shape, lost packets, and connections that are slow, reset or silent. Each is a set of
//! rules for links between nodes; clients reach every node all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;

use super::lane::{Lane, Scene};
use super::{Fault, Nemesis};
use crate::checker::Violation;
use crate::cluster::site::Site;
use crate::error::Error;
use crate::network::Rule;
use crate::network::detour::Passage;

/// How long connections live between two resets.
const RESET_EVERY: Duration = Duration::from_millis(400);

/// How much the others do before they make snapshots.
const LAG: Duration = Duration::from_secs(1);

/// The links between the nodes of a site, those of guest and gateways included.
#[derive(Debug)]
pub struct Links {
    site: Arc<Site>,
    resets: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Links {
    pub fn new(site: Arc<Site>) -> Self {
        Self { site, resets: None }
    }

    async fn apply(&self, rules: &[Rule], passage: Passage) -> Result<(), Error> {
        match &self.site.network {
            Some(network) => network.apply(rules, passage).await,
            None => Ok(()),
        }
    }

    /// Resets what is connected again and again, until it is told to stop.
    fn reset(&mut self, rules: Vec<Rule>) {
        let (site, stop) = (self.site.clone(), Arc::new(AtomicBool::new(false)));
        let told = stop.clone();
        let task = tokio::spawn(async move {
            let Some(network) = &site.network else { return };
            for rules in [rules.as_slice(), &[]].into_iter().cycle() {
                if told.load(Ordering::Relaxed)
                    || network.apply(rules, Passage::Closed).await.is_err()
                {
                    return;
                }
                tokio::time::sleep(RESET_EVERY).await;
            }
        });
        self.resets = Some((stop, task));
    }

    /// Every link is as it should be.
    pub async fn mend(&mut self) -> Result<(), Error> {
        if let Some((stop, resets)) = self.resets.take() {
            // It is not cut off in the middle of what it does: half of that might come after the links were healed.
            stop.store(true, Ordering::Relaxed);
            resets.await?;
        }
        self.apply(&[], Passage::Closed).await
    }

    /// Whether any of the others made a snapshot.
    async fn snapshots(&self, lagging: u32) -> bool {
        let mut is_made = false;
        for node in (0..self.site.keepers()).filter(|node| *node != lagging) {
            is_made |= self.site.ask(node, &["cluster", "snapshot"]).await.is_ok();
        }
        is_made
    }
}

impl Lane for Links {
    async fn hurt(&mut self, fault: &Fault, scene: &Scene<'_>) -> Result<bool, Error> {
        let mut rng = StdRng::seed_from_u64(fault.dice);
        let node = match fault.nemesis {
            Nemesis::IsolateLeader => match self.site.leader().await {
                Some(leader) => leader,
                None => return Ok(false),
            },
            _ => fault.node,
        };
        let rules = rules(fault.nemesis, node, self.site.sizes(), &mut rng);
        let passage = match fault.nemesis {
            Nemesis::Delay => Passage::Delayed(Duration::from_millis(rng.random_range(20..400))),
            Nemesis::HalfOpen => {
                Passage::Silent { after: Duration::from_millis(rng.random_range(0..1_000)) }
            }
            _ => Passage::Closed,
        };
        match fault.nemesis {
            Nemesis::Reset => self.reset(rules),
            _ => self.apply(&rules, passage).await?,
        }
        if fault.nemesis == Nemesis::LaggingSnapshot {
            tokio::time::sleep(LAG).await;
            if !self.snapshots(node).await {
                self.heal(fault).await?;
                return Ok(false);
            }
        }
        scene.begin(fault)?;
        Ok(true)
    }

    async fn heal(&mut self, _: &Fault) -> Result<(), Error> {
        self.mend().await
    }

    fn violations(&mut self) -> Vec<Violation> {
        Vec::new()
    }
}

/// What happens to which links. `node` is the one in the middle of it; the guest's number follows those of the keepers, and those
/// of the gateways follow the guest's.
fn rules(
    nemesis: Nemesis,
    node: u32,
    (keepers, gateways): (u32, u32),
    rng: &mut StdRng,
) -> Vec<Rule> {
    let guest = keepers;
    let mut others: Vec<u32> = (0..keepers).filter(|other| *other != node).collect();
    others.shuffle(rng);
    let middle = others.len() / 2;
    others.extend(guest + 1..=guest + gateways);
    others.push(guest);
    let both_ways = |rule: fn(u32, u32) -> Rule| -> Vec<Rule> {
        others.iter().flat_map(|other| [rule(node, *other), rule(*other, node)]).collect()
    };
    match nemesis {
        Nemesis::Halves => {
            // The one side has at least this node, the other at least the guest and one more that keeps objects.
            let apart_at_least = [others.remove(0), guest];
            others.pop();
            others.shuffle(rng);
            let (here, there) = others.split_at(rng.random_range(0..=others.len()));
            apart(&[here, &[node]].concat(), &[there, &apart_at_least].concat())
        }
        Nemesis::IsolateLeader | Nemesis::LaggingSnapshot => apart(&[node], &others),
        Nemesis::OneWay => {
            let is_deaf = rng.random();
            let one_way = |other: &u32| match is_deaf {
                true => Rule::Drop { from: *other, to: node },
                false => Rule::Drop { from: node, to: *other },
            };
            others.iter().map(one_way).collect()
        }
        Nemesis::Bridge => {
            let (here, there) = others.split_at(middle);
            apart(here, there)
        }
        Nemesis::MajorityRing => ring(keepers, rng),
        Nemesis::PacketLoss => {
            let percent = rng.random_range(5..50);
            let lose = |from: u32, to: u32| Rule::Lose { from, to, percent };
            others.iter().flat_map(|other| [lose(node, *other), lose(*other, node)]).collect()
        }
        Nemesis::Delay | Nemesis::HalfOpen => both_ways(|from, to| Rule::Detour { from, to }),
        Nemesis::Reset => both_ways(|from, to| Rule::Reset { from, to }),
        // Not of links.
        _ => Vec::new(),
    }
}

/// Neither side hears the other.
fn apart(here: &[u32], there: &[u32]) -> Vec<Rule> {
    let pairs = here.iter().flat_map(|one| there.iter().map(move |other| (*one, *other)));
    pairs
        .flat_map(|(a, b)| [Rule::Drop { from: a, to: b }, Rule::Drop { from: b, to: a }])
        .collect()
}

/// The nodes in a circle, each of which hears as many neighbours as make a majority with it.
fn ring(keepers: u32, rng: &mut StdRng) -> Vec<Rule> {
    let mut circle: Vec<u32> = (0..keepers).collect();
    circle.shuffle(rng);
    let reach = usize::try_from(keepers / 4).unwrap_or(1).max(1);
    let size = circle.len();
    let mut rules = Vec::new();
    for (at, from) in circle.iter().enumerate() {
        for (other, to) in circle.iter().enumerate() {
            let apart = at.abs_diff(other);
            if apart.min(size - apart) > reach {
                rules.push(Rule::Drop { from: *from, to: *to });
            }
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many keepers each keeper hears, itself included.
    fn heard(rules: &[Rule], keepers: u32) -> Vec<u32> {
        let hears = |to: u32| {
            let is_cut = |from: &u32| rules.contains(&Rule::Drop { from: *from, to });
            u32::try_from((0..keepers).filter(|from| !is_cut(from)).count()).unwrap_or(0)
        };
        (0..keepers).map(hears).collect()
    }

    #[test]
    fn partitions_have_the_shapes_they_are_named_after() {
        for seed in 0..50 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut make = |nemesis, keepers| rules(nemesis, 1, (keepers, 1), &mut rng);
            assert_eq!(heard(&make(Nemesis::MajorityRing, 5), 5), [3; 5]);
            assert_eq!(heard(&make(Nemesis::IsolateLeader, 3), 3), [2, 1, 2]);
            assert_eq!(heard(&make(Nemesis::Bridge, 3), 3), [2, 3, 2]);
            let halves = heard(&make(Nemesis::Halves, 5), 5);
            assert!(halves.iter().all(|heard| *heard < 5), "{halves:?}");
            let one_way = heard(&make(Nemesis::OneWay, 3), 3);
            assert!(one_way == [3, 1, 3] || one_way == [2, 3, 2], "{one_way:?}");
            for nemesis in [Nemesis::PacketLoss, Nemesis::Delay, Nemesis::Reset] {
                // Both directions of the links to two keepers, the guest and the gateway.
                assert_eq!(make(nemesis, 3).len(), 8);
            }
        }
    }
}
