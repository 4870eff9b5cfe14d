//! What Rust tests share: a running `vaultaire` binary or a cluster of them, an S3 client for it, and how
//! a benchmark ends.
//!
//! `simulation` has whole clusters in one thread instead, driven by seeds.

pub mod bench;
pub mod client;
pub mod cluster;
pub mod process;
pub mod server;

#[path = "../simulation/mod.rs"]
pub mod simulation;
