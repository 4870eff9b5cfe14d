//! The seam: what every place that can keep blobs offers. Which blob goes where, and what a blob
//! means, is decided elsewhere; a backend sees opaque write-once keys and streams of bytes.

use std::fmt::Debug;
use std::ops::Range;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use vaultaire_proto::{BackendId, BackendKey};

use crate::error::Error;

/// Bytes under way. An error ends the stream; nothing follows it.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// The most keys one page of a listing holds, whatever was asked for.
pub const LIST_PAGE_MAX: usize = 10_000;

/// A place that keeps blobs.
#[async_trait]
pub trait Backend: Send + Sync + Debug {
    /// The id under which placements refer to it.
    fn id(&self) -> BackendId;

    /// The name that operators gave it.
    fn name(&self) -> &str;

    /// Its family.
    fn kind(&self) -> Kind;

    /// What it can do by itself.
    fn capabilities(&self) -> Capabilities;

    /// Writes a blob under a key that was never used. Returns only after the bytes are durable.
    /// After an error, or when the future is dropped, nothing is left at the key (best effort:
    /// `OutcomeUnknown` says when that cannot be told). A body whose length is not `size_hint` is refused.
    async fn put(
        &self,
        key: &BackendKey,
        attributes: &Attributes,
        size_hint: Option<u64>,
        body: ByteStream,
    ) -> Result<Stored, Error>;

    /// Reads a blob, or the part of it that lies within `range`.
    async fn get(&self, key: &BackendKey, range: Option<Range<u64>>) -> Result<Object, Error>;

    /// Tells a blob's size without reading it.
    async fn head(&self, key: &BackendKey) -> Result<Info, Error>;

    /// Removes a blob. A blob that is not there counts as removed.
    async fn delete(&self, key: &BackendKey) -> Result<(), Error>;

    /// The keys that begin with `prefix` and come after `after`, in the order of their bytes: one page of at most
    /// `limit` (and never more than [`LIST_PAGE_MAX`]). Only an empty page says that nothing follows.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&BackendKey>,
        limit: usize,
    ) -> Result<Vec<Listed>, Error>;

    /// Copies a blob to a key that was never used, inside the backend where it can.
    async fn copy(&self, from: &BackendKey, to: &BackendKey) -> Result<Stored, Error>;

    /// Gives up uploads of keys with the prefix that were begun and never completed, as a killed process leaves them:
    /// some stores keep their bytes, and charge for them, without ever listing them. Answers how many there were. The
    /// caller knows that nobody writes under the prefix any more. Most backends have nothing of the kind.
    async fn abort_unfinished(&self, _prefix: &str) -> Result<usize, Error> {
        Ok(0)
    }

    /// Proves that the backend is still the one that it should be, and writes nothing: asked before bytes are deleted
    /// because no row knows them. In another backend's place, or a lost one's, no row knows any.
    async fn identify(&self) -> Result<(), Error>;

    /// Whether the backend is reachable, takes writes where that can be told, and is still the one that it should be.
    async fn check(&self) -> Result<(), Error>;
}

/// The family of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder on a local file system.
    Disk,
    /// The memory of this process: for tests.
    Memory,
    /// Anything that speaks S3.
    S3,
}

impl Kind {
    /// Whether its bytes lie on one node, so that each node has its own of a name. Others are the same from everywhere.
    pub fn is_of_node(self) -> bool {
        match self {
            Self::Disk | Self::Memory => true,
            Self::S3 => false,
        }
    }

    /// The kind that a word means.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Disk, Self::Memory, Self::S3].into_iter().find(|kind| kind.as_str() == word)
    }

    /// The word that configuration and tables use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::S3 => "s3",
        }
    }
}

/// How a backend keeps a key from being written twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOnce {
    /// Of any number of concurrent writers exactly one wins.
    Atomic,
    /// The key is looked up before it is written: enough, since one node alone mints each key.
    Checked,
}

