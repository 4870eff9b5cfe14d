//! S3's error codes with their status and default message. Not here: when they are used.

use http::StatusCode;

macro_rules! codes {
    ($($name:ident = $status:ident $message:literal;)*) => {
        /// An error code that S3 clients know.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As clients read it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The HTTP status that goes with it.
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)*
                }
            }

            /// What is said where the case gives nothing better.
            pub fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $message,)*
                }
            }
        }
    };
}

codes! {
    AccessControlListNotSupported = BAD_REQUEST "The bucket does not allow ACLs; leave ACL headers out, or send private or bucket-owner-full-control.";
    AccessDenied = FORBIDDEN "Access Denied";
    AccessForbidden = FORBIDDEN "CORSResponse: CORS is not enabled for this bucket.";
    AuthorizationHeaderMalformed = BAD_REQUEST "The authorization header is malformed; sign with AWS Signature Version 4.";
    AuthorizationQueryParametersError = BAD_REQUEST "The query parameters of the presigned URL are malformed; sign a new URL.";
    BadDigest = BAD_REQUEST "The Content-MD5 or checksum value that you specified did not match what the server received; send the data again.";
    BucketAlreadyExists = CONFLICT "The requested bucket name is taken by another owner; choose another name.";
    BucketAlreadyOwnedByYou = CONFLICT "You own this bucket already.";
    BucketNotEmpty = CONFLICT "The bucket you tried to delete is not empty; delete its objects first, and every version of them.";
    EntityTooLarge = BAD_REQUEST "Your proposed upload exceeds the maximum allowed object size; use a multipart upload.";
    EntityTooSmall = BAD_REQUEST "A part other than the last is smaller than 5 MiB; upload larger parts.";
    ExpiredToken = BAD_REQUEST "The provided token has expired.";
    IllegalLocationConstraintException = BAD_REQUEST "The location constraint is incompatible with the region of this endpoint.";
    IncompleteBody = BAD_REQUEST "You did not provide the number of bytes specified by the Content-Length header; send the request again.";
    InsufficientStorage = INSUFFICIENT_STORAGE "The storage is full; nothing was stored. Free space or add a backend, then try again.";
    InternalError = INTERNAL_SERVER_ERROR "We encountered an internal error; try again, and look for the request id in the server's log.";
    InvalidAccessKeyId = FORBIDDEN "The access key id you provided does not exist in our records; list keys with `vaultaire key list`.";
    InvalidArgument = BAD_REQUEST "Invalid Argument";
    InvalidBucketName = BAD_REQUEST "The specified bucket is not valid.";
    InvalidDigest = BAD_REQUEST "The Content-MD5 or checksum value that you specified is not valid base64 of the right length.";
    InvalidObjectState = FORBIDDEN "The operation is not valid for the object's storage class; restore it first.";
    InvalidPart = BAD_REQUEST "One or more of the specified parts could not be found, or a part's entity tag or checksum does not match; list the parts.";
    InvalidPartOrder = BAD_REQUEST "The list of parts was not in ascending order; sort it by part number.";
    InvalidRange = RANGE_NOT_SATISFIABLE "The requested range is not satisfiable";
    InvalidRequest = BAD_REQUEST "Invalid Request";
    InvalidStorageClass = BAD_REQUEST "The storage class you specified is not valid.";
    InvalidTag = BAD_REQUEST "The tag provided was not a valid tag: at most 10, unique keys of 1 to 128 characters, values of at most 256.";
    InvalidToken = BAD_REQUEST "The provided token is not valid; this server issues no session tokens, use an access key without one.";
    InvalidURI = BAD_REQUEST "Couldn't parse the specified URI; percent-encode it as UTF-8.";
    InvalidPolicyDocument = BAD_REQUEST "The content of the form does not meet the conditions specified in the policy document.";
    KeyTooLongError = BAD_REQUEST "Your key is too long: 1,024 bytes of UTF-8 at most.";
    MalformedPOSTRequest = BAD_REQUEST "The body of your POST request is not well-formed multipart/form-data.";
    MalformedXML = BAD_REQUEST "The XML you provided was not well-formed or did not validate against our published schema.";
    MaxMessageLengthExceeded = BAD_REQUEST "Your request was too big.";
    MaxPostPreDataLengthExceededError = BAD_REQUEST "Your POST request fields preceding the upload file were too large: 20 KiB at most.";
    MetadataTooLarge = BAD_REQUEST "Your metadata headers exceed the maximum allowed metadata size of 2 KiB.";
    MethodNotAllowed = METHOD_NOT_ALLOWED "The specified method is not allowed against this resource.";
    MissingContentLength = LENGTH_REQUIRED "You must provide the Content-Length HTTP header.";
    MissingRequestBodyError = BAD_REQUEST "Request body is empty.";
    NoSuchBucket = NOT_FOUND "The specified bucket does not exist";
    NoSuchBucketPolicy = NOT_FOUND "The bucket policy does not exist";
    NoSuchCORSConfiguration = NOT_FOUND "The CORS configuration does not exist";
    NoSuchConfiguration = NOT_FOUND "The specified configuration does not exist.";
    NoSuchKey = NOT_FOUND "The specified key does not exist.";
    NoSuchLifecycleConfiguration = NOT_FOUND "The lifecycle configuration does not exist";
    NoSuchObjectLockConfiguration = NOT_FOUND "The specified object does not have an ObjectLock configuration";
    NoSuchPublicAccessBlockConfiguration = NOT_FOUND "The public access block configuration was not found";
    NoSuchTagSet = NOT_FOUND "The TagSet does not exist";
    NoSuchUpload = NOT_FOUND "The specified upload does not exist; the upload id may be invalid, or the upload may have been aborted or completed.";
    NoSuchVersion = NOT_FOUND "The specified version does not exist.";
    NoSuchWebsiteConfiguration = NOT_FOUND "The specified bucket does not have a website configuration";
    NotImplemented = NOT_IMPLEMENTED "A header or query parameter you provided implies functionality that is not implemented.";
    NotModified = NOT_MODIFIED "Not Modified";
    ObjectLockConfigurationNotFoundError = NOT_FOUND "Object Lock configuration does not exist for this bucket";
    OperationAborted = CONFLICT "A conflicting conditional operation is currently in progress against this resource. Try again.";
    OwnershipControlsNotFoundError = NOT_FOUND "The bucket ownership controls were not found";
    PreconditionFailed = PRECONDITION_FAILED "At least one of the pre-conditions you specified did not hold";
    ReplicationConfigurationNotFoundError = NOT_FOUND "The replication configuration was not found";
    RequestHeaderSectionTooLarge = BAD_REQUEST "Your request header section exceeds the maximum allowed size.";
    RequestTimeTooSkewed = FORBIDDEN "The difference between the request time and the current time is too large; set the clock of the client.";
    RequestTimeout = BAD_REQUEST "Your socket connection to the server was not read from or written to within the timeout period; send the request again.";
    ServerSideEncryptionConfigurationNotFoundError = NOT_FOUND "The server side encryption configuration was not found";
    ServiceUnavailable = SERVICE_UNAVAILABLE "The outcome of the request is not known; send it again.";
    SignatureDoesNotMatch = FORBIDDEN "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
    SlowDown = SERVICE_UNAVAILABLE "Please reduce your request rate.";
    XAmzContentChecksumMismatch = BAD_REQUEST "The provided checksum header does not match what was computed; send the data again.";
    XAmzContentSHA256Mismatch = BAD_REQUEST "The provided 'x-amz-content-sha256' header does not match what was computed; send the data again.";
}

impl Code {
    /// The code of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}
