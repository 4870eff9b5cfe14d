//! Errors of a backend on their way between nodes: what callers tell apart arrives as what it was.

use tonic::{Code, Status};
use vaultaire_proto::convert::details::decode_fault;
use vaultaire_proto::wire::v1::{BlobFault, BlobFaultKind as Kind};
use vaultaire_proto::{BackendId, BackendKey};
use vaultaire_storage::error::Error;

/// An error for the wire.
pub fn fault(error: &Error) -> BlobFault {
    let (kind, numbers) = match error {
        Error::NotFound { .. } => (Kind::NotFound, Vec::new()),
        Error::AlreadyExists { .. } => (Kind::AlreadyExists, Vec::new()),
        Error::RangeNotSatisfiable { start, end, size_bytes } => {
            (Kind::Range, vec![*start, *end, *size_bytes])
        }
        Error::WrongSize { expected_bytes, received_bytes, .. } => {
            (Kind::WrongSize, vec![*expected_bytes, *received_bytes])
        }
        Error::Body { .. } | Error::ChecksumMismatch { .. } => (Kind::Body, Vec::new()),
        Error::Corrupt { .. } => (Kind::Corrupt, Vec::new()),
        Error::Full { .. } => (Kind::Full, Vec::new()),
        Error::Unavailable { .. } | Error::Io { .. } | Error::Stopped { .. } => {
            (Kind::Unavailable, Vec::new())
        }
        Error::OutcomeUnknown { .. } => (Kind::OutcomeUnknown, Vec::new()),
        Error::Unsupported { .. } => (Kind::Unsupported, Vec::new()),
        // What only an operator can mend, and what later releases add to it.
        _ => (Kind::Operator, Vec::new()),
    };
    BlobFault { kind: kind.into(), numbers, message: error.to_string() }
}

/// What was asked, for an error that has to say so.
#[derive(Clone, Debug)]
pub struct Asked {
    pub backend: BackendId,
    pub name: String,
    pub operation: &'static str,
    /// None: the backend as a whole.
    pub key: Option<BackendKey>,
}

/// Whether a call without an answer may have changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    Maybe,
}

impl Asked {
    fn subject(&self) -> String {
        self.key.as_ref().map_or_else(|| self.name.clone(), BackendKey::to_string)
    }

    /// The node did not answer.
    pub fn silent(&self, effect: Effect, why: impl Into<String>) -> Error {
        let (backend, operation) = (self.backend, self.operation);
        let source = format!("{}: {}", self.name, why.into()).into();
        match (effect, self.key.clone()) {
            (Effect::Maybe, Some(key)) => Error::OutcomeUnknown { backend, operation, key, source },
            (Effect::Maybe, None) | (Effect::Nothing, _) => {
                Error::Unavailable { backend, operation, subject: self.subject(), source }
            }
        }
    }

    /// An error from the wire. One without details is the connection's, or the guard's.
    pub fn error(&self, effect: Effect, status: &Status) -> Error {
        let Some(fault) = decode_fault(status.details()) else {
            // Refused before the backend was asked.
            let effect = match status.code() {
                Code::PermissionDenied | Code::FailedPrecondition => Effect::Nothing,
                _ => effect,
            };
            return self.silent(effect, status.message());
        };
        let (backend, operation) = (self.backend, self.operation);
        let number = |at: usize| fault.numbers.get(at).copied().unwrap_or_default();
        match (fault.kind(), self.key.clone()) {
            (Kind::NotFound, Some(key)) => Error::NotFound { backend, key },
            (Kind::AlreadyExists, Some(key)) => Error::AlreadyExists { backend, key },
            (Kind::Range, _) => Error::RangeNotSatisfiable {
                start: number(0),
                end: number(1),
                size_bytes: number(2),
            },
            (Kind::WrongSize, Some(key)) => {
                Error::WrongSize { key, expected_bytes: number(0), received_bytes: number(1) }
            }
            (Kind::Body, _) => Error::Body { source: fault.message.into() },
            (Kind::Corrupt, _) => Error::Corrupt { subject: self.subject(), reason: fault.message },
            (Kind::Full, _) => {
                let source = std::io::Error::other(fault.message);
                Error::Full { backend, operation, source }
            }
            (Kind::OutcomeUnknown, _) => self.silent(effect, fault.message),
            (Kind::Unsupported, _) => Error::Unsupported { backend, operation },
            (Kind::Operator, _) => Error::Config { name: self.name.clone(), reason: fault.message },
            (Kind::Unavailable | Kind::Unspecified, _)
            | (Kind::NotFound | Kind::AlreadyExists | Kind::WrongSize, None) => {
                self.silent(Effect::Nothing, fault.message)
            }
        }
    }
}
