//! What is refused before s3s sees a request, and what the request is. s3s 0.14.1 routes unknown
//! sub-resources to other operations, takes unsigned `x-amz-copy-source` headers on presigned URLs,
//! and buffers forms before it authenticates; none of that can happen behind this gate.

pub mod authorization;
pub mod chunked;
pub mod headers;
pub mod signature;
pub mod table;

use http::{HeaderMap, Method, Uri, header};
use percent_encoding::percent_decode_str;
use vaultaire_proto::name::RESERVED_BUCKETS;
use vaultaire_proto::{BucketName, ObjectKey};

use crate::error::Error;
use crate::error::code::Code;
use crate::host::BaseDomain;
use crate::limits;
use crate::operation::Operation;
use crate::query::Query;
use table::{Resource, Unknown};

/// A request that the gate lets through.
#[derive(Clone, Debug)]
pub struct Passed {
    pub operation: Operation,
    pub bucket: Option<BucketName>,
    pub key: Option<ObjectKey>,
    pub query: Query,
}

/// What the path and host name, before it is known to be valid.
#[derive(Debug)]
struct Path {
    bucket: Option<String>,
    key: Option<String>,
}

/// Whether the path is one that load balancers ask. Under a host that names a bucket it is a key.
pub fn health(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    base: &BaseDomain,
) -> Option<&'static str> {
    let reads = *method == Method::GET || *method == Method::HEAD;
    if !reads || host(uri, headers).is_some_and(|host| base.bucket_of(host).is_some()) {
        return None;
    }
    let name = uri.path().strip_prefix('/')?;
    RESERVED_BUCKETS.into_iter().find(|reserved| *reserved == name)
}

/// Refuses, or says what the request is. Headers hoisted into a signed query are put back.
pub fn pass(
    method: &Method,
    uri: &Uri,
    headers: &mut HeaderMap,
    base: &BaseDomain,
) -> Result<Passed, Error> {
    header_bytes(headers)?;
    let query = Query::parse(uri.query().unwrap_or_default())
        .ok_or_else(|| Error::new(Code::InvalidURI))?;
    if let Some(name) = query.repeated() {
        return Err(Error::argument("query", format!("the parameter {name:?} is given twice")));
    }
    if *method == Method::OPTIONS {
        return Err(Error::new(Code::AccessForbidden));
    }
    let path = path(uri, headers, base)?;
    let resource = match (&path.bucket, &path.key) {
        (None, _) => Resource::Service,
        (Some(_), None) => Resource::Bucket,
        (Some(_), Some(_)) => Resource::Object,
    };
    let operation = operation(method, resource, &query, headers)?;
    signature::check(operation, &query, headers)?;
    signature::unhoist(&query, headers);
    headers::check(headers)?;
    let bucket = path.bucket.map(|name| bucket_name(&name)).transpose()?;
    let key = path.key.map(|key| object_key(&key)).transpose()?;
    Ok(Passed { operation, bucket, key, query })
}

/// HTTP/2 counts them itself; HTTP/1 has a buffer that is far larger, since pieces of bodies lie in it too.
fn header_bytes(headers: &HeaderMap) -> Result<(), Error> {
    /// The colon, the space and the end of the line.
    const AROUND: usize = 4;
    let bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + AROUND).sum();
    if bytes <= limits::HEADER_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "Your request header section of {bytes} bytes exceeds the maximum allowed size; send at most {} bytes of headers.",
        limits::HEADER_BYTES_MAX
    );
    Err(Error::with(Code::RequestHeaderSectionTooLarge, message)
        .detail("MaxSizeAllowed", limits::HEADER_BYTES_MAX.to_string()))
}

/// A browser's form is told by its type alone; it carries its own signature, in a field.
fn is_form(method: &Method, headers: &HeaderMap) -> bool {
    let form = |value: &header::HeaderValue| {
        value.as_bytes().to_ascii_lowercase().trim_ascii_start().starts_with(b"multipart/form-data")
    };
    *method == Method::POST && headers.get(header::CONTENT_TYPE).is_some_and(form)
}

/// The bucket from the host where it names one, else the path's first segment.
fn path(uri: &Uri, headers: &HeaderMap, base: &BaseDomain) -> Result<Path, Error> {
    let decoded =
        percent_decode_str(uri.path()).decode_utf8().map_err(|_| Error::new(Code::InvalidURI))?;
    let rest = decoded.strip_prefix('/').ok_or_else(|| Error::new(Code::InvalidURI))?;
    let named = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    if let Some(bucket) = host(uri, headers).and_then(|host| base.bucket_of(host)) {
        return Ok(Path { bucket: Some(bucket.into_owned()), key: named(rest) });
    }
    Ok(match rest.split_once('/') {
        None => Path { bucket: named(rest), key: None },
        Some((bucket, key)) => Path { bucket: Some(bucket.to_owned()), key: named(key) },
    })
}

fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.or_else(|| uri.authority().map(http::uri::Authority::as_str))
}

