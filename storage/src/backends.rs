//! The places that keep blobs: one module each behind the seam of `backend.rs`. Which of them a
//! node uses is configuration (`config.rs`, `registry.rs`).

pub mod disk;
pub mod identity;
pub mod memory;
pub mod s3;
