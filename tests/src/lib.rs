//! What Rust tests share: a running `vaultaire` binary or a cluster of them, and an S3 client for it.
//!
//! It holds no test and no model of what a server should answer.

pub mod client;
pub mod cluster;
pub mod process;
pub mod server;
