//! Where bytes go and in which order copies are read. Pure: what there is, what is well and what is at hand come in.

use std::collections::BTreeSet;

use vaultaire_proto::object::{Blob, Location};
use vaultaire_proto::{BackendId, NodeId};

/// A backend, and whether it may take new objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub backend: BackendId,
    /// The pool it belongs to, by preference: the first is zero. Backends of one name on several nodes are a pool.
    pub pool: usize,
    /// False for one that is drained or lost, or whose node leaves, and for pools that nothing new is written to.
    pub takes: bool,
    /// Whose disk it is. None: it is the same from everywhere, and keeps its bytes safe by itself.
    pub node: Option<NodeId>,
    /// On this node.
    pub local: bool,
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
    "an object needs {wanted} copies on different nodes, and only {found} node(s) of the pool can take one; \
     look at `vaultaire backend list` and `vaultaire cluster members`"
)]
pub struct Short {
    pub wanted: usize,
    pub found: usize,
}

/// The backends for a new blob: of the first pool that has enough of them, on as many nodes as there are to be copies, or on
/// all nodes of the pool where there are fewer. Those that failed a moment ago are taken only where the others do not suffice.
pub fn choose(
    candidates: &[Candidate],
    copies: usize,
    health: impl Fn(BackendId) -> Health,
    seed: usize,
) -> Result<Vec<BackendId>, Short> {
    let candidates: Vec<Candidate> =
        candidates.iter().copied().filter(|candidate| candidate.takes).collect();
    let pools: BTreeSet<usize> = candidates.iter().map(|candidate| candidate.pool).collect();
    let mut short = Short { wanted: copies, found: 0 };
    for worst in [Health::Well, Health::Suspect] {
        for pool in &pools {
            let members: Vec<Candidate> =
                candidates.iter().copied().filter(|candidate| candidate.pool == *pool).collect();
            let wanted = wanted(&members, copies);
            let chosen = of_pool(&members, wanted, |id| health(id) <= worst, seed);
            if wanted > 0 && chosen.len() == wanted {
                return Ok(chosen);
            }
            if chosen.len() >= short.found {
                short = Short { wanted, found: chosen.len() };
            }
        }
    }
    Err(short)
}

/// How many copies a pool gets. One that is the same from everywhere needs one.
fn wanted(members: &[Candidate], copies: usize) -> usize {
    let nodes: BTreeSet<NodeId> = members.iter().filter_map(|candidate| candidate.node).collect();
    match nodes.is_empty() {
        true => members.len().min(1),
        // Nodes that cannot be reached count: their absence must not make an object less safe.
        false => copies.min(nodes.len()),
    }
}

/// At most `wanted` usable backends on different nodes: the local one first, the others from a place that the seed names, so that
/// they fill evenly.
fn of_pool(
    members: &[Candidate],
    wanted: usize,
    usable: impl Fn(BackendId) -> bool,
    seed: usize,
) -> Vec<BackendId> {
    let (local, mut others): (Vec<_>, Vec<_>) = members
        .iter()
        .filter(|candidate| usable(candidate.backend))
        .partition(|candidate| candidate.local);
    if !others.is_empty() {
        let turn = seed % others.len();
        others.rotate_left(turn);
    }
    let mut nodes = BTreeSet::new();
    let distinct = |candidate: &&Candidate| nodes.insert(candidate.node);
    local
        .into_iter()
        .chain(others)
        .filter(distinct)
        .map(|candidate| candidate.backend)
        .take(wanted)
        .collect()
}

