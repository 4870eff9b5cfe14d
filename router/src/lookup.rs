//! Finds versions and uploads in the catalog, or says in S3's terms why there is none.

use http::HeaderValue;
use vaultaire_proto::command::VersionSelector;
use vaultaire_proto::object::{Version, VersionEntry};
use vaultaire_proto::row::{Bucket, Upload, UploadPart};
use vaultaire_proto::{Answer, Consistency, ObjectKey, Query, UploadId, VersionId};

use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::unexpected;
use crate::http_date;

/// Whether the parts of a large multipart object are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manifest {
    Include,
    LeaveOut,
}

/// Reads `versionId`.
pub fn selector(text: Option<&str>) -> Result<Option<VersionSelector>, Error> {
    match text {
        None => Ok(None),
        Some("null") => Ok(Some(VersionSelector::Null)),
        Some(text) => VersionId::parse(text).map(VersionSelector::Id).map(Some).map_err(|_| {
            Error::argument("versionId", "Invalid version id specified")
                .detail("ArgumentValue", text)
        }),
    }
}

/// The version selected, or the current one.
pub async fn version(
    ctx: &Context,
    bucket: &Bucket,
    key: &ObjectKey,
    selector: Option<VersionSelector>,
    manifest: Manifest,
) -> Result<Version, Error> {
    let query = Query::Version {
        bucket: bucket.id,
        key: key.clone(),
        version: selector,
        manifest: manifest == Manifest::Include,
    };
    let Answer::Version(entry) = ctx.catalog.query(query, Consistency::Linearizable).await? else {
        return Err(unexpected("version"));
    };
    match (entry, selector) {
        (Some(VersionEntry::Object(version)), _) => Ok(version),
        (None, None) => Err(Error::new(Code::NoSuchKey).detail("Key", key.as_str())),
        (None, Some(_)) => Err(Error::new(Code::NoSuchVersion).detail("Key", key.as_str())),
        (Some(VersionEntry::DeleteMarker(marker)), selector) => {
            let id = if marker.null { "null".to_owned() } else { marker.id.to_string() };
            let error = match selector {
                None => Error::new(Code::NoSuchKey).detail("Key", key.as_str()),
                Some(_) => Error::new(Code::MethodNotAllowed)
                    .header("last-modified", http_date::header(marker.modified))
                    .header("allow", HeaderValue::from_static("DELETE")),
            };
            let error = error.header("x-amz-delete-marker", HeaderValue::from_static("true"));
            Err(match HeaderValue::try_from(id) {
                Ok(id) => error.header("x-amz-version-id", id),
                Err(_) => error,
            })
        }
    }
}

/// The upload id that the call names.
pub fn upload_id(call: &Call) -> Result<UploadId, Error> {
    let text = call.query.get("uploadId").unwrap_or_default();
    UploadId::parse(text).map_err(|_| Error::new(Code::NoSuchUpload).detail("UploadId", text))
}

/// An upload in progress.
pub async fn upload(
    ctx: &Context,
    bucket: &Bucket,
    key: &ObjectKey,
    id: UploadId,
) -> Result<Upload, Error> {
    let query = Query::Upload { bucket: bucket.id, key: key.clone(), upload: id };
    match ctx.catalog.query(query, Consistency::Linearizable).await? {
        Answer::Upload(Some(upload)) => Ok(upload),
        Answer::Upload(None) => Err(no_such_upload(id)),
        _ => Err(unexpected("upload")),
    }
}

/// A page of an upload's parts. None: no such upload.
pub async fn parts(
    ctx: &Context,
    bucket: &Bucket,
    key: &ObjectKey,
    id: UploadId,
    page: (u16, usize),
) -> Result<Option<(Upload, Vec<UploadPart>)>, Error> {
    let (after, limit) = page;
    let query = Query::Parts { bucket: bucket.id, key: key.clone(), upload: id, after, limit };
    match ctx.catalog.query(query, Consistency::Linearizable).await? {
        Answer::Parts(parts) => Ok(parts),
        _ => Err(unexpected("parts")),
    }
}

/// The upload is not there, or not any more.
pub fn no_such_upload(id: UploadId) -> Error {
    Error::new(Code::NoSuchUpload).detail("UploadId", id.to_string())
}
