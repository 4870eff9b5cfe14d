//! The protocol: the words nodes say to each other, and the one function that gives them meaning.
//! It is not a service: nothing here does IO, reads a clock or starts a task.

pub mod catalog;
pub mod command;
pub mod convert;
pub mod etag;
pub mod id;
pub mod money;
pub mod name;
pub mod object;
pub mod planted;
pub mod prices;
pub mod response;
pub mod row;
pub mod settle;
pub mod state;
pub mod steps;
pub mod tables;
pub mod time;

/// The generated protobuf types. They stop at `convert`; the inside speaks domain types.
pub mod wire {
    #![allow(
        clippy::all,
        clippy::allow_attributes_without_reason,
        clippy::unwrap_used,
        reason = "generated code"
    )]
    /// What is stored and logged: rows, commands, responses.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/vaultaire.v1.rs"));
    }
    /// The admin API.
    pub mod admin {
        include!(concat!(env!("OUT_DIR"), "/vaultaire.admin.v1.rs"));
    }
    /// Encoded descriptors of every file, for gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}

pub use catalog::{Answer, Catalog, CatalogError, Consistency, Query};
pub use command::{Command, Condition, Entry, Operation};
pub use etag::ETag;
pub use id::{
    BackendId, BackendKey, BlobKey, BucketId, ClusterId, EpochId, GroupId, NodeId, RequestId,
    UploadId, UserId, VersionId,
};
pub use name::{BucketName, ObjectKey};
pub use response::{Rejection, Response};
pub use time::{Clock, TimeMs};
