//! CreateMultipartUpload: what the object will be, before any of its bytes.

use http::header::HeaderName;
use s3s::dto;
use vaultaire_proto::command::CreateUpload;
use vaultaire_proto::object::{ChecksumAlgorithm, ChecksumScope};
use vaultaire_proto::{Operation, Response};

use crate::call::{Call, Context};
use crate::commit::{self, OnObject};
use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::unexpected;
use crate::reply::{self, Reply};
use crate::{access, attributes, checksum, request_id};

/// Answers CreateMultipartUpload.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let attributes = attributes::of(&call.headers)?;
    let sum = wanted(&call)?;
    let key = call.object_key()?;
    let on =
        OnObject { bucket: &bucket, key, user: call.identity.user, request: request_id::of(&call) };
    let response = commit::on_object(ctx, on, |target| {
        Operation::CreateUpload(CreateUpload {
            target,
            owner: bucket.owner,
            attributes: attributes.clone(),
            checksum: sum,
        })
    });
    let Response::UploadCreated { upload } = response.await? else {
        return Err(unexpected("create upload"));
    };
    let mut answer = reply::xml(&dto::CreateMultipartUploadOutput {
        bucket: Some(bucket.name.as_str().to_owned()),
        key: Some(key.as_str().to_owned()),
        upload_id: Some(upload.to_string()),
        ..Default::default()
    })?;
    if let Some((algorithm, scope)) = sum {
        let names = [
            ("x-amz-checksum-algorithm", checksum::name(algorithm)),
            ("x-amz-checksum-type", checksum::scope_name(scope)),
        ];
        for (header, value) in names {
            reply::set(&mut answer, HeaderName::from_static(header), value);
        }
    }
    Ok(answer)
}

fn wanted(call: &Call) -> Result<Option<(ChecksumAlgorithm, ChecksumScope)>, Error> {
    let scope = call.header("x-amz-checksum-type").map(checksum::parse_scope).transpose()?;
    let Some(algorithm) = checksum::wanted(&call.headers)? else {
        return match scope {
            None => Ok(None),
            Some(_) => Err(Error::with(
                Code::InvalidRequest,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )),
        };
    };
    let scope = scope.unwrap_or_else(|| checksum::default_scope(algorithm));
    if !checksum::scope_allowed(algorithm, scope) {
        return Err(Error::with(
            Code::InvalidRequest,
            format!(
                "The {} checksum type cannot be used with the {} checksum algorithm.",
                checksum::scope_name(scope),
                checksum::name(algorithm)
            ),
        ));
    }
    Ok(Some((algorithm, scope)))
}
