//! Which `x-amz-*` headers may come in. Those that ask for what this server does not do are refused:
//! silently leaving out an encryption or a lock would be worse than an error.

use http::HeaderMap;

use crate::error::Error;
use crate::error::code::Code;

/// Understood, or known to change nothing.
const KNOWN: &[&str] = &[
    "x-amz-acl",
    "x-amz-api-version",
    "x-amz-bucket-object-lock-enabled",
    "x-amz-bypass-governance-retention",
    "x-amz-cf-id",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-mode",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-expected-bucket-owner",
    "x-amz-id-2",
    "x-amz-if-match-last-modified-time",
    "x-amz-if-match-size",
    "x-amz-max-parts",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    "x-amz-object-attributes",
    "x-amz-object-ownership",
    "x-amz-optional-object-attributes",
    "x-amz-part-number-marker",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-source-expected-bucket-owner",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-tagging-directive",
    "x-amz-te",
    "x-amz-trailer",
    "x-amz-user-agent",
    "x-amz-website-redirect-location",
];

/// ACLs that mean what happens anyway: the bucket's owner has everything, nobody else anything.
const OWNER_ACLS: &[&[u8]] = &[b"private", b"bucket-owner-full-control", b"bucket-owner-read"];

/// Lists, whose lines add up.
const LISTS: &[&str] = &["x-amz-object-attributes", "x-amz-optional-object-attributes"];

/// Refuses headers that ask for more than this server does, and those that say two things at once.
pub fn check(headers: &HeaderMap) -> Result<(), Error> {
    let once = |name: &str| !name.starts_with("x-amz-meta-") && !LISTS.contains(&name);
    let amz =
        headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
    for name in amz.filter(|name| once(name)) {
        if headers.get_all(name).iter().nth(1).is_some() {
            let message = format!("The header {name} is given twice.");
            return Err(Error::with(Code::InvalidRequest, message));
        }
    }
    for (name, value) in headers {
        let name = name.as_str();
        let Some(rest) = name.strip_prefix("x-amz-") else { continue };
        let value = value.as_bytes();
        match rest {
            "acl" if !OWNER_ACLS.contains(&value) => {
                return Err(Error::new(Code::AccessControlListNotSupported));
            }
            "object-ownership" if value != b"BucketOwnerEnforced" => {
                return Err(refused("x-amz-object-ownership other than BucketOwnerEnforced"));
            }
            "bucket-object-lock-enabled" if !value.eq_ignore_ascii_case(b"false") => {
                return Err(refused("object lock (x-amz-bucket-object-lock-enabled)"));
            }
            "security-token" => return Err(Error::new(Code::InvalidToken)),
            _ if rest.starts_with("grant-") => {
                return Err(Error::new(Code::AccessControlListNotSupported));
            }
            _ if rest.starts_with("meta-") && rest.len() > "meta-".len() => {}
            _ if KNOWN.binary_search(&name).is_ok() => {}
            _ if rest.starts_with("server-side-encryption")
                || rest.contains("-server-side-encryption") =>
            {
                return Err(refused("server-side encryption (x-amz-server-side-encryption…)"));
            }
            _ => return Err(refused(name)),
        }
    }
    Ok(())
}

fn refused(what: &str) -> Error {
    Error::with(
        Code::NotImplemented,
        format!("{what} is not implemented; leave the header out. Nothing was done."),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use http::HeaderValue;

    use super::*;

    fn code(name: &'static str, value: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        check(&headers).err().map(|error| error.code().to_owned())
    }

    #[test]
    fn the_list_is_sorted_for_its_search() {
        assert!(KNOWN.is_sorted());
    }

    #[test]
    fn only_lists_and_metadata_have_several_lines() {
        for (name, code) in [
            ("x-amz-copy-source", Some("InvalidRequest")),
            ("x-amz-acl", Some("InvalidRequest")),
            ("x-amz-object-attributes", None),
            ("x-amz-meta-color", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(name, HeaderValue::from_static("private"));
            headers.append(name, HeaderValue::from_static("private"));
            let error = check(&headers).err();
            assert_eq!(error.as_ref().map(Error::code), code, "{name}");
        }
    }

    #[test]
    fn what_would_be_left_out_is_refused() {
        for (name, value, expected) in [
            ("x-amz-acl", "private", None),
            ("x-amz-acl", "public-read", Some("AccessControlListNotSupported")),
            ("x-amz-grant-read", "id=1", Some("AccessControlListNotSupported")),
            ("x-amz-server-side-encryption", "AES256", Some("NotImplemented")),
            ("x-amz-server-side-encryption-customer-key", "k", Some("NotImplemented")),
            ("x-amz-copy-source-server-side-encryption-customer-key", "k", Some("NotImplemented")),
            ("x-amz-object-lock-mode", "GOVERNANCE", Some("NotImplemented")),
            ("x-amz-write-offset-bytes", "1", Some("NotImplemented")),
            ("x-amz-rename-source", "x", Some("NotImplemented")),
            ("x-amz-something-new", "x", Some("NotImplemented")),
            ("x-amz-security-token", "x", Some("InvalidToken")),
            ("x-amz-meta-color", "red", None),
            ("x-amz-api-version", "2006-03-01", None),
            ("x-amz-meta-", "red", Some("NotImplemented")),
            ("x-amz-date", "20260101T000000Z", None),
            ("x-amz-copy-source-if-match", "x", None),
        ] {
            assert_eq!(code(name, value).as_deref(), expected, "{name}: {value}");
        }
    }
}
