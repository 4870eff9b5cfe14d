//! Bytes on their way in and out. What they mean is decided by the operations.

pub mod fan;
pub mod incoming;
pub mod outgoing;
pub mod rewrite;
pub mod store;
pub mod xml;
