//! A join token: the hash of the authority that the new node may trust, and the secret for which it is trusted. As text it is
//! one word, `vjt1-` and 96 hexadecimal digits.

use rand::RngExt;
use ring::digest;

use crate::error::Error;

const PREFIX: &str = "vjt1-";
const HASH_BYTES: usize = 32;
const SECRET_BYTES: usize = 16;

/// An invitation.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub authority: [u8; HASH_BYTES],
    pub secret: [u8; SECRET_BYTES],
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(hidden)")
    }
}

impl Token {
    /// A fresh one: 128 bits from the operating system's generator.
    pub fn generate(authority: [u8; HASH_BYTES]) -> Self {
        Self { authority, secret: rand::rng().random() }
    }

    /// Reads what `text` writes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = || {
            Error::Usage(
                "this is no join token: it is one word that begins with vjt1-, as `vaultaire cluster token` prints it"
                    .to_owned(),
            )
        };
        let digits = text.trim().strip_prefix(PREFIX).ok_or_else(bad)?;
        let mut bytes = [0; HASH_BYTES + SECRET_BYTES];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| bad())?;
        let (hash, rest) = bytes.split_first_chunk().ok_or_else(bad)?;
        let (secret, _) = rest.split_first_chunk().ok_or_else(bad)?;
        Ok(Self { authority: *hash, secret: *secret })
    }

    /// The token as it is handed on.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}{}", hex::encode(self.authority), hex::encode(self.secret))
    }
}

/// What the cluster keeps of a secret.
pub fn hash(secret: &[u8]) -> [u8; 16] {
    let mut hash = [0; 16];
    let digest = digest::digest(&digest::SHA256, secret);
    for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    hash
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_token_is_one_word_that_reads_back() {
        let token = Token::generate([7; 32]);
        let text = token.text();
        assert!(text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-'));
        assert_eq!(Token::parse(&format!(" {text}\n")).unwrap(), token);
        assert_ne!(Token::generate([7; 32]), token);
        let longer = format!("{text}00");
        for bad in ["", "vjt1-", &text[1..], &text[..text.len() - 1], &longer] {
            assert!(Token::parse(bad).is_err(), "{bad}");
        }
    }
}
