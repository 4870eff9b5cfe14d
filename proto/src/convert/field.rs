//! Single values as fields: numbers, names, digests, plain enums. Names are parsed again and ranges are
//! checked on the way in, so that bytes from a disk or a peer cannot make a value that should not exist.

use super::shape::{Fault, Field, Plain, Wire};
use crate::id::{
    BackendId, BlobKey, BucketId, ClusterId, EpochId, GroupId, NodeId, RequestId, UploadId, UserId,
    VersionId,
};
use crate::name::{BucketName, ObjectKey};
use crate::object::{ChecksumAlgorithm, ChecksumScope};
use crate::response::Rejection;
use crate::row::{BackendState, BucketPhase, NodePhase, NodeRole, Settings, Spread, Versioning};
use crate::time::TimeMs;
use crate::wire::v1 as wire;

/// Values that the generated code holds in the same type.
macro_rules! same {
    ($($kind:ty),*) => { $(
        impl Field for $kind {
            type Wire = $kind;

            fn to_field(&self) -> $kind {
                self.clone()
            }

            fn from_field(field: $kind, _name: &'static str) -> Result<Self, Fault> {
                Ok(field)
            }
        }
    )* };
}

same!(bool, u32, u64, String, Vec<u8>, Option<u64>, Option<String>, Option<Vec<u8>>);

/// Newtypes over a number that protobuf has.
macro_rules! number {
    ($($kind:ident: $inner:ty),*) => { $(
        impl Field for $kind {
            type Wire = $inner;

            fn to_field(&self) -> $inner {
                self.0
            }

            fn from_field(field: $inner, _name: &'static str) -> Result<Self, Fault> {
                Ok(Self(field))
            }
        }
    )* };
}

number!(BackendId: u32, BucketId: u64, EpochId: u64, NodeId: u64, TimeMs: u64, UserId: u64);

/// The same where there may be none.
macro_rules! optional_number {
    ($($kind:ident),*) => { $(
        impl Field for Option<$kind> {
            type Wire = Option<u64>;

            fn to_field(&self) -> Option<u64> {
                self.map(|value| value.0)
            }

            fn from_field(field: Option<u64>, _name: &'static str) -> Result<Self, Fault> {
                Ok(field.map($kind))
            }
        }
    )* };
}

optional_number!(NodeId, TimeMs, UserId);

/// A limit. What a message says is a number on every machine.
impl Field for usize {
    type Wire = u64;

    fn to_field(&self) -> u64 {
        u64::try_from(*self).unwrap_or(u64::MAX)
    }

    fn from_field(field: u64, name: &'static str) -> Result<Self, Fault> {
        Self::try_from(field).map_err(|_| Fault(format!("`{name}` is {field}, too large")))
    }
}

/// Protobuf has no 16-bit numbers.
impl Field for u16 {
    type Wire = u32;

    fn to_field(&self) -> u32 {
        u32::from(*self)
    }

    fn from_field(field: u32, name: &'static str) -> Result<Self, Fault> {
        Self::try_from(field).map_err(|_| Fault(format!("`{name}` is {field}, above 65,535")))
    }
}

impl Field for GroupId {
    type Wire = u32;

    fn to_field(&self) -> u32 {
        self.0.to_field()
    }

    fn from_field(field: u32, name: &'static str) -> Result<Self, Fault> {
        u16::from_field(field, name).map(Self)
    }
}

impl Field for [u8; 16] {
    type Wire = Vec<u8>;

    fn to_field(&self) -> Vec<u8> {
        self.to_vec()
    }

    fn from_field(field: Vec<u8>, name: &'static str) -> Result<Self, Fault> {
        Self::try_from(field.as_slice())
            .map_err(|_| Fault(format!("`{name}` has {} bytes instead of 16", field.len())))
    }
}

/// Newtypes over 16 bytes.
macro_rules! sixteen {
    ($($kind:ident),*) => { $(
        impl Field for $kind {
            type Wire = Vec<u8>;

            fn to_field(&self) -> Vec<u8> {
                self.0.to_field()
            }

            fn from_field(field: Vec<u8>, name: &'static str) -> Result<Self, Fault> {
                <[u8; 16]>::from_field(field, name).map(Self)
            }
        }
    )* };
}

sixteen!(ClusterId, RequestId);

/// Names that are parsed, with the rules for what is stored.
macro_rules! name {
    ($($kind:ident: $parse:ident),*) => { $(
        impl Field for $kind {
            type Wire = String;

            fn to_field(&self) -> String {
                self.as_str().to_owned()
            }

            fn from_field(field: String, _name: &'static str) -> Result<Self, Fault> {
                Ok(Self::$parse(&field)?)
            }
        }
    )* };
}

name!(BucketName: parse_stored, ObjectKey: parse);

