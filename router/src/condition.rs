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

/// Decides a read. An ETag condition that holds silences the date beside it; a date that is none is ignored. A
/// condition whose bytes cannot be read as text does not hold, whatever it says.
pub fn decide(headers: &HeaderMap, names: &Names, subject: Subject) -> Outcome {
    let all =
        [names.if_match, names.if_none_match, names.if_modified_since, names.if_unmodified_since];
    if all.iter().flat_map(|name| headers.get_all(*name)).any(|value| value.to_str().is_err()) {
        return Outcome::Failed;
    }
    let date = |name: &str| list(headers, name).as_deref().and_then(http_date::parse);
    let modified = whole_seconds(subject.modified);
    match list(headers, names.if_match) {
        Some(tags) if !names_tag(&tags, subject.etag) => return Outcome::Failed,
        Some(_) => {}
        None if date(names.if_unmodified_since).is_some_and(|limit| modified > limit) => {
            return Outcome::Failed;
        }
        None => {}
    }
    match list(headers, names.if_none_match) {
        Some(tags) if names_tag(&tags, subject.etag) => Outcome::NotModified,
        Some(_) => Outcome::Proceed,
        None if date(names.if_modified_since).is_some_and(|limit| modified <= limit) => {
            Outcome::NotModified
        }
        None => Outcome::Proceed,
    }
}

/// Every line of a header as one list.
fn list(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<&str> =
        headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// Dates in headers have no fractions.
fn whole_seconds(time: TimeMs) -> TimeMs {
    TimeMs(time.0 / 1000 * 1000)
}

/// Whether a range is served: without `If-Range`, or while the object is still the one that it names. A weak tag,
/// another date, and what cannot be read name none: then the whole object is the answer.
pub fn range_applies(headers: &HeaderMap, subject: Subject) -> bool {
    let mut lines = headers.get_all(header::IF_RANGE).iter();
    let Some(line) = lines.next() else { return true };
    let (Ok(text), None) = (line.to_str(), lines.next()) else { return false };
    match http_date::parse(text) {
        Some(date) => date == whole_seconds(subject.modified),
        None => ETag::parse(text.trim()).is_ok_and(|tag| tag == subject.etag),
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
    let size = headers.get("x-amz-if-match-size").map(|value| {
        let size = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
        size.ok_or_else(|| Error::argument("x-amz-if-match-size", "must be a number of bytes"))
    });
    let modified = headers.get("x-amz-if-match-last-modified-time").map(|value| {
        let time = value.to_str().ok().and_then(http_date::parse_any);
        time.ok_or_else(|| Error::argument("x-amz-if-match-last-modified-time", "must be a date"))
    });
    Ok(Condition {
        if_match: written(headers, "if-match")?,
        // S3 itself takes `*` only; the state machine decides any tag as RFC 9110 does.
        if_none_match: written(headers, "if-none-match")?,
        if_modified_at: modified.transpose()?,
        if_size_bytes: size.transpose()?,
    })
}

/// One of the two. Several lines or unreadable bytes are refused: as a tag that nothing has they would let a
/// write through that was to happen under a condition.
fn written(headers: &HeaderMap, name: &'static str) -> Result<Option<Match>, Error> {
    let mut lines = headers.get_all(name).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    match (line.to_str(), lines.next()) {
        (Ok(text), None) => Ok(Some(tag(text))),
        (Ok(_) | Err(_), _) => Err(Error::argument(name, "must be one ETag, or *")),
    }
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
    const BEFORE: &str = "Wed, 31 Dec 1969 23:59:59 GMT";
    const SAME: &str = "Fri, 02 Jan 1970 00:00:00 GMT";

    fn outcome(pairs: &[(&'static str, &'static str)]) -> Outcome {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        decide(&headers, &READ, subject())
    }

    fn subject() -> Subject {
        // Half a second past the full one: dates have no fractions.
        Subject { etag: ETag::whole([0; 16]), modified: TimeMs(86_400_500) }
    }

    #[test]
    fn conditions_that_cannot_be_read_do_not_hold() {
        let all = [READ, COPY_SOURCE].map(|names| {
            let Names { if_match, if_none_match, if_modified_since, if_unmodified_since } = names;
            [if_match, if_none_match, if_modified_since, if_unmodified_since]
        });
        for (names, kind) in all.iter().zip([READ, COPY_SOURCE]) {
            for name in names {
                let mut headers = HeaderMap::new();
                headers.insert(*name, HeaderValue::from_bytes(b"\xff").unwrap());
                assert_eq!(decide(&headers, &kind, subject()), Outcome::Failed, "{name}");
            }
        }
        let mut headers = HeaderMap::new();
        headers.append("if-none-match", HeaderValue::from_static(OTHER));
        headers.append("if-none-match", HeaderValue::from_static(TAG));
        assert_eq!(decide(&headers, &READ, subject()), Outcome::NotModified, "lines are one list");
        assert_eq!(write(&headers).unwrap_err().code(), "InvalidArgument");
        headers.insert("if-none-match", HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(write(&headers).unwrap_err().code(), "InvalidArgument");
    }

    #[test]
    fn ranges_are_served_of_the_object_that_was_meant() {
        for (if_range, applies) in [
            (TAG, true),
            (OTHER, false),
            ("W/\"00000000000000000000000000000000\"", false),
            (SAME, true),
            (OLD, false),
            ("Sat, 03 Jan 1970 00:00:00 GMT", false),
            ("nonsense", false),
        ] {
            let mut headers = HeaderMap::new();
            assert!(range_applies(&headers, subject()));
            headers.insert("if-range", HeaderValue::from_static(if_range));
            assert_eq!(range_applies(&headers, subject()), applies, "{if_range}");
        }
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
            (&[("if-unmodified-since", BEFORE)], Failed),
            (&[("if-modified-since", BEFORE)], Proceed),
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
