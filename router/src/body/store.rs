//! Writes the body of a request, or bytes that are stored already, under a fresh key, and verifies every
//! checksum that was announced before the write is allowed to succeed. It commits nothing.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use vaultaire_proto::ObjectKey;
use vaultaire_proto::object::{Blob, Checksum, ChecksumAlgorithm, ChecksumScope, Location};
use vaultaire_proto::row::Bucket;
use vaultaire_storage::backend::{Attributes, Backend, ByteStream};
use vaultaire_storage::error::Error as StorageError;
use vaultaire_storage::pipeline::checksum::Sums;
use vaultaire_storage::pipeline::hash::hashed;

use crate::body::{fan, xml};
use crate::call::{Call, Context};
use crate::checksum::{self, Announced};
use crate::epochs::Lease;
use crate::error::Error;
use crate::error::code::Code;
use crate::limits;

/// Bytes that lie at their backend and nowhere in the catalog yet.
#[derive(Debug)]
pub struct Written {
    /// Keeps the epoch open until the commit has an outcome.
    pub lease: Lease,
    pub blob: Blob,
    pub md5: [u8; 16],
    /// Under the algorithm that the client chose, or CRC-64/NVME.
    pub checksum: Checksum,
}

/// What is to be written.
pub struct Source {
    pub stream: ByteStream,
    /// The length announced; a body without one is taken as it comes.
    pub size_bytes: Option<u64>,
    pub content_md5: Option<[u8; 16]>,
    pub announced: Announced,
    pub trailers: Option<s3s::TrailingHeaders>,
    /// Taken where the request announces no algorithm.
    pub default_algorithm: ChecksumAlgorithm,
}

impl Source {
    /// The body of a PUT or of a part.
    pub fn of_call(call: &mut Call, default_algorithm: ChecksumAlgorithm) -> Result<Self, Error> {
        let size_bytes = size(call)?;
        let content_md5 = xml::content_md5(call)?;
        let announced = checksum::announced(&call.headers)?;
        let body = call.take_body().map_err(|source| StorageError::Body { source });
        Ok(Self {
            stream: Box::pin(body.try_filter(|chunk| std::future::ready(!chunk.is_empty()))),
            size_bytes,
            content_md5,
            announced,
            trailers: call.trailers.take(),
            default_algorithm,
        })
    }

    /// Bytes that are read from where they lie.
    pub fn of_stored(stream: ByteStream, size_bytes: u64, algorithm: ChecksumAlgorithm) -> Self {
        Self {
            stream,
            size_bytes: Some(size_bytes),
            content_md5: None,
            announced: Announced::Nothing,
            trailers: None,
            default_algorithm: algorithm,
        }
    }
}

/// The length of the payload: with aws-chunked framing another header tells it.
fn size(call: &Call) -> Result<Option<u64>, Error> {
    let name = if call.headers.contains_key("x-amz-decoded-content-length") {
        "x-amz-decoded-content-length"
    } else {
        "content-length"
    };
    let Some(text) = call.header(name) else {
        return Ok(None);
    };
    let size = text
        .trim()
        .parse::<u64>()
        .map_err(|_| Error::argument(name, "must be a number of bytes"))?;
    if size > limits::PUT_BYTES_MAX {
        return Err(Error::new(Code::EntityTooLarge)
            .detail("ProposedSize", size.to_string())
            .detail("MaxSizeAllowed", limits::PUT_BYTES_MAX.to_string()));
    }
    Ok(Some(size))
}

/// The backends where the copies of a new blob go.
pub fn backends(ctx: &Context, bucket: &Bucket) -> Result<Vec<Arc<dyn Backend>>, Error> {
    match ctx.settings.targets.choose(&ctx.registry, bucket.copies.unwrap_or_default()) {
        Ok(chosen) => {
            let open = chosen.into_iter().map(|id| ctx.registry.get(id));
            Ok(open.collect::<Result<_, StorageError>>()?)
        }
        Err(short) => {
            tracing::error!(%short, "no place for new objects");
            Err(Error::slow_down(
                "No storage backend takes new objects at the moment; try again later.",
            ))
        }
    }
}