impl Field for Option<BucketName> {
    type Wire = Option<String>;

    fn to_field(&self) -> Option<String> {
        self.as_ref().map(Field::to_field)
    }

    fn from_field(field: Option<String>, name: &'static str) -> Result<Self, Fault> {
        field.map(|field| BucketName::from_field(field, name)).transpose()
    }
}

/// Enums without data, whose variants have the same names on both sides.
macro_rules! plain_enum {
    ($kind:ident { $($variant:ident),* $(,)? }) => {
        impl Plain for $kind {
            fn to_number(self) -> i32 {
                match self {
                    $(Self::$variant => i32::from(wire::$kind::$variant),)*
                }
            }

            fn from_number(number: i32, name: &'static str) -> Result<Self, Fault> {
                match wire::$kind::try_from(number) {
                    $(Ok(wire::$kind::$variant) => Ok(Self::$variant),)*
                    Ok(wire::$kind::Unspecified) | Err(_) => {
                        Err(Fault(format!("`{name}` has the unknown value {number}")))
                    }
                }
            }
        }
    };
}

/// The same where a field that was never written has a meaning: that of the first variant.
macro_rules! zero_enum {
    ($kind:ident { $($variant:ident),* $(,)? }) => {
        impl Plain for $kind {
            fn to_number(self) -> i32 {
                match self {
                    $(Self::$variant => i32::from(wire::$kind::$variant),)*
                }
            }

            fn from_number(number: i32, name: &'static str) -> Result<Self, Fault> {
                match wire::$kind::try_from(number) {
                    $(Ok(wire::$kind::$variant) => Ok(Self::$variant),)*
                    Err(_) => Err(Fault(format!("`{name}` has the unknown value {number}"))),
                }
            }
        }
    };
}

/// Those of them that are fields; a rejection is a message of its own.
macro_rules! enum_field {
    ($($kind:ident),*) => { $(
        impl Field for $kind {
            type Wire = i32;

            fn to_field(&self) -> i32 {
                self.to_number()
            }

            fn from_field(field: i32, name: &'static str) -> Result<Self, Fault> {
                Self::from_number(field, name)
            }
        }
    )* };
}

enum_field!(
    ChecksumAlgorithm,
    ChecksumScope,
    Versioning,
    BucketPhase,
    BackendState,
    Spread,
    NodeRole,
    NodePhase
);

plain_enum!(ChecksumAlgorithm { Crc32, Crc32c, Crc64Nvme, Sha1, Sha256 });
plain_enum!(ChecksumScope { FullObject, Composite });
plain_enum!(Versioning { Off, Enabled, Suspended });
plain_enum!(BucketPhase { Open, Deleting, Deleted });
plain_enum!(BackendState { Active, Draining, Removed, Lost });
zero_enum!(Spread { Node, Zone, Region });
zero_enum!(NodeRole { Voter, Learner, Gateway });
zero_enum!(NodePhase { Member, Joining, Changing, Leaving, Removed });
plain_enum!(Rejection {
    AlreadyInitialised,
    NotInitialised,
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    NoSuchBucket,
    BucketNotEmpty,
    OperationAborted,
    NoSuchKey,
    NoSuchVersion,
    MethodNotAllowed,
    NoSuchUpload,
    PreconditionFailed,
    InvalidPart,
    InvalidPartOrder,
    EntityTooSmall,
    EntityTooLarge,
    BadDigest,
    NoSuchUser,
    NoSuchAccessKey,
    AlreadyExists,
    NoSuchBackend,
    NoSuchEpoch,
    StaleConfig,
    ConfigAhead,
    EpochClosed,
    Expired,
    Unknown,
    Malformed,
    NoSuchNode,
    NodeRemoved,
    InvalidToken,
    TokenUsed,
    MembershipChanging,
    LastVoter,
    Superseded,
    WrongBackendState,
});

record!(VersionId => wire::VersionId, "version id", { generation, index, sub });
record!(BlobKey => wire::BlobKey, "blob key", { generation, shard, node, epoch, seq });
record!(Settings => wire::Settings, "settings", { drain_ms, dedupe_ms });

/// One message instead of two nested ones: upload ids are in every multipart command.
impl Wire for UploadId {
    type Message = wire::UploadId;
    const WHAT: &'static str = "upload id";

    fn to_wire(&self) -> wire::UploadId {
        let VersionId { generation, index, sub } = self.created;
        wire::UploadId { shard: self.shard.to_field(), generation, index, sub }
    }

    fn from_wire(message: wire::UploadId) -> Result<Self, Fault> {
        let wire::UploadId { shard, generation, index, sub } = message;
        let shard = GroupId::from_field(shard, "shard")?;
        Ok(Self { shard, created: VersionId { generation, index, sub } })
    }
}
