//! Versions of objects, their parts and where their bytes are.

use super::shape::{Choice, Fault, Field, Wire};
use crate::etag::ETag;
use crate::object::{
    Attributes, Blob, Body, Checksum, ChecksumAlgorithm, ChecksumScope, ContentHeaders,
    DeleteMarker, Location, Manifest, Part, Version, VersionEntry,
};
use crate::wire::v1 as wire;
use crate::wire::v1::version::Body as BodyOneof;
use crate::wire::v1::version_entry::Entry as EntryOneof;

record!(ETag => wire::ETag, "ETag", { md5, parts });
record!(Location => wire::Location, "location", { backend, key });
record!(Blob => wire::Blob, "blob", { size_bytes, crc64nvme, copies });
record!(Checksum => wire::Checksum, "checksum", { algorithm, scope, value });
record!(
    ContentHeaders => wire::ContentHeaders, "content headers",
    {
        content_type,
        content_encoding,
        content_language,
        content_disposition,
        cache_control,
        expires,
        website_redirect,
    },
    absent Some(Self::default())
);
record!(
    Attributes => wire::Attributes, "attributes",
    { headers, user_metadata, tags, storage_class },
    absent Some(Self::default())
);
record!(Part => wire::Part, "part", { number, md5, checksum, blob });
record!(
    Version => wire::Version, "version",
    { id, null, owner, size_bytes, etag, checksum, place_epoch, attributes, body },
    renamed { modified: modified_ms }
);
record!(
    DeleteMarker => wire::DeleteMarker, "delete marker",
    { id, null, owner },
    renamed { modified: modified_ms }
);

choice!(
    VersionEntry => EntryOneof in wire, "version entry",
    units [],
    messages [Object, DeleteMarker],
    records {},
    renamed {},
);
wrapped!(VersionEntry in wire::VersionEntry, entry);

/// The manifest row.
impl Wire for Manifest {
    type Message = wire::PartList;
    const WHAT: &'static str = "manifest";

    fn to_wire(&self) -> wire::PartList {
        wire::PartList { parts: self.0.to_field() }
    }

    fn from_wire(message: wire::PartList) -> Result<Self, Fault> {
        Field::from_field(message.parts, "parts").map(Self)
    }
}

impl Choice for Body {
    type Oneof = BodyOneof;
    const WHAT: &'static str = "body";

    fn to_oneof(&self) -> BodyOneof {
        match self {
            Self::Whole(blob) => BodyOneof::Whole(blob.to_wire()),
            Self::Parts(parts) => BodyOneof::Parts(wire::PartList { parts: parts.to_field() }),
            Self::Manifest { parts } => {
                BodyOneof::Manifest(wire::ManifestReference { parts: parts.to_field() })
            }
        }
    }

    fn from_oneof(oneof: BodyOneof) -> Result<Self, Fault> {
        Ok(match oneof {
            BodyOneof::Whole(blob) => Self::Whole(Wire::from_wire(blob)?),
            BodyOneof::Parts(list) => Self::Parts(Field::from_field(list.parts, "parts")?),
            BodyOneof::Manifest(manifest) => {
                Self::Manifest { parts: Field::from_field(manifest.parts, "parts")? }
            }
        })
    }
}
embedded!(Body);

/// What an upload will be checked with.
impl Wire for (ChecksumAlgorithm, ChecksumScope) {
    type Message = wire::ChecksumKind;
    const WHAT: &'static str = "checksum kind";

    fn to_wire(&self) -> wire::ChecksumKind {
        wire::ChecksumKind { algorithm: self.0.to_field(), scope: self.1.to_field() }
    }

    fn from_wire(message: wire::ChecksumKind) -> Result<Self, Fault> {
        let algorithm = Field::from_field(message.algorithm, "algorithm")?;
        Ok((algorithm, Field::from_field(message.scope, "scope")?))
    }
}

/// User metadata and tags.
impl Wire for (String, String) {
    type Message = wire::Pair;
    const WHAT: &'static str = "name with value";

    fn to_wire(&self) -> wire::Pair {
        wire::Pair { name: self.0.clone(), value: self.1.clone() }
    }

    fn from_wire(message: wire::Pair) -> Result<Self, Fault> {
        Ok((message.name, message.value))
    }
}
