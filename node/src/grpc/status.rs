//! The only place where gRPC statuses are born: from our errors, and for calls without the token.

use tonic::{Code, Status};
use vaultaire_proto::convert::details::encode_fault;
use vaultaire_proto::{CatalogError, Rejection};
use vaultaire_storage::error::Class;

use crate::blobs::faults;
use crate::error::Error;
use crate::raft::peers::Refusal;

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

/// A call between nodes that is not meant for this one, or not from a node of this cluster.
pub fn foreign_peer(why: &str) -> Status {
    tracing::warn!(why, "a call from another node is refused");
    Status::permission_denied(why)
}

/// A group that this node does not run, or not yet.
pub fn group_absent(group: u32) -> Status {
    Status::failed_precondition(format!("group {group} does not run here at the moment"))
}

/// Why a group gives another node no answer.
pub fn of_refusal(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::Nonsense(_) => Code::InvalidArgument,
        Refusal::Stopped(_) | Refusal::Occupied | Refusal::BrokeOff(_) => Code::Unavailable,
        Refusal::OutOfStep => Code::Aborted,
        Refusal::Broken(_) => Code::DataLoss,
    };
    Status::new(code, refusal.to_string())
}

/// A backend that another node was asked for, and has not.
pub fn foreign_backend(backend: u32) -> Status {
    Status::failed_precondition(format!("backend {backend} is not on this node"))
}

/// A backend's error for another node, which tells it apart by the details.
pub fn of_blobs(error: &vaultaire_storage::error::Error) -> Status {
    let code = of_storage(error);
    let fault = faults::fault(error);
    Status::with_details(code, fault.message.clone(), encode_fault(&fault).into())
}

/// An error as a status: the code for programs, the message for people.
pub fn of(error: &Error) -> Status {
    let code = match error {
        Error::Usage(_) => Code::InvalidArgument,
        Error::Rejected { rejection, .. } => of_rejection(*rejection),
        Error::Catalog(error) => of_catalog(error),
        Error::Storage(error) => of_storage(error),
        Error::BackendAbsent { .. } => Code::Unavailable,
        Error::Unmet(_) | Error::DeletionsHeld { .. } | Error::Join { .. } => {
            Code::FailedPrecondition
        }
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
        | Error::Simulation(_)
        | Error::UnexpectedAnswer { .. }
        | Error::NoNode { .. }
        | Error::NodeStarts { .. }
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
        | Rejection::NoSuchEpoch
        | Rejection::NoSuchNode => Code::NotFound,
        Rejection::AlreadyInitialised
        | Rejection::BucketAlreadyExists
        | Rejection::BucketAlreadyOwnedByYou
        | Rejection::AlreadyExists => Code::AlreadyExists,
        Rejection::NotInitialised
        | Rejection::BucketNotEmpty
        | Rejection::MethodNotAllowed
        | Rejection::NodeRemoved
        | Rejection::LastVoter
        | Rejection::WrongBackendState
        | Rejection::PreconditionFailed => Code::FailedPrecondition,
        Rejection::InvalidToken | Rejection::TokenUsed => Code::PermissionDenied,
        Rejection::OperationAborted
        | Rejection::StaleConfig
        | Rejection::ConfigAhead
        | Rejection::MembershipChanging
        | Rejection::Superseded
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
        CatalogError::Unsupported => Code::FailedPrecondition,
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
