//! Byte ranges of reads. What is not one range is ignored, as S3 does; what lies outside is 416.

use std::ops::Range;

use http::HeaderValue;

use crate::error::Error;
use crate::error::code::Code;

/// One range of bytes, before the size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// From the first to the last, inclusive.
    Between(u64, u64),
    From(u64),
    /// So many at the end.
    Last(u64),
}

/// Reads a `Range` header. None: not a single valid range, so it is as if it had not been sent.
pub fn parse(text: &str) -> Option<Asked> {
    let spec = text.trim().strip_prefix("bytes=")?.trim();
    let (first, last) = spec.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (first.trim(), last.trim()) {
        ("", last) => number(last).map(Asked::Last),
        (first, "") => number(first).map(Asked::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Asked::Between(first, last))
        }
    }
}

impl Asked {
    /// The bytes meant, of an object of `size_bytes`.
    pub fn of(self, size_bytes: u64) -> Result<Range<u64>, Error> {
        let range = match self {
            Self::Between(first, last) => first..last.saturating_add(1).min(size_bytes),
            Self::From(first) => first..size_bytes,
            Self::Last(count) => size_bytes.saturating_sub(count)..size_bytes,
        };
        if range.start >= range.end {
            return Err(outside(size_bytes));
        }
        Ok(range)
    }
}

fn outside(size_bytes: u64) -> Error {
    let error = Error::new(Code::InvalidRange).detail("ActualObjectSize", size_bytes.to_string());
    match HeaderValue::try_from(format!("bytes */{size_bytes}")) {
        Ok(value) => error.header("content-range", value),
        Err(_) => error,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn ranges_are_cut_or_refused() {
        for (text, expected) in [
            ("bytes=0-3", Some(0..4)),
            ("bytes=5-100", Some(5..10)),
            ("bytes=5-", Some(5..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-30", Some(0..10)),
            ("bytes=9-9", Some(9..10)),
            ("bytes=10-", None),
            ("bytes=10-20", None),
            ("bytes=-0", None),
            ("bytes=0-18446744073709551615", Some(0..10)),
        ] {
            assert_eq!(parse(text).unwrap().of(10).ok(), expected, "{text}");
        }
        assert!(parse("bytes=0-0").unwrap().of(0).is_err());
        assert!(parse("bytes=-1").unwrap().of(0).is_err());
    }

    #[test]
    fn nonsense_is_ignored() {
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "items=0-1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
