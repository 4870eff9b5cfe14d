//! The only place where gRPC statuses are born: from our errors, and for calls without the token.

use tonic::{Code, Status};
use vaultaire_proto::{CatalogError, Rejection};
use vaultaire_storage::error::Class;

use crate::error::Error;

/// A call that carries no token.
pub fn no_token() -> Status {
    Status::unauthenticated(
        "send `authorization: Bearer <token>`; the token is in admin.token of the data directory",
    )
}

/// A call that carries another token.
pub fn wrong_token() -> Status {
    Status::unauthenticated("this is not the token in admin.token of the node's data directory")
}

/// An error as a status: the code for programs, the message for people.
pub fn of(error: &Error) -> Status {
    let code = match error {
        Error::Usage(_) => Code::InvalidArgument,
        Error::Rejected { rejection, .. } => of_rejection(*rejection),
        Error::Catalog(error) => of_catalog(error),
        Error::Storage(error) => of_storage(error),
        Error::BackendAbsent { .. } => Code::Unavailable,
        Error::DeletionsHeld { .. } => Code::FailedPrecondition,
        Error::Sealed { .. } | Error::Damaged { .. } => Code::DataLoss,
        Error::Config { .. }
        | Error::Setting { .. }
        | Error::DataDirUnwritable { .. }
        | Error::DataDirInUse { .. }
        | Error::DataDirForeign { .. }
        | Error::DataDirNewer { .. }
        | Error::OtherCluster { .. }
        | Error::File { .. }
        | Error::Bind { .. }
        | Error::DefaultCredentials { .. }
        | Error::Tls { .. }
        | Error::Engine { .. }
        | Error::UnexpectedAnswer { .. }
        | Error::NoNode { .. }
        | Error::Admin(_)
        | Error::Found(_) => Code::Internal,
    };
    if code == Code::Internal || code == Code::DataLoss {
        tracing::error!(%error, "an admin call failed");
    }
    Status::new(code, error.to_string())
}

fn of_rejection(rejection: Rejection) -> Code {
    match rejection {
        Rejection::NoSuchBucket
        | Rejection::NoSuchKey
        | Rejection::NoSuchVersion
        | Rejection::NoSuchUpload
        | Rejection::NoSuchUser
        | Rejection::NoSuchAccessKey
        | Rejection::NoSuchBackend
        | Rejection::NoSuchEpoch => Code::NotFound,
        Rejection::AlreadyInitialised
        | Rejection::BucketAlreadyExists
        | Rejection::BucketAlreadyOwnedByYou
        | Rejection::AlreadyExists => Code::AlreadyExists,
        Rejection::NotInitialised
        | Rejection::BucketNotEmpty
        | Rejection::MethodNotAllowed
        | Rejection::PreconditionFailed => Code::FailedPrecondition,
        Rejection::OperationAborted
        | Rejection::StaleConfig
        | Rejection::ConfigAhead
        | Rejection::EpochClosed => Code::Aborted,
        Rejection::Expired => Code::DeadlineExceeded,
        Rejection::Unknown => Code::Unknown,
        Rejection::InvalidPart
        | Rejection::InvalidPartOrder
        | Rejection::EntityTooSmall
        | Rejection::EntityTooLarge
        | Rejection::BadDigest
        | Rejection::Malformed => Code::InvalidArgument,
    }
}

fn of_catalog(error: &CatalogError) -> Code {
    match error {
        CatalogError::NoLeader { .. } | CatalogError::Stopped => Code::Unavailable,
        CatalogError::Busy { .. } => Code::ResourceExhausted,
        CatalogError::OutcomeUnknown { .. } => Code::Unknown,
    }
}

fn of_storage(error: &vaultaire_storage::error::Error) -> Code {
    if matches!(error, vaultaire_storage::error::Error::UnknownBackend { .. }) {
        return Code::NotFound;
    }
    match error.class() {
        Class::Missing => Code::NotFound,
        Class::Conflict => Code::AlreadyExists,
        Class::Request => Code::InvalidArgument,
        Class::Transient => Code::Unavailable,
        Class::Unknown => Code::Unknown,
        Class::Operator => Code::FailedPrecondition,
        Class::Corrupt => Code::DataLoss,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_see_a_code_and_people_the_subject() {
        let error = Error::Rejected {
            subject: "bucket photos".to_owned(),
            rejection: Rejection::BucketNotEmpty,
        };
        let status = of(&error);
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(status.message().starts_with("bucket photos: "), "{status:?}");
    }
}
