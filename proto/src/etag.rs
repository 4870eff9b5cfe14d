//! ETags as S3 computes them: the MD5 of the bytes, or the MD5 of the parts' MD5s with their count.

use std::fmt;

use crate::name::Invalid;

/// What S3 calls an entity tag. `Display` is without the quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ETag {
    /// MD5 of the bytes, or of the concatenated part digests.
    pub md5: [u8; 16],
    /// How many parts; zero for an object that was put whole.
    pub parts: u16,
}

impl ETag {
    /// Of an object that was put whole.
    pub const fn whole(md5: [u8; 16]) -> Self {
        Self { md5, parts: 0 }
    }

    /// Reads what `Display` writes, with or without quotes.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let fail = || Invalid::new("ETag", "must be 32 hexadecimal digits, with -N for N parts");
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let (digits, parts) = match bare.split_once('-') {
            Some((digits, count)) => (digits, count.parse::<u16>().map_err(|_| fail())?),
            None => (bare, 0),
        };
        let mut md5 = [0; 16];
        hex::decode_to_slice(digits, &mut md5).map_err(|_| fail())?;
        Ok(Self { md5, parts })
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.md5))?;
        match self.parts {
            0 => Ok(()),
            parts => write!(formatter, "-{parts}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn etags_round_trip() {
        for tag in [ETag::whole([0xab; 16]), ETag { md5: [1; 16], parts: 10_000 }] {
            assert_eq!(ETag::parse(&tag.to_string()).unwrap(), tag);
            assert_eq!(ETag::parse(&format!("\"{tag}\"")).unwrap(), tag);
        }
        assert!(ETag::parse("*").is_err());
        assert!(ETag::parse("abc").is_err());
    }
}
