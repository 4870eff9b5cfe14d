//! CopyObject: a new version from an old one's bytes, copied inside the backend where they are one blob of it.

use std::sync::Arc;

use futures::future::try_join_all;
use http::header::HeaderName;
use s3s::dto;
use vaultaire_proto::ETag;
use vaultaire_proto::object::{
    Attributes, Blob, Body, Checksum, ChecksumAlgorithm, ChecksumScope, Version,
};
use vaultaire_proto::response::Put;
use vaultaire_proto::row::{Bucket, Versioning};
use vaultaire_storage::backend::Backend;

use crate::body::store::{self, Source, Written};
use crate::call::{Call, Context};
use crate::checksum::Shown;
use crate::copy::{self, CopySource};
use crate::error::Error;
use crate::error::code::Code;
use crate::ops::put_object::{self, Finish, describe_copy, describe_version};
use crate::reply::{self, Reply};
use crate::{access, attributes, checksum, condition, headers, http_date};

/// Answers CopyObject.
pub async fn handle(ctx: &Arc<Context>, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let key = call.object_key()?.clone();
    let condition = condition::write(&call.headers)?;
    let source = copy::find(ctx, &call, &bucket).await?;
    copy::check_size(source.version.size_bytes)?;
    let attributes = new_attributes(&call, &source.version)?;
    refuse_no_change(&call, &bucket, &source)?;
    let written = write(ctx, &call, &bucket, &source, &attributes).await?;
    let etag = ETag::whole(written.md5);
    let finish = Finish { bucket: &bucket, key: &key, etag, written, attributes, condition };
    let put = put_object::finish(ctx, &call, finish).await?;
    let mut answer = reply::xml(&describe(&put))?;
    describe_version(&mut answer, &put);
    if source.bucket.versioning != Versioning::Off {
        let name = HeaderName::from_static("x-amz-copy-source-version-id");
        reply::set(&mut answer, name, headers::version_text(&source.version));
    }
    Ok(answer)
}

fn replaces(call: &Call, name: &'static str) -> Result<bool, Error> {
    match call.header(name) {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(Error::argument(name, "must be COPY or REPLACE")),
    }
}

/// By default the source's metadata and tags; class and redirect are the request's.
fn new_attributes(call: &Call, source: &Version) -> Result<Attributes, Error> {
    let mut given = attributes::of(&call.headers)?;
    if !replaces(call, "x-amz-metadata-directive")? {
        let redirect = given.headers.website_redirect.take();
        given.headers = source.attributes.headers.clone();
        given.headers.website_redirect = redirect;
        given.user_metadata = source.attributes.user_metadata.clone();
    }
    if !replaces(call, "x-amz-tagging-directive")? {
        given.tags = source.attributes.tags.clone();
    }
    Ok(given)
}

fn refuse_no_change(call: &Call, bucket: &Bucket, source: &CopySource) -> Result<(), Error> {
    let itself = source.bucket.id == bucket.id
        && Some(&source.named.key) == call.key.as_ref()
        && source.named.version.is_none();
    let changes = replaces(call, "x-amz-metadata-directive")?
        || replaces(call, "x-amz-tagging-directive")?
        || ["x-amz-storage-class", "x-amz-website-redirect-location", "x-amz-checksum-algorithm"]
            .iter()
            .any(|name| call.headers.contains_key(*name));
    if itself && !changes {
        return Err(Error::with(
            Code::InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the \
             object's metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    Ok(())
}

async fn write(
    ctx: &Arc<Context>,
    call: &Call,
    bucket: &Bucket,
    source: &CopySource,
    attributes: &Attributes,
) -> Result<Written, Error> {
    let algorithm = match checksum::wanted(&call.headers)? {
        Some(algorithm) => algorithm,
        None => source
            .version
            .checksum
            .as_ref()
            .map_or(ChecksumAlgorithm::Crc64Nvme, |sum| sum.algorithm),
    };
    if let Some(written) = inside_backend(ctx, call, bucket, source, algorithm).await? {
        return Ok(written);
    }
    let size = source.version.size_bytes;
    let bytes = Source::of_stored(source.stream(ctx, 0..size)?, size, algorithm);
    let key = call.object_key()?;
    let copy = describe_copy(bucket, key, attributes, Some(size));
    store::write(ctx, (bucket, key), &copy, bytes).await
}

/// Lets the backend copy by itself. None: the bytes must pass through here, since they lie elsewhere,
/// or in parts, or a checksum is wanted that is not known of them.
async fn inside_backend(
    ctx: &Context,
    call: &Call,
    bucket: &Bucket,
    source: &CopySource,
    algorithm: ChecksumAlgorithm,
) -> Result<Option<Written>, Error> {
    let Body::Whole(blob) = &source.version.body else { return Ok(None) };
    let Some(sum) = known_checksum(&source.version, blob, algorithm) else { return Ok(None) };
    if source.version.etag.parts != 0 {
        return Ok(None);
    }
    let backends = store::backends(ctx, bucket)?;
    let of = |backend: &Arc<dyn Backend>| {
        let copy = blob.copies.iter().find(|copy| copy.backend == backend.id());
        copy.map(|copy| (Arc::clone(backend), *copy))
    };
    let Some(sources) = backends.iter().map(of).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let lease = ctx.epochs.allocate(ctx.shard(bucket, call.object_key()?)).await?;
    let cluster = ctx.catalog.cluster().cluster;
    let to = lease.key.backend_key(cluster);
    let made = sources.iter().map(|(backend, from)| {
        let (from, to) = (from.key.backend_key(cluster), &to);
        async move { backend.copy(&from, to).await }
    });
    match try_join_all(made).await {
        Ok(stored) if stored.iter().all(|stored| stored.size_bytes == blob.size_bytes) => {}
        Ok(_) => return Ok(None),
        Err(error) => {
            // What some have copied, nobody knows of: the sweep of the epoch finds it.
            tracing::debug!(%error, "a backend did not copy; the bytes are streamed");
            return Ok(None);
        }
    }
    let copies = store::copies(&backends, &lease);
    Ok(Some(Written {
        blob: Blob { size_bytes: blob.size_bytes, crc64nvme: blob.crc64nvme, copies },
        lease,
        md5: source.version.etag.md5,
        checksum: sum,
    }))
}

fn known_checksum(
    version: &Version,
    blob: &Blob,
    algorithm: ChecksumAlgorithm,
) -> Option<Checksum> {
    let stored = version.checksum.as_ref();
    if let Some(sum) =
        stored.filter(|sum| sum.algorithm == algorithm && sum.scope == ChecksumScope::FullObject)
    {
        return Some(sum.clone());
    }
    (algorithm == ChecksumAlgorithm::Crc64Nvme).then(|| Checksum {
        algorithm,
        scope: ChecksumScope::FullObject,
        value: blob.crc64nvme.to_be_bytes().to_vec(),
    })
}

fn describe(put: &Put) -> dto::CopyObjectResult {
    let sums = Shown::of(put.checksum.as_ref(), put.etag.parts);
    dto::CopyObjectResult {
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        checksum_type: sums.scope,
        e_tag: Some(dto::ETag::Strong(put.etag.to_string())),
        last_modified: Some(http_date::timestamp(put.modified)),
    }
}
