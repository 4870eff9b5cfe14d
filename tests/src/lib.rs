//! What Rust tests share: a running `vaultaire` binary, and an S3 client for it.
//!
//! It holds no test and no model of what a server should answer.

pub mod client;
pub mod server;
