//! What happens to bytes between a client and a backend: hashed on the way in, verified on the way
//! out. Where they go is not decided here.

pub mod checksum;
pub mod hash;
pub mod verify;
