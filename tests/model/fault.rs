//! Mutants: each is one fault that the protocol is there to exclude, switched on by name, and the
//! property that has to notice it. A model that finds none of them would show nothing by finding no other.

use crate::bounds::{Ask, BASE, Bounds, Workers};
use crate::properties;

/// What is done wrong, and where: in the shard's state machine, at a gateway, or in a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The shard takes a commit of bytes of a closed epoch.
    NoFence,
    /// The shard forgets at once what it answered.
    DedupeOff,
    /// The shard looks at the request id first (5b before 5a): a repeated proposal is taken for a
    /// client's retry, and the bytes that it committed before become garbage.
    DedupeCollectsCommitted,
    /// The shard ignores `not_after`.
    DeadlineOff,
    /// The condition is decided by the gateway when the request comes in, and not by the shard.
    ConditionAtGateway,
    /// A gateway proposes before its upload has arrived.
    MetadataBeforeBytes,
    /// A gateway gives out the same key of its epoch again and again.
    KeyReuse,
    /// The same, and the shard forgets a blob when it is collected; so the list of a collector that was
    /// deposed meanwhile, who does not check it again, names the key of new bytes.
    StaleCollector,
    /// The collector does not look at what the row says of a blob.
    CollectorIgnoresRows,
    /// The last sweep is made while uploads of its epoch may still arrive.
    SweepWithoutGrace,
    /// The sweeper does not ask whether the epoch is closed.
    SweepOfOpenEpoch,
    /// The sweeper deletes whatever it lists.
    SweepIgnoresRows,
    /// A collector's commit counts however late it comes: also when bytes that it deleted arrived again since, and the last
    /// sweep has seen them while their row still said garbage.
    CollectedTooLate,
    /// A gateway goes on to write under an epoch that had its last sweep.
    EpochHeldTooLong,
    /// A client repeats a request when its answer is forgotten.
    ClientTooPatient,
    /// The shard puts a copy among those of whatever version is visible, and not only where the copy that was read is still one.
    CopyUnchecked,
    /// The shard does not know a copy again that it has taken already: a repeated proposal is one that lost, and its bytes
    /// are garbage.
    CopyTakenTwice,
    /// A worker deletes the bytes that it moved before the shard knows of their new place.
    SourceDeletedFirst,
    /// The shard forgets the bytes that were moved away from, and lets nobody collect them.
    SourceForgotten,
    /// The shard lets go of a copy without a look at how many are left.
    LastCopyDropped,
}

/// A fault in a world that is just large enough, and the properties that must find it there.
#[derive(Clone, Debug)]
pub struct Mutant {
    pub fault: Fault,
    pub found_by: &'static [&'static str],
    pub bounds: Bounds,
}

/// One PUT, one epoch, one worker.
const ONE: Bounds =
    Bounds { name: "mutant", asks: &[Ask::Put], attempts: 1, workers: Workers::InSteps, ..BASE };

/// Every mutant.
pub fn mutants() -> Vec<Mutant> {
    let two_tries = Bounds { tries: 2, attempts: 2, ..ONE };
    let repeated = Bounds { repeats: 1, ..ONE };
    let two_puts = Bounds { asks: &[Ask::Put, Ask::Put], attempts: 2, ..ONE };
    let two_creates = Bounds { asks: &[Ask::Create, Ask::Create], attempts: 2, ..ONE };
    let around = Bounds { asks: &[Ask::Put, Ask::Delete, Ask::Put], attempts: 3, ..ONE };
    let late = Bounds { repeats: 1, ticks: 2, ..around.clone() };
    let again = Bounds { resends: 1, workers: Workers::OnTwoNodes, ..two_puts.clone() };
    let patient = Bounds { epochs: [2, 0], ticks: 2, ..two_tries.clone() };
    let deposed = Bounds { workers: Workers::OnTwoNodes, ..around };
    let moved = Bounds { copies: 1, ..ONE };
    let overwritten = Bounds { copies: 1, ..two_puts.clone() };
    let moved_again = Bounds { repeats: 1, ..moved.clone() };
    let outlived = Bounds { epochs: [1, 1], ..moved.clone() };
    let two_copies = Bounds { backends: 2, drops: 2, ..moved.clone() };
    vec![
        mutant(Fault::NoFence, &[properties::I7, properties::I1], ONE),
        mutant(Fault::DedupeOff, &[properties::I6], two_tries),
        mutant(
            Fault::DedupeCollectsCommitted,
            &[properties::ROWS, properties::I3, properties::I1],
            repeated,
        ),
        mutant(Fault::DeadlineOff, &[properties::I6], late),
        mutant(Fault::ConditionAtGateway, &[properties::I5], two_creates),
        mutant(Fault::MetadataBeforeBytes, &[properties::I1], ONE),
        mutant(Fault::KeyReuse, &[properties::I2, properties::I1], two_puts),
        mutant(Fault::StaleCollector, &[properties::I2, properties::I3, properties::I1], deposed),
        mutant(Fault::CollectorIgnoresRows, &[properties::I3, properties::I1], ONE),
        mutant(Fault::SweepWithoutGrace, &[properties::I4, properties::I4_IN_THE_END], ONE),
        mutant(Fault::SweepOfOpenEpoch, &[properties::I1], ONE),
        mutant(Fault::SweepIgnoresRows, &[properties::I3, properties::I1], ONE),
        mutant(Fault::CollectedTooLate, &[properties::I4, properties::I4_IN_THE_END], again),
        mutant(Fault::EpochHeldTooLong, &[properties::I4], ONE),
        mutant(Fault::ClientTooPatient, &[properties::I6], patient),
        mutant(Fault::CopyUnchecked, &[properties::I1], overwritten),
        mutant(
            Fault::CopyTakenTwice,
            &[properties::ROWS, properties::I3, properties::I1],
            moved_again,
        ),
        mutant(Fault::SourceDeletedFirst, &[properties::I3, properties::I1], moved),
        mutant(Fault::SourceForgotten, &[properties::I4, properties::I4_IN_THE_END], outlived),
        mutant(Fault::LastCopyDropped, &[properties::I1], two_copies),
    ]
}

fn mutant(fault: Fault, found_by: &'static [&'static str], bounds: Bounds) -> Mutant {
    Mutant { fault, found_by, bounds }
}
