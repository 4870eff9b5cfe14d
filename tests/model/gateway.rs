//! What clients and gateways do: a request goes up as bytes first and as a command then, and its answer comes
//! back or does not. As `router` does it, with every delay and loss that there may be in between.

use vaultaire_proto::object::Location;
use vaultaire_proto::{BackendId, BlobKey, Response};

use crate::action::next_epoch;
use crate::bounds::Ask;
use crate::fault::Fault;
use crate::model::Protocol;
use crate::shard::{self, GENERATION, Place, Proposal, SHARD};
use crate::worker;
use crate::world::{Attempt, Purpose, Stage, Stored, World, node};

/// A gateway opens an epoch, and with it closes those of its former lives.
pub fn open(protocol: &Protocol, world: &mut World, gateway: usize, heard: bool) {
    let (node, index) = next_epoch(world, gateway);
    let incarnation = world.gateways[gateway].crashes;
    let place = Place { index, now: world.now, not_after: u8::MAX };
    let proposal = Proposal::Open { node, incarnation };
    let (shard, response) = protocol.log.append(&world.shard, proposal, place);
    let Response::EpochOpened { epoch, .. } = response else {
        unreachable!("the newest life of a gateway may open an epoch: {response:?}")
    };
    world.shard = shard;
    let gateway = &mut world.gateways[gateway];
    gateway.epochs += 1;
    if heard {
        gateway.open = Some((epoch, 0));
    }
}

/// A request, or its retry, reaches a gateway.
pub fn begin(protocol: &Protocol, world: &mut World, request: usize, gateway: usize) {
    let now = world.now;
    world.requests[request].began.get_or_insert(now);
    let mut attempt = Attempt {
        purpose: Purpose::Serve { request },
        gateway,
        place: None,
        not_after: now,
        stage: Stage::Proposed,
        uploads: 0,
        commands: 1 + protocol.bounds.repeats,
    };
    match protocol.bounds.asks[request] {
        Ask::Delete => {}
        Ask::Put | Ask::Create => {
            let [backend, ..] = shard::BACKENDS;
            attempt.place = fresh_place(protocol, world, gateway, backend);
            attempt.stage = Stage::Uploading;
            attempt.uploads = 1 + protocol.bounds.resends;
            attempt.commands = 0;
        }
    }
    world.attempts.push(attempt);
}

/// A key of the gateway's epoch, on a backend.
pub fn fresh_place(
    protocol: &Protocol,
    world: &mut World,
    gateway: usize,
    backend: BackendId,
) -> Option<Location> {
    let (epoch, given) = world.gateways[gateway].open.as_mut()?;
    let seq = u64::from(*given);
    match protocol.fault {
        Some(Fault::KeyReuse | Fault::StaleCollector) => {}
        _ => *given += 1,
    }
    let key =
        BlobKey { generation: GENERATION, shard: SHARD, node: node(gateway), epoch: *epoch, seq };
    Some(Location { backend, key })
}

/// A copy of an upload is whole.
pub fn arrive(protocol: &Protocol, world: &mut World, attempt: usize) {
    let state = &mut world.attempts[attempt];
    state.uploads -= 1;
    let zombie = state.stage == Stage::Over;
    let waited_for = state.stage == Stage::Uploading;
    let (bytes, source) = match state.purpose {
        Purpose::Serve { request } => (request, None),
        Purpose::Copy { bytes, beside, replaces } => (bytes, replaces.then_some(beside)),
        Purpose::Drop { .. } => unreachable!("nothing is uploaded to let go of something"),
    };
    if let Some(place) = state.place {
        world.stored.insert(place, Stored { bytes, zombie });
    }
    if waited_for {
        propose(protocol, world, attempt);
    }
    if let (Some(source), Some(Fault::SourceDeletedFirst)) = (source, protocol.fault) {
        worker::remove(world, source);
    }
}

/// The command of an attempt is on its way, with every repetition that there will be. Whether one is sent when the
/// former failed or is only slow makes no difference to the log.
pub fn propose(protocol: &Protocol, world: &mut World, attempt: usize) {
    let state = &mut world.attempts[attempt];
    state.stage = Stage::Proposed;
    state.commands = 1 + protocol.bounds.repeats;
}

/// Nobody waits for an upload any more.
pub fn give_up(world: &mut World, attempt: usize) {
    world.attempts[attempt].stage = Stage::Over;
}

/// A gateway dies, and all it knew with it.
pub fn crash(world: &mut World, gateway: usize) {
    let state = &mut world.gateways[gateway];
    state.crashes += 1;
    state.open = None;
    for attempt in &mut world.attempts {
        if attempt.gateway == gateway {
            attempt.stage = Stage::Over;
        }
    }
}
