//! Faults of our own, planted so that the harnesses are seen to find them. They are there only in builds with the feature
//! `planted`, which nothing but the tests asks for, and only where somebody plants one. In every other build `is` is a
//! constant no, and the compiler leaves nothing of them.
//!
//! Each is a mistake that a store of this kind could make, in one place of the server; where it was planted says
//! `planted::is(Planted::...)`.

use std::fmt;
use std::str::FromStr;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The journal acknowledges what it has not synced.
    AckBeforeSync = 1,
    /// Votes are not synced; entries are.
    VoteUnsynced,
    /// Reads are answered from this node's rows, however old.
    ReadWithoutBarrier,
    /// A read uses a confirmation that was asked for before it arrived.
    ReadIndexReused,
    /// A request that comes again is carried out again.
    DedupeOff,
    /// A condition is decided by whoever proposes, and not where the command is applied.
    ConditionAtProposer,
    /// Bytes of a closed epoch may be referenced for the first time.
    ClosedEpochOpen,
    /// Closed epochs are swept at once, and only at once.
    SweepWithoutGrace,
    /// What is copied becomes a copy of the current version, whichever that is by then.
    CopyUnchecked,
    /// Replaced bytes go without a drain, and a read whose bytes are gone does not look again.
    CollectedUndrained,
    /// A snapshot is installed in pieces, over the rows that are there.
    InstallTorn,
    /// Commands are applied with the time of the node that applies them.
    LocalClock,
    /// The bytes of a command that comes again are collected, though its first time made them live.
    DedupeCollects,
    /// The last shard is not told what a bucket's versioning is.
    VersioningUnlearned,
    /// The head of a journal segment has no votes: a group's goes with the last segment that has it as a record.
    IdleVoteDropped,
    /// What an entry changes, and that it was applied, are two writes.
    ApplyTorn,
}

/// All there are.
pub const ALL: [Planted; 16] = [
    Planted::AckBeforeSync,
    Planted::VoteUnsynced,
    Planted::ReadWithoutBarrier,
    Planted::ReadIndexReused,
    Planted::DedupeOff,
    Planted::ConditionAtProposer,
    Planted::ClosedEpochOpen,
    Planted::SweepWithoutGrace,
    Planted::CopyUnchecked,
    Planted::CollectedUndrained,
    Planted::InstallTorn,
    Planted::LocalClock,
    Planted::DedupeCollects,
    Planted::VersioningUnlearned,
    Planted::IdleVoteDropped,
    Planted::ApplyTorn,
];

impl fmt::Display for Planted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::AckBeforeSync => "ack-before-sync",
            Self::VoteUnsynced => "vote-unsynced",
            Self::ReadWithoutBarrier => "read-without-barrier",
            Self::ReadIndexReused => "read-index-reused",
            Self::DedupeOff => "dedupe-off",
            Self::ConditionAtProposer => "condition-at-proposer",
            Self::ClosedEpochOpen => "closed-epoch-open",
            Self::SweepWithoutGrace => "sweep-without-grace",
            Self::CopyUnchecked => "copy-unchecked",
            Self::CollectedUndrained => "collected-undrained",
            Self::InstallTorn => "install-torn",
            Self::LocalClock => "local-clock",
            Self::DedupeCollects => "dedupe-collects",
            Self::VersioningUnlearned => "versioning-unlearned",
            Self::IdleVoteDropped => "idle-vote-dropped",
            Self::ApplyTorn => "apply-torn",
        })
    }
}

impl FromStr for Planted {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = ALL.into_iter().find(|planted| planted.to_string() == name);
        named.ok_or_else(|| format!("{name} is none of {}", names()))
    }
}

/// All of them, for people.
pub fn names() -> String {
    ALL.map(|planted| planted.to_string()).join(", ")
}

/// Whether this process is to behave as the release before this one, where a test mixes releases: it says so of itself, and cannot
/// apply what came later.
#[cfg(feature = "planted")]
pub fn is_old_release() -> bool {
    std::env::var_os("VAULTAIRE_OLD_RELEASE").is_some()
}

/// Never.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is_old_release() -> bool {
    false
}

/// Why a fault was not planted: this is a build for users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBuilt;

#[cfg(feature = "planted")]
static PROCESS: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

#[cfg(feature = "planted")]
thread_local! {
    static THREAD: std::cell::Cell<u8> = const { std::cell::Cell::new(0) };
}

/// Plants a fault in the whole process, for good.
#[cfg(feature = "planted")]
pub fn plant(planted: Planted) -> Result<(), NotBuilt> {
    PROCESS.store(planted as u8, std::sync::atomic::Ordering::Relaxed);
    Ok(())
}

/// Refuses.
#[cfg(not(feature = "planted"))]
pub const fn plant(_: Planted) -> Result<(), NotBuilt> {
    Err(NotBuilt)
}

/// Plants a fault for what runs on this thread, or none any more.
#[cfg(feature = "planted")]
pub fn plant_here(planted: Option<Planted>) {
    THREAD.set(planted.map_or(0, |planted| planted as u8));
}

/// Whether this fault is planted.
#[cfg(feature = "planted")]
pub fn is(planted: Planted) -> bool {
    let process = PROCESS.load(std::sync::atomic::Ordering::Relaxed);
    [THREAD.get(), process].contains(&(planted as u8))
}

/// Never.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is(_: Planted) -> bool {
    false
}
