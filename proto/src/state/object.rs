//! PUT, DELETE and tags of objects. Conditions are decided here and nowhere else.

use crate::command::{DeleteVersion, PutVersion, Target, VersionSelector};
use crate::object::{Body, DeleteMarker, Version, VersionEntry};
use crate::response::{Deleted, Put, Rejection, Response};
use crate::row::{BlobOwner, Versioning};
use crate::state::guard::{self, Intent};
use crate::state::{Context, blob, key, rows, version};

/// Makes bytes that are already on their backends the current version.
pub(crate) fn put(context: &mut Context<'_>, put: &PutVersion) -> Response {
    let bucket = match guard::bucket(context, &put.target, Intent::Add) {
        Ok(bucket) => bucket,
        Err(rejection) => return Response::Rejected(rejection),
    };
    if let Err(rejection) = guard::new_bytes(context, &put.blob) {
        return Response::Rejected(rejection);
    }
    let head = version::head(context.tables, put.target.bucket, &put.target.key);
    if let Err(rejection) = guard::condition(&put.condition, head.as_ref()) {
        blob::discard_new(context, &put.blob);
        return Response::Rejected(rejection);
    }
    let id = context.minted();
    let owner =
        BlobOwner::Version { bucket: put.target.bucket, key: put.target.key.clone(), version: id };
    blob::make_live(context, &put.blob, &owner);
    let new = Version {
        id,
        null: bucket.versioning != Versioning::Enabled,
        owner: put.owner,
        size_bytes: put.blob.size_bytes,
        etag: put.etag,
        checksum: put.checksum.clone(),
        modified: context.now,
        place_epoch: 1,
        attributes: put.attributes.clone(),
        body: Body::Whole(put.blob.clone()),
    };
    install(context, &put.target, bucket.versioning, &new)
}

/// Makes `new` the current version, as the bucket's versioning says; its blobs are live already.
pub(crate) fn install(
    context: &mut Context<'_>,
    target: &Target,
    versioning: Versioning,
    new: &Version,
) -> Response {
    let Target { bucket, key, .. } = target;
    match versioning {
        Versioning::Off => {
            if let Some(former) = version::head(context.tables, *bucket, key) {
                version::release(context, *bucket, &former);
            }
        }
        Versioning::Enabled => {
            version::adopt_null_head(context, *bucket, key);
            let row_key = key::version(*bucket, key, new.id);
            rows::put(context.tables, row_key, &VersionEntry::Object(new.clone()));
        }
        Versioning::Suspended => {
            replace_null(context, target, &VersionEntry::Object(new.clone()));
        }
    }
    version::count(context, *bucket, |row| {
        row.size_bytes = row.size_bytes.saturating_add(new.size_bytes)
    });
    version::set_head(context, *bucket, key, Some(new));
    Response::Put(Put {
        version: new.id,
        null: new.null,
        etag: new.etag,
        checksum: new.checksum.clone(),
        size_bytes: new.size_bytes,
        modified: new.modified,
    })
}

/// In a suspended bucket a write takes the place of the null version.
fn replace_null(context: &mut Context<'_>, target: &Target, entry: &VersionEntry) {
    let Target { bucket, key, .. } = target;
    version::adopt_null_head(context, *bucket, key);
    let row_key = key::null_version(*bucket, key);
    if let Some(former) = rows::get::<VersionEntry>(context.tables, &row_key) {
        version::remove_entry(context, *bucket, key, &former);
    }
    rows::put(context.tables, row_key, entry);
}

