//! Every way in which storing or reading bytes can fail. HTTP and gRPC codes are not born here:
//! the router and the node map these variants to theirs.

use std::io;
use std::path::{Path, PathBuf};

use vaultaire_proto::{BackendId, BackendKey};

/// The cause beneath an error, whatever library it came from.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong, with what, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The backend answered, and has no blob at this key. Never used for any other failure.
    #[error("backend {backend} has no blob at {key}; resolve the object's placement again")]
    NotFound { backend: BackendId, key: BackendKey },

    /// A write met a key that is taken. Keys are write-once, so nothing was changed.
    #[error("backend {backend} already has a blob at {key}; write under a fresh key")]
    AlreadyExists { backend: BackendId, key: BackendKey },

    /// A range that holds no byte of the blob.
    #[error(
        "range {start}..{end} holds no byte of a blob of {size_bytes} bytes; ask within 0..{size_bytes}"
    )]
    RangeNotSatisfiable { start: u64, end: u64, size_bytes: u64 },

    /// The body ended early or went on for too long. Nothing was stored.
    #[error(
        "the body for {key} has {received_bytes} bytes where {expected_bytes} were announced; send it again"
    )]
    WrongSize { key: BackendKey, expected_bytes: u64, received_bytes: u64 },

    /// The stream that feeds a write failed: the sender went away. Nothing was stored.
    #[error("the body could not be read to its end; send it again")]
    Body { source: Source },

    /// The body does not have the checksum that its sender gave. Nothing was stored.
    #[error("the body does not match its {algorithm}; send it again")]
    ChecksumMismatch { algorithm: &'static str },

    /// Stored bytes are not what was written.
    #[error("{subject} is corrupt: {reason}; read another copy and repair this one")]
    Corrupt { subject: String, reason: String },

    /// No space or quota is left. What had been written of the blob was removed.
    #[error("backend {backend} is full while it tried to {operation}; free space or add a backend")]
    Full { backend: BackendId, operation: &'static str, source: io::Error },

    /// The place holds another backend, or another cluster's.
    #[error("{place} should hold {expected} but holds {found}: {advice}")]
    IdentityMismatch { place: String, expected: String, found: String, advice: &'static str },

    /// The place should hold a backend and has no identity.
    #[error("{place} has no identity although {reason}: {advice}")]
    IdentityMissing { place: String, reason: &'static str, advice: String },

    /// The place was written by a later release.
    #[error(
        "{place} has format version {found}, this release reads up to {supported}; start the newer release"
    )]
    FormatTooNew { place: String, found: u32, supported: u32 },

    /// Another process holds the place.
    #[error("{path} is in use by another process; stop it or choose another path")]
    InUse { path: PathBuf },

    /// The backend refused our credentials or our rights.
    #[error("backend {backend} denied {operation} of {subject}; check its credentials and rights")]
    Denied { backend: BackendId, operation: &'static str, subject: String, source: Source },

    /// The backend cannot serve now; the operation had no effect, or none that matters.
    #[error("backend {backend} could not {operation} {subject}; retry later or read another copy")]
    Unavailable { backend: BackendId, operation: &'static str, subject: String, source: Source },

    /// A write whose effect is not known. The key must not be used again; the sweep of its epoch finds what was left.
    #[error(
        "backend {backend} gave no definite answer to {operation} of {key}; write under a fresh key"
    )]
    OutcomeUnknown { backend: BackendId, operation: &'static str, key: BackendKey, source: Source },

    /// The backend lacks the operation.
    #[error("backend {backend} does not support {operation}; choose another backend for it")]
    Unsupported { backend: BackendId, operation: &'static str },

    /// A registry was asked for a backend that nobody configured.
    #[error("there is no backend {name}; list them with `vaultaire backend list`")]
    UnknownBackend { name: String },

    /// A configuration that cannot work.
    #[error("backend {name}: {reason}")]
    Config { name: String, reason: String },

    /// The operating system refused a file operation.
    #[error("backend {backend} failed to {operation} {subject}; look at the disk and its mount")]
    Io { backend: BackendId, operation: &'static str, subject: String, source: io::Error },

    /// The process is stopping, or the caller gave up; the operation did not happen.
    #[error("{operation} was stopped before it finished; retry on a running node")]
    Stopped { operation: &'static str },
}

/// What a caller should do about an error: the classification of every backend ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The blob is not there: resolve the placement again.
    Missing,
    /// The key is taken: a fresh key is needed.
    Conflict,
    /// The request itself is wrong; repeating it is useless.
    Request,
    /// Another attempt, copy or time may succeed; nothing was written.
    Transient,
    /// A write may or may not have happened.
    Unknown,
    /// An operator must act: space, rights, identity, configuration.
    Operator,
    /// The stored bytes are wrong.
    Corrupt,
}

impl Error {
    /// The class of this error.
    pub fn class(&self) -> Class {
        match self {
            Self::NotFound { .. } => Class::Missing,
            Self::AlreadyExists { .. } => Class::Conflict,
            Self::RangeNotSatisfiable { .. }
            | Self::WrongSize { .. }
            | Self::Body { .. }
            | Self::ChecksumMismatch { .. }
            | Self::Unsupported { .. }
            | Self::UnknownBackend { .. } => Class::Request,
            Self::Unavailable { .. } | Self::Stopped { .. } | Self::Io { .. } => Class::Transient,
            Self::OutcomeUnknown { .. } => Class::Unknown,
            Self::Full { .. }
            | Self::IdentityMismatch { .. }
            | Self::IdentityMissing { .. }
            | Self::FormatTooNew { .. }
            | Self::InUse { .. }
            | Self::Denied { .. }
            | Self::Config { .. } => Class::Operator,
            Self::Corrupt { .. } => Class::Corrupt,
        }
    }

    /// Whether the backend said, definitely, that there is no such blob.
    pub fn is_not_found(&self) -> bool {
        self.class() == Class::Missing
    }

    /// A failed file operation; a full disk has its own variant.
    pub(crate) fn file(
        backend: BackendId,
        operation: &'static str,
        subject: impl Into<String>,
        source: io::Error,
    ) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { backend, operation, source }
            }
            _ => Self::Io { backend, operation, subject: subject.into(), source },
        }
    }

    /// A failed file operation on a path of the backend itself.
    pub(crate) fn path(
        backend: BackendId,
        operation: &'static str,
        path: &Path,
        source: io::Error,
    ) -> Self {
        Self::file(backend, operation, path.display().to_string(), source)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let full = Error::file(BackendId(1), "write", "x", io::Error::from_raw_os_error(28));
        assert!(matches!(full, Error::Full { .. }), "ENOSPC: {full:?}");
        let quota = Error::file(BackendId(1), "write", "x", io::Error::from_raw_os_error(122));
        assert!(matches!(quota, Error::Full { .. }), "EDQUOT: {quota:?}");
        let broken = Error::file(BackendId(1), "write", "x", io::Error::from_raw_os_error(5));
        assert!(matches!(broken, Error::Io { .. }), "EIO: {broken:?}");
        assert_eq!(full.class(), Class::Operator);
    }

    #[test]
    fn only_a_missing_blob_is_not_found() {
        let key = BackendKey::parse("w/x").unwrap();
        assert!(Error::NotFound { backend: BackendId(1), key }.is_not_found());
        let missing_file = io::Error::from(io::ErrorKind::NotFound);
        assert!(!Error::file(BackendId(1), "open", "x", missing_file).is_not_found());
    }
}
