//! What may happen next in a world. Everything that may, may: the order is the checker's.

use vaultaire_proto::object::Location;
use vaultaire_proto::{BackendId, EpochId, NodeId};

use crate::bounds::{Ask, Workers};
use crate::fault::Fault;
use crate::model::Protocol;
use crate::shard;
use crate::view::{Life, Phase};
use crate::world::{Purpose, Stage, Work, World, node};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A gateway opens a write epoch. Not `heard`: it never learns of it.
    Open { gateway: usize, heard: bool },
    /// A client's request, or its retry, reaches a gateway.
    Begin { request: usize, gateway: usize },
    /// A worker reads a copy, and begins to write another one. It may act on it however late.
    Copy { gateway: usize, beside: Location, to: BackendId, replaces: bool },
    /// A worker reads that there are several copies, and wants to let go of one.
    LetGo { copy: Location },
    /// A copy of an upload is whole at the backend. The gateway that waits for it proposes.
    Arrive { attempt: usize },
    /// What is left of an upload on its way is lost.
    Vanish { attempt: usize },
    /// The gateway does not wait for an upload any more: its client is gone, or its patience.
    GiveUp { attempt: usize },
    /// A gateway proposes although its bytes have not arrived: a fault.
    ProposeEarly { attempt: usize },
    /// A copy of a command is committed and applied. Not `heard`: nobody learns of the answer.
    Apply { attempt: usize, heard: bool },
    /// Somebody closes an epoch: its gateway, which may write under it all the same, or another for it.
    Close { node: NodeId, epoch: EpochId },
    /// A gateway dies and starts again.
    Crash { gateway: usize },
    /// Time passes.
    Tick,
    /// Another node leads. The former one does not know yet.
    Elect,
    /// The leader's collector reads what is garbage on a backend.
    TakeGarbage { backend: BackendId },
    /// The leader's sweeper lists a closed epoch on a backend, and asks which of the keys have rows.
    TakeSweep { node: NodeId, epoch: EpochId, backend: BackendId },
    /// A worker deletes what it found before.
    Delete { worker: usize },
    /// A worker commits that it did. Not `heard`: it does not know, and may commit the same again.
    Commit { worker: usize, heard: bool },
    /// A worker forgets what it was doing, and never says that it deleted.
    Drop { worker: usize },
    /// The rows of a swept epoch go, a page at a time.
    Prune { node: NodeId, epoch: EpochId },
}

/// Everything that may happen next.
pub fn possible(protocol: &Protocol, world: &World, actions: &mut Vec<Action>) {
    gateways(protocol, world, actions);
    clients(protocol, world, actions);
    movers(protocol, world, actions);
    for attempt in 0..world.attempts.len() {
        attempts(protocol, world, attempt, actions);
    }
    epochs(protocol, world, actions);
    workers(protocol, world, actions);
    if world.now < protocol.bounds.ticks {
        actions.push(Action::Tick);
    }
}

fn gateways(protocol: &Protocol, world: &World, actions: &mut Vec<Action>) {
    let bounds = &protocol.bounds;
    for (gateway, state) in world.gateways.iter().enumerate() {
        if state.epochs < bounds.epochs[gateway] {
            actions.push(Action::Open { gateway, heard: true });
            // Where the gateway may not open another, not to have heard is to be of no use.
            if state.epochs + 1 < bounds.epochs[gateway] {
                actions.push(Action::Open { gateway, heard: false });
            }
        }
        if state.crashes < bounds.crashes[gateway] && state.epochs > 0 {
            actions.push(Action::Crash { gateway });
        }
    }
}

fn clients(protocol: &Protocol, world: &World, actions: &mut Vec<Action>) {
    let bounds = &protocol.bounds;
    let served = |purpose: &Purpose| matches!(purpose, Purpose::Serve { .. });
    if begun(world, served) >= bounds.attempts {
        return;
    }
    for (request, state) in world.requests.iter().enumerate() {
        let made = begun(world, |purpose| *purpose == Purpose::Serve { request });
        // A client repeats a request for less time than the shard remembers it.
        let patient = protocol.fault == Some(Fault::ClientTooPatient)
            || state.began.is_none_or(|began| world.now <= began + 1);
        if state.answer.is_some() || made >= usize::from(bounds.tries) || !patient {
            continue;
        }
        let ask = bounds.asks[request];
        // Of requests that are alike the first begins first: the others would be the same worlds.
        let alike = |former: usize| bounds.asks[former] == ask;
        if (0..request).any(|former| alike(former) && world.requests[former].began.is_none()) {
            continue;
        }
        let settled = protocol.fault == Some(Fault::ConditionAtGateway)
            && ask == Ask::Create
            && world.shard.view.head.is_some();
        if settled {
            continue;
        }
        for (gateway, state) in world.gateways.iter().enumerate() {
            // Where a DELETE comes in makes no difference.
            let possible = match ask {
                Ask::Put | Ask::Create => state.open.is_some(),
                Ask::Delete => gateway == 0,
            };
            if possible {
                actions.push(Action::Begin { request, gateway });
            }
        }
    }
}

/// How many attempts there were for something.
fn begun(world: &World, of: impl Fn(&Purpose) -> bool) -> usize {
    world.attempts.iter().filter(|attempt| of(&attempt.purpose)).count()
}

