//! The source of a copy: which version, whether it may be read, and its bytes.

use std::ops::Range;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use vaultaire_proto::command::VersionSelector;
use vaultaire_proto::object::Version;
use vaultaire_proto::row::Bucket;
use vaultaire_proto::{BucketName, ObjectKey};
use vaultaire_storage::backend::ByteStream;

use crate::body::outgoing;
use crate::call::{Call, Context};
use crate::condition::{self, Subject};
use crate::error::Error;
use crate::error::code::Code;
use crate::lookup::{self, Manifest};
use crate::ops::get_object::segments;
use crate::range::{self, Asked};
use crate::{access, gate, limits};

/// What `x-amz-copy-source` names.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub version: Option<VersionSelector>,
}

/// A source that may be read.
#[derive(Debug)]
pub struct CopySource {
    pub named: Named,
    pub bucket: Bucket,
    pub version: Version,
}

/// Reads the header: `bucket/key`, percent-encoded, with or without a leading slash, then `?versionId=`.
pub fn parse(text: &str) -> Result<Named, Error> {
    let malformed = || {
        Error::with(
            Code::InvalidArgument,
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        )
    };
    let (path, version) = match text.split_once("?versionId=") {
        Some((path, version)) => (path, Some(version)),
        None => (text, None),
    };
    let path = percent_decode_str(path).decode_utf8().map_err(|_| malformed())?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = path.split_once('/').ok_or_else(malformed)?;
    if key.is_empty() {
        return Err(malformed());
    }
    Ok(Named {
        bucket: gate::bucket_name(bucket)?,
        key: gate::object_key(key)?,
        version: lookup::selector(version)?,
    })
}

/// Finds the source, with the right to read it and its conditions checked.
pub async fn find(ctx: &Context, call: &Call, own: &Bucket) -> Result<CopySource, Error> {
    let named = parse(call.header("x-amz-copy-source").unwrap_or_default())?;
    let bucket = if named.bucket == own.name {
        own.clone()
    } else {
        access::again(ctx, &named.bucket, call.identity.user).await?
    };
    access::as_source(call, &bucket)?;
    let found = lookup::version(ctx, &bucket, &named.key, named.version, Manifest::Include).await;
    let version = found.map_err(of_source)?;
    condition::check_copy_source(
        &call.headers,
        Subject { etag: version.etag, modified: version.modified },
    )?;
    Ok(CopySource { named, bucket, version })
}

/// What a GET calls a wrong method, of a delete marker, is a wrong source here.
fn of_source(error: Error) -> Error {
    if error.is(Code::MethodNotAllowed) {
        return Error::with(
            Code::InvalidRequest,
            "The source of a copy request may not specifically refer to a delete marker by version id.",
        );
    }
    error
}

impl CopySource {
    /// The bytes, as a stream that verifies what it reads whole.
    pub fn stream(&self, ctx: &Arc<Context>, range: Range<u64>) -> Result<ByteStream, Error> {
        Ok(outgoing::stream(ctx, segments(self.version.body.clone(), range)?))
    }
}

/// The range of a part that is copied: `bytes=first-last` and nothing else.
pub fn part_range(call: &Call, size_bytes: u64) -> Result<Range<u64>, Error> {
    let name = "x-amz-copy-source-range";
    let range = match call.header(name) {
        None => 0..size_bytes,
        Some(text) => match range::parse(text) {
            Some(Asked::Between(first, last)) if last < size_bytes => first..last.saturating_add(1),
            Some(Asked::Between(first, last)) => {
                return Err(Error::with(
                    Code::InvalidRange,
                    format!(
                        "Range specified is not valid for source object of size: {size_bytes} ({first}-{last})."
                    ),
                ));
            }
            Some(Asked::From(_) | Asked::Last(_)) | None => {
                return Err(Error::argument(
                    name,
                    "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
                ));
            }
        },
    };
    check_size(range.end - range.start)?;
    Ok(range)
}

/// A single copy takes 5 GiB at most.
pub fn check_size(size_bytes: u64) -> Result<(), Error> {
    if size_bytes > limits::PUT_BYTES_MAX {
        return Err(Error::with(
            Code::InvalidRequest,
            format!(
                "The specified copy source is larger than the maximum allowable size for a copy source: {}; copy it in parts.",
                limits::PUT_BYTES_MAX
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn sources_are_read_as_clients_write_them() {
        for (text, key, version) in [
            ("photos/a/b", "a/b", None),
            ("/photos/a%20b%2Bc", "a b+c", None),
            ("photos/a+b", "a+b", None),
            ("photos/%C3%BC?versionId=null", "ü", Some(VersionSelector::Null)),
            ("photos/what%3FversionId=x", "what?versionId=x", None),
            ("photos//lead", "/lead", None),
        ] {
            let named = parse(text).unwrap();
            assert_eq!(
                (named.bucket.as_str(), named.key.as_str(), named.version),
                ("photos", key, version),
                "{text}"
            );
        }
        for bad in ["", "photos", "photos/", "/photos", "photos/k?versionId=nonsense"] {
            assert_eq!(parse(bad).unwrap_err().code(), "InvalidArgument", "{bad}");
        }
    }
}
