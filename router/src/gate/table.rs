//! The closed list: which query names mean which operation, per verb and resource. What is not here
//! is answered 501, so that an unknown sub-resource can never become another operation.

use http::Method;

use crate::operation::Operation;
use crate::query::Query;

/// What the path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Service,
    Bucket,
    Object,
}

/// One line: all `selectors` must be present, `optional` names may be, `FOR_ALL` always may.
struct Row {
    method: Method,
    resource: Resource,
    selectors: &'static [&'static str],
    optional: &'static [&'static str],
    operation: Operation,
}

/// Signatures in the query, and the operation's name that SDKs add.
const FOR_ALL: &[&str] = &[
    "x-id",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Content-Sha256",
    "AWSAccessKeyId",
    "Signature",
    "Expires",
];

const READ: &[&str] = &[
    "versionId",
    "partNumber",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
];
const VERSION: &[&str] = &["versionId"];
const LIST: &[&str] = &["prefix", "delimiter", "marker", "max-keys", "encoding-type"];
const LIST_V2: &[&str] = &[
    "prefix",
    "delimiter",
    "continuation-token",
    "start-after",
    "fetch-owner",
    "max-keys",
    "encoding-type",
];
const LIST_VERSIONS: &[&str] =
    &["prefix", "delimiter", "key-marker", "version-id-marker", "max-keys", "encoding-type"];
const LIST_UPLOADS: &[&str] =
    &["prefix", "delimiter", "key-marker", "upload-id-marker", "max-uploads", "encoding-type"];
const LIST_PARTS: &[&str] = &["max-parts", "part-number-marker", "encoding-type"];
const LIST_BUCKETS: &[&str] = &["max-buckets", "continuation-token", "prefix", "bucket-region"];

macro_rules! rows {
    ($($method:ident $resource:ident [$($selector:literal)*] $optional:expr => $operation:ident;)*) => {
        &[$(Row {
            method: Method::$method,
            resource: Resource::$resource,
            selectors: &[$($selector),*],
            optional: $optional,
            operation: Operation::$operation,
        },)*]
    };
}

static ROWS: &[Row] = rows! {
    GET Object [] READ => GetObject;
    HEAD Object [] READ => HeadObject;
    PUT Object [] &[] => PutObject;
    DELETE Object [] VERSION => DeleteObject;
    GET Bucket ["list-type"] LIST_V2 => ListObjectsV2;
    GET Bucket [] LIST => ListObjects;
    PUT Object ["uploadId" "partNumber"] &[] => UploadPart;
    POST Bucket ["delete"] &[] => DeleteObjects;
    GET Object ["attributes"] VERSION => GetObjectAttributes;
    GET Object ["acl"] VERSION => GetObjectAcl;
    PUT Object ["acl"] VERSION => PutObjectAcl;
    GET Object ["tagging"] VERSION => GetObjectTagging;
    GET Object ["legal-hold"] VERSION => GetObjectLegalHold;
    GET Object ["retention"] VERSION => GetObjectRetention;
    PUT Object ["legal-hold"] VERSION => PutObjectLegalHold;
    PUT Object ["retention"] VERSION => PutObjectRetention;
    GET Object ["uploadId"] LIST_PARTS => ListParts;
    PUT Object ["tagging"] VERSION => PutObjectTagging;
    DELETE Object ["tagging"] VERSION => DeleteObjectTagging;
    DELETE Object ["uploadId"] &[] => AbortMultipartUpload;
    POST Object ["uploads"] &[] => CreateMultipartUpload;
    POST Object ["uploadId"] &[] => CompleteMultipartUpload;
    GET Service [] LIST_BUCKETS => ListBuckets;
    HEAD Bucket [] &[] => HeadBucket;
    PUT Bucket [] &[] => CreateBucket;
    DELETE Bucket [] &[] => DeleteBucket;
    GET Bucket ["versions"] LIST_VERSIONS => ListObjectVersions;
    GET Bucket ["uploads"] LIST_UPLOADS => ListMultipartUploads;
    GET Bucket ["location"] &[] => GetBucketLocation;
    GET Bucket ["versioning"] &[] => GetBucketVersioning;
    PUT Bucket ["versioning"] &[] => PutBucketVersioning;
    GET Bucket ["acl"] &[] => GetBucketAcl;
    PUT Bucket ["acl"] &[] => PutBucketAcl;
    GET Bucket ["policy"] &[] => GetBucketPolicy;
    GET Bucket ["policyStatus"] &[] => GetBucketPolicyStatus;
    GET Bucket ["cors"] &[] => GetBucketCors;
    GET Bucket ["tagging"] &[] => GetBucketTagging;
    GET Bucket ["lifecycle"] &[] => GetBucketLifecycleConfiguration;
    GET Bucket ["encryption"] &[] => GetBucketEncryption;
    GET Bucket ["logging"] &[] => GetBucketLogging;
    GET Bucket ["notification"] &[] => GetBucketNotificationConfiguration;
    GET Bucket ["website"] &[] => GetBucketWebsite;
    GET Bucket ["requestPayment"] &[] => GetBucketRequestPayment;
    GET Bucket ["accelerate"] &[] => GetBucketAccelerateConfiguration;
    GET Bucket ["replication"] &[] => GetBucketReplication;
    GET Bucket ["ownershipControls"] &[] => GetBucketOwnershipControls;
    GET Bucket ["publicAccessBlock"] &[] => GetPublicAccessBlock;
    GET Bucket ["object-lock"] &[] => GetObjectLockConfiguration;
    DELETE Bucket ["policy"] &[] => DeleteBucketPolicy;
    DELETE Bucket ["cors"] &[] => DeleteBucketCors;
    DELETE Bucket ["tagging"] &[] => DeleteBucketTagging;
    DELETE Bucket ["lifecycle"] &[] => DeleteBucketLifecycle;
    DELETE Bucket ["website"] &[] => DeleteBucketWebsite;
};

