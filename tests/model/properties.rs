//! What must hold in every world, by the names that the design has for it, and what must be reachable in
//! some: a check that never came to the interesting places has shown nothing.

use std::collections::BTreeSet;

use stateright::Property;
use vaultaire_proto::object::Location;

use crate::bounds::{Ask, Bounds, Workers};
use crate::model::Protocol;
use crate::shard;
use crate::view::{Life, Phase};
use crate::world::{Request, Said, Sight, World};

pub const I1: &str = "I1 a visible version has its bytes";
pub const I2: &str = "I2 a backend key is given out once";
pub const I3: &str = "I3 no bytes of a live blob are deleted";
pub const I4: &str = "I4 every key at the backend is somebody's";
pub const I4_IN_THE_END: &str = "I4 when all is quiet, nothing is left but what is visible";
pub const I5: &str = "I5 a condition holds when its write takes effect";
pub const I6: &str = "I6 a request takes effect once, and its answer says what happened";
pub const I9: &str = "I9 a placement epoch grows with every change of copies";
pub const MOVES: &str = "what moves bytes changes no version";
pub const I7: &str = "I7 nothing is committed through a closed epoch";
pub const ROWS: &str = "the rows agree with each other";

/// What must hold, and what must be reachable within these bounds.
pub fn of(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let mut all = vec![
        Property::always(I1, bytes_are_there),
        Property::always(I2, keys_differ),
        Property::always(I3, |_, world: &World| !world.seen.has(Sight::LiveBytesDeleted)),
        Property::always(I4, keys_have_owners),
        Property::always(I4_IN_THE_END, |_, world: &World| !world.is_quiet() || is_clean(world)),
        Property::always(I5, |_, world: &World| !world.seen.has(Sight::ConditionIgnored)),
        Property::always(I6, |_, world: &World| world.requests.iter().all(once)),
        Property::always(I7, |_, world: &World| !world.seen.has(Sight::ThroughClosedEpoch)),
        Property::always(I9, |_, world: &World| !world.seen.has(Sight::PlaceEpochKept)),
        Property::always(MOVES, |_, world: &World| !world.seen.has(Sight::VersionMoved)),
        Property::always(ROWS, |_, world: &World| world.shard.view.violation.is_none()),
    ];
    if protocol.fault.is_none() {
        all.extend(reachable(protocol));
    }
    all
}

fn reachable(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let bounds = &protocol.bounds;
    let mut all = vec![
        Property::sometimes("a zombie upload is swept", |_, w: &World| {
            w.seen.has(Sight::ZombieSwept)
        }),
        Property::sometimes("bytes of a closed epoch are refused", |_, w: &World| {
            w.seen.has(Sight::EpochClosed)
        }),
        Property::sometimes("all is quiet and an object is visible", |_, w: &World| {
            w.is_quiet() && w.shard.view.head.is_some()
        }),
    ];
    if bounds.copies > 0 {
        all.extend(reachable_of_copies(bounds));
    }
    if bounds.repeats > 0 {
        all.push(Property::sometimes(
            "a repeated proposal is answered from memory",
            |_, w: &World| w.seen.has(Sight::RepeatAnswered),
        ));
    }
    if bounds.tries > 1 {
        all.push(Property::sometimes(
            "a retry with new bytes is answered from memory",
            |_, w: &World| w.seen.has(Sight::RetryAnswered),
        ));
    }
    if bounds.asks.contains(&Ask::Create) {
        all.push(Property::sometimes("a condition fails", |_, w: &World| {
            w.seen.has(Sight::Refused)
        }));
    }
    if bounds.ticks > 0 {
        all.push(Property::sometimes("a command comes too late", |_, w: &World| {
            w.seen.has(Sight::Late)
        }));
    }
    if bounds.ticks > 1 && bounds.repeats > 0 {
        all.push(Property::sometimes("an outcome is no longer known", |_, w: &World| {
            w.seen.has(Sight::OutcomeUnknown)
        }));
    }
    if bounds.workers == Workers::OnTwoNodes {
        all.push(Property::sometimes("a deposed sweeper deletes", |_, w: &World| {
            w.seen.has(Sight::DeposedSweeper)
        }));
        if bounds.asks.len() > 1 {
            all.push(Property::sometimes("a deposed collector deletes", |_, w: &World| {
                w.seen.has(Sight::DeposedCollector)
            }));
        }
    }
    all
}