/// Writes. After an error nothing is left at the key, or the sweep of its epoch finds it.
pub async fn write(
    ctx: &Context,
    (bucket, key): (&Bucket, &ObjectKey),
    attributes: &Attributes,
    source: Source,
) -> Result<Written, Error> {
    let backends = backends(ctx, bucket)?;
    let lease = ctx.epochs.allocate(ctx.shard(bucket, key)).await?;
    let key = lease.key.backend_key(ctx.catalog.cluster().cluster);
    let algorithm = source.announced.algorithm().unwrap_or(source.default_algorithm);
    // The backend only learns that its stream failed; why, in S3's terms, is told past it.
    let verdict: Arc<Mutex<Option<Error>>> = Arc::default();
    let told = verdict.clone();
    let Source { stream, size_bytes, content_md5, announced, trailers, .. } = source;
    let check = Box::new(move |sums: &Sums| {
        let checked = check(sums, size_bytes, content_md5, announced, trailers.as_ref());
        checked.map_err(|error| {
            *told.lock() = Some(error);
            StorageError::ChecksumMismatch { algorithm: "announced checksum or length" }
        })
    });
    let bounded = bounded(stream, size_bytes, verdict.clone());
    let (stream, slot) = hashed(bounded, checksum::algorithms(Some(algorithm)), check);
    let stored = match fan::put(&backends, &key, attributes, size_bytes, stream).await {
        Ok(stored) => stored,
        Err((backend, error)) => {
            let verdict = verdict.lock().take();
            if let (Some(backend), None) = (backend, &verdict) {
                ctx.settings.targets.note(backend, &error);
            }
            return Err(verdict.unwrap_or_else(|| Error::from(error)));
        }
    };
    let sums =
        slot.get().ok_or_else(|| crate::error::map::unexpected("checksums of a finished body"))?;
    if stored != sums.size_bytes {
        let reason = format!("{stored} bytes were stored of {}", sums.size_bytes);
        return Err(StorageError::Corrupt { subject: key.to_string(), reason }.into());
    }
    let value = checksum::value_of(algorithm, &sums);
    let (Some(md5), Some(crc64nvme), Some(value)) = (sums.md5, sums.crc64nvme, value) else {
        return Err(crate::error::map::unexpected("checksums that were asked for"));
    };
    let copies = copies(&backends, &lease);
    Ok(Written {
        blob: Blob { size_bytes: sums.size_bytes, crc64nvme, copies },
        lease,
        md5,
        checksum: Checksum { algorithm, scope: ChecksumScope::FullObject, value },
    })
}

/// Where a blob lies that every one of these backends has.
pub fn copies(backends: &[Arc<dyn Backend>], lease: &Lease) -> Vec<Location> {
    backends.iter().map(|backend| Location { backend: backend.id(), key: lease.key }).collect()
}

/// Ends the stream with an error as soon as it is longer than announced, or than any object may be.
fn bounded(
    stream: ByteStream,
    size_bytes: Option<u64>,
    verdict: Arc<Mutex<Option<Error>>>,
) -> ByteStream {
    let bound = size_bytes.unwrap_or(limits::PUT_BYTES_MAX);
    let code = if size_bytes.is_some() { Code::IncompleteBody } else { Code::EntityTooLarge };
    let mut seen_bytes = 0_u64;
    Box::pin(stream.map(move |chunk| {
        let chunk = chunk?;
        seen_bytes = seen_bytes.saturating_add(chunk.len() as u64);
        if seen_bytes > bound {
            *verdict.lock() = Some(Error::new(code));
            return Err(StorageError::Body { source: "the body is longer than announced".into() });
        }
        Ok(chunk)
    }))
}

fn check(
    sums: &Sums,
    size_bytes: Option<u64>,
    content_md5: Option<[u8; 16]>,
    announced: Announced,
    trailers: Option<&s3s::TrailingHeaders>,
) -> Result<(), Error> {
    if size_bytes.is_some_and(|size| size != sums.size_bytes) {
        return Err(Error::new(Code::IncompleteBody));
    }
    if content_md5.is_some() && content_md5 != sums.md5 {
        return Err(Error::new(Code::BadDigest));
    }
    let announced = match announced {
        Announced::Trailer(algorithm) => xml::trailing(trailers, algorithm)?,
        other => other,
    };
    match announced {
        Announced::Value(algorithm, value)
            if checksum::value_of(algorithm, sums).as_ref() != Some(&value) =>
        {
            Err(xml::mismatch(algorithm))
        }
        _ => Ok(()),
    }
}
