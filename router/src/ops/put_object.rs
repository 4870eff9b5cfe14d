//! PutObject: bytes first, then the version. A crash in between leaves garbage, never a version without bytes.

use http::StatusCode;
use http::header::{ETAG, HeaderName};
use vaultaire_proto::command::PutVersion;
use vaultaire_proto::object::{Attributes, ChecksumAlgorithm};
use vaultaire_proto::response::Put;
use vaultaire_proto::row::Bucket;
use vaultaire_proto::{Condition, ETag, ObjectKey, Operation, Response};
use vaultaire_storage::backend::Attributes as CopyAttributes;

use crate::body::store::{self, Source, Written};
use crate::call::{Call, Context};
use crate::commit::{self, OnObject};
use crate::error::Error;
use crate::error::map::unexpected;
use crate::reply::{self, Reply};
use crate::request_id::{self, Fields};
use crate::{access, attributes, checksum, condition, headers};

/// Answers PutObject.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let put = put(ctx, &mut call, &bucket).await?;
    let mut answer = reply::empty(StatusCode::OK);
    describe_put(&mut answer, &put);
    Ok(answer)
}

/// Stores the body of a call that may write to the bucket.
pub async fn put(ctx: &Context, call: &mut Call, bucket: &Bucket) -> Result<Put, Error> {
    let key = call.object_key()?.clone();
    let condition = condition::write(&call.headers)?;
    let attributes = attributes::of(&call.headers)?;
    let source = Source::of_call(call, ChecksumAlgorithm::Crc64Nvme)?;
    let copy = describe_copy(bucket, &key, &attributes, source.size_bytes);
    let written = store::write(ctx, (bucket, &key), &copy, source).await?;
    let etag = ETag::whole(written.md5);
    finish(ctx, call, Finish { bucket, key: &key, etag, written, attributes, condition }).await
}

/// Bytes that are to become a version.
#[derive(Debug)]
pub struct Finish<'a> {
    pub bucket: &'a Bucket,
    pub key: &'a ObjectKey,
    pub etag: ETag,
    pub written: Written,
    pub attributes: Attributes,
    pub condition: Condition,
}

/// Commits written bytes as the current version.
pub async fn finish(ctx: &Context, call: &Call, finish: Finish<'_>) -> Result<Put, Error> {
    let Finish { bucket, key, etag, written, attributes, condition } = finish;
    let mut fields = Fields::default();
    fields.text(&etag.to_string());
    fields.number(written.blob.size_bytes);
    fields.checksum(Some(&written.checksum));
    fields.attributes(&attributes);
    fields.condition(&condition);
    let digest = fields.digest();
    let on = OnObject { bucket, key, user: call.identity.user, request: request_id::of(call) };
    let committed = commit::on_object(ctx, on, |target| {
        Operation::PutVersion(PutVersion {
            target,
            owner: bucket.owner,
            etag,
            checksum: Some(written.checksum.clone()),
            attributes: attributes.clone(),
            blob: written.blob.clone(),
            condition: condition.clone(),
            digest,
        })
    });
    match committed.await {
        Ok(Response::Put(put)) => Ok(put),
        Ok(_) => Err(unexpected("put version")),
        Err(error) => {
            forget_closed(ctx, &error, &written);
            Err(error)
        }
    }
}

/// A shard that calls the epoch closed is right: the next write opens another.
pub fn forget_closed(ctx: &Context, error: &Error, written: &Written) {
    if error.closes_epoch() {
        ctx.epochs.forget(&written.lease.key);
    }
}

/// What a copy at a backend says about itself.
pub fn describe_copy(
    bucket: &Bucket,
    key: &ObjectKey,
    attributes: &Attributes,
    size_bytes: Option<u64>,
) -> CopyAttributes {
    CopyAttributes {
        bucket: bucket.name.as_str().to_owned(),
        key: key.as_str().to_owned(),
        version: String::new(),
        size_bytes,
        content_type: attributes.headers.content_type.clone(),
    }
}

/// The headers that every kind of PUT answers with.
pub fn describe_put(answer: &mut Reply, put: &Put) {
    answer.headers_mut().insert(ETAG, headers::etag(put.etag));
    if let Some(sum) = &put.checksum {
        let name = HeaderName::from_static(checksum::header(sum.algorithm));
        reply::set(answer, name, checksum::encode(sum, put.etag.parts));
        let scope = checksum::scope_name(sum.scope);
        reply::set(answer, HeaderName::from_static("x-amz-checksum-type"), scope);
    }
    describe_version(answer, put);
}

/// The version's id, where S3 shows one: the bucket may have become versioned during the upload, so the
/// write itself says what it became. Of a write of the null version S3 says nothing.
pub fn describe_version(answer: &mut Reply, put: &Put) {
    if !put.null {
        reply::set(answer, headers::VERSION_ID, put.version.to_string());
    }
    reply::set(answer, headers::VERSION, put.version.to_string());
}

#[cfg(test)]
mod tests {
    use vaultaire_proto::{TimeMs, VersionId};

    use super::*;

    #[test]
    fn a_write_shows_the_version_that_it_became() {
        for null in [false, true] {
            let version = VersionId { generation: 1, index: 7, sub: 0 };
            let put = Put {
                version,
                null,
                etag: ETag::whole([1; 16]),
                checksum: None,
                size_bytes: 0,
                modified: TimeMs(0),
            };
            let mut answer = reply::empty(StatusCode::OK);
            describe_version(&mut answer, &put);
            assert_eq!(answer.headers().contains_key(headers::VERSION_ID), !null);
        }
    }
}
