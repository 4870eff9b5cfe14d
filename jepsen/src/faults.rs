//! Which faults hit a cluster, and when: plans that follow from the seed alone. Processes, links and the membership are hurt
//! side by side, so that faults of different sorts overlap. Carrying a plan out is `faults::lane`.

mod damage;
pub mod lane;
mod links;
mod members;
mod processes;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// The longest a fault lasts: longer than an election and than a lease.
const LASTS_MAX: Duration = Duration::from_secs(4);
const LASTS_MIN: Duration = Duration::from_millis(500);

/// The longest time between two faults of one sort.
const QUIET_MAX: Duration = Duration::from_secs(3);

/// What a fault costs besides, such as the start of a node.
const OVERHEAD: Duration = Duration::from_secs(4);

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
    /// SIGKILL to a gateway, and a start some time later.
    KillGateway,
    /// SIGKILL, and a start with a clock that is wrong, or runs at another rate.
    ClockSkew,
    /// A node's file system has no room, for objects or for anything.
    DiskFull,
    /// What was being written to a node's journal when it ended is garbage.
    TornJournal,
    /// A bit of a node's journal is another. The node has to refuse it, and is replaced by a new one.
    FlippedJournal,
    /// A node's journal is cut short. The node has to refuse it, and is replaced by a new one.
    CutJournal,
    /// Two parts of the nodes do not hear each other.
    Halves,
    /// The node that leads most hears nobody, and nobody hears it.
    IsolateLeader,
    /// A node is heard by others that it does not hear.
    OneWay,
    /// Two nodes hear each other only through a third.
    Bridge,
    /// Every node hears a majority, and each another one.
    MajorityRing,
    /// Some of the packets from and to a node are lost.
    PacketLoss,
    /// What a node says, and what is said to it, arrives late.
    Delay,
    /// Connections from and to a node are reset again and again.
    Reset,
    /// Connections from and to a node stay, and nothing comes through them any more.
    HalfOpen,
    /// A node hears nobody while the others make snapshots and forget their logs.
    LaggingSnapshot,
    /// Leaders hand over what they lead.
    TransferLeader,
    /// A voter becomes a learner, and a voter again.
    Demote,
    /// A new node joins, follows or votes, and is removed.
    Guest,
}

/// What is hurt. Faults of one sort come one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Process,
    Link,
    Member,
}

pub const NEMESES: [Nemesis; 23] = [
    Nemesis::Kill,
    Nemesis::Pause,
    Nemesis::Restart,
    Nemesis::KillAll,
    Nemesis::KillGateway,
    Nemesis::ClockSkew,
    Nemesis::DiskFull,
    Nemesis::TornJournal,
    Nemesis::FlippedJournal,
    Nemesis::CutJournal,
    Nemesis::Halves,
    Nemesis::IsolateLeader,
    Nemesis::OneWay,
    Nemesis::Bridge,
    Nemesis::MajorityRing,
    Nemesis::PacketLoss,
    Nemesis::Delay,
    Nemesis::Reset,
    Nemesis::HalfOpen,
    Nemesis::LaggingSnapshot,
    Nemesis::TransferLeader,
    Nemesis::Demote,
    Nemesis::Guest,
];

/// With fewer nodes a ring of majorities is no partition.
const RING_NODES_MIN: u32 = 5;

/// Without others there is nobody to hear.
const LINK_NODES_MIN: u32 = 3;

impl Nemesis {
    pub fn name(self) -> &'static str {
        match self {
            Nemesis::Kill => "kill",
            Nemesis::Pause => "pause",
            Nemesis::Restart => "restart",
            Nemesis::KillAll => "kill all",
            Nemesis::KillGateway => "kill gateway",
            Nemesis::ClockSkew => "clock skew",
            Nemesis::DiskFull => "disk full",
            Nemesis::TornJournal => "torn journal",
            Nemesis::FlippedJournal => "flipped journal",
            Nemesis::CutJournal => "cut journal",
            Nemesis::Halves => "halves",
            Nemesis::IsolateLeader => "isolate leader",
            Nemesis::OneWay => "one way",
            Nemesis::Bridge => "bridge",
            Nemesis::MajorityRing => "majority ring",
            Nemesis::PacketLoss => "packet loss",
            Nemesis::Delay => "delay",
            Nemesis::Reset => "reset",
            Nemesis::HalfOpen => "half-open",
            Nemesis::LaggingSnapshot => "lagging snapshot",
            Nemesis::TransferLeader => "transfer leader",
            Nemesis::Demote => "demote",
            Nemesis::Guest => "guest",
        }
    }

    pub fn sort(self) -> Sort {
        match self {
            Nemesis::Kill
            | Nemesis::Pause
            | Nemesis::Restart
            | Nemesis::KillAll
            | Nemesis::KillGateway
            | Nemesis::ClockSkew
            | Nemesis::DiskFull
            | Nemesis::TornJournal
            | Nemesis::FlippedJournal
            | Nemesis::CutJournal => Sort::Process,
            Nemesis::Halves
            | Nemesis::IsolateLeader
            | Nemesis::OneWay
            | Nemesis::Bridge
            | Nemesis::MajorityRing
            | Nemesis::PacketLoss
            | Nemesis::Delay
            | Nemesis::Reset
            | Nemesis::HalfOpen
            | Nemesis::LaggingSnapshot => Sort::Link,
            Nemesis::TransferLeader | Nemesis::Demote | Nemesis::Guest => Sort::Member,
        }
    }

    /// Whether it hits one of the nodes that keep objects, and no other.
    pub fn is_of_one_node(self) -> bool {
        let is_of_all = matches!(self, Nemesis::KillAll | Nemesis::KillGateway);
        self.sort() == Sort::Process && !is_of_all
    }

    /// Whether it means anything among so many nodes and gateways.
    pub fn fits(self, nodes: u32, gateways: u32) -> bool {
        match (self, self.sort()) {
            (Nemesis::KillGateway, _) => gateways > 0,
            (Nemesis::MajorityRing, _) => nodes >= RING_NODES_MIN,
            (Nemesis::FlippedJournal | Nemesis::CutJournal, _) | (_, Sort::Link | Sort::Member) => {
                nodes >= LINK_NODES_MIN
            }
            (_, Sort::Process) => nodes > 0,
        }
    }

    /// The node that it hits. The last one has a small disk. Only one ever loses what it keeps: copies lie on two nodes, and
    /// making them again takes a while.
    fn node(self, random: u32, nodes: u32) -> u32 {
        match self {
            Nemesis::DiskFull => nodes - 1,
            Nemesis::FlippedJournal | Nemesis::CutJournal => 1 % nodes,
            _ => random,
        }
    }

    /// Whether it needs namespaces.
    pub fn needs_sandbox(self) -> bool {
        self.sort() == Sort::Link || self == Nemesis::DiskFull
    }
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub after: Duration,
    pub nemesis: Nemesis,
    pub node: u32,
    /// Decides the rest.
    pub dice: u64,
    pub lasts: Duration,
}

