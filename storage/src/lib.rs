//! Where bytes live: backends behind one seam, and what happens to bytes on the way to them.
//! It knows nothing of buckets, of Raft or of prices: a blob is bytes at a write-once key.

pub mod backend;
pub mod backends;
pub mod config;
pub mod conformance;
pub mod error;
pub mod pipeline;
pub mod probe;
pub mod registry;
