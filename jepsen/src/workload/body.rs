//! Bodies: random bytes that the seed and a number bring back, and what an honest store says of them.

use bytes::Bytes;
use md5::Md5;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use sha2::{Digest, Sha256};

use crate::history::Value;

const KIB: usize = 1024;

/// S3 refuses smaller parts, but for the last.
pub const PART_BYTES: usize = 5 * 1024 * KIB;
const LAST_PART_BYTES: usize = 1024 * KIB;

/// The largest body of a plain PUT.
const PLAIN_BYTES_MAX: usize = 256 * KIB;

/// How long a plain body is: mostly small, sometimes empty, up to 256 KiB.
pub fn plain_size(rng: &mut StdRng) -> usize {
    match rng.random_range(0..100) {
        0..4 => 0,
        4..60 => rng.random_range(1..4 * KIB),
        60..94 => rng.random_range(4 * KIB..64 * KIB),
        _ => rng.random_range(64 * KIB..=PLAIN_BYTES_MAX),
    }
}

/// The bytes of body `number` in the run of `seed`.
pub fn plain(seed: u64, number: u64, size_bytes: usize) -> Bytes {
    // Neighbouring numbers must not give neighbouring seeds: the constant is that of splitmix64.
    let mixed = seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut bytes = vec![0; size_bytes];
    StdRng::seed_from_u64(mixed).fill_bytes(&mut bytes);
    Bytes::from(bytes)
}

/// The parts of a multipart body.
pub fn parts(seed: u64, number: u64) -> Vec<Bytes> {
    let mut whole = plain(seed, number, PART_BYTES + LAST_PART_BYTES);
    let last = whole.split_off(PART_BYTES);
    vec![whole, last]
}

/// What must be read back of a plain body.
pub fn value_of(number: u64, body: &Bytes) -> Value {
    value(number, std::slice::from_ref(body), hex::encode(Md5::digest(body)))
}

/// What must be read back of a multipart body: S3's entity tag is the digest of the parts' digests.
pub fn value_of_parts(number: u64, parts: &[Bytes]) -> Value {
    let mut digests = Md5::new();
    for part in parts {
        digests.update(Md5::digest(part));
    }
    let etag = format!("{}-{}", hex::encode(digests.finalize()), parts.len());
    value(number, parts, etag)
}

fn value(number: u64, parts: &[Bytes], etag: String) -> Value {
    let mut sha256 = Sha256::new();
    let mut size_bytes = 0;
    for part in parts {
        sha256.update(part);
        size_bytes += u64::try_from(part.len()).unwrap_or(u64::MAX);
    }
    Value { number, size_bytes, sha256: hex::encode(sha256.finalize()), etag }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_body_comes_back_from_its_number_and_differs_from_others() {
        assert_eq!(plain(1, 2, 100), plain(1, 2, 100));
        assert_ne!(plain(1, 2, 100), plain(1, 3, 100));
        assert_ne!(plain(1, 2, 100), plain(2, 2, 100));
    }

    #[test]
    fn entity_tags_are_those_of_s3() {
        let body = Bytes::from_static(b"hello");
        assert_eq!(value_of(1, &body).etag, "5d41402abc4b2a76b9719d911017c592");
        let parts = [body.clone(), body];
        // md5(md5("hello") || md5("hello")), computed with another implementation.
        assert_eq!(value_of_parts(1, &parts).etag, "616b22817b80eed9f65c3aa38cd29054-2");
        assert_eq!(value_of_parts(1, &parts).size_bytes, 10);
    }

    #[test]
    fn sizes_reach_both_ends() {
        let mut rng = StdRng::seed_from_u64(1);
        let sizes: Vec<usize> = (0..2_000).map(|_| plain_size(&mut rng)).collect();
        assert!(sizes.contains(&0));
        assert!(sizes.iter().any(|size| *size > 200 * KIB));
        assert!(sizes.iter().all(|size| *size <= PLAIN_BYTES_MAX));
    }
}
