//! A command is committed, whoever proposed it: what it did to the shard, what of it may never be seen, and what is heard.

use std::sync::Arc;

use vaultaire_proto::object::Location;
use vaultaire_proto::{Rejection, Response};

use crate::bounds::Ask;
use crate::model::Protocol;
use crate::shard::{self, Place, Proposal, Shard};
use crate::view::{Life, Phase, View};
use crate::world::{Answer, Attempt, Purpose, Said, Seen, Sight, Stage, World};

/// A copy of a command is committed.
pub fn apply(protocol: &Protocol, world: &mut World, attempt: usize, heard: bool) {
    let before = Arc::clone(&world.shard);
    let state = world.attempts[attempt].clone();
    let proposal = proposal(protocol, &state);
    let place = Place { index: world.versions + 1, now: world.now, not_after: state.not_after };
    let (after, response) = protocol.log.append(&before, proposal, place);
    world.attempts[attempt].commands -= 1;
    look(world, &before, &after, &state);
    match state.purpose {
        Purpose::Serve { request } => {
            let step = Step { before: &before, after: &after, response: &response };
            served(protocol, &mut world.seen, &step, request, state.place);
            count(world, &before, &after, request);
        }
        Purpose::Copy { replaces, .. } => copied(&mut world.seen, &response, replaces),
        Purpose::Drop { copy } => {
            let last = after.view.copies() == [copy];
            dropped(&mut world.seen, &response, last);
        }
    }
    world.shard = after;
    if heard {
        hear(world, attempt, &state, &response);
    }
}

fn proposal(protocol: &Protocol, attempt: &Attempt) -> Proposal {
    match (attempt.purpose, attempt.place) {
        (Purpose::Serve { request }, Some(blob)) => {
            let create = protocol.bounds.asks[request] == Ask::Create;
            Proposal::Put { request, blob, create }
        }
        (Purpose::Serve { request }, None) => Proposal::Delete { request },
        (Purpose::Copy { bytes, beside, replaces }, Some(new)) => {
            Proposal::Copy { bytes, new, beside, replaces }
        }
        (Purpose::Copy { .. }, None) => unreachable!("a copy has a place"),
        (Purpose::Drop { copy }, _) => Proposal::Drop { copy },
    }
}

/// One entry, and what it made of the shard.
struct Step<'a> {
    before: &'a Shard,
    after: &'a Shard,
    response: &'a Response,
}

/// Notes what a step showed that none may show.
fn look(world: &mut World, before: &Shard, after: &Shard, attempt: &Attempt) {
    let seen = &mut world.seen;
    if let Some(place) = attempt.place {
        let known = before.view.blobs.contains_key(&place);
        let live = after.view.blobs.get(&place) == Some(&Life::Live);
        let open = before.view.phase(place.key.node, place.key.epoch) == Some(Phase::Open);
        if live && !known && !open {
            seen.add(Sight::ThroughClosedEpoch);
        }
    }
    let moved = before.view.visible() != after.view.visible();
    if moved && !matches!(attempt.purpose, Purpose::Serve { .. }) {
        seen.add(Sight::VersionMoved);
    }
    if let (false, Some(former), Some(head)) = (moved, &before.view.head, &after.view.head)
        && former.copies != head.copies
        && former.place_epoch >= head.place_epoch
    {
        seen.add(Sight::PlaceEpochKept);
    }
}

/// Notes what came of a client's command.
fn served(
    protocol: &Protocol,
    seen: &mut Seen,
    step: &Step<'_>,
    request: usize,
    place: Option<Location>,
) {
    let (before, after) = (&step.before.view, &step.after.view);
    let changed = before.visible() != after.visible();
    let life = |view: &View| place.and_then(|place| view.blobs.get(&place).copied());
    match step.response {
        Response::Put(_) if life(before).is_some() && !changed => seen.add(Sight::RepeatAnswered),
        Response::Put(_) if life(after) == Some(Life::Garbage) && !changed => {
            seen.add(Sight::RetryAnswered);
        }
        Response::Rejected(rejection) => match rejection {
            Rejection::EpochClosed => seen.add(Sight::EpochClosed),
            Rejection::Expired => seen.add(Sight::Late),
            Rejection::Unknown => seen.add(Sight::OutcomeUnknown),
            Rejection::PreconditionFailed => seen.add(Sight::Refused),
            other => unreachable!("nothing asks for {other}"),
        },
        _ => {}
    }
    if changed && protocol.bounds.asks[request] == Ask::Create && before.head.is_some() {
        seen.add(Sight::ConditionIgnored);
    }
}

/// Notes what came of a copy.
fn copied(seen: &mut Seen, response: &Response, replaces: bool) {
    match (response, replaces) {
        (Response::Done, false) => seen.add(Sight::CopyAdded),
        (Response::Done, true) => seen.add(Sight::CopyReplaced),
        (Response::Rejected(Rejection::EpochClosed), _) => seen.add(Sight::CopyRefused),
        (Response::Rejected(Rejection::Unknown), _) => seen.add(Sight::CopyRepeated),
        (Response::Rejected(Rejection::Superseded), _) => seen.add(Sight::Superseded),
        (other, _) => unreachable!("nothing asks for {other:?}"),
    }
}

/// Notes what came of letting go of a copy, which may be the last one now.
fn dropped(seen: &mut Seen, response: &Response, last: bool) {
    match response {
        Response::Done => seen.add(Sight::CopyDropped),
        Response::Rejected(Rejection::Superseded) if last => seen.add(Sight::LastCopyKept),
        Response::Rejected(Rejection::Superseded) => {}
        other => unreachable!("nothing asks for {other:?}"),
    }
}

/// Counts what a request did to what is visible.
fn count(world: &mut World, before: &Shard, after: &Shard, request: usize) {
    if before.view.visible() == after.view.visible() {
        return;
    }
    let state = &mut world.requests[request];
    state.changes = (state.changes + 1).min(2);
    if let Some(head) = &after.view.head {
        state.made = Some(head.version);
        world.versions += 1;
        debug_assert_eq!(head.etag, shard::etag(request), "the bytes of this request");
    }
}

/// The answer reaches the gateway that waits for it, and where it is definite the client.
fn hear(world: &mut World, attempt: usize, state: &Attempt, response: &Response) {
    world.attempts[attempt].stage = Stage::Over;
    if let Response::Rejected(Rejection::EpochClosed) = response {
        let gateway = &mut world.gateways[state.gateway];
        let closed = state.place.map(|place| place.key.epoch);
        gateway.open = gateway.open.filter(|(epoch, _)| Some(*epoch) != closed);
    }
    // A worker looks again at what there is, whatever it heard.
    let Purpose::Serve { request } = state.purpose else { return };
    let said = match response {
        Response::Put(put) => Said::Put(put.version),
        Response::Deleted(_) => Said::Deleted,
        Response::Rejected(Rejection::PreconditionFailed) => {
            Said::Refused(Rejection::PreconditionFailed)
        }
        // For the client the outcome is unknown, as if it had heard nothing.
        _ => return,
    };
    let request = &mut world.requests[request];
    match request.answer {
        None => request.answer = Some(Answer { said, changes: request.changes }),
        Some(former) => request.contradicted |= former.said != said,
    }
}
