//! Bodies that name themselves: the number comes first, and everything after it follows from the number. Whoever reads
//! one knows which it is and whether it is whole.

use bytes::Bytes;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::body;
use crate::operation::{self, Body};

/// The number, and no more.
const HEAD_BYTES: usize = 8;

/// The longest body: runs on clusters are about order, not about size.
const BYTES_MAX: u64 = 3_000;

/// The bytes of a body.
pub fn bytes(seed: u64, number: u64) -> Bytes {
    let size_bytes = usize::try_from(number.wrapping_mul(7_919) % BYTES_MAX).unwrap_or(0);
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend(body::plain(seed, number, size_bytes));
    Bytes::from(bytes)
}

/// What a plain PUT of it is called.
pub fn plain(seed: u64, number: u64) -> Body {
    Body { number, etag: hex::encode(Md5::digest(bytes(seed, number))) }
}

/// What an upload is called whose only part it is.
pub fn one_part(seed: u64, number: u64) -> Body {
    let part = Md5::digest(bytes(seed, number));
    Body { number, etag: format!("{}-1", hex::encode(Md5::digest(part))) }
}

/// Which body some bytes are.
pub fn recognise(seed: u64, read: &[u8]) -> operation::Bytes {
    let number = read.first_chunk::<HEAD_BYTES>().map(|head| u64::from_be_bytes(*head));
    match number.filter(|number| bytes(seed, *number) == read) {
        Some(number) => operation::Bytes::Body(number),
        None => operation::Bytes::Foreign {
            size_bytes: u64::try_from(read.len()).unwrap_or(u64::MAX),
            sha256: hex::encode(Sha256::digest(read)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_recognised_only_whole() {
        let whole = bytes(1, 77);
        assert_eq!(recognise(1, &whole), operation::Bytes::Body(77));
        for wrong in [&whole[..whole.len() - 1], &whole[1..], &[]] {
            assert!(matches!(recognise(1, wrong), operation::Bytes::Foreign { .. }));
        }
        assert!(matches!(recognise(2, &whole), operation::Bytes::Foreign { .. }));
        assert!(one_part(1, 77).etag.ends_with("-1"));
    }
}
