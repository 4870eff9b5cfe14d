//! Errors of a backend on their way between nodes: what callers tell apart arrives as what it was.

use tonic::{Code, ConnectError, Status};
use vaultaire_proto::convert::details::decode_fault;
use vaultaire_proto::wire::v1::{BlobFault, BlobFaultKind as Kind};
use vaultaire_proto::{BackendId, BackendKey};
use vaultaire_storage::error::Error;

/// Causes beneath an error that are looked at.
const CAUSES_MAX: usize = 8;

/// What a status says travels in headers, which have a limit of 16 KiB: twice, and each byte may become three.
const WORDS_BYTES_MAX: usize = 1024;

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
        // One that its own node could not open is a disk that is not mounted: it may come back.
        Error::Unavailable { .. }
        | Error::Io { .. }
        | Error::Stopped { .. }
        | Error::UnknownBackend { .. } => (Kind::Unavailable, Vec::new()),
        Error::OutcomeUnknown { .. } => (Kind::OutcomeUnknown, Vec::new()),
        Error::Unsupported { .. } => (Kind::Unsupported, Vec::new()),
        // What only an operator can mend, and what later releases add to it.
        _ => (Kind::Operator, Vec::new()),
    };
    BlobFault { kind: kind.into(), numbers, message: words(error) }
}

/// An error with its causes, in few enough words for a header.
pub fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    for _ in 0..CAUSES_MAX {
        let Some(found) = cause else { break };
        text.push_str(": ");
        text.push_str(&found.to_string());
        cause = found.source();
    }
    text.truncate(text.floor_char_boundary(WORDS_BYTES_MAX));
    text
}

/// Whether a call failed for want of a connection, so that the other node never heard of it.
fn is_unsent(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    for _ in 0..CAUSES_MAX {
        let Some(found) = cause else { break };
        if found.is::<ConnectError>() {
            return true;
        }
        cause = found.source();
    }
    false
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
                _ if is_unsent(status) => Effect::Nothing,
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
            (Kind::OutcomeUnknown, _) => self.silent(Effect::Maybe, fault.message),
            (Kind::Unsupported, _) => Error::Unsupported { backend, operation },
            (Kind::Operator, _) => Error::Config { name: self.name.clone(), reason: fault.message },
            (Kind::Unavailable | Kind::Unspecified, _)
            | (Kind::NotFound | Kind::AlreadyExists | Kind::WrongSize, None) => {
                self.silent(Effect::Nothing, fault.message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::io;
    use std::mem::discriminant;

    use vaultaire_storage::error::Class;

    use super::*;
    use crate::grpc::status;

    const BACKEND: BackendId = BackendId(7);

    fn key() -> BackendKey {
        BackendKey::parse("w/a").unwrap()
    }

    fn asked() -> Asked {
        Asked { backend: BACKEND, name: "hot@3".to_owned(), operation: "write", key: Some(key()) }
    }

    fn back(error: &Error, effect: Effect) -> Error {
        asked().error(effect, &status::of_blobs(error))
    }

    fn source() -> vaultaire_storage::error::Source {
        "a cause".into()
    }

    /// What callers tell apart.
    fn told_apart() -> Vec<Error> {
        let (backend, operation, subject) = (BACKEND, "write", "w/a".to_owned());
        vec![
            Error::NotFound { backend, key: key() },
            Error::AlreadyExists { backend, key: key() },
            Error::RangeNotSatisfiable { start: 5, end: 9, size_bytes: 3 },
            Error::WrongSize { key: key(), expected_bytes: 4, received_bytes: 2 },
            Error::Body { source: source() },
            Error::Corrupt { subject: subject.clone(), reason: "r".to_owned() },
            Error::Full { backend, operation, source: io::Error::other("quota") },
            Error::Unavailable { backend, operation, subject, source: source() },
            Error::OutcomeUnknown { backend, operation, key: key(), source: source() },
            Error::Unsupported { backend, operation },
        ]
    }

    #[test]
    fn what_callers_tell_apart_survives_the_way() {
        for error in told_apart() {
            for effect in [Effect::Nothing, Effect::Maybe] {
                let found = back(&error, effect);
                assert_eq!(discriminant(&found), discriminant(&error), "{error:?}: {found:?}");
            }
        }
        let range = back(&told_apart()[2], Effect::Nothing);
        assert!(matches!(range, Error::RangeNotSatisfiable { start: 5, end: 9, size_bytes: 3 }));
        let size = back(&told_apart()[3], Effect::Maybe);
        assert!(matches!(size, Error::WrongSize { expected_bytes: 4, received_bytes: 2, .. }));
    }

    #[test]
    fn the_others_keep_what_a_caller_should_do() {
        let (backend, operation, subject) = (BACKEND, "write", "w/a".to_owned());
        let (place, advice) = ("/mnt".to_owned(), "mount it");
        let (expected, found) = ("one".to_owned(), "two".to_owned());
        let errors = [
            Error::ChecksumMismatch { algorithm: "crc32c" },
            Error::IdentityMismatch { place: place.clone(), expected, found, advice },
            Error::IdentityMissing { place: place.clone(), reason: "r", advice: String::new() },
            Error::FormatTooNew { place, found: 2, supported: 1 },
            Error::InUse { path: "/mnt".into() },
            Error::Denied { backend, operation, subject: subject.clone(), source: source() },
            Error::Config { name: "hot".to_owned(), reason: "r".to_owned() },
            Error::Io { backend, operation, subject, source: io::Error::other("EIO") },
            Error::Stopped { operation },
        ];
        for error in errors {
            assert_eq!(back(&error, Effect::Maybe).class(), error.class(), "{error:?}");
        }
        // The disk is not mounted there: for this node its blobs may come back.
        let absent = Error::UnknownBackend { name: "hot".to_owned() };
        assert_eq!(back(&absent, Effect::Maybe).class(), Class::Transient);
    }

    #[test]
    fn a_lost_answer_is_unknown_only_where_something_may_have_happened() {
        let lost = Status::unknown("the connection broke");
        assert_eq!(asked().error(Effect::Maybe, &lost).class(), Class::Unknown);
        assert_eq!(asked().error(Effect::Nothing, &lost).class(), Class::Transient);
        let refused = Status::permission_denied("who are you");
        assert_eq!(asked().error(Effect::Maybe, &refused).class(), Class::Transient);
        let unsent = Status::from_error(Box::new(ConnectError("refused".into())));
        assert_eq!(asked().error(Effect::Maybe, &unsent).class(), Class::Transient);
    }

    #[test]
    fn causes_are_told_and_fit_in_a_header() {
        let (backend, operation) = (BACKEND, "write");
        let subject = "é".repeat(5_000);
        let source = source();
        let short = Error::Unavailable { backend, operation, subject: "x".to_owned(), source };
        assert!(words(&short).ends_with(": a cause"), "{}", words(&short));
        let long = Error::Corrupt { subject, reason: String::new() };
        assert!(words(&long).len() <= WORDS_BYTES_MAX);
    }
}