/// Why no operation was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The verb has no meaning for this resource.
    Verb,
    /// These query names, together, have none.
    Names(String),
}

/// Finds the operation. A copy is told from a PUT by its header, which the caller looks at.
pub fn resolve(method: &Method, resource: Resource, query: &Query) -> Result<Operation, Unknown> {
    let mut verb_known = false;
    for row in ROWS.iter().filter(|row| row.method == *method && row.resource == resource) {
        verb_known = true;
        if row.takes(query) {
            return Ok(row.operation);
        }
    }
    if !verb_known {
        return Err(Unknown::Verb);
    }
    let names = query.iter().map(|(name, _)| name).filter(|name| !FOR_ALL.contains(name));
    Err(Unknown::Names(names.collect::<Vec<_>>().join(", ")))
}

impl Row {
    fn takes(&self, query: &Query) -> bool {
        let presigned = query.has("X-Amz-Signature");
        self.selectors.iter().all(|name| query.has(name))
            && query.iter().all(|(name, _)| {
                self.selectors.contains(&name)
                    || self.optional.contains(&name)
                    || FOR_ALL.contains(&name)
                    || (presigned && hoisted(name))
            })
    }
}

/// Headers that presigners move into the query, where they are signed too; the gate moves them back.
pub fn hoisted(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "x-amz-acl",
        "x-amz-checksum-algorithm",
        "x-amz-checksum-crc32",
        "x-amz-checksum-crc32c",
        "x-amz-checksum-crc64nvme",
        "x-amz-checksum-mode",
        "x-amz-checksum-sha1",
        "x-amz-checksum-sha256",
        "x-amz-checksum-type",
        "x-amz-expected-bucket-owner",
        "x-amz-request-payer",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-storage-class",
        "x-amz-tagging",
        "x-amz-user-agent",
    ];
    let lower = name.to_ascii_lowercase();
    NAMES.contains(&lower.as_str())
        || lower.strip_prefix("x-amz-meta-").is_some_and(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    /// Every sub-resource in S3's API reference, and some of its neighbours.
    const DOCUMENTED: &[&str] = &[
        "accelerate",
        "acl",
        "analytics",
        "attributes",
        "cors",
        "delete",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "location",
        "logging",
        "metadataTable",
        "metadataConfiguration",
        "metadataInventoryTable",
        "metadataJournalTable",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "partNumber",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "renameObject",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "select-type",
        "session",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
        "append",
        "abac",
        "events",
        "lambdaArn",
        "encryption-context",
        "default",
        "list-type",
        "position",
        "domain",
        "bucketInfo",
    ];

    /// B11: with a documented sub-resource in the query, a request is that sub-resource's own operation
    /// or none at all; only names listed as its options may accompany a plain operation.
    #[test]
    fn b11_a_sub_resource_never_falls_through() {
        let methods =
            [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE, Method::PATCH];
        for method in &methods {
            for resource in [Resource::Service, Resource::Bucket, Resource::Object] {
                let plain = resolve(method, resource, &Query::default()).ok();
                for name in DOCUMENTED {
                    for query in
                        [(*name).to_owned(), format!("{name}=x"), format!("x-id=Foo&{name}")]
                    {
                        let query = Query::parse(&query).unwrap();
                        let Ok(operation) = resolve(method, resource, &query) else { continue };
                        if Some(operation) == plain {
                            let allowed = matches!(
                                (operation, *name),
                                (
                                    Operation::GetObject | Operation::HeadObject,
                                    "versionId" | "partNumber"
                                ) | (Operation::DeleteObject, "versionId")
                            );
                            assert!(allowed, "{method} {resource:?} ?{name} became {operation:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn pairs_of_sub_resources_never_fall_through() {
        for one in DOCUMENTED {
            for two in DOCUMENTED.iter().filter(|two| *two != one) {
                let query = Query::parse(&format!("{one}&{two}=x")).unwrap();
                for method in [Method::PUT, Method::POST, Method::DELETE] {
                    for resource in [Resource::Bucket, Resource::Object] {
                        if let Ok(operation) = resolve(&method, resource, &query) {
                            let row = ROWS.iter().find(|row| row.operation == operation).unwrap();
                            let named = |name: &str| {
                                row.selectors.contains(&name) || row.optional.contains(&name)
                            };
                            assert!(
                                named(one) && named(two),
                                "{method} ?{one}&{two} became {operation:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn requests_that_other_servers_took_for_something_else() {
        for (method, resource, query) in [
            (Method::DELETE, Resource::Bucket, "logging"),
            (Method::DELETE, Resource::Bucket, "versioning"),
            (Method::PUT, Resource::Object, "restore"),
            (Method::PUT, Resource::Object, "renameObject"),
            (Method::PUT, Resource::Object, "uploadId=x"),
            (Method::PUT, Resource::Object, "partNumber=1"),
            (Method::PUT, Resource::Object, "versionId=x"),
            (Method::PUT, Resource::Bucket, "versions"),
            (Method::GET, Resource::Bucket, "events"),
            (Method::POST, Resource::Bucket, ""),
        ] {
            let parsed = Query::parse(query).unwrap();
            assert!(resolve(&method, resource, &parsed).is_err(), "{method} {resource:?} ?{query}");
        }
    }

    #[test]
    fn every_operation_but_the_copies_has_its_row() {
        for operation in Operation::ALL {
            let found = ROWS.iter().any(|row| row.operation == *operation);
            let by_header = matches!(
                operation,
                Operation::CopyObject | Operation::UploadPartCopy | Operation::PostObject
            );
            assert!(found != by_header, "{operation:?}");
        }
    }
}
