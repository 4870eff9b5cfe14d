//! What a history must never show. The checkers have a model of their own: a key is a register, and
//! nothing of the server's code is asked what is right.

pub mod coverage;
pub mod creates;
pub mod durability;
pub mod explain;
pub mod judge;
pub mod linearizable;
pub mod listing;
pub mod register;
pub mod registers;
#[cfg(test)]
mod sample;
pub mod spans;
pub mod uploads;
pub mod versioned;
pub mod versions;

use std::fmt;

use serde::Serialize;

/// One thing that no client may ever see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub kind: Kind,
    pub key: String,
    pub detail: String,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Acknowledged, and gone.
    Lost,
    /// An older content came back over an acknowledged newer one.
    Stale,
    /// Bytes that nobody ever sent to this key, or an entity tag that is not theirs.
    WrongBytes,
    /// An acknowledged DELETE did not last.
    Resurrected,
    /// An operation that was definitely refused took effect.
    Phantom,
    /// More than one of several concurrent creates won, or none did.
    DoubleCreate,
    /// A condition was answered against what the key held.
    Precondition,
    /// A valid request was answered with a client error.
    Refused,
    /// A key could not be read though the server was up.
    Unreadable,
    /// The positions of writes disagree with real time.
    Order,
    /// No order of a key's operations explains what clients saw.
    NotLinearizable,
    /// An upload was completed twice, or after it was aborted.
    Upload,
    /// A listing of versions lacks one, shows one twice, or is out of order.
    Versions,
    /// A listing was out of order or named a key twice.
    Listing,
    /// The server's catalog and the bytes on its disks disagree.
    Catalog,
    /// The server ended by itself, or did not come back.
    Server,
}

impl Violation {
    pub fn new(kind: Kind, key: &str, detail: impl Into<String>) -> Self {
        Self { kind, key: key.to_owned(), detail: detail.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} {:?}: {}", self.kind, self.key, self.detail)
    }
}
