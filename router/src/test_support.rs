//! What the tests of this crate stand on: the real service over a catalog without Raft and a backend in
//! memory, and a small signer that speaks every framing of SigV4. No part of it is in the library.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod odd;
pub mod sign;
pub mod world;