/// Removes an object, adds a delete marker, or removes one version, as the request and the bucket say.
pub(crate) fn delete(context: &mut Context<'_>, delete: &DeleteVersion) -> Response {
    let intent = match delete.version {
        Some(_) => Intent::Remove,
        None => Intent::Hide,
    };
    let bucket = match guard::bucket(context, &delete.target, intent) {
        Ok(bucket) => bucket,
        Err(rejection) => return Response::Rejected(rejection),
    };
    let Target { bucket: bucket_id, key, .. } = &delete.target;
    let concerned = match delete.version {
        None => version::head(context.tables, *bucket_id, key),
        Some(selector) => match version::find(context.tables, *bucket_id, key, selector) {
            Some(VersionEntry::Object(version)) => Some(version),
            Some(VersionEntry::DeleteMarker(_)) | None => None,
        },
    };
    // S3 answers success for what is not there, whatever the condition.
    if concerned.is_some()
        && let Err(rejection) = guard::condition(&delete.condition, concerned.as_ref())
    {
        return Response::Rejected(rejection);
    }
    match (delete.version, bucket.versioning) {
        (Some(selector), _) => delete_one(context, &delete.target, selector),
        (None, Versioning::Off) => {
            if let Some(head) = concerned {
                version::release(context, *bucket_id, &head);
                version::set_head(context, *bucket_id, key, None);
            }
            Response::Deleted(Deleted { version: None, null: false, marker: false })
        }
        (None, Versioning::Enabled) => add_marker(context, delete, false),
        (None, Versioning::Suspended) => add_marker(context, delete, true),
    }
}

fn add_marker(context: &mut Context<'_>, delete: &DeleteVersion, null: bool) -> Response {
    let Target { bucket, key, .. } = &delete.target;
    let marker =
        DeleteMarker { id: context.minted(), null, owner: delete.owner, modified: context.now };
    let entry = VersionEntry::DeleteMarker(marker);
    if null {
        replace_null(context, &delete.target, &entry);
    } else {
        version::adopt_null_head(context, *bucket, key);
        rows::put(context.tables, key::version(*bucket, key, marker.id), &entry);
    }
    version::set_head(context, *bucket, key, None);
    Response::Deleted(Deleted { version: Some(marker.id), null, marker: true })
}

/// Removes one version or marker for good, and finds the head that is left.
fn delete_one(context: &mut Context<'_>, target: &Target, selector: VersionSelector) -> Response {
    let Target { bucket, key, .. } = target;
    let Some(entry) = version::find(context.tables, *bucket, key, selector) else {
        let (version, null) = match selector {
            VersionSelector::Id(id) => (Some(id), false),
            VersionSelector::Null => (None, true),
        };
        return Response::Deleted(Deleted { version, null, marker: false });
    };
    let was_head =
        version::head(context.tables, *bucket, key).is_some_and(|head| head.id == entry.id());
    version::remove_entry(context, *bucket, key, &entry);
    let marker = match entry {
        VersionEntry::Object(_) => false,
        VersionEntry::DeleteMarker(_) => true,
    };
    if was_head || marker {
        let head = match version::newest(context.tables, *bucket, key) {
            Some(VersionEntry::Object(newest)) => Some(newest),
            Some(VersionEntry::DeleteMarker(_)) | None => None,
        };
        version::set_head(context, *bucket, key, head.as_ref());
    }
    Response::Deleted(Deleted { version: Some(entry.id()), null: entry.null(), marker })
}

/// Replaces the tags of a version; nothing else of it changes.
pub(crate) fn set_tags(
    context: &mut Context<'_>,
    target: &Target,
    selector: Option<VersionSelector>,
    tags: &[(String, String)],
) -> Response {
    if let Err(rejection) = guard::bucket(context, target, Intent::Add) {
        return Response::Rejected(rejection);
    }
    let Target { bucket, key, .. } = target;
    let head = version::head(context.tables, *bucket, key);
    let entry = match selector {
        None => head.clone().map(VersionEntry::Object),
        Some(selector) => version::find(context.tables, *bucket, key, selector),
    };
    let mut tagged = match entry {
        Some(VersionEntry::Object(version)) => version,
        Some(VersionEntry::DeleteMarker(_)) => {
            return Response::Rejected(Rejection::MethodNotAllowed);
        }
        None if selector.is_some() => return Response::Rejected(Rejection::NoSuchVersion),
        None => return Response::Rejected(Rejection::NoSuchKey),
    };
    tagged.attributes.tags = tags.to_vec();
    version::update(context, *bucket, key, &tagged);
    Response::Done
}
