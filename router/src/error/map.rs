//! From the errors of the layers below to S3's: each variant by name, so that a new one must be placed.

use s3s::StdError;
use vaultaire_proto::{CatalogError, Rejection};
use vaultaire_storage::error::{Class, Error as StorageError};

use super::Error;
use super::code::Code;

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::BucketAlreadyExists => Self::new(Code::BucketAlreadyExists),
            Rejection::BucketAlreadyOwnedByYou => Self::new(Code::BucketAlreadyOwnedByYou),
            Rejection::NoSuchBucket => Self::new(Code::NoSuchBucket),
            Rejection::BucketNotEmpty => Self::new(Code::BucketNotEmpty),
            Rejection::OperationAborted => Self::new(Code::OperationAborted),
            Rejection::NoSuchKey => Self::new(Code::NoSuchKey),
            Rejection::NoSuchVersion => Self::new(Code::NoSuchVersion),
            Rejection::MethodNotAllowed => Self::new(Code::MethodNotAllowed),
            Rejection::NoSuchUpload => Self::new(Code::NoSuchUpload),
            Rejection::PreconditionFailed => Self::new(Code::PreconditionFailed),
            Rejection::InvalidPart => Self::new(Code::InvalidPart),
            Rejection::InvalidPartOrder => Self::new(Code::InvalidPartOrder),
            Rejection::EntityTooSmall => Self::new(Code::EntityTooSmall),
            Rejection::EntityTooLarge => Self::new(Code::EntityTooLarge),
            Rejection::BadDigest => Self::new(Code::BadDigest),
            Rejection::NoSuchUser | Rejection::NoSuchAccessKey => {
                Self::new(Code::InvalidAccessKeyId)
            }
            Rejection::StaleConfig | Rejection::ConfigAhead => {
                Self::slow_down("The bucket's configuration is changing; try again in a second.")
            }
            Rejection::EpochClosed => Self::slow_down(
                "The upload took longer than its write epoch was open; send it again.",
            )
            .epoch_closed(),
            Rejection::Expired => {
                Self::slow_down("The request waited too long and changed nothing; send it again.")
            }
            Rejection::Unknown => Self::new(Code::ServiceUnavailable).retry_later(),
            Rejection::NotInitialised => {
                Self::slow_down("The cluster is being set up; try again in a second.")
            }
            Rejection::AlreadyInitialised
            | Rejection::AlreadyExists
            | Rejection::NoSuchBackend
            | Rejection::NoSuchEpoch
            | Rejection::NoSuchNode
            | Rejection::NodeRemoved
            | Rejection::InvalidToken
            | Rejection::TokenUsed
            | Rejection::MembershipChanging
            | Rejection::LastVoter
            | Rejection::Superseded
            | Rejection::WrongBackendState
            | Rejection::Malformed => internal(&rejection),
        }
    }
}

impl From<CatalogError> for Error {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NoLeader { .. } => {
                Self::slow_down("The cluster is electing a leader; try again in a second.")
            }
            CatalogError::Busy { .. } => {
                Self::slow_down("Too many requests wait to be written; slow down.")
            }
            CatalogError::OutcomeUnknown { .. } => {
                Self::new(Code::ServiceUnavailable).retry_later()
            }
            CatalogError::Stopped => {
                Self::slow_down("The node is shutting down; send the request to another one.")
            }
            CatalogError::Unsupported => Self::slow_down(
                "Not every node of the cluster runs a release that can do this; try again after the upgrade.",
            ),
        }
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match &error {
            StorageError::Full { .. } => {
                tracing::error!(%error, "a backend is full");
                return Self::new(Code::InsufficientStorage);
            }
            // A location names it, so it was there: its disk is not mounted, or this node's configuration lacks it.
            StorageError::UnknownBackend { .. } => {
                tracing::error!(%error, "a backend that holds objects is not open on this node");
                return Self::slow_down(
                    "The storage that holds this object cannot be reached from this node; try again later, and look at `vaultaire backend list`.",
                );
            }
            StorageError::WrongSize { .. } => return Self::new(Code::IncompleteBody),
            StorageError::ChecksumMismatch { .. } => return Self::new(Code::BadDigest),
            StorageError::Body { source } => return Self::from_body(source.as_ref()),
            _ => {}
        }
        match error.class() {
            Class::Transient | Class::Unknown => {
                tracing::warn!(%error, "a backend failed");
                Self::slow_down(
                    "The storage behind this request does not answer; try again in a second.",
                )
            }
            Class::Missing
            | Class::Conflict
            | Class::Request
            | Class::Operator
            | Class::Corrupt => internal(&error),
        }
    }
}

impl From<s3s::xml::SerError> for Error {
    fn from(error: s3s::xml::SerError) -> Self {
        internal(&error)
    }
}

impl Error {
    /// A request body that broke off. s3s keeps its error types private, so their words must do.
    pub fn from_body(source: &(dyn std::error::Error + 'static)) -> Self {
        // A stream of ours that failed in S3's own terms.
        if let Some(error) = source.downcast_ref::<Self>() {
            return error.clone();
        }
        let text = source.to_string();
        if text.contains("Sha256Mismatch") {
            Self::new(Code::XAmzContentSHA256Mismatch)
        } else if text.contains("SignatureMismatch") {
            Self::new(Code::SignatureDoesNotMatch)
        } else if text.contains("FormatError")
            || text.contains("TooLarge")
            || text.contains("TooMany")
        {
            Self::with(Code::InvalidRequest, "The aws-chunked framing of the body is malformed.")
        } else {
            tracing::debug!(error = text, "the request body broke off");
            Self::new(Code::IncompleteBody)
        }
    }

    /// What a header parser made of a bad value.
    pub fn argument(name: &'static str, why: impl std::fmt::Display) -> Self {
        Self::with(Code::InvalidArgument, format!("{name}: {why}")).detail("ArgumentName", name)
    }
}

/// The outcome of a task that another part of this process should have made impossible.
pub(crate) fn internal(cause: &(dyn std::error::Error + 'static)) -> Error {
    tracing::error!(error = %cause, "internal error");
    Error::new(Code::InternalError)
}

/// A catalog that answers another question than the one asked.
pub(crate) fn unexpected(asked: &'static str) -> Error {
    tracing::error!(asked, "the catalog gave an answer of another kind");
    Error::new(Code::InternalError)
}

/// For streams of s3s, whose errors are boxed.
pub(crate) fn boxed(error: Error) -> StdError {
    Box::new(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use http::StatusCode;
    use vaultaire_proto::{BackendId, GroupId};

    use super::*;

    #[test]
    fn a_full_disk_is_clear() {
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let full = StorageError::Full { backend: BackendId(1), operation: "write", source };
        let error = Error::from(full);
        assert_eq!(error.status(), StatusCode::INSUFFICIENT_STORAGE);
        assert!(error.message().contains("nothing was stored"));
    }

    #[test]
    fn a_backend_that_is_away_is_no_bug() {
        let error = Error::from(StorageError::UnknownBackend { name: "1".to_owned() });
        assert_eq!((error.code(), error.status()), ("SlowDown", StatusCode::SERVICE_UNAVAILABLE));
        assert!(error.message().contains("vaultaire backend list"));
    }

    #[test]
    fn elections_ask_for_patience() {
        let error = Error::from(CatalogError::NoLeader { group: GroupId(1) });
        assert_eq!((error.code(), error.status()), ("SlowDown", StatusCode::SERVICE_UNAVAILABLE));
        assert!(error.headers().contains_key("retry-after"));
    }
}
