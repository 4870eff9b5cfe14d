//! The front end to end, in one process: real signatures, real state machine, bytes in memory.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod buckets;
mod conditions;
mod forms;
mod lists;
mod multipart;
mod objects;
mod signatures;
mod slow;
mod versions;