/// The backend for a copy in the place of the one on `leaving`, beside those on `kept`: of the same pool, or of the first where
/// nothing in that pool takes anything new; never on a node that has one of the others.
pub fn replacement(
    candidates: &[Candidate],
    leaving: BackendId,
    kept: &[BackendId],
    health: impl Fn(BackendId) -> Health,
    seed: usize,
) -> Option<BackendId> {
    let of = |id: BackendId| candidates.iter().find(move |candidate| candidate.backend == id);
    let nodes: BTreeSet<NodeId> = kept.iter().filter_map(|id| of(*id)?.node).collect();
    let takes = || candidates.iter().filter(|candidate| candidate.takes);
    let own = of(leaving).map(|candidate| candidate.pool);
    let own = own.filter(|pool| takes().any(|candidate| candidate.pool == *pool));
    let pool = own.or_else(|| takes().map(|candidate| candidate.pool).min())?;
    let fits = |candidate: &&Candidate| {
        candidate.pool == pool
            && candidate.backend != leaving
            && !kept.contains(&candidate.backend)
            && candidate.node.is_none_or(|node| !nodes.contains(&node))
            && health(candidate.backend) != Health::Absent
    };
    let mut fitting: Vec<BackendId> =
        takes().filter(fits).map(|candidate| candidate.backend).collect();
    if !fitting.is_empty() {
        let turn = seed % fitting.len();
        fitting.rotate_left(turn);
    }
    fitting.into_iter().min_by_key(|id| health(*id))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;
    use vaultaire_proto::{BlobKey, EpochId, GroupId};

    use super::*;

    fn copy(backend: u32) -> Location {
        let key = BlobKey {
            generation: 1,
            shard: GroupId(1),
            node: NodeId(1),
            epoch: EpochId(1),
            seq: 1,
        };
        Location { backend: BackendId(backend), key }
    }

    /// One disk on each of so many nodes; this is node 1.
    fn disks(nodes: u32) -> Vec<Candidate> {
        let disk = |node: u32| Candidate {
            backend: BackendId(node),
            pool: 0,
            node: Some(NodeId(node.into())),
            local: node == 1,
            takes: true,
        };
        (1..=nodes).map(disk).collect()
    }

    fn ids(backends: &[u32]) -> Vec<BackendId> {
        backends.iter().copied().map(BackendId).collect()
    }

    fn well_but(bad: &[u32], health: Health) -> impl Fn(BackendId) -> Health {
        move |id| if bad.contains(&id.0) { health } else { Health::Well }
    }

    #[test]
    fn one_node_keeps_one_copy_and_the_first_pool_is_taken() {
        let second = Candidate { backend: BackendId(9), pool: 1, ..disks(1)[0] };
        let candidates = [disks(1), vec![second]].concat();
        let well = well_but(&[], Health::Well);
        assert_eq!(choose(&candidates, 2, well, 0).unwrap(), ids(&[1]));
        let without = well_but(&[1], Health::Absent);
        assert_eq!(choose(&candidates, 2, without, 0).unwrap(), ids(&[9]));
    }

    #[test]
    fn a_backend_that_is_the_same_from_everywhere_gets_one_copy() {
        let shared =
            Candidate { backend: BackendId(5), pool: 0, node: None, local: false, takes: true };
        assert_eq!(choose(&[shared], 3, |_| Health::Well, 7).unwrap(), ids(&[5]));
    }

    #[test]
    fn the_own_disk_first_and_those_that_failed_last() {
        let all = disks(3);
        assert_eq!(choose(&all, 2, |_| Health::Well, 0).unwrap(), ids(&[1, 2]));
        assert_eq!(choose(&all, 2, |_| Health::Well, 1).unwrap(), ids(&[1, 3]));
        let suspect = well_but(&[2], Health::Suspect);
        assert_eq!(choose(&all, 2, suspect, 0).unwrap(), ids(&[1, 3]));
        let two = well_but(&[2, 3], Health::Suspect);
        assert_eq!(choose(&all, 2, two, 1).unwrap(), ids(&[1, 3]), "better than none");
    }

    #[test]
    fn a_node_that_is_gone_does_not_make_objects_less_safe() {
        let alone = well_but(&[2], Health::Absent);
        let short = choose(&disks(2), 2, alone, 0).unwrap_err();
        assert_eq!(short, Short { wanted: 2, found: 1 });
        assert!(choose(&[], 2, |_| Health::Well, 0).is_err());
    }

    #[test]
    fn a_copy_moves_to_another_node_of_its_pool() {
        let mut all = disks(4);
        all[0].takes = false;
        let well = |seed| replacement(&all, BackendId(1), &ids(&[2]), |_| Health::Well, seed);
        assert_eq!([well(0), well(1)], [Some(BackendId(3)), Some(BackendId(4))]);
        let suspect = well_but(&[3], Health::Suspect);
        let chosen = replacement(&all, BackendId(1), &ids(&[2]), suspect, 0);
        assert_eq!(chosen, Some(BackendId(4)));
        let kept = ids(&[2, 3, 4]);
        assert_eq!(replacement(&all, BackendId(1), &kept, |_| Health::Well, 0), None);
        // Another disk of a node that has a copy already is no place.
        all.push(Candidate { backend: BackendId(9), ..all[1] });
        let kept = ids(&[2, 3, 4]);
        assert_eq!(replacement(&all, BackendId(1), &kept, |_| Health::Well, 0), None);
    }

    #[test]
    fn a_pool_that_is_emptied_goes_to_the_first_that_takes_something() {
        let cloud =
            Candidate { backend: BackendId(7), pool: 1, node: None, local: false, takes: true };
        let leaving = disks(2).into_iter().map(|disk| Candidate { takes: false, ..disk });
        let all: Vec<Candidate> = leaving.chain([cloud]).collect();
        let chosen = replacement(&all, BackendId(1), &ids(&[2]), |_| Health::Well, 3);
        assert_eq!(chosen, Some(BackendId(7)));
        assert_eq!(choose(&all, 2, |_| Health::Well, 0).unwrap(), ids(&[7]));
        let absent = replacement(&all, BackendId(1), &[], |_| Health::Absent, 0);
        assert_eq!(absent, None);
    }

    #[test]
    fn copies_at_hand_come_first() {
        let blob =
            Blob { size_bytes: 1, crc64nvme: 0, copies: vec![copy(1), copy(2), copy(3), copy(4)] };
        let health = |id: BackendId| match id.0 {
            1 => Health::Absent,
            3 => Health::Suspect,
            _ => Health::Well,
        };
        let order = read_order(&blob, health, |id| id == BackendId(4) || id == BackendId(3));
        assert_eq!(order, vec![copy(4), copy(2), copy(3), copy(1)]);
    }

    proptest! {
        #[test]
        fn as_many_nodes_as_wanted_and_nobody_who_is_absent(
            nodes in 1_u32..9, copies in 1_usize..5, absent in prop::collection::btree_set(1_u32..9, 0..9), seed: usize,
        ) {
            let health = |id: BackendId| match absent.contains(&id.0) {
                true => Health::Absent,
                false => Health::Well,
            };
            let open = (1..=nodes).filter(|node| !absent.contains(node)).count();
            let wanted = copies.min(nodes as usize);
            match choose(&disks(nodes), copies, health, seed) {
                Ok(chosen) => {
                    let distinct: BTreeSet<_> = chosen.iter().collect();
                    prop_assert_eq!(distinct.len(), wanted);
                    prop_assert!(chosen.iter().all(|id| !absent.contains(&id.0)));
                }
                Err(short) => prop_assert_eq!((short.wanted, short.found), (wanted, open)),
            }
        }

        #[test]
        fn other_nodes_fill_evenly(nodes in 3_u32..9) {
            let mut counts = std::collections::BTreeMap::new();
            let others = nodes as usize - 1;
            for seed in 0..10 * others {
                let chosen = choose(&disks(nodes), 2, |_| Health::Well, seed).unwrap();
                *counts.entry(chosen[1]).or_insert(0) += 1;
            }
            prop_assert!(counts.values().all(|count| *count == 10) && counts.len() == others);
        }
    }
}
