//! The S3 operations that this front knows, by the names that S3 gives them.

macro_rules! operations {
    ($($name:ident,)*) => {
        /// One S3 operation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($name,)*
        }

        impl Operation {
            /// Every operation.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// S3's name for it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

operations! {
    ListBuckets,
    CreateBucket,
    DeleteBucket,
    HeadBucket,
    GetBucketLocation,
    GetBucketVersioning,
    PutBucketVersioning,
    GetBucketAcl,
    PutBucketAcl,
    GetBucketPolicy,
    GetBucketPolicyStatus,
    GetBucketCors,
    GetBucketTagging,
    GetBucketLifecycleConfiguration,
    GetBucketEncryption,
    GetBucketLogging,
    GetBucketNotificationConfiguration,
    GetBucketWebsite,
    GetBucketRequestPayment,
    GetBucketAccelerateConfiguration,
    GetBucketReplication,
    GetBucketOwnershipControls,
    GetPublicAccessBlock,
    GetObjectLockConfiguration,
    DeleteBucketPolicy,
    DeleteBucketCors,
    DeleteBucketTagging,
    DeleteBucketLifecycle,
    DeleteBucketWebsite,
    ListObjects,
    ListObjectsV2,
    ListObjectVersions,
    ListMultipartUploads,
    DeleteObjects,
    GetObject,
    HeadObject,
    PutObject,
    PostObject,
    CopyObject,
    DeleteObject,
    GetObjectAttributes,
    GetObjectAcl,
    PutObjectAcl,
    GetObjectTagging,
    PutObjectTagging,
    DeleteObjectTagging,
    GetObjectLegalHold,
    GetObjectRetention,
    PutObjectLegalHold,
    PutObjectRetention,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    ListParts,
    CompleteMultipartUpload,
    AbortMultipartUpload,
}
