//! The protocol as stateright sees it: where it begins, what may happen, what comes of it, and what must hold.

use std::sync::Arc;

use stateright::{Model, Property};

use crate::action::{self, Action};
use crate::bounds::Bounds;
use crate::fault::Fault;
use crate::log::Log;
use crate::world::World;
use crate::{commit, gateway, mover, properties, worker};

/// A world of some size, in which at most one thing is done wrong.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub bounds: Bounds,
    pub fault: Option<Fault>,
    pub log: Arc<Log>,
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::founded(&self.bounds)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        action::possible(self, world, actions);
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        world.seen = Default::default();
        self.step(&mut world, action);
        world.tidy();
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(self)
    }
}

impl Protocol {
    pub fn new(bounds: Bounds, fault: Option<Fault>) -> Self {
        Self { bounds, fault, log: Arc::new(Log::new(fault)) }
    }

    fn step(&self, world: &mut World, action: Action) {
        match action {
            Action::Open { gateway, heard } => gateway::open(self, world, gateway, heard),
            Action::Begin { request, gateway } => gateway::begin(self, world, request, gateway),
            Action::Copy { gateway, beside, to, replaces } => {
                mover::copy(self, world, gateway, mover::Copy { beside, to, replaces });
            }
            Action::LetGo { copy } => mover::let_go(self, world, copy),
            Action::Arrive { attempt } => gateway::arrive(self, world, attempt),
            Action::Vanish { attempt } => world.attempts[attempt].uploads = 0,
            Action::GiveUp { attempt } => gateway::give_up(world, attempt),
            Action::ProposeEarly { attempt } => gateway::propose(self, world, attempt),
            Action::Apply { attempt, heard } => commit::apply(self, world, attempt, heard),
            Action::Close { node, epoch } => worker::close(self, world, node, epoch),
            Action::Crash { gateway } => gateway::crash(world, gateway),
            Action::Tick => world.now += 1,
            Action::Elect => world.leader = 1 - world.leader,
            Action::TakeGarbage { backend } => worker::take_garbage(self, world, backend),
            Action::TakeSweep { node, epoch, backend } => {
                worker::take_sweep(self, world, (node, epoch), backend);
            }
            Action::Delete { worker } => worker::delete(world, worker),
            Action::Commit { worker, heard } => worker::commit(self, world, worker, heard),
            Action::Drop { worker } => world.works[worker] = None,
            Action::Prune { node, epoch } => worker::prune(self, world, node, epoch),
        }
    }
}
