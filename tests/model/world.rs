//! The state of the model: the real tables of a shard, and beside them what is not replicated —
//! gateways, what is on its way, a backend, workers, and what the clients were told.

use std::collections::BTreeMap;
use std::sync::Arc;

use vaultaire_proto::object::Location;
use vaultaire_proto::{BackendId, EpochId, NodeId, Rejection, VersionId};

use crate::bounds::Bounds;
use crate::shard::Shard;

/// Everything there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub shard: Arc<Shard>,
    /// The leader's time, in ticks.
    pub now: u8,
    /// Versions minted so far: where the next one stands in the log.
    pub versions: u8,
    pub gateways: [Gateway; 2],
    /// In the order in which they began.
    pub attempts: Vec<Attempt>,
    pub requests: Vec<Request>,
    /// What the backends hold.
    pub stored: BTreeMap<Location, Stored>,
    pub leader: usize,
    /// What each node's worker is in the middle of.
    pub works: [Option<Work>; 2],
    pub seen: Seen,
}

/// A process that takes requests: one life after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Gateway {
    pub crashes: u8,
    /// How many epochs its lives opened.
    pub epochs: u8,
    /// The epoch that it writes under, as far as it knows, and how many keys it gave out.
    pub open: Option<(EpochId, u8)>,
}

/// One try to carry out a request, where a retry of the client is another one; or a worker's, to change the copies of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub purpose: Purpose,
    pub gateway: usize,
    /// Where its bytes go. None: there are none.
    pub place: Option<Location>,
    /// The tick after which its command is too late.
    pub not_after: u8,
    pub stage: Stage,
    /// Copies of its upload that may yet arrive at the backend.
    pub uploads: u8,
    /// Copies of its command that may yet be committed.
    pub commands: u8,
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    Serve {
        request: usize,
    },
    /// A copy beside one that was read, or in its place.
    Copy {
        /// The request whose bytes they are.
        bytes: usize,
        beside: Location,
        replaces: bool,
    },
    /// To let go of a copy that was one of several when they were read.
    Drop {
        copy: Location,
    },
}

/// What the gateway of an attempt is doing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Uploading,
    Proposed,
    /// It was answered, given up, or its gateway died. What is on its way still is.
    Over,
}

/// What became of a request, by the rows and by what its client heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Request {
    /// When its client began.
    pub began: Option<u8>,
    /// How often a command of it changed what is visible: 2 stands for more.
    pub changes: u8,
    /// The version that it made.
    pub made: Option<VersionId>,
    pub answer: Option<Answer>,
    /// A later answer said something else.
    pub contradicted: bool,
}

/// A definite answer to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    pub said: Said,
    /// How often the request had changed something when this was said.
    pub changes: u8,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    Put(VersionId),
    Deleted,
    Refused(Rejection),
}

/// Bytes at a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stored {
    /// The request whose bytes they are.
    pub bytes: usize,
    /// They arrived when nobody waited for them any more.
    pub zombie: bool,
}

/// What a worker has begun. It acts on what it read, however long ago that is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    Collect {
        blobs: Vec<Location>,
        deleted: bool,
        /// It deleted while uploads of one of their epochs might still arrive.
        early: bool,
    },
    Sweep {
        node: NodeId,
        epoch: EpochId,
        backend: BackendId,
        round: u32,
        last: bool,
        orphans: Vec<Location>,
        deleted: bool,
    },
}

/// What the last step showed: a set, since one step may show several things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seen(u32);

/// What a step may show. The first ones must never be seen, the others must be reachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Sight {
    LiveBytesDeleted = 1 << 0,
    ThroughClosedEpoch = 1 << 1,
    ConditionIgnored = 1 << 2,
    ZombieSwept = 1 << 3,
    RepeatAnswered = 1 << 4,
    RetryAnswered = 1 << 5,
    EpochClosed = 1 << 6,
    Late = 1 << 7,
    OutcomeUnknown = 1 << 8,
    Refused = 1 << 9,
    DeposedCollector = 1 << 10,
    DeposedSweeper = 1 << 11,
    VersionMoved = 1 << 12,
    PlaceEpochKept = 1 << 13,
    CopyAdded = 1 << 14,
    CopyReplaced = 1 << 15,
    CopyDropped = 1 << 16,
    CopyRefused = 1 << 17,
    CopyRepeated = 1 << 18,
    Superseded = 1 << 19,
    LastCopyKept = 1 << 20,
}

impl Seen {
    pub fn add(&mut self, sight: Sight) {
        self.0 |= sight as u32;
    }

    pub fn has(self, sight: Sight) -> bool {
        self.0 & sight as u32 != 0
    }
}

impl World {
    /// A shard that was founded, and nothing else.
    pub fn founded(bounds: &Bounds) -> Self {
        Self {
            shard: Arc::new(Shard::founded(bounds.backends)),
            now: 0,
            versions: 0,
            gateways: Default::default(),
            attempts: Vec::new(),
            requests: vec![Request::default(); bounds.asks.len()],
            stored: BTreeMap::new(),
            leader: 0,
            works: [None, None],
            seen: Seen::default(),
        }
    }

    /// Whether an upload of this epoch may still arrive at this backend.
    pub fn is_written(&self, epoch: (NodeId, EpochId), backend: BackendId) -> bool {
        let is_there = |place: Location| is_of(&place, epoch) && place.backend == backend;
        self.attempts
            .iter()
            .any(|attempt| attempt.uploads > 0 && attempt.place.is_some_and(is_there))
    }

    /// Whether a collector has deleted of this epoch there, while uploads of it might still arrive, and not said so yet.
    pub fn is_collected_early(&self, epoch: (NodeId, EpochId), backend: BackendId) -> bool {
        self.works.iter().flatten().any(|work| match work {
            Work::Collect { blobs, early, .. } => {
                let is_there = |blob: &Location| is_of(blob, epoch) && blob.backend == backend;
                *early && blobs.iter().any(is_there)
            }
            Work::Sweep { .. } => false,
        })
    }

    /// The workers have nothing left to do. Commands may still be on their way: they need never come.
    pub fn is_quiet(&self) -> bool {
        self.attempts.iter().all(|attempt| attempt.uploads == 0)
            && self.works.iter().all(Option::is_none)
            && self.shard.view.epochs.is_empty()
            && !self.shard.view.has_garbage()
    }

    /// Forgets of attempts what can make no difference any more, so that worlds that differ only in it are one.
    pub fn tidy(&mut self) {
        for attempt in &mut self.attempts {
            match attempt.stage {
                Stage::Uploading if attempt.uploads == 0 => attempt.stage = Stage::Over,
                Stage::Proposed if attempt.commands == 0 => attempt.stage = Stage::Over,
                Stage::Uploading | Stage::Proposed | Stage::Over => {}
            }
            if attempt.stage == Stage::Over {
                attempt.gateway = 0;
                if attempt.commands == 0 {
                    attempt.not_after = 0;
                }
            }
        }
    }
}

/// Whether a place is under the prefix of an epoch.
pub fn is_of(place: &Location, epoch: (NodeId, EpochId)) -> bool {
    (place.key.node, place.key.epoch) == epoch
}

/// The node that a gateway is.
pub fn node(gateway: usize) -> NodeId {
    NodeId(u64::try_from(gateway).map_or(0, |gateway| gateway + 1))
}