fn reachable_of_copies(bounds: &Bounds) -> Vec<Property<Protocol>> {
    let mut all = vec![
        Property::sometimes("a copy takes the place of another", |_, w: &World| {
            w.seen.has(Sight::CopyReplaced)
        }),
        Property::sometimes("a copy of a closed epoch is refused", |_, w: &World| {
            w.seen.has(Sight::CopyRefused)
        }),
    ];
    if bounds.asks.len() > 1 || bounds.copies > 1 {
        all.push(Property::sometimes("a copy comes too late and is refused", |_, w: &World| {
            w.seen.has(Sight::Superseded)
        }));
    }
    if bounds.repeats > 0 {
        all.push(Property::sometimes("a copy is proposed again and known", |_, w: &World| {
            w.seen.has(Sight::CopyRepeated)
        }));
    }
    if bounds.backends > 1 {
        all.push(Property::sometimes("a copy comes beside another", |_, w: &World| {
            w.seen.has(Sight::CopyAdded)
        }));
        all.push(Property::sometimes("all is quiet and there are two copies", |_, w: &World| {
            w.is_quiet() && w.shard.view.copies().len() > 1
        }));
    }
    if bounds.drops > 0 {
        all.push(Property::sometimes("a copy is let go of", |_, w: &World| {
            w.seen.has(Sight::CopyDropped)
        }));
    }
    if bounds.drops > 1 {
        all.push(Property::sometimes("the last copy is kept", |_, w: &World| {
            w.seen.has(Sight::LastCopyKept)
        }));
    }
    all
}

/// I1: and they are the bytes that were committed, not what another wrote under the same key.
fn bytes_are_there(_: &Protocol, world: &World) -> bool {
    let Some(head) = &world.shard.view.head else {
        return true;
    };
    let is_there = |copy: &Location| {
        world.stored.get(copy).is_some_and(|stored| shard::etag(stored.bytes) == head.etag)
    };
    !head.copies.is_empty() && head.copies.iter().all(is_there)
}

fn keys_differ(_: &Protocol, world: &World) -> bool {
    let attempts = &world.attempts;
    attempts.iter().enumerate().all(|(place, attempt)| {
        attempt.place.is_none()
            || attempts.iter().skip(place + 1).all(|other| other.place != attempt.place)
    })
}

/// I4: a key without an owner would stay for ever, since nothing looks for it any more.
fn keys_have_owners(protocol: &Protocol, world: &World) -> bool {
    let view = &world.shard.view;
    world.stored.keys().all(|place| match view.blobs.get(place) {
        Some(Life::Live | Life::Garbage) => true,
        Some(Life::Spent) | None => match view.phase(place.key.node, place.key.epoch) {
            Some(Phase::Open) => true,
            Some(Phase::Closed(done)) => {
                let mut swept = shard::BACKENDS.into_iter().zip(done);
                let sweeps = u32::from(protocol.bounds.sweeps);
                swept.any(|(backend, done)| backend == place.backend && done < sweeps)
            }
            Some(Phase::Swept) | None => false,
        },
    })
}

/// The backends and the blob rows hold the visible version's copies, and nothing else.
fn is_clean(world: &World) -> bool {
    let view = &world.shard.view;
    let visible: BTreeSet<Location> = view.copies().iter().copied().collect();
    world.stored.keys().eq(&visible)
        && view.blobs.keys().eq(&visible)
        && view.blobs.values().all(|life| *life == Life::Live)
}

/// I6: at most one change; none after the answer; and the answer names it.
fn once(request: &Request) -> bool {
    if request.changes > 1 || request.contradicted {
        return false;
    }
    let Some(answer) = request.answer else {
        return true;
    };
    let truthful = match answer.said {
        Said::Put(version) => answer.changes == 1 && request.made == Some(version),
        Said::Deleted => true,
        Said::Refused(_) => request.changes == 0,
    };
    truthful && answer.changes == request.changes
}
