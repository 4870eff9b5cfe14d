//! Where bytes go and in which order copies are read. Pure: what there is, what is well and what is at hand come in. What must
//! become of copies that are there is `place/upkeep.rs`.

pub mod upkeep;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use vaultaire_proto::object::{Blob, Location};
use vaultaire_proto::row::{Copies, Spread};
use vaultaire_proto::{BackendId, NodeId};

/// A backend that is not lost, and whether it may take new objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub backend: BackendId,
    /// The pool it belongs to, by preference: the first is zero. Backends of one name on several nodes are a pool.
    pub pool: usize,
    /// False for one that is drained, or whose node leaves, and for pools that nothing new is written to.
    pub takes: bool,
    /// Whose disk it is. None: it is the same from everywhere, and keeps its bytes safe by itself.
    pub home: Option<Home>,
    /// On this node.
    pub local: bool,
}

/// Where a node stands. Numbers stand for names: only whether they are equal counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Home {
    pub node: NodeId,
    pub zone: u32,
    pub region: u32,
}

/// What fails together: a node, a zone or a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Domain {
    Node(NodeId),
    Zone(u32, u32),
    Region(u32),
}

impl Home {
    pub fn domain(self, spread: Spread) -> Domain {
        match spread {
            Spread::Node => Domain::Node(self.node),
            Spread::Zone => Domain::Zone(self.region, self.zone),
            Spread::Region => Domain::Region(self.region),
        }
    }
}

/// What is known of a backend at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Well,
    /// It failed a moment ago.
    Suspect,
    /// It is not open on this node.
    Absent,
}

/// Why there is no place for a new object: the pool that lacked least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an object needs {wanted} copies on different nodes, in as many failure domains as there are, and only {found} node(s) of \
     the pool can take one; look at `vaultaire backend list` and `vaultaire cluster members`"
)]
pub struct Short {
    pub wanted: usize,
    pub found: usize,
}

/// The backends for a new blob: of the first pool that has enough of them, on as many nodes as there are to be copies, or on
/// all nodes of the pool where there are fewer, in as many failure domains as there are. Those that failed a moment ago are
/// taken only where the others do not suffice.
pub fn choose(
    candidates: &[Candidate],
    copies: Copies,
    health: impl Fn(BackendId) -> Health,
    seed: usize,
) -> Result<Vec<BackendId>, Short> {
    let candidates: Vec<Candidate> =
        candidates.iter().copied().filter(|candidate| candidate.takes).collect();
    let pools: BTreeSet<usize> = candidates.iter().map(|candidate| candidate.pool).collect();
    let mut short = Short { wanted: wanted_of(copies), found: 0 };
    for worst in [Health::Well, Health::Suspect] {
        for pool in &pools {
            let members: Vec<Candidate> =
                candidates.iter().copied().filter(|candidate| candidate.pool == *pool).collect();
            let wanted = wanted(&members, copies);
            let usable = members.iter().copied().filter(|member| health(member.backend) <= worst);
            let chosen = spread_out(&in_turn(usable, seed), copies.spread, wanted);
            let apart = domains(&chosen, copies.spread);
            if wanted > 0
                && chosen.len() == wanted
                && apart >= domains(&members, copies.spread).min(wanted)
            {
                return Ok(chosen.iter().map(|candidate| candidate.backend).collect());
            }
            if chosen.len() >= short.found {
                short = Short { wanted, found: chosen.len() };
            }
        }
    }
    Err(short)
}

fn wanted_of(copies: Copies) -> usize {
    usize::try_from(copies.count).unwrap_or(usize::MAX)
}

/// How many copies a pool gets. One that is the same from everywhere needs one.
fn wanted(members: &[Candidate], copies: Copies) -> usize {
    let nodes = domains(members, Spread::Node);
    match nodes {
        0 => members.len().min(1),
        // Nodes that cannot be reached count: their absence must not make an object less safe.
        nodes => wanted_of(copies).min(nodes),
    }
}

/// In how many failure domains they are.
fn domains(members: &[Candidate], spread: Spread) -> usize {
    let homes = members.iter().filter_map(|candidate| candidate.home);
    homes.map(|home| home.domain(spread)).collect::<BTreeSet<_>>().len()
}

/// The local one first, the others from a place that the seed names, so that they fill evenly.
fn in_turn(usable: impl Iterator<Item = Candidate>, seed: usize) -> Vec<Candidate> {
    let (mut ordered, mut others): (Vec<_>, Vec<_>) = usable.partition(|candidate| candidate.local);
    if !others.is_empty() {
        let turn = seed % others.len();
        others.rotate_left(turn);
    }
    ordered.extend(others);
    ordered
}

/// At most `wanted` on different nodes, in their order, those first that are in a failure domain of their own.
fn spread_out(ordered: &[Candidate], spread: Spread, wanted: usize) -> Vec<Candidate> {
    let mut chosen: Vec<Candidate> = Vec::new();
    for apart in [spread, Spread::Node] {
        for candidate in ordered {
            if chosen.len() < wanted && is_apart(candidate, &chosen, apart) {
                chosen.push(*candidate);
            }
        }
    }
    chosen
}

/// Whether none of the others is in the same failure domain.
fn is_apart(candidate: &Candidate, others: &[Candidate], spread: Spread) -> bool {
    let domain = |candidate: &Candidate| candidate.home.map(|home| home.domain(spread));
    others.iter().all(|other| {
        other.backend != candidate.backend
            && (domain(other).is_none() || domain(other) != domain(candidate))
    })
}

/// The copies of a blob in the order in which they are tried: those that are well first, those at hand before others.
pub fn read_order(
    blob: &Blob,
    health: impl Fn(BackendId) -> Health,
    is_local: impl Fn(BackendId) -> bool,
) -> Vec<Location> {
    let mut copies = blob.copies.clone();
    copies.sort_by_key(|copy| (health(copy.backend), !is_local(copy.backend)));
    copies
}
