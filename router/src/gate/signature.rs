//! What must hold of a request's signature before s3s verifies it: which scheme, and that nothing
//! which changes the meaning was left unsigned. The signature itself is verified by s3s.

use std::collections::BTreeSet;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::{authorization, table};
use crate::error::Error;
use crate::error::code::Code;
use crate::limits;
use crate::operation::Operation;
use crate::query::Query;

/// Query names that a SigV2 presigned URL signs or carries; others could be added by anyone.
const V2_NAMES: &[&str] = &[
    "AWSAccessKeyId",
    "Signature",
    "Expires",
    "versionId",
    "partNumber",
    "uploadId",
    "uploads",
    "tagging",
    "acl",
    "location",
    "versioning",
    "versions",
    "delete",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
];

/// Refuses a request whose signature would not cover what it asks.
pub fn check(operation: Operation, query: &Query, headers: &HeaderMap) -> Result<(), Error> {
    if query.has("X-Amz-Security-Token") {
        return Err(Error::new(Code::InvalidToken));
    }
    let v4_query = query.has("X-Amz-Signature") || query.has("X-Amz-Algorithm");
    let v2_query = query.has("Signature") || query.has("AWSAccessKeyId");
    let authorization = headers.get(AUTHORIZATION);
    match (authorization, v4_query, v2_query) {
        (None, false, false) => Ok(()),
        (Some(value), false, false) => check_header(value, headers),
        (None, true, false) => check_presigned(query, headers),
        (None, false, true) => check_v2(operation, query),
        _ => Err(Error::with(
            Code::InvalidArgument,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
             parameter or the Authorization header should be specified",
        )),
    }
}

fn check_header(value: &HeaderValue, headers: &HeaderMap) -> Result<(), Error> {
    let text = value.to_str().map_err(|_| Error::new(Code::AuthorizationHeaderMalformed))?;
    if text.starts_with("AWS ") {
        return Err(Error::with(
            Code::InvalidRequest,
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256 \
             (for example signature_version='s3v4').",
        ));
    }
    if !text.starts_with(authorization::ALGORITHM) {
        return Err(Error::with(
            Code::InvalidRequest,
            "Unsupported Authorization Type; sign with AWS4-HMAC-SHA256 (for example signature_version='s3v4').",
        ));
    }
    let read = authorization::parse(text);
    let read = read.ok_or_else(|| Error::new(Code::AuthorizationHeaderMalformed))?;
    covers(read.signed_headers, headers, |_| false)
}

fn check_presigned(query: &Query, headers: &HeaderMap) -> Result<(), Error> {
    let malformed =
        |message: &'static str| Error::with(Code::AuthorizationQueryParametersError, message);
    let signed = query.get("X-Amz-SignedHeaders");
    let signed =
        signed.ok_or_else(|| malformed("X-Amz-SignedHeaders is missing; sign a new URL."))?;
    let expires = query.get("X-Amz-Expires").and_then(|text| text.parse::<i64>().ok());
    match expires {
        // Over before it was signed.
        Some(..0) => return Err(Error::with(Code::AccessDenied, "Request has expired")),
        None => return Err(malformed("X-Amz-Expires must be a number of seconds.")),
        Some(0) => return Err(malformed("X-Amz-Expires must be greater than zero.")),
        Some(seconds) if seconds > limits::PRESIGN_SECONDS_MAX => {
            return Err(malformed(
                "X-Amz-Expires must be less than a week (in seconds); that is 604800",
            ));
        }
        Some(_) => {}
    }
    // s3s verifies the body against this header when a presigned request carries it: harmless unsigned.
    covers(signed, headers, |name| name == "x-amz-content-sha256")
}

/// Names compare exactly: s3s looks them up as they are written, and leaves out of what it verifies whatever it
/// does not find as text. So a name that it would not find is no proof of anything, and is refused.
fn covers(signed: &str, headers: &HeaderMap, exempt: impl Fn(&str) -> bool) -> Result<(), Error> {
    let names: BTreeSet<&str> = signed.split(';').collect();
    if !names.contains("host") {
        return Err(unsigned("host"));
    }
    for name in &names {
        let mut values = headers.get_all(*name).iter().peekable();
        let found = values.peek().is_some_and(|_| *name == name.to_ascii_lowercase());
        if !found || !values.all(|value| std::str::from_utf8(value.as_bytes()).is_ok()) {
            return Err(Error::with(
                Code::SignatureDoesNotMatch,
                "A header that SignedHeaders names is not in the request as text under that name, in lower case.",
            ));
        }
    }
    for name in headers.keys().map(HeaderName::as_str) {
        if name.starts_with("x-amz-") && !exempt(name) && !names.contains(name) {
            return Err(unsigned(name));
        }
    }
    Ok(())
}

fn unsigned(name: &str) -> Error {
    Error::with(
        Code::AccessDenied,
        "There were headers present in the request which were not signed",
    )
    .detail("HeadersNotSigned", name)
}