/// Where the attributes of a blob go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributesKept {
    /// Next to the bytes: a copy describes itself.
    Yes,
    /// Nowhere: the catalog and its snapshots alone know what the blob is.
    No,
}

/// What a backend can do by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How write-once is kept.
    pub write_once: WriteOnce,
    /// Whether blobs describe themselves.
    pub attributes: AttributesKept,
}

/// What a self-describing copy says about itself, so that a catalog can be rebuilt from bare backends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The version id, as text.
    pub version: String,
    /// The size of the object that the blob belongs to.
    pub size_bytes: Option<u64>,
    /// The content type, as the client gave it.
    pub content_type: Option<String>,
}

/// What a write stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// How many bytes lie at the key now.
    pub size_bytes: u64,
}

/// What is known of a blob without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// The blob's size.
    pub size_bytes: u64,
}

/// One row of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The blob's key.
    pub key: BackendKey,
    /// The blob's size.
    pub size_bytes: u64,
}

/// A blob being read.
pub struct Object {
    /// The size of the whole blob, also where a range was asked for.
    pub size_bytes: u64,
    /// The bytes that `stream` yields: the range asked for, cut to the blob.
    pub range: Range<u64>,
    /// The bytes.
    pub stream: ByteStream,
}

impl Debug for Object {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Object")
            .field("size_bytes", &self.size_bytes)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

impl Object {
    /// Reads everything into memory; a blob of more than `bytes_max` is refused before a byte is read.
    pub async fn collect(self, bytes_max: u64) -> Result<Bytes, Error> {
        let length = self.range.end.saturating_sub(self.range.start);
        if length > bytes_max {
            return Err(Error::RangeNotSatisfiable {
                start: 0,
                end: length,
                size_bytes: bytes_max,
            });
        }
        collect(self.stream).await
    }
}

/// Reads a stream into one buffer. The caller has bounded its length.
pub async fn collect(mut stream: ByteStream) -> Result<Bytes, Error> {
    let Some(first) = stream.next().await.transpose()? else {
        return Ok(Bytes::new());
    };
    let Some(second) = stream.next().await.transpose()? else {
        return Ok(first);
    };
    let mut whole = BytesMut::from(first.as_ref());
    whole.extend_from_slice(&second);
    while let Some(chunk) = stream.next().await.transpose()? {
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// A stream of one buffer; an empty buffer is an empty stream.
pub fn once(bytes: Bytes) -> ByteStream {
    let chunk = (!bytes.is_empty()).then_some(Ok(bytes));
    Box::pin(futures::stream::iter(chunk))
}

/// The bytes of a blob that a range asks for. No range asks for everything, also of an empty blob;
/// a range that holds no byte of the blob is an error, as in S3.
pub fn resolve_range(range: Option<Range<u64>>, size_bytes: u64) -> Result<Range<u64>, Error> {
    let Some(Range { start, end }) = range else {
        return Ok(0..size_bytes);
    };
    if start >= end || start >= size_bytes {
        return Err(Error::RangeNotSatisfiable { start, end, size_bytes });
    }
    Ok(start..end.min(size_bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_is_cut_to_the_blob(start in 0_u64..200, end in 0_u64..200, size in 0_u64..100) {
            let asked: Vec<u64> = (start..end).filter(|offset| *offset < size).collect();
            match resolve_range(Some(start..end), size) {
                Ok(range) => prop_assert_eq!(range.collect::<Vec<_>>(), asked),
                Err(_) => prop_assert!(asked.is_empty()),
            }
        }

        #[test]
        fn extreme_ranges_do_not_overflow(start: u64, end: u64, size: u64) {
            if let Ok(range) = resolve_range(Some(start..end), size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }

    #[tokio::test]
    async fn an_empty_blob_is_read_without_a_range_only() {
        assert_eq!(resolve_range(None, 0).unwrap(), 0..0);
        assert!(resolve_range(Some(0..1), 0).is_err());
        assert_eq!(collect(once(Bytes::new())).await.unwrap(), Bytes::new());
    }
}
