//! What an endpoint's failed answer means: one table for all operations. A missing blob is told from a
//! missing bucket, a conflict from a refusal, and a write without an answer from one that was refused.

use vaultaire_proto::{BackendId, BackendKey};

use super::observe::Failure;
use crate::error::{Error, Source};

/// What an operation leaves if its answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It reads.
    None,
    /// It may be done again without harm.
    Repeatable,
    /// It may have written, and doing it again would not tell.
    Write,
}

/// What was asked of whom.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'s> {
    /// The backend's id.
    pub backend: BackendId,
    /// The backend's name.
    pub name: &'s str,
    /// The operation's word in errors.
    pub operation: &'static str,
    /// The blob; none for listings.
    pub key: Option<&'s BackendKey>,
    /// What a lost answer leaves.
    pub effect: Effect,
}

impl Subject<'_> {
    /// The error that a failed request is.
    pub fn classify(self, failure: Failure) -> Error {
        let Failure { error, seen } = failure;
        let source: Source = error.into();
        match (seen.status, seen.code.as_deref(), self.key) {
            (Some(404), Some("NoSuchBucket"), _) => {
                self.config("its bucket does not exist; create it or correct the name", &source)
            }
            // The upload is gone: completed by an attempt whose answer was lost, or aborted.
            (Some(404), Some("NoSuchUpload"), _) => self.unknown(source),
            (Some(404), _, Some(key)) => {
                Error::NotFound { backend: self.backend, key: key.clone() }
            }
            (Some(412), _, Some(key)) => {
                Error::AlreadyExists { backend: self.backend, key: key.clone() }
            }
            (Some(401 | 403), ..) => Error::Denied {
                backend: self.backend,
                operation: self.operation,
                subject: self.describe(),
                source,
            },
            _ if seen.may_have_acted && self.effect == Effect::Write => self.unknown(source),
            // Nothing was sent, or the endpoint did nothing and says so, or it may be done again.
            (None | Some(408 | 409 | 429 | 500..=599), ..) => self.unavailable(source),
            (Some(status), ..) => {
                let reason =
                    format!("the endpoint refused {} with status {status}", self.operation);
                self.config(&reason, &source)
            }
        }
    }

    fn describe(self) -> String {
        self.key.map_or_else(|| "its keys".to_owned(), BackendKey::to_string)
    }

    fn config(self, reason: &str, source: &Source) -> Error {
        Error::Config { name: self.name.to_owned(), reason: format!("{reason}: {source}") }
    }

    fn unavailable(self, source: Source) -> Error {
        Error::Unavailable {
            backend: self.backend,
            operation: self.operation,
            subject: self.describe(),
            source,
        }
    }

    fn unknown(self, source: Source) -> Error {
        match self.key {
            Some(key) => Error::OutcomeUnknown {
                backend: self.backend,
                operation: self.operation,
                key: key.clone(),
                source,
            },
            None => self.unavailable(source),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::super::observe::Seen;
    use super::*;
    use crate::error::Class;

    fn class(status: Option<u16>, code: Option<&str>, effect: Effect) -> Class {
        let may_have_acted = matches!(status, None | Some(500 | 504));
        classify(Seen { status, code: code.map(str::to_owned), may_have_acted }, effect)
    }

    fn classify(seen: Seen, effect: Effect) -> Class {
        let key = BackendKey::parse("w/1").unwrap();
        let backend = BackendId(1);
        let subject = Subject { backend, name: "b", operation: "put", key: Some(&key), effect };
        let error = object_store::Error::Generic { store: "S3", source: "x".into() };
        subject.classify(Failure { error, seen }).class()
    }

    #[test]
    fn what_an_earlier_attempt_may_have_done_is_not_forgotten() {
        let busy = |may_have_acted| Seen { status: Some(503), code: None, may_have_acted };
        assert_eq!(classify(busy(false), Effect::Write), Class::Transient);
        assert_eq!(classify(busy(true), Effect::Write), Class::Unknown);
        let refused = Seen { status: None, code: None, may_have_acted: false };
        assert_eq!(classify(refused, Effect::Write), Class::Transient);
    }

    #[test]
    fn b17_a_missing_blob_is_told_from_everything_else() {
        for effect in [Effect::None, Effect::Repeatable, Effect::Write] {
            assert_eq!(class(Some(404), Some("NoSuchKey"), effect), Class::Missing);
            assert_eq!(class(Some(404), None, effect), Class::Missing);
            assert_eq!(class(Some(404), Some("NoSuchBucket"), effect), Class::Operator);
            assert_eq!(class(Some(403), Some("AccessDenied"), effect), Class::Operator);
            assert_eq!(class(Some(401), None, effect), Class::Operator);
            assert_eq!(class(Some(400), Some("InvalidRequest"), effect), Class::Operator);
            assert_eq!(class(Some(409), Some("OperationAborted"), effect), Class::Transient);
            assert_eq!(class(Some(412), Some("PreconditionFailed"), effect), Class::Conflict);
            assert_eq!(class(Some(503), Some("SlowDown"), effect), Class::Transient);
            assert_eq!(class(Some(429), None, effect), Class::Transient);
        }
    }

    #[test]
    fn a_write_without_an_answer_has_an_unknown_outcome() {
        for (status, code) in [(None, None), (Some(500), Some("InternalError")), (Some(504), None)]
        {
            assert_eq!(class(status, code, Effect::Write), Class::Unknown);
            assert_eq!(class(status, code, Effect::None), Class::Transient);
            assert_eq!(class(status, code, Effect::Repeatable), Class::Transient);
        }
        assert_eq!(class(Some(404), Some("NoSuchUpload"), Effect::Write), Class::Unknown);
    }
}
