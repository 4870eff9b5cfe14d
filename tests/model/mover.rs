//! How bytes move without a client (R1 to R3 of `node`'s repair worker): a copy is read and written elsewhere, and then a
//! command makes it one, beside another or in its place. Or a copy is let go of where there are several.

use vaultaire_proto::BackendId;
use vaultaire_proto::object::Location;

use crate::gateway;
use crate::model::Protocol;
use crate::shard;
use crate::world::{Attempt, Purpose, Stage, World};

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Copy {
    pub beside: Location,
    pub to: BackendId,
    pub replaces: bool,
}

/// R1: the bytes are read. They are checked against the row, so those that are not the version's go nowhere.
pub fn copy(protocol: &Protocol, world: &mut World, gateway: usize, copy: Copy) {
    let Some(head) = &world.shard.view.head else { return };
    let Some(stored) = world.stored.get(&copy.beside) else { return };
    if shard::etag(stored.bytes) != head.etag {
        return;
    }
    let Copy { beside, to, replaces } = copy;
    let purpose = Purpose::Copy { bytes: stored.bytes, beside, replaces };
    let place = gateway::fresh_place(protocol, world, gateway, to);
    world.attempts.push(Attempt {
        purpose,
        gateway,
        place,
        not_after: u8::MAX,
        stage: Stage::Uploading,
        uploads: 1 + protocol.bounds.resends,
        commands: 0,
    });
}

/// A copy is one too many, as the rows are read now.
pub fn let_go(protocol: &Protocol, world: &mut World, copy: Location) {
    world.attempts.push(Attempt {
        purpose: Purpose::Drop { copy },
        gateway: 0,
        place: None,
        not_after: u8::MAX,
        stage: Stage::Proposed,
        uploads: 0,
        commands: 1 + protocol.bounds.repeats,
    });
}
