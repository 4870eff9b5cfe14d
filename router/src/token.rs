//! Continuation tokens of lists: where the page ended, and an HMAC so that only what some node of this
//! cluster gave out is taken back. They hold no state and never expire.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::error::Error;

/// How much of the HMAC a token carries.
const TAG_BYTES: usize = 16;

/// A token that goes on after `position` in the list called `list`.
pub fn write(key: &[u8], list: &str, position: &str) -> String {
    let mut bytes = tag(key, list, position).to_vec();
    bytes.extend_from_slice(position.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Where a token goes on.
pub fn read(key: &[u8], list: &str, token: &str) -> Result<String, Error> {
    let position = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| {
        let (found, position) = bytes.split_at_checked(TAG_BYTES)?;
        let position = std::str::from_utf8(position).ok()?.to_owned();
        bool::from(found.ct_eq(&tag(key, list, &position))).then_some(position)
    });
    position.ok_or_else(|| {
        Error::argument(
            "continuation-token",
            "The continuation token provided is incorrect; start the list again",
        )
    })
}

fn tag(key: &[u8], list: &str, position: &str) -> [u8; TAG_BYTES] {
    let mut tag = [0; TAG_BYTES];
    // HMAC takes keys of any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
        mac.update(&(list.len() as u64).to_be_bytes());
        mac.update(list.as_bytes());
        mac.update(position.as_bytes());
        tag.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
    }
    tag
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_come_back_unchanged_or_not_at_all(position in "\\PC{0,40}", at: prop::sample::Index, list in 0_u64..3) {
            let name = list.to_string();
            let token = write(b"key", &name, &position);
            prop_assert_eq!(read(b"key", &name, &token).unwrap(), position.clone());
            prop_assert!(read(b"key", "other", &token).is_err());
            prop_assert!(read(b"yek", &name, &token).is_err());
            let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
            let place = at.index(bytes.len());
            bytes[place] ^= 1;
            prop_assert!(read(b"key", &name, &URL_SAFE_NO_PAD.encode(bytes)).is_err());
        }
    }

    #[test]
    fn rubbish_is_refused() {
        for rubbish in ["", "x", "%%%", "AAAA"] {
            assert!(read(b"key", "l", rubbish).is_err(), "{rubbish}");
        }
    }
}
