//! What each operation of an S3 server access log does to an object.
//!
//! The names are those of the Amazon S3 User Guide ("Amazon S3 server access log format", "How S3 Lifecycle interacts with other
//! bucket configurations"): `REST.method.resource`, `WEBSITE.method.resource`, `SOAP.operation`, `BATCH.DELETE.OBJECT` and
//! `S3.action.resource`. The guide does not list resources; those here are the ones that such logs show.

/// What is to be done with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Reads of an object as much as was sent.
    Read,
    /// Reads all of an object, whatever was sent: for a copy, or to search in it.
    ReadAll,
    /// Reads a part of an object to copy it, and does not tell how large a part.
    ReadPart,
    /// Writes an object: its size is on the line, or it is empty.
    Write,
    /// Writes an object of other objects or parts: its size may not be on the line.
    Assemble,
    Delete,
    /// Moves it into another storage class.
    Transition,
    /// Neither reads, writes nor deletes an object. Uploads of parts are none: the whole object is written when they are put
    /// together, and charged as one PUT.
    Nothing,
    Unknown,
}

/// Resources of REST operations that are no object's data, whatever the method.
const SUBRESOURCES: [&str; 53] = [
    "ACCELERATE",
    "ACL",
    "ANALYTICS",
    "ATTRIBUTES",
    "BUCKET",
    "BUCKETPOLICY",
    "BUCKETVERSIONS",
    "BUCKET_ABAC",
    "BUCKET_TAGGING",
    "CORS",
    "ENCRYPTION",
    "INTELLIGENT_TIERING",
    "INVENTORY",
    "LEGAL_HOLD",
    "LIFECYCLE",
    "LOCATION",
    "LOGGING_STATUS",
    "METADATA_CONFIGURATION",
    "METADATA_TABLE",
    "METRICS",
    "MULTI_OBJECT_DELETE",
    "NOTIFICATION",
    "OBJECTS",
    "OBJECT_ACL",
    "OBJECT_ATTRIBUTES",
    "OBJECT_LEGAL_HOLD",
    "OBJECT_LOCK",
    "OBJECT_LOCK_CONFIGURATION",
    "OBJECT_LOCK_LEGAL_HOLD",
    "OBJECT_LOCK_RETENTION",
    "OBJECT_RETENTION",
    "OBJECT_TAGGING",
    "OBJECT_TORRENT",
    "OBJECT_VERSION",
    "OBJECT_VERSIONS",
    "OWNERSHIP_CONTROLS",
    "PART",
    "POLICY_STATUS",
    "PREFLIGHT",
    "PUBLIC_ACCESS_BLOCK",
    "REPLICATION",
    "REQUEST_PAYMENT",
    "RESTORE",
    "RETENTION",
    "SERVICE",
    "SESSION",
    "TAGGING",
    "TORRENT",
    "UPLOAD",
    "UPLOADS",
    "VERSIONING",
    "VERSIONS",
    "WEBSITE",
];

/// What an operation is. `is_select` says whether the request asks for a search in the object.
pub fn class(operation: &str, is_select: bool) -> Class {
    match operation {
        "REST.GET.OBJECT" | "WEBSITE.GET.OBJECT" | "SOAP.GetObject" | "SOAP.GetObjectExtended" => {
            Class::Read
        }
        // A form and a search are both a POST to the object.
        "REST.POST.OBJECT" if is_select => Class::ReadAll,
        "REST.SELECT.OBJECT" | "REST.COPY.OBJECT_GET" => Class::ReadAll,
        "REST.COPY.PART_GET" => Class::ReadPart,
        "REST.PUT.OBJECT" | "REST.POST.OBJECT" => Class::Write,
        "SOAP.PutObject" | "SOAP.PutObjectInline" => Class::Write,
        "REST.POST.UPLOAD" | "REST.COPY.OBJECT" | "SOAP.CopyObject" => Class::Assemble,
        "REST.DELETE.OBJECT" | "BATCH.DELETE.OBJECT" | "SOAP.DeleteObject" => Class::Delete,
        "S3.EXPIRE.OBJECT" | "S3.CREATE.DELETEMARKER" => Class::Delete,
        "S3.DELETE.UPLOAD" | "S3.COMPUTE.OBJECT.CHECKSUM" => Class::Nothing,
        _ => by_parts(operation),
    }
}

fn by_parts(operation: &str) -> Class {
    let Some((protocol, rest)) = operation.split_once('.') else { return Class::Unknown };
    match (protocol, rest.split_once('.')) {
        ("S3", _) if rest.starts_with("TRANSITION") => Class::Transition,
        ("SOAP", _) => soap(rest),
        // A website answers anything else with an error, or a redirect.
        ("WEBSITE", _) => Class::Nothing,
        // Asking about an object, and whether a page may ask, reads nothing.
        ("REST", Some(("HEAD" | "OPTIONS", _))) => Class::Nothing,
        ("REST", Some((_, resource))) if SUBRESOURCES.contains(&resource) => Class::Nothing,
        _ => Class::Unknown,
    }
}

fn soap(operation: &str) -> Class {
    match operation {
        "ListAllMyBuckets" | "CreateBucket" | "DeleteBucket" | "ListBucket" => Class::Nothing,
        "GetBucketAccessControlPolicy" | "SetBucketAccessControlPolicy" => Class::Nothing,
        "GetObjectAccessControlPolicy" | "SetObjectAccessControlPolicy" => Class::Nothing,
        "GetBucketLoggingStatus" | "SetBucketLoggingStatus" => Class::Nothing,
        _ => Class::Unknown,
    }
}