/// What the workers of any node may do about copies, who may have read stale rows: here they read what is, and act later.
/// A key is given out when they read and not when they write, which nobody can notice.
fn movers(protocol: &Protocol, world: &World, actions: &mut Vec<Action>) {
    let bounds = &protocol.bounds;
    let copies = world.shard.view.copies();
    let copied = begun(world, |purpose| matches!(purpose, Purpose::Copy { .. }));
    if copied < usize::from(bounds.copies) {
        for (gateway, state) in world.gateways.iter().enumerate() {
            if state.open.is_some() {
                let moves = moves(copies, bounds.backends);
                actions.extend(moves.map(|(beside, to, replaces)| Action::Copy {
                    gateway,
                    beside,
                    to,
                    replaces,
                }));
            }
        }
    }
    let dropped = begun(world, |purpose| matches!(purpose, Purpose::Drop { .. }));
    if dropped < usize::from(bounds.drops) && copies.len() > 1 {
        actions.extend(copies.iter().map(|copy| Action::LetGo { copy: *copy }));
    }
}

/// The copies that there may be more of, where to, and whether in their place. Where there is but one backend they move
/// about on it, and on several never to where another copy is.
fn moves(copies: &[Location], backends: u8) -> impl Iterator<Item = (Location, BackendId, bool)> {
    let is_free =
        move |to: BackendId| backends == 1 || copies.iter().all(|copy| copy.backend != to);
    let free = shard::BACKENDS.into_iter().take(backends.into()).filter(move |to| is_free(*to));
    free.flat_map(move |to| {
        let replaced = copies.iter().map(move |copy| (*copy, to, true));
        let added = copies.first().filter(|_| backends > 1).map(|copy| (*copy, to, false));
        replaced.chain(added)
    })
}

fn attempts(protocol: &Protocol, world: &World, attempt: usize, actions: &mut Vec<Action>) {
    let state = &world.attempts[attempt];
    if state.uploads > 0 {
        actions.push(Action::Arrive { attempt });
        actions.push(Action::Vanish { attempt });
    }
    match state.stage {
        Stage::Uploading => {
            if protocol.fault == Some(Fault::MetadataBeforeBytes) {
                actions.push(Action::ProposeEarly { attempt });
            }
            actions.push(Action::GiveUp { attempt });
        }
        Stage::Proposed | Stage::Over => {}
    }
    if state.commands > 0 {
        if state.stage == Stage::Proposed {
            actions.push(Action::Apply { attempt, heard: true });
        }
        actions.push(Action::Apply { attempt, heard: false });
    }
}

fn epochs(protocol: &Protocol, world: &World, actions: &mut Vec<Action>) {
    let free = world.works[world.leader].is_none();
    for epoch in &world.shard.view.epochs {
        let (node, id) = (epoch.node, epoch.id);
        match epoch.phase {
            Phase::Open => {
                actions.push(Action::Close { node, epoch: id });
                if protocol.fault == Some(Fault::SweepOfOpenEpoch) && free {
                    let [backend, ..] = shard::BACKENDS;
                    actions.push(Action::TakeSweep { node, epoch: id, backend });
                }
            }
            Phase::Closed(done) if free => {
                let sweeps = u32::from(protocol.bounds.sweeps);
                let there = shard::BACKENDS.into_iter().zip(done);
                for (backend, done) in there.take(protocol.bounds.backends.into()) {
                    let last = done + 1 == sweeps;
                    let due = !last || is_last_due(protocol, world, (node, id), backend);
                    if done < sweeps && due {
                        actions.push(Action::TakeSweep { node, epoch: id, backend });
                    }
                }
            }
            Phase::Closed(_) => {}
            Phase::Swept => actions.push(Action::Prune { node, epoch: id }),
        }
    }
}

/// The last sweep is due when no upload of the epoch can be on its way any more, for so long that what a worker
/// deleted until then was committed since, or came too late.
fn is_last_due(
    protocol: &Protocol,
    world: &World,
    epoch: (NodeId, EpochId),
    backend: BackendId,
) -> bool {
    let arriving = world.is_written(epoch, backend);
    let collecting = world.is_collected_early(epoch, backend);
    match protocol.fault {
        Some(Fault::SweepWithoutGrace) => true,
        Some(Fault::CollectedTooLate) => !arriving,
        _ => !arriving && !collecting,
    }
}

fn workers(protocol: &Protocol, world: &World, actions: &mut Vec<Action>) {
    if protocol.bounds.workers == Workers::OnTwoNodes {
        actions.push(Action::Elect);
    }
    if world.works[world.leader].is_none() {
        let all = protocol.fault == Some(Fault::CollectorIgnoresRows);
        for backend in shard::BACKENDS {
            let blobs = world.shard.view.blobs.iter();
            let mut there = blobs.filter(|(place, _)| place.backend == backend);
            if there.any(|(_, life)| all || *life == Life::Garbage) {
                actions.push(Action::TakeGarbage { backend });
            }
        }
    }
    for (worker, work) in world.works.iter().enumerate() {
        let deleted = match work {
            None => continue,
            Some(Work::Collect { deleted, .. } | Work::Sweep { deleted, .. }) => *deleted,
        };
        match deleted {
            // What was only read is as good as not read.
            false => actions.push(Action::Delete { worker }),
            true => actions.extend([
                Action::Commit { worker, heard: true },
                Action::Commit { worker, heard: false },
                Action::Drop { worker },
            ]),
        }
    }
}

/// The name of the epoch that a gateway opens next, which is also the place of its entry.
pub fn next_epoch(world: &World, gateway: usize) -> (NodeId, u8) {
    (node(gateway), world.gateways[gateway].epochs + 1)
}
