//! Consensus: control group and index shards as Raft groups over one journal. openraft is known here
//! and nowhere else in the workspace.
//!
//! How it reads: `log` (the journal), `types` and `codec` (openraft's types as ours, and their bytes), `log_store`,
//! `state_machine`, `snapshot`, `network` (openraft's traits), `arriving` (a snapshot that has come in part), `proposer` (commands in, which `gather` lets share a sync),
//! `barrier` (reads in), `replica` (one group running), `watch` (its death), `purge` (what the log forgets), `stall` (a disk that
//! hangs), `opening` (a
//! directory's start), and `group` (all of them).

pub mod agreement;
pub mod arriving;
pub mod barrier;
pub mod codec;
pub mod directory;
pub mod forward;
pub mod gather;
pub mod group;
pub mod kinds;
pub mod log;
pub mod log_store;
pub mod members;
pub mod network;
pub mod opening;
pub mod peers;
pub mod proposer;
pub mod purge;
pub mod replica;
pub mod runtime;
pub mod snapshot;
pub mod stall;
pub mod state_machine;
pub mod types;
pub mod watch;
pub mod wire;

#[cfg(test)]
mod tests;
