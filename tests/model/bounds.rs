//! How large a world is: everything that could happen without end has a bound here, and the named
//! sizes say what is looked at together. A size is exhaustive within its bounds, and says nothing beyond them.

/// What a client asks for, on the one key that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    Put,
    /// PUT with `If-None-Match: *`.
    Create,
    Delete,
}

/// The bounds of a world.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
    /// The clients' requests. Each may begin at any time, at any gateway.
    pub asks: &'static [Ask],
    /// How often each request may be made by its client, the first time included; all requests together.
    pub tries: u8,
    pub attempts: usize,
    /// How often a gateway proposes a command again whose outcome it does not know.
    pub repeats: u8,
    /// How often the client of a backend sends an upload again by itself.
    pub resends: u8,
    /// Backends that there are. Clients' bytes go to the first.
    pub backends: u8,
    /// How many copies workers begin to make beside one that there is, or in its place.
    pub copies: u8,
    /// How many copies workers try to let go of.
    pub drops: u8,
    /// Write epochs that each gateway may open.
    pub epochs: [u8; 2],
    /// Crashes of each gateway.
    pub crashes: [u8; 2],
    /// How many sweeps an epoch gets on a backend; the last is the one after which no upload arrives.
    pub sweeps: u8,
    /// How often time passes: after one tick a command is too late, after two its answer is forgotten.
    pub ticks: u8,
    pub workers: Workers,
}

/// How the workers of a shard run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Workers {
    /// Each round is one step: for worlds that look at something else.
    AtOnce,
    /// Reading, deleting and committing are steps of their own.
    InSteps,
    /// The same on two nodes, between which the lead moves.
    OnTwoNodes,
}

pub const BASE: Bounds = Bounds {
    name: "",
    about: "",
    asks: &[],
    tries: 1,
    attempts: 4,
    repeats: 0,
    resends: 0,
    backends: 1,
    copies: 0,
    drops: 0,
    epochs: [1, 0],
    crashes: [0, 0],
    sweeps: 1,
    ticks: 0,
    workers: Workers::AtOnce,
};

/// Sizes that are looked at by every run of the tests.
pub const SMALL: [Bounds; 6] = [
    Bounds {
        name: "writers",
        about: "two gateways, of which one crashes, and two creates, of which one wins",
        asks: &[Ask::Create, Ask::Create],
        attempts: 2,
        epochs: [2, 1],
        crashes: [1, 0],
        ..BASE
    },
    Bounds {
        name: "workers",
        about: "collectors and sweepers of a deposed and a new leader, uploads that arrive late",
        asks: &[Ask::Put, Ask::Put],
        attempts: 2,
        resends: 1,
        sweeps: 2,
        workers: Workers::OnTwoNodes,
        ..BASE
    },
    Bounds {
        name: "deletes",
        about: "PUT, DELETE and retries of both in one epoch",
        asks: &[Ask::Put, Ask::Delete],
        tries: 2,
        attempts: 3,
        repeats: 1,
        ..BASE
    },
    Bounds {
        name: "time",
        about: "commands that come too late, answers that are forgotten",
        asks: &[Ask::Put, Ask::Delete],
        attempts: 2,
        repeats: 1,
        ticks: 2,
        ..BASE
    },
    Bounds {
        name: "copies",
        about: "a second copy, or a move, and two workers that each want to let go of one",
        asks: &[Ask::Put],
        attempts: 1,
        backends: 2,
        copies: 1,
        drops: 2,
        epochs: [1, 1],
        ..BASE
    },
    Bounds {
        name: "moves",
        about: "an overwrite, and bytes that move meanwhile, each proposed twice",
        asks: &[Ask::Put, Ask::Put],
        attempts: 2,
        repeats: 1,
        copies: 1,
        ..BASE
    },
];

/// Sizes that take minutes.
pub const FULL: [Bounds; 9] = [
    Bounds {
        name: "writers-full",
        about: "two gateways, two writes of which one is a create, and a DELETE, each proposed twice",
        asks: &[Ask::Put, Ask::Create, Ask::Delete],
        attempts: 3,
        repeats: 1,
        epochs: [1, 1],
        ..BASE
    },
    Bounds {
        name: "crashes-full",
        about: "two gateways, of which one crashes, retries with new bytes, each proposed twice",
        asks: &[Ask::Put, Ask::Create],
        tries: 2,
        attempts: 2,
        repeats: 1,
        epochs: [2, 1],
        crashes: [1, 0],
        ..BASE
    },
    Bounds {
        name: "workers-full",
        about: "an overwrite and a DELETE under the workers of two leaders",
        asks: &[Ask::Put, Ask::Put, Ask::Delete],
        attempts: 3,
        sweeps: 2,
        workers: Workers::OnTwoNodes,
        ..BASE
    },
    Bounds {
        name: "zombies-full",
        about: "uploads that arrive twice and late, in two epochs, under the workers of two leaders",
        asks: &[Ask::Put, Ask::Delete],
        attempts: 2,
        resends: 1,
        epochs: [2, 0],
        crashes: [1, 0],
        sweeps: 2,
        workers: Workers::OnTwoNodes,
        ..BASE
    },
    Bounds {
        name: "deletes-full",
        about: "PUT, DELETE, and retries of both, with workers in the middle of them",
        asks: &[Ask::Put, Ask::Delete],
        tries: 2,
        attempts: 4,
        repeats: 1,
        workers: Workers::InSteps,
        ..BASE
    },
    Bounds {
        name: "time-full",
        about: "late commands, forgotten answers, and retries",
        asks: &[Ask::Put, Ask::Delete, Ask::Put],
        tries: 2,
        attempts: 3,
        repeats: 1,
        ticks: 2,
        ..BASE
    },
    Bounds {
        name: "copies-full",
        about: "two copies or moves, and two that workers want to let go of",
        asks: &[Ask::Put],
        attempts: 1,
        backends: 2,
        copies: 2,
        drops: 2,
        epochs: [1, 1],
        workers: Workers::InSteps,
        ..BASE
    },
    Bounds {
        name: "copies-deleted-full",
        about: "two copies or moves of an object that is deleted, and one that is let go of",
        asks: &[Ask::Put, Ask::Delete],
        attempts: 2,
        backends: 2,
        copies: 2,
        drops: 1,
        workers: Workers::InSteps,
        ..BASE
    },
    Bounds {
        name: "moves-full",
        about: "moves that arrive twice and late, against an overwrite, under the workers of two leaders",
        asks: &[Ask::Put, Ask::Put],
        attempts: 2,
        repeats: 1,
        copies: 1,
        workers: Workers::OnTwoNodes,
        ..BASE
    },
];

/// A size by its name.
pub fn named(name: &str) -> Option<Bounds> {
    SMALL.iter().chain(&FULL).find(|bounds| bounds.name == name).cloned()
}
