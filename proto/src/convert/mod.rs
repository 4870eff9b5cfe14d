//! Domain types to bytes and back. Wire types stop here; nothing outside this folder sees them.
//! It decides no meaning: what a row or a command does is `state/`.

#[macro_use]
mod shape;
mod command;
pub mod details;
mod field;
mod object;
mod query;
mod response;
mod row;

#[cfg(test)]
pub(crate) mod arbitrary;

use prost::Message;

use self::shape::{Fault, Field, Wire};
use crate::command::Operation;
use crate::response::Response;
use crate::wire::v1 as wire;

/// The format version of everything that is stored today. Protobuf lets a newer release add fields
/// that an older one skips; this number rises when skipping them would change the meaning.
pub const FORMAT: u8 = 1;

/// What is kept in tables and logs: a format version byte, then protobuf.
pub trait Stored: Sized {
    /// The bytes of a row or log entry.
    fn encode(&self) -> Vec<u8>;

    /// Reads what any supported version wrote.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// Bytes that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer release.
    #[error(
        "{what} has format version {found}; this release reads up to {supported}: upgrade this node"
    )]
    Newer { what: &'static str, found: u8, supported: u8 },
    /// Damaged, or not of this type.
    #[error("{what} cannot be read: {why}")]
    Malformed { what: &'static str, why: String },
}

impl<T: Wire> Stored for T {
    fn encode(&self) -> Vec<u8> {
        seal(&self.to_wire())
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        open(bytes, T::WHAT, T::from_wire)
    }
}

/// The outcomes of one log entry, in the order of its commands.
impl Stored for Vec<Response> {
    fn encode(&self) -> Vec<u8> {
        seal(&wire::Responses { responses: self.iter().map(Wire::to_wire).collect() })
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        open(bytes, "responses", |message: wire::Responses| {
            message.responses.into_iter().map(Wire::from_wire).collect()
        })
    }
}

/// What was asked, without who asked when: equal bytes are equal requests. Replicas keep digests of
/// them, so a release may not write an operation that an older one knows in other bytes.
impl Stored for Operation {
    fn encode(&self) -> Vec<u8> {
        seal(&wire::Command { operation: self.to_field(), ..wire::Command::default() })
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        open(bytes, "operation", |message: wire::Command| {
            Self::from_field(message.operation, "operation")
        })
    }
}

fn seal(message: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.encoded_len().saturating_add(1));
    bytes.push(FORMAT);
    message.encode(&mut bytes).expect("a vector grows as needed");
    bytes
}

fn open<M: Message + Default, T>(
    bytes: &[u8],
    what: &'static str,
    read: impl FnOnce(M) -> Result<T, Fault>,
) -> Result<T, DecodeError> {
    let malformed = |Fault(why)| DecodeError::Malformed { what, why };
    let Some((format, body)) = bytes.split_first() else {
        return Err(malformed(Fault::new("it is empty")));
    };
    match *format {
        0 => {
            return Err(malformed(Fault::new(
                "it begins with format version 0, which is never written",
            )));
        }
        FORMAT => {}
        found => {
            return Err(DecodeError::Newer { what, found, supported: FORMAT });
        }
    }
    let message = M::decode(body).map_err(|error| malformed(Fault(error.to_string())))?;
    read(message).map_err(malformed)
}

#[cfg(test)]
mod tests;