fn check_v2(operation: Operation, query: &Query) -> Result<(), Error> {
    if let Some((name, _)) = query.iter().find(|(name, _)| !V2_NAMES.contains(name)) {
        return Err(Error::with(
            Code::AccessDenied,
            format!(
                "A SigV2 presigned URL does not sign the parameter {name} of {}; presign with \
                 signature_version='s3v4'.",
                operation.name()
            ),
        ));
    }
    Ok(())
}

/// Presigners move headers into the query, where the signature covers them. They are headers all the same,
/// but for checksums: those are of the body that was at hand while signing, which is none, and S3 ignores them.
pub fn unhoist(query: &Query, headers: &mut HeaderMap) {
    if !query.has("X-Amz-Signature") {
        return;
    }
    for (name, value) in query.iter().filter(|(name, _)| table::hoisted(name)) {
        let name = name.to_ascii_lowercase();
        let of_nothing = name == "x-amz-sdk-checksum-algorithm"
            || (name.starts_with("x-amz-checksum-") && name != "x-amz-checksum-mode");
        if of_nothing {
            continue;
        }
        let parsed = (HeaderName::try_from(name), HeaderValue::try_from(value));
        if let (Ok(name), Ok(value)) = parsed {
            headers.entry(name).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    const V4: &str = "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=0";

    const HOST: (&str, &str) = ("host", "localhost");

    #[test]
    fn unsigned_amz_headers_are_refused() {
        let query = Query::default();
        let fine =
            headers(&[HOST, ("authorization", V4), ("x-amz-date", "d"), ("range", "bytes=0-1")]);
        assert!(check(Operation::GetObject, &query, &fine).is_ok());
        let extra =
            headers(&[HOST, ("authorization", V4), ("x-amz-date", "d"), ("x-amz-meta-a", "b")]);
        let error = check(Operation::PutObject, &query, &extra).unwrap_err();
        assert_eq!((error.code(), error.status().as_u16()), ("AccessDenied", 403));
    }

    #[test]
    fn an_unsigned_copy_source_on_a_presigned_put_is_refused() {
        let query = Query::parse(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-SignedHeaders=host&X-Amz-Expires=60&X-Amz-Signature=0",
        )
        .unwrap();
        assert!(check(Operation::PutObject, &query, &headers(&[HOST])).is_ok());
        let copies = headers(&[HOST, ("x-amz-copy-source", "b/k")]);
        let error = check(Operation::CopyObject, &query, &copies).unwrap_err();
        assert_eq!(error.code(), "AccessDenied");
    }

    #[test]
    fn sig_v2_headers_are_refused_with_the_way_out() {
        let v2 = headers(&[
            ("authorization", "AWS AKID:c2ln"),
            ("date", "Mon, 01 Jan 2001 00:00:00 GMT"),
        ]);
        let error = check(Operation::GetObject, &Query::default(), &v2).unwrap_err();
        assert!(error.message().contains("s3v4"), "{error}");
    }

    #[test]
    fn sig_v2_urls_may_not_gain_parameters() {
        let signed = "AWSAccessKeyId=A&Expires=1&Signature=s";
        let query = Query::parse(signed).unwrap();
        assert!(check(Operation::GetObject, &query, &headers(&[])).is_ok());
        let more = Query::parse(&format!("{signed}&attributes")).unwrap();
        let error = check(Operation::GetObjectAttributes, &more, &headers(&[])).unwrap_err();
        assert!(error.message().contains("signature_version='s3v4'"), "{error}");
    }

    #[test]
    fn presigned_urls_last_a_week_at_most() {
        for (expires, ok) in [
            ("1", true),
            ("604800", true),
            ("604801", false),
            ("0", false),
            ("-1", false),
            ("x", false),
        ] {
            let text =
                format!("X-Amz-SignedHeaders=host&X-Amz-Expires={expires}&X-Amz-Signature=0");
            let query = Query::parse(&text).unwrap();
            assert_eq!(
                check(Operation::GetObject, &query, &headers(&[HOST])).is_ok(),
                ok,
                "{expires}"
            );
        }
    }

    #[test]
    fn two_signatures_are_one_too_many() {
        let query = Query::parse("X-Amz-Signature=0").unwrap();
        let error =
            check(Operation::GetObject, &query, &headers(&[("authorization", V4)])).unwrap_err();
        assert_eq!(error.code(), "InvalidArgument");
    }

    #[test]
    fn hoisted_headers_come_back() {
        let query =
            Query::parse("X-Amz-Signature=0&x-amz-meta-A=b&x-amz-checksum-mode=ENABLED&x-amz-checksum-crc32=AAAAAA%3D%3D\
             &x-amz-sdk-checksum-algorithm=CRC32").unwrap();
        let mut headers = headers(&[]);
        unhoist(&query, &mut headers);
        assert_eq!(headers.get("x-amz-meta-a").unwrap(), "b");
        assert_eq!(headers.get("x-amz-checksum-mode").unwrap(), "ENABLED");
        assert_eq!(headers.len(), 2, "checksums in a presigned query are of no body: {headers:?}");
    }
}
