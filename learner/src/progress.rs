//! How far a simulation is, for whoever watches it from another thread.

use std::sync::atomic::AtomicU64;

/// Counts that only grow.
#[derive(Debug, Default)]
pub struct Progress {
    /// Networks that are trained, of so many.
    pub networks: AtomicU64,
    pub networks_of: AtomicU64,
    /// Accesses that were looked at.
    pub accesses: AtomicU64,
    /// Events that a guard has gone through, of so many.
    pub events: AtomicU64,
    pub events_of: AtomicU64,
}
