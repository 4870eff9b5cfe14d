//! The configurations that no bucket here has: each is answered as S3 answers for a bucket that has
//! none, or with what is always so. Deleting what is not there succeeds.

use http::StatusCode;

use crate::access;
use crate::call::{Call, Context};
use crate::error::Error;
use crate::error::code::Code;
use crate::markup::Markup;
use crate::operation::Operation;
use crate::reply::{self, Reply};

/// Answers all of them.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let absent = |code: Code| Err(Error::new(code).detail("BucketName", bucket.name.as_str()));
    match call.operation {
        Operation::GetBucketPolicy => absent(Code::NoSuchBucketPolicy),
        Operation::GetBucketPolicyStatus => Ok(one("PolicyStatus", |xml| {
            xml.element("IsPublic", "false");
        })),
        Operation::GetBucketCors => absent(Code::NoSuchCORSConfiguration),
        Operation::GetBucketTagging => absent(Code::NoSuchTagSet),
        Operation::GetBucketLifecycleConfiguration => absent(Code::NoSuchLifecycleConfiguration),
        Operation::GetBucketEncryption => {
            absent(Code::ServerSideEncryptionConfigurationNotFoundError)
        }
        Operation::GetBucketWebsite => absent(Code::NoSuchWebsiteConfiguration),
        Operation::GetBucketReplication => absent(Code::ReplicationConfigurationNotFoundError),
        Operation::GetObjectLockConfiguration => absent(Code::ObjectLockConfigurationNotFoundError),
        Operation::GetBucketLogging => Ok(empty("BucketLoggingStatus")),
        Operation::GetBucketNotificationConfiguration => Ok(empty("NotificationConfiguration")),
        Operation::GetBucketAccelerateConfiguration => Ok(empty("AccelerateConfiguration")),
        Operation::GetBucketRequestPayment => Ok(one("RequestPaymentConfiguration", |xml| {
            xml.element("Payer", "BucketOwner");
        })),
        Operation::GetBucketOwnershipControls => Ok(one("OwnershipControls", |xml| {
            xml.open("Rule").element("ObjectOwnership", "BucketOwnerEnforced").close("Rule");
        })),
        Operation::GetPublicAccessBlock => Ok(one("PublicAccessBlockConfiguration", |xml| {
            for name in [
                "BlockPublicAcls",
                "IgnorePublicAcls",
                "BlockPublicPolicy",
                "RestrictPublicBuckets",
            ] {
                xml.element(name, "true");
            }
        })),
        Operation::DeleteBucketPolicy
        | Operation::DeleteBucketCors
        | Operation::DeleteBucketTagging
        | Operation::DeleteBucketLifecycle
        | Operation::DeleteBucketWebsite => Ok(reply::empty(StatusCode::NO_CONTENT)),
        // The table of contents sends no other operation here.
        _ => Err(Error::new(Code::NotImplemented)),
    }
}

fn empty(name: &str) -> Reply {
    one(name, |_| {})
}

fn one(name: &str, content: impl FnOnce(&mut Markup)) -> Reply {
    let mut xml = Markup::new();
    xml.open_root(name);
    content(&mut xml);
    xml.close(name);
    reply::raw_xml(xml.finish())
}
