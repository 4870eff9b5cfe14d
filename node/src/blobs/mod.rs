//! Blobs on other nodes' disks: a backend like any other to whoever writes and reads, whose bytes travel over gRPC.
//!
//! How it reads: `faults` (errors that survive the way), `upload` (a body as messages), `client` (the backend as the others
//! see it), `server` (the node that has it), `watch` (which of them there are).

pub mod client;
pub mod faults;
pub mod server;
pub mod upload;
pub mod watch;

#[cfg(test)]
mod tests;

/// Bytes of one message: larger chunks are split.
pub const CHUNK_BYTES_MAX: usize = 256 << 10;
