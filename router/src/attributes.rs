//! What a client says about an object beside its bytes: content headers, metadata, tags, class.

use http::HeaderMap;
use http::header::{self, HeaderName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use vaultaire_proto::object::{Attributes, ContentHeaders};

use crate::error::Error;
use crate::error::code::Code;
use crate::limits;
use crate::query::Query;

const CLASSES: &[&str] = &[
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];

/// Reads all of them from a request.
pub fn of(headers: &HeaderMap) -> Result<Attributes, Error> {
    Ok(Attributes {
        headers: content_headers(headers)?,
        user_metadata: user_metadata(headers)?,
        tags: match text(headers, &HeaderName::from_static("x-amz-tagging"))? {
            Some(tagging) => tagging_header(&tagging)?,
            None => Vec::new(),
        },
        storage_class: storage_class(headers)?,
    })
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Error> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let value = std::str::from_utf8(value.as_bytes()).map_err(|_| {
        Error::with(Code::InvalidArgument, format!("The header {name} is not UTF-8."))
    })?;
    Ok((!value.is_empty()).then(|| value.to_owned()))
}

fn content_headers(headers: &HeaderMap) -> Result<ContentHeaders, Error> {
    Ok(ContentHeaders {
        content_type: text(headers, &header::CONTENT_TYPE)?,
        content_encoding: text(headers, &header::CONTENT_ENCODING)?
            .and_then(|value| without_framing(&value)),
        content_language: text(headers, &header::CONTENT_LANGUAGE)?,
        content_disposition: text(headers, &header::CONTENT_DISPOSITION)?,
        cache_control: text(headers, &header::CACHE_CONTROL)?,
        expires: text(headers, &header::EXPIRES)?,
        website_redirect: text(
            headers,
            &HeaderName::from_static("x-amz-website-redirect-location"),
        )?,
    })
}

/// `aws-chunked` is how the request was sent, not how the object is encoded.
fn without_framing(encoding: &str) -> Option<String> {
    let rest: Vec<&str> = encoding
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty() && !one.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!rest.is_empty()).then(|| rest.join(", "))
}

fn user_metadata(headers: &HeaderMap) -> Result<Vec<(String, String)>, Error> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut bytes = 0_usize;
    for name in headers.keys() {
        let Some(short) = name.as_str().strip_prefix("x-amz-meta-") else { continue };
        let values = headers.get_all(name).iter().map(|value| {
            std::str::from_utf8(value.as_bytes()).map_err(|_| {
                Error::with(Code::InvalidArgument, format!("The header {name} is not UTF-8."))
            })
        });
        let value = values.collect::<Result<Vec<_>, _>>()?.join(",");
        bytes = bytes.saturating_add(short.len()).saturating_add(value.len());
        pairs.push((short.to_owned(), value));
    }
    if bytes > limits::USER_METADATA_BYTES_MAX {
        return Err(Error::new(Code::MetadataTooLarge)
            .detail("Size", bytes.to_string())
            .detail("MaxSizeAllowed", limits::USER_METADATA_BYTES_MAX.to_string()));
    }
    Ok(pairs)
}

fn storage_class(headers: &HeaderMap) -> Result<String, Error> {
    match text(headers, &HeaderName::from_static("x-amz-storage-class"))? {
        None => Ok(String::new()),
        Some(class) if class == "STANDARD" => Ok(String::new()),
        Some(class) if CLASSES.contains(&class.as_str()) => Ok(class),
        Some(_) => Err(Error::new(Code::InvalidStorageClass)),
    }
}

fn tagging_header(value: &str) -> Result<Vec<(String, String)>, Error> {
    let query = Query::parse(value).ok_or_else(|| Error::new(Code::InvalidTag))?;
    check_tags(query.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// S3's rules for tags.
pub fn check_tags(tags: Vec<(String, String)>) -> Result<Vec<(String, String)>, Error> {
    if tags.len() > limits::TAGS_MAX {
        return Err(Error::with(Code::InvalidTag, "Object tags cannot be greater than 10")
            .detail("TagCount", tags.len().to_string()));
    }
    for (place, (key, value)) in tags.iter().enumerate() {
        let lengths_fit = (1..=limits::TAG_KEY_CHARS_MAX).contains(&key.chars().count())
            && value.chars().count() <= limits::TAG_VALUE_CHARS_MAX;
        let repeated = tags.iter().take(place).any(|(other, _)| other == key);
        if !lengths_fit || repeated || key.starts_with("aws:") {
            return Err(Error::new(Code::InvalidTag).detail("TagKey", key.as_str()));
        }
    }
    Ok(tags)
}

/// S3 leaves these as they are where it URL-encodes keys in lists.
const PLAIN: AsciiSet =
    NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');

/// `encoding-type=url`: every byte that XML or a client might stumble over is escaped.
pub fn url_encode(text: &str) -> String {
    utf8_percent_encode(text, &PLAIN).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn everything_visible_is_kept() {
        let given = headers(&[
            ("content-type", "text/plain"),
            ("content-encoding", "aws-chunked, gzip"),
            ("expires", "not a date at all"),
            ("x-amz-meta-color", "grün"),
            ("x-amz-meta-list", "a"),
            ("x-amz-meta-list", "b"),
            ("x-amz-tagging", "a=b&c+d=%C3%BC"),
            ("x-amz-storage-class", "STANDARD"),
        ]);
        let attributes = of(&given).unwrap();
        assert_eq!(attributes.headers.content_encoding.as_deref(), Some("gzip"));
        assert_eq!(attributes.headers.expires.as_deref(), Some("not a date at all"));
        assert!(attributes.user_metadata.contains(&("color".to_owned(), "grün".to_owned())));
        assert!(attributes.user_metadata.contains(&("list".to_owned(), "a,b".to_owned())));
        assert_eq!(
            attributes.tags,
            [("a".to_owned(), "b".to_owned()), ("c d".to_owned(), "ü".to_owned())]
        );
        assert_eq!(attributes.storage_class, "");
        assert_eq!(
            of(&headers(&[("content-encoding", "aws-chunked")])).unwrap().headers.content_encoding,
            None
        );
    }

    #[test]
    fn limits_are_s3s() {
        let long = "v".repeat(limits::USER_METADATA_BYTES_MAX);
        assert_eq!(
            of(&headers(&[("x-amz-meta-a", &long)])).unwrap_err().code(),
            "MetadataTooLarge"
        );
        assert_eq!(
            of(&headers(&[("x-amz-storage-class", "COLD")])).unwrap_err().code(),
            "InvalidStorageClass"
        );
        let many = (0..11).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join("&");
        assert_eq!(of(&headers(&[("x-amz-tagging", &many)])).unwrap_err().code(), "InvalidTag");
        assert_eq!(of(&headers(&[("x-amz-tagging", "a=1&a=2")])).unwrap_err().code(), "InvalidTag");
    }

    #[test]
    fn keys_are_encoded_as_s3_does() {
        assert_eq!(url_encode("a/b c+ü*~"), "a/b%20c%2B%C3%BC*%7E");
    }
}