fn operation(
    method: &Method,
    resource: Resource,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Operation, Error> {
    if is_form(method, headers) {
        return match (resource, query.iter().next()) {
            (Resource::Bucket, None) => Ok(Operation::PostObject),
            _ => Err(Error::with(
                Code::NotImplemented,
                "A form is sent to a bucket, without query parameters; nothing was done.",
            )),
        };
    }
    let found = table::resolve(method, resource, query).map_err(|unknown| match unknown {
        Unknown::Verb => Error::new(Code::MethodNotAllowed),
        Unknown::Names(names) if names.is_empty() => Error::with(
            Code::NotImplemented,
            format!("{method} on this resource is not implemented."),
        ),
        Unknown::Names(names) => Error::with(
            Code::NotImplemented,
            format!(
                "{method} with the query parameters {names} is not implemented; nothing was done."
            ),
        ),
    })?;
    let copies = headers.contains_key("x-amz-copy-source");
    match found {
        Operation::PutObject if copies => Ok(Operation::CopyObject),
        Operation::UploadPart if copies => Ok(Operation::UploadPartCopy),
        _ if copies => Err(Error::with(
            Code::InvalidRequest,
            "x-amz-copy-source belongs to CopyObject and UploadPartCopy alone.",
        )),
        other => Ok(other),
    }
}

/// Reads a bucket's name; what S3 would refuse to create cannot exist either.
pub fn bucket_name(text: &str) -> Result<BucketName, Error> {
    BucketName::parse(text).map_err(|invalid| {
        let message = format!("The specified bucket is not valid: it {}.", invalid.why);
        Error::with(Code::InvalidBucketName, message).detail("BucketName", text)
    })
}

/// Reads an object's key.
pub fn object_key(text: &str) -> Result<ObjectKey, Error> {
    if text.is_empty() {
        return Err(Error::with(Code::InvalidRequest, "A key may not be empty."));
    }
    ObjectKey::parse(text).map_err(|_| {
        Error::new(Code::KeyTooLongError)
            .detail("Size", text.len().to_string())
            .detail("MaxSizeAllowed", ObjectKey::LEN_MAX.to_string())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use http::HeaderValue;

    use super::*;

    fn ask(
        method: Method,
        uri: &str,
        pairs: &[(&'static str, &'static str)],
    ) -> Result<Passed, Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        pass(&method, &uri.parse().unwrap(), &mut headers, &BaseDomain::new(Some("s3.example.com")))
    }

    #[test]
    fn paths_and_hosts_name_buckets_and_keys() {
        let host = [("host", "photos.s3.example.com")];
        for (uri, pairs, bucket, key) in [
            ("/", &[][..], None, None),
            ("/photos", &[], Some("photos"), None),
            ("/photos/", &[], Some("photos"), None),
            ("/photos/a//b/", &[], Some("photos"), Some("a//b/")),
            ("/photos//lead", &[], Some("photos"), Some("/lead")),
            ("/photos/a%20b+c%C3%BC", &[], Some("photos"), Some("a b+cü")),
            ("/a/b", &host, Some("photos"), Some("a/b")),
            ("/", &host, Some("photos"), None),
        ] {
            let passed = ask(Method::GET, uri, pairs).unwrap();
            assert_eq!(passed.bucket.as_ref().map(BucketName::as_str), bucket, "{uri}");
            assert_eq!(passed.key.as_ref().map(ObjectKey::as_str), key, "{uri}");
        }
    }

    #[test]
    fn refusals_are_specific() {
        let long = format!("/photos/{}", "k".repeat(1025));
        for (method, uri, pairs, code) in [
            (Method::GET, "/photos?torrentz", &[][..], "NotImplemented"),
            (Method::PATCH, "/photos", &[], "MethodNotAllowed"),
            (Method::OPTIONS, "/photos", &[], "AccessForbidden"),
            (
                Method::POST,
                "/photos?delete",
                &[("content-type", "Multipart/Form-Data; boundary=x")],
                "NotImplemented",
            ),
            (Method::GET, "/Photos_", &[], "InvalidBucketName"),
            (Method::PUT, "/livez", &[], "InvalidBucketName"),
            (Method::GET, long.as_str(), &[], "KeyTooLongError"),
            (Method::GET, "/photos/%FF", &[], "InvalidURI"),
            (Method::GET, "/photos?prefix=a&prefix=b", &[], "InvalidArgument"),
            (Method::GET, "/photos/k", &[("x-amz-copy-source", "a/b")], "InvalidRequest"),
        ] {
            let error = ask(method, uri, pairs).unwrap_err();
            assert_eq!(error.code(), code, "{uri}: {error}");
        }
    }

    #[test]
    fn copies_are_told_by_their_header() {
        let source = [("x-amz-copy-source", "a/b")];
        assert_eq!(
            ask(Method::PUT, "/photos/k", &source).unwrap().operation,
            Operation::CopyObject
        );
        let part = ask(Method::PUT, "/photos/k?uploadId=u&partNumber=1", &source).unwrap();
        assert_eq!(part.operation, Operation::UploadPartCopy);
    }

    #[test]
    fn health_is_asked_by_reading_alone() {
        let asked = |method: Method, uri: &str, host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static(host));
            health(
                &method,
                &uri.parse().unwrap(),
                &headers,
                &BaseDomain::new(Some("s3.example.com")),
            )
        };
        assert_eq!(asked(Method::GET, "/livez", "s3.example.com"), Some("livez"));
        assert_eq!(asked(Method::HEAD, "/readyz?verbose", "10.0.0.1:9000"), Some("readyz"));
        assert_eq!(asked(Method::PUT, "/livez", "10.0.0.1:9000"), None);
        assert_eq!(asked(Method::GET, "/livez/x", "10.0.0.1:9000"), None);
        assert_eq!(asked(Method::GET, "/livez", "photos.s3.example.com"), None, "it is a key");
    }
}
