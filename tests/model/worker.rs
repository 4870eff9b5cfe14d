//! What the workers of a shard do: close, sweep and prune epochs, collect garbage. As `node` does it, a worker reads
//! with a fresh barrier while it leads, and acts on what it read some time later, when it may lead no more.

use vaultaire_proto::object::Location;
use vaultaire_proto::{BackendId, BlobKey, EpochId, NodeId};

use crate::bounds::Workers;
use crate::fault::Fault;
use crate::model::Protocol;
use crate::shard::{self, Place, Proposal};
use crate::view::{Life, Phase};
use crate::world::{Sight, Stored, Work, World, is_of};

fn propose(protocol: &Protocol, world: &mut World, proposal: Proposal) {
    let place = Place { index: 0, now: world.now, not_after: u8::MAX };
    // A refusal says that another worker was faster; this one begins anew in any case.
    (world.shard, _) = protocol.log.append(&world.shard, proposal, place);
}

/// Closes an epoch for ever. Its gateway need not know.
pub fn close(protocol: &Protocol, world: &mut World, node: NodeId, epoch: EpochId) {
    propose(protocol, world, Proposal::Close { node, epoch });
}

/// Drops a page of the rows of a swept epoch.
pub fn prune(protocol: &Protocol, world: &mut World, node: NodeId, epoch: EpochId) {
    propose(protocol, world, Proposal::Prune { node, epoch });
}

/// The leader's collector reads what it may delete of a backend.
pub fn take_garbage(protocol: &Protocol, world: &mut World, backend: BackendId) {
    let there = |place: &&Location| place.backend == backend;
    let blobs = match protocol.fault {
        Some(Fault::CollectorIgnoresRows) => {
            world.shard.view.blobs.keys().filter(there).copied().collect()
        }
        _ => world.shard.garbage(backend, world.now),
    };
    if !blobs.is_empty() {
        begin(protocol, world, Work::Collect { blobs, deleted: false, early: false });
    }
}

/// The leader's worker has read what it needs.
fn begin(protocol: &Protocol, world: &mut World, work: Work) {
    let worker = world.leader;
    world.works[worker] = Some(work);
    if protocol.bounds.workers == Workers::AtOnce {
        delete(world, worker);
        commit(protocol, world, worker, true);
    }
}

/// The leader's sweeper lists an epoch on a backend and asks for the rows of what it found.
pub fn take_sweep(
    protocol: &Protocol,
    world: &mut World,
    (node, epoch): (NodeId, EpochId),
    backend: BackendId,
) {
    let done = match world.shard.view.phase(node, epoch) {
        Some(Phase::Closed(done)) => {
            let of = |(there, done)| (there == backend).then_some(done);
            shard::BACKENDS.into_iter().zip(done).find_map(of).unwrap_or(0)
        }
        _ => 0,
    };
    let last = done + 1 >= u32::from(protocol.bounds.sweeps);
    let is_there = |place: &&Location| is_of(place, (node, epoch)) && place.backend == backend;
    let listed: Vec<BlobKey> = world.stored.keys().filter(is_there).map(|at| at.key).collect();
    let kept = match protocol.fault {
        Some(Fault::SweepIgnoresRows) => Vec::new(),
        _ => world.shard.kept((node, epoch), backend, listed.clone()),
    };
    let orphans = listed.into_iter().filter(|key| !kept.contains(key));
    let orphans: Vec<Location> = orphans.map(|key| Location { backend, key }).collect();
    let deleted = orphans.is_empty();
    if last && protocol.fault != Some(Fault::EpochHeldTooLong) {
        // Gateways take another epoch long before its last sweep is due.
        for gateway in &mut world.gateways {
            gateway.open = gateway.open.filter(|(open, _)| *open != epoch);
        }
    }
    let round = done;
    begin(protocol, world, Work::Sweep { node, epoch, backend, round, last, orphans, deleted });
}

/// A worker deletes what it found, whoever leads now.
pub fn delete(world: &mut World, worker: usize) {
    let deposed = worker != world.leader;
    let Some(mut work) = world.works[worker].take() else { return };
    let (places, sight) = match &mut work {
        Work::Collect { blobs, deleted, early } => {
            *deleted = true;
            let early_of = |at: &Location| (at.key.node, at.key.epoch);
            *early = blobs.iter().any(|at| world.is_written(early_of(at), at.backend));
            (blobs.clone(), Sight::DeposedCollector)
        }
        Work::Sweep { orphans, deleted, .. } => {
            *deleted = true;
            (std::mem::take(orphans), Sight::DeposedSweeper)
        }
    };
    world.works[worker] = Some(work);
    let swept = sight == Sight::DeposedSweeper;
    if deposed {
        world.seen.add(sight);
    }
    for place in places {
        let stored = remove(world, place);
        if swept && stored.is_some_and(|stored| stored.zombie) {
            world.seen.add(Sight::ZombieSwept);
        }
    }
}

/// Bytes go from their backend.
pub fn remove(world: &mut World, place: Location) -> Option<Stored> {
    let view = &world.shard.view;
    if view.copies().contains(&place) || view.blobs.get(&place) == Some(&Life::Live) {
        world.seen.add(Sight::LiveBytesDeleted);
    }
    world.stored.remove(&place)
}

/// A worker says that it is done. One that is not heard has not forgotten what it did.
pub fn commit(protocol: &Protocol, world: &mut World, worker: usize, heard: bool) {
    let work = world.works[worker].clone();
    if heard {
        world.works[worker] = None;
    }
    let proposal = match work {
        None => return,
        Some(Work::Collect { blobs, .. }) => Proposal::Collected { blobs },
        Some(Work::Sweep { node, epoch, backend, round, last, .. }) => {
            Proposal::Swept { node, epoch, backend, round, last }
        }
    };
    propose(protocol, world, proposal);
}
