//! Typed access to rows. A row that cannot be read is damage below us: stopping is right, since
//! guessing would make this replica another state than its peers.

use bytes::Bytes;

use crate::convert::Stored;
use crate::tables::{Reader, Tables};

/// Reads a row; none when it is absent.
pub fn get<T: Stored>(reader: &(impl Reader + ?Sized), key: &[u8]) -> Option<T> {
    reader.get(key).map(|value| decode(key, &value))
}

/// Writes a row.
pub fn put<T: Stored>(tables: &mut dyn Tables, key: Vec<u8>, value: &T) {
    tables.put(key, value.encode());
}

/// Reads a value that was found under `key`.
pub fn decode<T: Stored>(key: &[u8], value: &Bytes) -> T {
    match T::decode(value) {
        Ok(row) => row,
        Err(error) => damaged(key, error),
    }
}

/// Stops at a row that is not what it should be.
pub fn damaged(key: &[u8], why: impl std::fmt::Display) -> ! {
    panic!(
        "row {} is damaged: {why}; restore this node from a peer or a snapshot",
        hex::encode(key)
    )
}
