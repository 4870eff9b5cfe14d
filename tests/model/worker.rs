//! What the workers of a shard do: close, sweep and prune epochs, collect garbage. As `node` does it, a worker reads
//! with a fresh barrier while it leads, and acts on what it read some time later, when it may lead no more.

use vaultaire_proto::{BlobKey, EpochId, NodeId};

use crate::bounds::Workers;
use crate::fault::Fault;
use crate::model::Protocol;
use crate::shard::{Place, Proposal};
use crate::view::{Life, Phase};
use crate::world::{Sight, Work, World};

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

/// The leader's collector reads what it may delete.
pub fn take_garbage(protocol: &Protocol, world: &mut World) {
    let blobs = match protocol.fault {
        Some(Fault::CollectorIgnoresRows) => world.shard.view.blobs.keys().copied().collect(),
        _ => world.shard.garbage(world.now),
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

/// The leader's sweeper lists an epoch and asks for the rows of what it found.
pub fn take_sweep(protocol: &Protocol, world: &mut World, node: NodeId, epoch: EpochId) {
    let done = match world.shard.view.phase(node, epoch) {
        Some(Phase::Closed(done)) => done,
        _ => 0,
    };
    let last = done + 1 >= u32::from(protocol.bounds.sweeps);
    let of_epoch = |key: &&BlobKey| (key.node, key.epoch) == (node, epoch);
    let listed: Vec<BlobKey> = world.stored.keys().filter(of_epoch).copied().collect();
    let kept = match protocol.fault {
        Some(Fault::SweepIgnoresRows) => Vec::new(),
        _ => world.shard.kept(node, epoch, listed.clone()),
    };
    let orphans: Vec<BlobKey> = listed.into_iter().filter(|key| !kept.contains(key)).collect();
    let deleted = orphans.is_empty();
    if last && protocol.fault != Some(Fault::EpochHeldTooLong) {
        // Gateways take another epoch long before its last sweep is due.
        for gateway in &mut world.gateways {
            gateway.open = gateway.open.filter(|(open, _)| *open != epoch);
        }
    }
    begin(protocol, world, Work::Sweep { node, epoch, round: done, last, orphans, deleted });
}

/// A worker deletes what it found, whoever leads now.
pub fn delete(world: &mut World, worker: usize) {
    let deposed = worker != world.leader;
    let Some(mut work) = world.works[worker].take() else { return };
    let (keys, sight) = match &mut work {
        Work::Collect { blobs, deleted, early } => {
            *deleted = true;
            *early = blobs.iter().any(|key| world.is_written(key.node, key.epoch));
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
    for key in keys {
        let visible = world.shard.view.head.is_some_and(|head| head.blob == key);
        if visible || world.shard.view.blobs.get(&key) == Some(&Life::Live) {
            world.seen.add(Sight::LiveBytesDeleted);
        }
        let stored = world.stored.remove(&key);
        if swept && stored.is_some_and(|stored| stored.zombie) {
            world.seen.add(Sight::ZombieSwept);
        }
    }
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
        Some(Work::Sweep { node, epoch, round, last, .. }) => {
            Proposal::Swept { node, epoch, round, last }
        }
    };
    propose(protocol, world, proposal);
}
