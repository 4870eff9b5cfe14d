//! A node without rows: it serves S3 like every other, and asks those that have them. It holds nothing that could be lost; there
//! may be as many as requests need.
//!
//! How it reads: `catalog` (the seam, by calls), `answers` (the other side of it), `roster` (whom to ask), `start`.

pub mod answers;
pub mod catalog;
pub mod roster;
pub mod start;
