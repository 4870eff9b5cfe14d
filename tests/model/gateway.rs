//! What clients and gateways do: a request goes up as bytes first and as a command then, and its answer comes
//! back or does not. As `router` does it, with every delay and loss that there may be in between.

use std::sync::Arc;

use vaultaire_proto::{BlobKey, Rejection, Response};

use crate::action::next_epoch;
use crate::bounds::Ask;
use crate::fault::Fault;
use crate::model::Protocol;
use crate::shard::{self, GENERATION, Place, Proposal, SHARD, Shard};
use crate::view::{Life, Phase};
use crate::world::{Answer, Attempt, Said, Sight, Stage, Stored, World, node};

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
        request,
        gateway,
        key: None,
        not_after: now,
        stage: Stage::Proposed,
        uploads: 0,
        commands: 1 + protocol.bounds.repeats,
    };
    match protocol.bounds.asks[request] {
        Ask::Delete => {}
        Ask::Put | Ask::Create => {
            attempt.key = fresh_key(protocol, world, gateway);
            attempt.stage = Stage::Uploading;
            attempt.uploads = 1 + protocol.bounds.resends;
            attempt.commands = 0;
        }
    }
    world.attempts.push(attempt);
}

fn fresh_key(protocol: &Protocol, world: &mut World, gateway: usize) -> Option<BlobKey> {
    let (epoch, given) = world.gateways[gateway].open.as_mut()?;
    let seq = u64::from(*given);
    match protocol.fault {
        Some(Fault::KeyReuse | Fault::StaleCollector) => {}
        _ => *given += 1,
    }
    Some(BlobKey { generation: GENERATION, shard: SHARD, node: node(gateway), epoch: *epoch, seq })
}

/// A copy of an upload is whole.
pub fn arrive(protocol: &Protocol, world: &mut World, attempt: usize) {
    let state = &mut world.attempts[attempt];
    state.uploads -= 1;
    let zombie = state.stage == Stage::Over;
    let waited_for = state.stage == Stage::Uploading;
    if let Some(key) = state.key {
        world.stored.insert(key, Stored { attempt, zombie });
    }
    if waited_for {
        propose(protocol, world, attempt);
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

/// A copy of a command is committed.
pub fn apply(protocol: &Protocol, world: &mut World, attempt: usize, heard: bool) {
    let before = Arc::clone(&world.shard);
    let state = world.attempts[attempt].clone();
    let ask = protocol.bounds.asks[state.request];
    let proposal = match state.key {
        Some(blob) => Proposal::Put { request: state.request, blob, create: ask == Ask::Create },
        None => Proposal::Delete { request: state.request },
    };
    let place = Place { index: world.versions + 1, now: world.now, not_after: state.not_after };
    let (after, response) = protocol.log.append(&before, proposal, place);
    world.attempts[attempt].commands -= 1;
    look(world, &before, &after, &state, ask, &response);
    count(world, &before, &after, state.request);
    world.shard = after;
    if heard {
        hear(world, attempt, &state, &response);
    }
}

/// Notes what this step showed.
fn look(
    world: &mut World,
    before: &Shard,
    after: &Shard,
    attempt: &Attempt,
    ask: Ask,
    response: &Response,
) {
    let seen = &mut world.seen;
    let changed = before.view.head != after.view.head;
    let known = attempt.key.is_some_and(|key| before.view.blobs.contains_key(&key));
    if let Some(key) = attempt.key {
        let live = after.view.blobs.get(&key) == Some(&Life::Live);
        let open = before.view.phase(key.node, key.epoch) == Some(Phase::Open);
        if live && !known && !open {
            seen.add(Sight::ThroughClosedEpoch);
        }
        let garbage = after.view.blobs.get(&key) == Some(&Life::Garbage);
        match response {
            Response::Put(_) if known && !changed => seen.add(Sight::RepeatAnswered),
            Response::Put(_) if garbage && !changed => seen.add(Sight::RetryAnswered),
            _ => {}
        }
    }
    if changed && ask == Ask::Create && before.view.head.is_some() {
        seen.add(Sight::ConditionIgnored);
    }
    if let Response::Rejected(rejection) = response {
        match rejection {
            Rejection::EpochClosed => seen.add(Sight::EpochClosed),
            Rejection::Expired => seen.add(Sight::Late),
            Rejection::Unknown => seen.add(Sight::OutcomeUnknown),
            Rejection::PreconditionFailed => seen.add(Sight::Refused),
            other => unreachable!("nothing asks for {other}"),
        }
    }
}

/// Counts what a request did to what is visible.
fn count(world: &mut World, before: &Shard, after: &Shard, request: usize) {
    let (former, head) = (before.view.head, after.view.head);
    if former == head {
        return;
    }
    let state = &mut world.requests[request];
    state.changes = (state.changes + 1).min(2);
    if let Some(head) = head {
        state.made = Some(head.version);
        world.versions += 1;
        debug_assert_eq!(head.etag, shard::etag(request), "the bytes of this request");
    }
}

/// The answer reaches the gateway that waits for it, and where it is definite the client.
fn hear(world: &mut World, attempt: usize, state: &Attempt, response: &Response) {
    world.attempts[attempt].stage = Stage::Over;
    let said = match response {
        Response::Put(put) => Said::Put(put.version),
        Response::Deleted(_) => Said::Deleted,
        Response::Rejected(Rejection::PreconditionFailed) => {
            Said::Refused(Rejection::PreconditionFailed)
        }
        Response::Rejected(Rejection::EpochClosed) => {
            let gateway = &mut world.gateways[state.gateway];
            let closed = state.key.map(|key| key.epoch);
            gateway.open = gateway.open.filter(|(epoch, _)| Some(*epoch) != closed);
            return;
        }
        // For the client the outcome is unknown, as if it had heard nothing.
        _ => return,
    };
    let request = &mut world.requests[state.request];
    match request.answer {
        None => request.answer = Some(Answer { said, changes: request.changes }),
        Some(former) => request.contradicted |= former.said != said,
    }
}
