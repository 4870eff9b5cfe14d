//! Names that users choose: parsed once, valid for ever after. The limits are S3's.

use std::fmt;

/// Why a text is not what it should be, in words a user can act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what}: {why}")]
pub struct Invalid {
    /// What was being read.
    pub what: &'static str,
    /// The rule it breaks.
    pub why: &'static str,
}

impl Invalid {
    /// Names the thing and the rule.
    pub const fn new(what: &'static str, why: &'static str) -> Self {
        Self { what, why }
    }
}

/// Names that the S3 port serves itself, for load balancers.
pub const RESERVED_BUCKETS: [&str; 2] = ["livez", "readyz"];

/// A bucket name under S3's rules for new buckets
/// (docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(String);

impl BucketName {
    /// Accepts 3 to 63 of `a-z 0-9 . -`, starting and ending alphanumeric, not shaped as an IP address
    /// and not reserved.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let fail = |why| Err(Invalid::new("bucket name", why));
        let name = Self::parse_stored(text)?;
        if text.contains("..") {
            return fail("may not hold two dots in a row");
        }
        if text.parse::<std::net::Ipv4Addr>().is_ok() {
            return fail("may not look like an IP address");
        }
        if text.starts_with("xn--") || text.ends_with("-s3alias") || text.ends_with("--ol-s3") {
            return fail("has a prefix or suffix that S3 reserves");
        }
        if RESERVED_BUCKETS.contains(&text) {
            return fail("is reserved for health checks; choose another");
        }
        Ok(name)
    }

    /// Accepts what any release took for a name: rows and log entries must stay readable when a name
    /// is reserved after somebody chose it.
    pub fn parse_stored(text: &str) -> Result<Self, Invalid> {
        let fail = |why| Err(Invalid::new("bucket name", why));
        if text.len() < 3 || text.len() > 63 {
            return fail("must have 3 to 63 characters");
        }
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if !text.bytes().all(|byte| alphanumeric(byte) || byte == b'-' || byte == b'.') {
            return fail("may hold lower-case letters, digits, dots and hyphens only");
        }
        if !text.bytes().next().is_some_and(alphanumeric)
            || !text.bytes().last().is_some_and(alphanumeric)
        {
            return fail("must begin and end with a letter or a digit");
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An object key: 1 to 1,024 bytes of UTF-8, any character.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// S3's limit in bytes of UTF-8.
    pub const LEN_MAX: usize = 1024;

    /// Accepts any text within the limit.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::new("object key", "may not be empty"));
        }
        if text.len() > Self::LEN_MAX {
            return Err(Invalid::new("object key", "may have 1,024 bytes of UTF-8 at most"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_published_rules() {
        for good in ["abc", "my-bucket", "a.b.c", "1bucket", &"a".repeat(63)] {
            assert!(BucketName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ab",
            &"a".repeat(64),
            "Abc",
            "a_b",
            "-abc",
            "abc-",
            ".abc",
            "a..b",
            "192.168.0.1",
            "xn--abc",
            "abc-s3alias",
            "livez",
            "readyz",
            "über",
        ] {
            assert!(BucketName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_that_was_reserved_later_stays_readable() {
        for taken in ["livez", "xn--abc", "192.168.0.1", "a..b"] {
            assert!(BucketName::parse(taken).is_err(), "{taken}");
            assert!(BucketName::parse_stored(taken).is_ok(), "{taken}");
        }
        assert!(BucketName::parse_stored("Not-a-name").is_err());
    }

    #[test]
    fn object_keys_are_bounded_in_bytes() {
        assert!(ObjectKey::parse("").is_err());
        assert!(ObjectKey::parse(&"ü".repeat(512)).is_ok());
        assert!(ObjectKey::parse(&"ü".repeat(513)).is_err());
    }
}