/// Faults of one sort, without end. Every kind comes once before any comes twice.
#[derive(Debug)]
pub struct Plan {
    rng: StdRng,
    nodes: u32,
    nemeses: Vec<Nemesis>,
    /// So many of them still have to come once.
    first: usize,
    /// How much shorter everything is, so that all kinds fit into the time.
    pace: f64,
}

impl Plan {
    pub fn new(seed: u64, nodes: u32, sort: Sort, nemeses: &[Nemesis], time: Duration) -> Self {
        let salt = match sort {
            Sort::Process => 0xFA17,
            Sort::Link => 0xFA18,
            Sort::Member => 0xFA19,
        };
        let mut rng = StdRng::seed_from_u64(seed ^ salt);
        let of_sort = nemeses.iter().filter(|nemesis| nemesis.sort() == sort);
        let mut nemeses: Vec<Nemesis> = of_sort.copied().collect();
        nemeses.shuffle(&mut rng);
        let first = nemeses.len();
        let each = u32::try_from(first.max(1)).unwrap_or(u32::MAX);
        let slot = (time / each).saturating_sub(OVERHEAD);
        let pace = slot.div_duration_f64(LASTS_MAX + QUIET_MAX).clamp(0.1, 1.0);
        Self { rng, nodes, nemeses, first, pace }
    }

    /// Whether a kind has not come yet.
    pub fn is_first_round(&self) -> bool {
        self.first > 0
    }

    /// The kind that could not be done comes again later.
    pub fn postpone(&mut self, nemesis: Nemesis) {
        if let Some(at) = self.nemeses.iter().position(|one| *one == nemesis)
            && at >= self.first
        {
            let nemesis = self.nemeses.remove(at);
            self.nemeses.insert(0, nemesis);
            self.first += 1;
        }
    }
}

impl Iterator for Plan {
    type Item = Fault;

    fn next(&mut self) -> Option<Fault> {
        let rng = &mut self.rng;
        let nemesis = match self.first.checked_sub(1) {
            Some(last) => {
                self.first = last;
                *self.nemeses.get(last)?
            }
            None => *self.nemeses.get(rng.random_range(0..self.nemeses.len().max(1)))?,
        };
        Some(Fault {
            after: QUIET_MAX.mul_f64(rng.random_range(0.1..1.0) * self.pace),
            nemesis,
            node: nemesis.node(rng.random_range(0..self.nodes), self.nodes),
            dice: rng.random(),
            lasts: LASTS_MIN
                + (LASTS_MAX - LASTS_MIN).mul_f64(rng.random_range(0.0..1.0) * self.pace),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_follows_from_the_seed_and_begins_with_every_kind() {
        let time = Duration::from_secs(60);
        for sort in [Sort::Process, Sort::Link, Sort::Member] {
            let of_sort: Vec<_> = NEMESES.into_iter().filter(|one| one.sort() == sort).collect();
            let plan = |seed| Plan::new(seed, 3, sort, &NEMESES, time).take(50).collect::<Vec<_>>();
            assert_eq!(plan(1), plan(1));
            assert_ne!(plan(1), plan(2));
            let first = &plan(1)[..of_sort.len()];
            assert!(of_sort.iter().all(|kind| first.iter().any(|fault| fault.nemesis == *kind)));
            let spent: Duration = first.iter().map(|fault| fault.after + fault.lasts).sum();
            assert!(spent < time, "{spent:?}");
            assert!(plan(1).iter().all(|fault| fault.node < 3 && fault.lasts <= LASTS_MAX));
        }
    }

    #[test]
    fn what_could_not_be_done_comes_again() {
        let mut plan = Plan::new(1, 3, Sort::Member, &NEMESES, Duration::from_secs(60));
        let mut once: Vec<Nemesis> = plan.by_ref().take(3).map(|fault| fault.nemesis).collect();
        assert!(!plan.is_first_round());
        plan.postpone(once[0]);
        assert!(plan.is_first_round());
        assert_eq!(plan.next().map(|fault| fault.nemesis), once.drain(..1).next());
        assert!(!plan.is_first_round());
    }
}
