//! Conditional requests. Reads are decided here, with S3's precedence; writes are only translated,
//! since `apply` alone decides them.

use http::{HeaderMap, header};
use vaultaire_proto::command::Match;
use vaultaire_proto::{Condition, ETag, TimeMs};

use crate::error::Error;
use crate::error::code::Code;
use crate::{headers, http_date};

/// What a read's conditions are checked against.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    pub etag: ETag,
    pub modified: TimeMs,
}

/// The names of the four headers of one kind of read.
#[derive(Debug)]
pub struct Names {
    if_match: &'static str,
    if_none_match: &'static str,
    if_modified_since: &'static str,
    if_unmodified_since: &'static str,
}

/// Of GET and HEAD.
pub const READ: Names = Names {
    if_match: "if-match",
    if_none_match: "if-none-match",
    if_modified_since: "if-modified-since",
    if_unmodified_since: "if-unmodified-since",
};

/// Of the source of a copy.
pub const COPY_SOURCE: Names = Names {
    if_match: "x-amz-copy-source-if-match",
    if_none_match: "x-amz-copy-source-if-none-match",
    if_modified_since: "x-amz-copy-source-if-modified-since",
    if_unmodified_since: "x-amz-copy-source-if-unmodified-since",
};

/// How a read's conditions came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Proceed,
    NotModified,
    Failed,
}

/// Decides a read. An ETag condition that holds silences the date beside it; a date that is none is ignored.
pub fn decide(headers: &HeaderMap, names: &Names, subject: Subject) -> Outcome {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let date = |name: &str| text(name).and_then(http_date::parse);
    let modified = TimeMs(subject.modified.0 / 1000 * 1000);
    match text(names.if_match) {
        Some(tags) if !names_tag(tags, subject.etag) => return Outcome::Failed,
        Some(_) => {}
        None if date(names.if_unmodified_since).is_some_and(|limit| modified > limit) => {
            return Outcome::Failed;
        }
        None => {}
    }
    match text(names.if_none_match) {
        Some(tags) if names_tag(tags, subject.etag) => Outcome::NotModified,
        Some(_) => Outcome::Proceed,
        None if date(names.if_modified_since).is_some_and(|limit| modified <= limit) => {
            Outcome::NotModified
        }
        None => Outcome::Proceed,
    }
}

/// The answer to a GET or HEAD whose conditions do not let it through.
pub fn check_read(headers: &HeaderMap, subject: Subject) -> Result<(), Error> {
    match decide(headers, &READ, subject) {
        Outcome::Proceed => Ok(()),
        Outcome::Failed => Err(Error::new(Code::PreconditionFailed)),
        Outcome::NotModified => Err(Error::new(Code::NotModified)
            .header("etag", headers::etag(subject.etag))
            .header("last-modified", http_date::header(subject.modified))),
    }
}

/// A copy knows no 304: whatever does not hold is 412.
pub fn check_copy_source(headers: &HeaderMap, subject: Subject) -> Result<(), Error> {
    match decide(headers, &COPY_SOURCE, subject) {
        Outcome::Proceed => Ok(()),
        Outcome::NotModified | Outcome::Failed => Err(Error::new(Code::PreconditionFailed)),
    }
}

fn names_tag(list: &str, etag: ETag) -> bool {
    list.split(',').map(str::trim).any(|one| {
        let one = one.strip_prefix("W/").unwrap_or(one);
        one == "*" || ETag::parse(one).is_ok_and(|tag| tag == etag)
    })
}

/// The conditions of a PUT, copy, Complete or DELETE.
pub fn write(headers: &HeaderMap) -> Result<Condition, Error> {
    let text = |name: header::HeaderName| {
        headers.get(name).map(|value| value.to_str().unwrap_or_default())
    };
    let size = headers.get("x-amz-if-match-size").map(|value| {
        let size = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
        size.ok_or_else(|| Error::argument("x-amz-if-match-size", "must be a number of bytes"))
    });
    let modified = headers.get("x-amz-if-match-last-modified-time").map(|value| {
        let time = value.to_str().ok().and_then(http_date::parse_any);
        time.ok_or_else(|| Error::argument("x-amz-if-match-last-modified-time", "must be a date"))
    });
    Ok(Condition {
        if_match: text(header::IF_MATCH).map(tag),
        // S3 itself takes `*` only; the state machine decides any tag as RFC 9110 does.
        if_none_match: text(header::IF_NONE_MATCH).map(tag),
        if_modified_at: modified.transpose()?,
        if_size_bytes: size.transpose()?,
    })
}

/// An ETag in a condition of a write.
pub fn tag(text: &str) -> Match {
    match text.trim() {
        "*" => Match::Any,
        text => ETag::parse(text).map_or(Match::Never, Match::ETag),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use http::HeaderValue;

    use super::*;

    const TAG: &str = "\"00000000000000000000000000000000\"";
    const OTHER: &str = "\"11111111111111111111111111111111\"";
    const OLD: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
    const SAME: &str = "Fri, 02 Jan 1970 00:00:00 GMT";

    fn outcome(pairs: &[(&'static str, &'static str)]) -> Outcome {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        // Half a second past the full one: dates have no fractions.
        let subject = Subject { etag: ETag::whole([0; 16]), modified: TimeMs(86_400_500) };
        decide(&headers, &READ, subject)
    }

    #[test]
    fn precedence_is_s3s() {
        use Outcome::{Failed, NotModified, Proceed};
        for (pairs, expected) in [
            (&[][..], Proceed),
            (&[("if-match", TAG)], Proceed),
            (&[("if-match", "*")], Proceed),
            (&[("if-match", OTHER)], Failed),
            (&[("if-match", TAG), ("if-unmodified-since", OLD)], Proceed),
            (&[("if-unmodified-since", OLD)], Failed),
            (&[("if-unmodified-since", SAME)], Proceed),
            (&[("if-none-match", TAG)], NotModified),
            (&[("if-none-match", "W/\"00000000000000000000000000000000\"")], NotModified),
            (&[("if-none-match", OTHER)], Proceed),
            (&[("if-none-match", OTHER), ("if-modified-since", SAME)], Proceed),
            (&[("if-none-match", TAG), ("if-modified-since", OLD)], NotModified),
            (&[("if-modified-since", SAME)], NotModified),
            (&[("if-modified-since", OLD)], Proceed),
            (&[("if-modified-since", "whenever")], Proceed),
        ] {
            assert_eq!(outcome(pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn writes_are_translated() {
        let mut headers = HeaderMap::new();
        headers.insert("if-none-match", HeaderValue::from_static("*"));
        assert_eq!(write(&headers).unwrap().if_none_match, Some(Match::Any));
        headers.insert("if-none-match", HeaderValue::from_static(TAG));
        let tag = ETag::parse(TAG).unwrap();
        assert_eq!(write(&headers).unwrap().if_none_match, Some(Match::ETag(tag)));
        headers.remove("if-none-match");
        headers.insert("if-match", HeaderValue::from_static("nonsense"));
        assert_eq!(write(&headers).unwrap().if_match, Some(Match::Never));
    }
}
