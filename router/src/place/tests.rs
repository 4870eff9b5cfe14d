//! Placing over made-up clusters.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use vaultaire_proto::{BlobKey, EpochId, GroupId};

use super::upkeep::{Step, next, refuge};
use super::*;

const TWO: Copies = Copies { count: 2, spread: Spread::Node };

fn copy(backend: u32) -> Location {
    let key =
        BlobKey { generation: 1, shard: GroupId(1), node: NodeId(1), epoch: EpochId(1), seq: 1 };
    Location { backend: BackendId(backend), key }
}

/// One disk on each of so many nodes; this is node 1.
fn disks(nodes: u32) -> Vec<Candidate> {
    let disk = |node: u32| Candidate {
        backend: BackendId(node),
        pool: 0,
        home: Some(Home { node: NodeId(node.into()), zone: node % 2, region: 0 }),
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
    assert_eq!(choose(&candidates, TWO, well, 0).unwrap(), ids(&[1]));
    let without = well_but(&[1], Health::Absent);
    assert_eq!(choose(&candidates, TWO, without, 0).unwrap(), ids(&[9]));
}

#[test]
fn a_backend_that_is_the_same_from_everywhere_gets_one_copy() {
    let shared =
        Candidate { backend: BackendId(5), pool: 0, home: None, local: false, takes: true };
    assert_eq!(
        choose(&[shared], Copies { count: 3, ..TWO }, |_| Health::Well, 7).unwrap(),
        ids(&[5])
    );
}

#[test]
fn the_own_disk_first_and_those_that_failed_last() {
    let all = disks(3);
    assert_eq!(choose(&all, TWO, |_| Health::Well, 0).unwrap(), ids(&[1, 2]));
    assert_eq!(choose(&all, TWO, |_| Health::Well, 1).unwrap(), ids(&[1, 3]));
    let suspect = well_but(&[2], Health::Suspect);
    assert_eq!(choose(&all, TWO, suspect, 0).unwrap(), ids(&[1, 3]));
    let two = well_but(&[2, 3], Health::Suspect);
    assert_eq!(choose(&all, TWO, two, 1).unwrap(), ids(&[1, 3]), "better than none");
}

#[test]
fn a_node_that_is_gone_does_not_make_objects_less_safe() {
    let alone = well_but(&[2], Health::Absent);
    let short = choose(&disks(2), TWO, alone, 0).unwrap_err();
    assert_eq!(short, Short { wanted: 2, found: 1 });
    assert!(choose(&[], TWO, |_| Health::Well, 0).is_err());
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
        match choose(&disks(nodes), Copies { count: u32::try_from(copies).unwrap(), ..TWO }, health, seed) {
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
            let chosen = choose(&disks(nodes), TWO, |_| Health::Well, seed).unwrap();
            *counts.entry(chosen[1]).or_insert(0) += 1;
        }
        prop_assert!(counts.values().all(|count| *count == 10) && counts.len() == others);
    }
}

fn spread_over(zones: &[u32]) -> Vec<Candidate> {
    let disk = |(node, zone): (u32, &u32)| Candidate {
        home: Some(Home { node: NodeId(node.into()), zone: *zone, region: 0 }),
        ..Candidate { backend: BackendId(node), ..disks(1)[0] }
    };
    let all = (1..).zip(zones).map(disk);
    all.map(|disk| Candidate { local: disk.backend.0 == 1, ..disk }).collect()
}

const ZONES: Copies = Copies { count: 2, spread: Spread::Zone };

#[test]
fn copies_go_to_different_zones_where_there_are_some() {
    let all = spread_over(&[1, 1, 1, 2]);
    for seed in 0..5 {
        assert_eq!(choose(&all, ZONES, |_| Health::Well, seed).unwrap(), ids(&[1, 4]));
    }
    let one_zone = spread_over(&[1, 1]);
    assert_eq!(choose(&one_zone, ZONES, |_| Health::Well, 0).unwrap(), ids(&[1, 2]));
    let away = well_but(&[4], Health::Absent);
    assert!(choose(&all, ZONES, away, 0).is_err(), "a zone that is away makes nothing less safe");
    let three = Copies { count: 3, ..ZONES };
    let chosen = choose(&all, three, |_| Health::Well, 0).unwrap();
    assert_eq!(chosen, ids(&[1, 4, 2]), "more copies than zones");
    let regions = Copies { spread: Spread::Region, ..ZONES };
    assert_eq!(choose(&all, regions, |_| Health::Well, 0).unwrap(), ids(&[1, 2]));
}

