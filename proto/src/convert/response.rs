//! Responses, and the rows that remember one.

use super::shape::{Fault, Plain, Wire};
use crate::response::{Deleted, Put, Rejection, Response};
use crate::row::{Answered, Completed};
use crate::wire::v1 as wire;
use crate::wire::v1::response::Response as ResponseOneof;

choice!(
    Response => ResponseOneof in wire, "response",
    units [Done],
    messages [Rejected, Bucket, Backend, User, AccessKey, Node, Put, Deleted],
    records {
        Configured { empty },
        EpochOpened { epoch, generation },
        Pruned { more },
        UploadCreated { upload },
    },
    renamed { PartPut { modified: modified_ms } },
);
wrapped!(Response in wire::Response, response);

record!(
    Put => wire::Put, "put",
    { version, null, etag, checksum, size_bytes },
    renamed { modified: modified_ms }
);
record!(Deleted => wire::Deleted, "delete", { version, null, marker });
record!(
    Answered => wire::Answered, "answered request",
    { digest, response },
    renamed { expires_at: expires_at_ms }
);
record!(
    Completed => wire::Completed, "completed upload",
    { digest, response },
    renamed { expires_at: expires_at_ms }
);

/// A message around the number: it leaves room to say more about a no.
impl Wire for Rejection {
    type Message = wire::Rejected;
    const WHAT: &'static str = "rejection";

    fn to_wire(&self) -> wire::Rejected {
        wire::Rejected { rejection: self.to_number() }
    }

    fn from_wire(message: wire::Rejected) -> Result<Self, Fault> {
        Self::from_number(message.rejection, "rejection")
    }
}
