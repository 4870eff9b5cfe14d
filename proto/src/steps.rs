//! The steps of the protocols between which a crash must cost nothing. Code says where it is with `reach`; simulations crash there.
//! Only builds with the feature `planted` listen; in every other build nothing is left of it.

/// What has just been done, and nothing after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A shard has opened an epoch; nobody has written under it.
    EpochOpened,
    /// A copy of a new object is on its backend, perhaps not the last one.
    CopyWritten,
    /// All are, and no row knows them.
    CopiesWritten,
    /// Commands were given to the leader, or to this node as such; no answer was heard.
    Proposed,
    /// A batch is in the log's file and not synced.
    BatchWritten,
    /// It is synced; nobody has been told.
    BatchSynced,
    /// The same of a batch with votes.
    VoteSynced,
    /// Rows are changed; nobody has been told.
    RowsWritten,
    /// Who asked has been told.
    Answered,
    /// A shard has closed an epoch.
    EpochClosed,
    /// Garbage whose time has come was found.
    GarbageFound,
    /// Its bytes are gone, and its rows are not.
    GarbageDeleted,
    /// Its rows say so.
    GarbageCollected,
    /// A sweep has found bytes that no row knows.
    OrphansFound,
    /// They are gone.
    OrphansDeleted,
    /// The sweep is counted.
    SweepCounted,
    /// A page of a swept epoch's rows is gone.
    EpochPruned,
    /// A copy was made of an object that is there, and no row knows it.
    CopyMade,
    /// Its row names the copy.
    CopyAdded,
    /// A copy was given up.
    CopyDropped,
    /// Tables were synced so that the log may forget.
    TablesPersisted,
    /// The log was told to forget.
    LogPurged,
    /// A snapshot has come, whole.
    SnapshotReceived,
    /// Its rows took the place of others; the log beneath still ends below them.
    RowsInstalled,
    /// A segment of the log has begun, and the one before it is not sealed.
    SegmentBegun,
    /// It is.
    SegmentSealed,
    /// A segment that nothing needs is gone.
    SegmentRemoved,
}

/// All of them.
pub const ALL: [Step; 27] = [
    Step::EpochOpened,
    Step::CopyWritten,
    Step::CopiesWritten,
    Step::Proposed,
    Step::BatchWritten,
    Step::BatchSynced,
    Step::VoteSynced,
    Step::RowsWritten,
    Step::Answered,
    Step::EpochClosed,
    Step::GarbageFound,
    Step::GarbageDeleted,
    Step::GarbageCollected,
    Step::OrphansFound,
    Step::OrphansDeleted,
    Step::SweepCounted,
    Step::EpochPruned,
    Step::CopyMade,
    Step::CopyAdded,
    Step::CopyDropped,
    Step::TablesPersisted,
    Step::LogPurged,
    Step::SnapshotReceived,
    Step::RowsInstalled,
    Step::SegmentBegun,
    Step::SegmentSealed,
    Step::SegmentRemoved,
];

/// Told of each step on its thread.
#[cfg(feature = "planted")]
pub type Listener = Box<dyn Fn(Step)>;

#[cfg(feature = "planted")]
thread_local! {
    static LISTENER: std::cell::RefCell<Option<Listener>> = const { std::cell::RefCell::new(None) };
}

/// From now on this one hears of the steps of this thread, or nobody.
#[cfg(feature = "planted")]
pub fn listen(listener: Option<Listener>) {
    LISTENER.replace(listener);
}

/// A step is done.
#[cfg(feature = "planted")]
pub fn reach(step: Step) {
    LISTENER.with_borrow(|listener| {
        if let Some(listener) = listener {
            listener(step);
        }
    });
}

/// Nobody listens.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn reach(_: Step) {}
