//! Who signed a form: the policy in it is what is signed, by SigV4 or the old way. What the policy allows is
//! decided in `policy.rs`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use s3s::auth::S3Auth;
use sha1::Sha1;
use sha2::Sha256;
use vaultaire_proto::row::Bucket;

use super::Fields;
use crate::auth::{Auth, FOUND, Identity};
use crate::error::Error;
use crate::error::code::Code;

/// The two ways to sign.
enum Signed<'a> {
    V2 { signature: &'a str },
    V4 { date: &'a str, region: &'a str, signature: &'a str },
}

/// Verifies the signature over `policy`, as sent; gives the signer, and the bucket's row that was read along.
pub async fn verify(
    auth: &Auth,
    fields: &Fields,
    policy: &str,
) -> Result<(Identity, Option<Bucket>), Error> {
    if fields.get("x-amz-security-token").is_some() {
        return Err(Error::new(Code::InvalidToken));
    }
    let (access_key, signed) = read(fields)?;
    let secret = auth.get_secret_key(access_key).await.map_err(|error| {
        let code = Code::named(error.code().as_str()).unwrap_or(Code::InternalError);
        Error::with(code, error.message().unwrap_or(code.message()).to_owned())
    })?;
    if !signed.holds(secret.expose(), policy) {
        return Err(Error::new(Code::SignatureDoesNotMatch));
    }
    let found = FOUND.try_with(|found| found.take()).ok().flatten();
    found.ok_or_else(|| Error::new(Code::AccessDenied))
}

fn read(fields: &Fields) -> Result<(&str, Signed<'_>), Error> {
    let required = |name: &'static str| {
        fields.get(name).ok_or_else(|| {
            Error::with(
                Code::InvalidArgument,
                format!("Bucket POST must contain a field named '{name}'."),
            )
            .detail("ArgumentName", name)
        })
    };
    if let Some(access_key) = fields.get("awsaccesskeyid") {
        return Ok((access_key, Signed::V2 { signature: required("signature")? }));
    }
    if required("x-amz-algorithm")? != "AWS4-HMAC-SHA256" {
        return Err(Error::argument("x-amz-algorithm", "must be AWS4-HMAC-SHA256"));
    }
    let credential: Vec<&str> = required("x-amz-credential")?.split('/').collect();
    let [access_key, date, region, "s3", "aws4_request"] = credential.as_slice() else {
        return Err(Error::argument(
            "x-amz-credential",
            "must be ACCESS_KEY/DATE/REGION/s3/aws4_request",
        ));
    };
    Ok((access_key, Signed::V4 { date, region, signature: required("x-amz-signature")? }))
}

impl Signed<'_> {
    /// Compares in constant time.
    fn holds(&self, secret: &str, policy: &str) -> bool {
        match self {
            Self::V2 { signature } => {
                let given = BASE64.decode(signature).unwrap_or_default();
                Hmac::<Sha1>::new_from_slice(secret.as_bytes()).is_ok_and(|mut mac| {
                    mac.update(policy.as_bytes());
                    mac.verify_slice(&given).is_ok()
                })
            }
            Self::V4 { date, region, signature } => {
                let given = hex::decode(signature).unwrap_or_default();
                let mut key = format!("AWS4{secret}").into_bytes();
                for step in [*date, *region, "s3", "aws4_request"] {
                    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return false };
                    mac.update(step.as_bytes());
                    key = mac.finalize().into_bytes().to_vec();
                }
                Hmac::<Sha256>::new_from_slice(&key).is_ok_and(|mut mac| {
                    mac.update(policy.as_bytes());
                    mac.verify_slice(&given).is_ok()
                })
            }
        }
    }
}
