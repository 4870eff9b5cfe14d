//! What a version of an object is: everything S3 shows of it, and where its bytes live.
//! Metadata decides everything visible; nothing here is ever read back from a backend.

use crate::etag::ETag;
use crate::id::{BackendId, BlobKey, UserId, VersionId};
use crate::time::TimeMs;

/// Checksum algorithms that S3 clients may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChecksumAlgorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

/// Whether a checksum covers the bytes, or the checksums of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumScope {
    FullObject,
    Composite,
}

/// A checksum as S3 shows it; `value` is raw, not base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    pub algorithm: ChecksumAlgorithm,
    pub scope: ChecksumScope,
    pub value: Vec<u8>,
}

/// Content headers, kept and echoed as the client sent them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentHeaders {
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub content_disposition: Option<String>,
    pub cache_control: Option<String>,
    pub expires: Option<String>,
    pub website_redirect: Option<String>,
}

/// What a client may say about an object beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub headers: ContentHeaders,
    /// `x-amz-meta-*`, names in lower case without the prefix, in the order sent.
    pub user_metadata: Vec<(String, String)>,
    pub tags: Vec<(String, String)>,
    /// The S3 name of the storage class asked for; empty means STANDARD.
    pub storage_class: String,
}

/// One copy of a blob at one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    pub backend: BackendId,
    pub key: BlobKey,
}

/// The immutable bytes of (part of) one version, with every copy of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub size_bytes: u64,
    /// Verified on every full read, whatever checksum the client chose.
    pub crc64nvme: u64,
    /// In the order in which they are tried.
    pub copies: Vec<Location>,
}

/// One part of a multipart object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// 1 to 10,000; numbers need not be consecutive.
    pub number: u16,
    pub md5: [u8; 16],
    /// Raw value under the upload's algorithm, if it has one.
    pub checksum: Option<Vec<u8>>,
    pub blob: Blob,
}

/// How many parts a version row carries itself; more live in a manifest row of their own.
pub const INLINE_PARTS_MAX: usize = 16;

/// Where the bytes of a version are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Put whole.
    Whole(Blob),
    /// Multipart, few parts, in order.
    Parts(Vec<Part>),
    /// Multipart, many parts: the manifest row named by the version id.
    Manifest { parts: u16 },
}

/// The manifest row: every part of a version that has too many to carry itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest(pub Vec<Part>);

/// One version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub id: VersionId,
    /// Shown as `null`: written while the bucket was not (or no longer) versioned.
    pub null: bool,
    pub owner: UserId,
    pub size_bytes: u64,
    pub etag: ETag,
    pub checksum: Option<Checksum>,
    /// S3's Last-Modified.
    pub modified: TimeMs,
    /// Raised by every change of placement (I9).
    pub place_epoch: u64,
    pub attributes: Attributes,
    pub body: Body,
}

/// What the versions table holds under one (bucket, key, version).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are objects; boxing would cost each an allocation"
)]
pub enum VersionEntry {
    Object(Version),
    DeleteMarker(DeleteMarker),
}

/// A versioned delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteMarker {
    pub id: VersionId,
    pub null: bool,
    pub owner: UserId,
    pub modified: TimeMs,
}

impl VersionEntry {
    /// The version id of either kind.
    pub fn id(&self) -> VersionId {
        match self {
            Self::Object(version) => version.id,
            Self::DeleteMarker(marker) => marker.id,
        }
    }

    /// Whether S3 shows it as `null`.
    pub fn null(&self) -> bool {
        match self {
            Self::Object(version) => version.null,
            Self::DeleteMarker(marker) => marker.null,
        }
    }
}