#[test]
fn a_blob_gets_what_it_lacks() {
    let all = disks(4);
    let step = |kept: &[u32], copies| next(&all, &ids(kept), copies, |_| Health::Well, 0);
    assert_eq!(step(&[1, 2], TWO), Step::Keep);
    assert_eq!(step(&[1], TWO), Step::Add(BackendId(2)));
    assert_eq!(step(&[1, 2], Copies { count: 3, ..TWO }), Step::Add(BackendId(3)));
    assert_eq!(step(&[1, 2, 3], TWO), Step::Drop(BackendId(3)));
    assert_eq!(step(&[99], TWO), Step::Keep, "nothing is known of it");
    let two = disks(2);
    let away = well_but(&[2], Health::Absent);
    assert_eq!(next(&two, &ids(&[1]), TWO, away, 0), Step::Wait);
    // One that is drained counts for what the pool wants, and takes nothing.
    let drained = [two[0], Candidate { takes: false, ..two[1] }];
    assert_eq!(next(&drained, &ids(&[1]), TWO, |_| Health::Well, 0), Step::Wait);
    assert_eq!(next(&two[..1], &ids(&[1]), TWO, |_| Health::Well, 0), Step::Keep);
}

#[test]
fn copies_that_crowd_one_zone_are_spread() {
    let all = spread_over(&[1, 1, 2]);
    let step = |kept: &[u32]| next(&all, &ids(kept), ZONES, |_| Health::Well, 0);
    assert_eq!(step(&[1, 2]), Step::Move(BackendId(2), BackendId(3)));
    assert_eq!(step(&[1, 3]), Step::Keep);
    assert_eq!(step(&[1]), Step::Add(BackendId(3)), "the zone that has none first");
    assert_eq!(step(&[1, 3, 2]), Step::Drop(BackendId(2)));
    assert_eq!(step(&[3, 1, 2]), Step::Drop(BackendId(2)));
    let suspect = well_but(&[3], Health::Suspect);
    assert_eq!(next(&all, &ids(&[1, 2]), ZONES, suspect, 0), Step::Wait);
}

#[test]
fn a_pool_that_is_emptied_goes_to_the_first_that_takes_something() {
    let cloud = Candidate { backend: BackendId(7), pool: 1, home: None, local: false, takes: true };
    let leaving = disks(2).into_iter().map(|disk| Candidate { takes: false, ..disk });
    let all: Vec<Candidate> = leaving.chain([cloud]).collect();
    assert_eq!(refuge(&all, BackendId(1), |_| Health::Well, 3), Some(BackendId(7)));
    assert_eq!(choose(&all, TWO, |_| Health::Well, 0).unwrap(), ids(&[7]));
    assert_eq!(next(&all, &ids(&[7]), TWO, |_| Health::Well, 0), Step::Keep);
    assert_eq!(refuge(&all, BackendId(1), |_| Health::Absent, 0), None);
    assert_eq!(refuge(&disks(3), BackendId(1), |_| Health::Well, 1), Some(BackendId(3)));
}

proptest! {
    /// Whatever copies there are, a bounded number of steps ends in what the bucket wants.
    #[test]
    fn upkeep_comes_to_an_end(
        zones in prop::collection::vec(0_u32..3, 1..7),
        kept in prop::collection::btree_set(1_u32..7, 1..6),
        count in 1_u32..5, spread in 0..2, seed: usize,
    ) {
        let all = spread_over(&zones);
        let spread = [Spread::Node, Spread::Zone][usize::try_from(spread).unwrap()];
        let copies = Copies { count, spread };
        let mut kept: Vec<BackendId> =
            kept.into_iter().map(BackendId).filter(|id| id.0 as usize <= zones.len()).collect();
        prop_assume!(!kept.is_empty());
        for _ in 0..20 {
            match next(&all, &kept, copies, |_| Health::Well, seed) {
                Step::Keep => break,
                Step::Wait => prop_assert!(false, "everything is well"),
                Step::Add(new) => kept.push(new),
                Step::Drop(old) => kept.retain(|id| *id != old),
                Step::Move(old, new) => {
                    kept.retain(|id| *id != old);
                    kept.push(new);
                }
            }
            prop_assert!(!kept.is_empty());
        }
        let held: Vec<Candidate> =
            kept.iter().map(|id| all[id.0 as usize - 1]).collect();
        prop_assert_eq!(kept.len(), wanted(&all, copies));
        prop_assert_eq!(domains(&held, spread), domains(&all, spread).min(kept.len()));
    }
}
