//! What GET and HEAD say of a version: everything comes from its row, nothing from a backend, so it is
//! the same before and after any move.

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use vaultaire_proto::ETag;
use vaultaire_proto::object::{Body, Checksum, Version};
use vaultaire_proto::row::Versioning;

use crate::reply::Reply;
use crate::{checksum, http_date};

/// Where checkers read the log position of a version.
pub const VERSION: HeaderName = HeaderName::from_static("x-vaultaire-version");
pub const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");

/// What S3 calls a version written while the bucket was not versioned.
pub const NULL_VERSION: &str = "null";

/// Everything but the length and the range.
pub fn describe(headers: &mut HeaderMap, version: &Version, versioning: Versioning) {
    headers.reserve(12);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, etag(version.etag));
    headers.insert(header::LAST_MODIFIED, http_date::header(version.modified));
    let content = &version.attributes.headers;
    let content_type = content.content_type.as_deref().unwrap_or("binary/octet-stream");
    text(headers, header::CONTENT_TYPE, content_type);
    for (name, value) in [
        (header::CONTENT_ENCODING, &content.content_encoding),
        (header::CONTENT_LANGUAGE, &content.content_language),
        (header::CONTENT_DISPOSITION, &content.content_disposition),
        (header::CACHE_CONTROL, &content.cache_control),
        (header::EXPIRES, &content.expires),
        (HeaderName::from_static("x-amz-website-redirect-location"), &content.website_redirect),
    ] {
        if let Some(value) = value {
            text(headers, name, value);
        }
    }
    for (name, value) in &version.attributes.user_metadata {
        if let Ok(name) = HeaderName::try_from(format!("x-amz-meta-{name}")) {
            text(headers, name, value);
        }
    }
    let class = shown_class(&version.attributes.storage_class);
    if class != STANDARD {
        text(headers, HeaderName::from_static("x-amz-storage-class"), class);
    }
    if !version.attributes.tags.is_empty() {
        headers.insert(
            HeaderName::from_static("x-amz-tagging-count"),
            version.attributes.tags.len().into(),
        );
    }
    match versioning {
        Versioning::Off => {}
        Versioning::Enabled | Versioning::Suspended => {
            text(headers, VERSION_ID, &version_text(version));
        }
    }
    text(headers, VERSION, &version.id.to_string());
}

/// The version's id, where S3 shows one.
pub fn describe_id(answer: &mut Reply, version: &Version, versioning: Versioning) {
    match versioning {
        Versioning::Off => {}
        Versioning::Enabled | Versioning::Suspended => {
            text(answer.headers_mut(), VERSION_ID, &version_text(version));
        }
    }
}

/// The stored checksum, for whoever asks with `x-amz-checksum-mode`.
pub fn describe_checksum(headers: &mut HeaderMap, version: &Version) {
    if let Some(stored) = &version.checksum {
        sum(headers, stored, &checksum::encode(stored, version.etag.parts));
    }
}

/// One part's own checksum, under the algorithm and type of its object.
pub fn describe_part_checksum(headers: &mut HeaderMap, version: &Version, value: &[u8]) {
    if let Some(stored) = &version.checksum {
        sum(headers, stored, &checksum::encode_part(value));
    }
}

fn sum(headers: &mut HeaderMap, stored: &Checksum, value: &str) {
    let name = HeaderName::from_static(checksum::header(stored.algorithm));
    text(headers, name, value);
    let scope = HeaderValue::from_static(checksum::scope_name(stored.scope));
    headers.insert(HeaderName::from_static("x-amz-checksum-type"), scope);
}

/// S3's name of a version.
pub fn version_text(version: &Version) -> String {
    if version.null { NULL_VERSION.to_owned() } else { version.id.to_string() }
}

/// How many parts a version has; none if it was put whole.
pub fn parts(version: &Version) -> Option<u16> {
    match &version.body {
        Body::Whole(_) => None,
        Body::Parts(parts) => u16::try_from(parts.len()).ok(),
        Body::Manifest { parts } => Some(*parts),
    }
}

/// An ETag in quotes.
pub fn etag(etag: ETag) -> HeaderValue {
    HeaderValue::try_from(format!("\"{etag}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The default class; never shown in a header.
pub const STANDARD: &str = "STANDARD";

/// The class that clients are told. Those that clients refuse to read without a restore are shown only where
/// a restore is needed; nothing here is ever that cold.
pub fn shown_class(asked: &str) -> &str {
    match asked {
        "" => STANDARD,
        "GLACIER" | "DEEP_ARCHIVE" => "GLACIER_IR",
        other => other,
    }
}

fn text(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Values came in as headers, so they can go out as such.
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}
