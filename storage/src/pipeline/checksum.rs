//! The checksums that S3 knows, computed over bytes as they come. How hashing keeps pace with a stream is
//! in `hash.rs`; how the results look in headers is the router's business.

use crc_fast::CrcAlgorithm;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Which checksums to compute. Each costs time: MD5 and the SHAs some milliseconds per MiB, the CRCs next to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Algorithms {
    /// The entity tag of a simple upload, and `Content-MD5`.
    pub md5: bool,
    /// `x-amz-checksum-crc32`.
    pub crc32: bool,
    /// `x-amz-checksum-crc32c`.
    pub crc32c: bool,
    /// `x-amz-checksum-crc64nvme`: what every stored blob is verified with.
    pub crc64nvme: bool,
    /// `x-amz-checksum-sha1`.
    pub sha1: bool,
    /// `x-amz-checksum-sha256`, and the signed hash of a body.
    pub sha256: bool,
}

/// What was computed: exactly what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How many bytes were seen.
    pub size_bytes: u64,
    /// MD5.
    pub md5: Option<[u8; 16]>,
    /// CRC-32 as in zip (ISO HDLC).
    pub crc32: Option<u32>,
    /// CRC-32C (Castagnoli).
    pub crc32c: Option<u32>,
    /// CRC-64/NVME.
    pub crc64nvme: Option<u64>,
    /// SHA-1.
    pub sha1: Option<[u8; 20]>,
    /// SHA-256.
    pub sha256: Option<[u8; 32]>,
}

/// Checksums of the bytes so far.
#[derive(Clone)]
pub struct Digests {
    size_bytes: u64,
    md5: Option<Md5>,
    crc32: Option<crc_fast::Digest>,
    crc32c: Option<crc_fast::Digest>,
    crc64nvme: Option<crc_fast::Digest>,
    sha1: Option<Sha1>,
    sha256: Option<Sha256>,
}

impl std::fmt::Debug for Digests {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Digests")
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}

impl Digests {
    /// Checksums of no bytes.
    pub fn new(algorithms: Algorithms) -> Self {
        let crc = |wanted: bool, algorithm| wanted.then(|| crc_fast::Digest::new(algorithm));
        Self {
            size_bytes: 0,
            md5: algorithms.md5.then(Md5::new),
            crc32: crc(algorithms.crc32, CrcAlgorithm::Crc32IsoHdlc),
            crc32c: crc(algorithms.crc32c, CrcAlgorithm::Crc32Iscsi),
            crc64nvme: crc(algorithms.crc64nvme, CrcAlgorithm::Crc64Nvme),
            sha1: algorithms.sha1.then(Sha1::new),
            sha256: algorithms.sha256.then(Sha256::new),
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size_bytes += bytes.len() as u64;
        for crc in [&mut self.crc32, &mut self.crc32c, &mut self.crc64nvme].into_iter().flatten() {
            crc.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    /// The checksums of all bytes.
    pub fn finish(self) -> Sums {
        Sums {
            size_bytes: self.size_bytes,
            md5: self.md5.map(|md5| md5.finalize().into()),
            crc32: self.crc32.map(|crc| narrow(crc.finalize())),
            crc32c: self.crc32c.map(|crc| narrow(crc.finalize())),
            crc64nvme: self.crc64nvme.map(|crc| crc.finalize()),
            sha1: self.sha1.map(|sha1| sha1.finalize().into()),
            sha256: self.sha256.map(|sha256| sha256.finalize().into()),
        }
    }
}

/// The library keeps every CRC in 64 bits.
fn narrow(crc: u64) -> u32 {
    u32::try_from(crc).expect("a 32-bit CRC has its upper half empty")
}

/// The CRC-64/NVME of two pieces of data in a row, from the CRC of each.
pub fn combine_crc64nvme(first: u64, second: u64, second_size_bytes: u64) -> u64 {
    crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, first, second, second_size_bytes)
}

/// The CRC-32C of two pieces of data in a row, from the CRC of each.
pub fn combine_crc32c(first: u32, second: u32, second_size_bytes: u64) -> u32 {
    let (first, second) = (u64::from(first), u64::from(second));
    narrow(crc_fast::checksum_combine(CrcAlgorithm::Crc32Iscsi, first, second, second_size_bytes))
}

/// The CRC-32 of two pieces of data in a row, from the CRC of each.
pub fn combine_crc32(first: u32, second: u32, second_size_bytes: u64) -> u32 {
    let (first, second) = (u64::from(first), u64::from(second));
    narrow(crc_fast::checksum_combine(CrcAlgorithm::Crc32IsoHdlc, first, second, second_size_bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    const ALL: Algorithms = Algorithms {
        md5: true,
        crc32: true,
        crc32c: true,
        crc64nvme: true,
        sha1: true,
        sha256: true,
    };

    fn sums(bytes: &[u8]) -> Sums {
        let mut digests = Digests::new(ALL);
        digests.update(bytes);
        digests.finish()
    }

    /// The published check values of "123456789", and well-known digests of it.
    #[test]
    fn published_values() {
        let sums = sums(b"123456789");
        assert_eq!(sums.size_bytes, 9);
        assert_eq!(sums.crc32, Some(0xcbf4_3926));
        assert_eq!(sums.crc32c, Some(0xe306_9283));
        assert_eq!(sums.crc64nvme, Some(0xae8b_1486_0a79_9888));
        assert_eq!(hex::encode(sums.md5.unwrap()), "25f9e794323b453885f5181f1b624d0b");
        assert_eq!(hex::encode(sums.sha1.unwrap()), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert_eq!(
            hex::encode(sums.sha256.unwrap()),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
    }

    #[test]
    fn nothing_is_computed_that_was_not_asked_for() {
        let mut digests = Digests::new(Algorithms { crc32c: true, ..Algorithms::default() });
        digests.update(b"x");
        let sums = digests.finish();
        assert!(sums.crc32c.is_some());
        assert_eq!(Sums { crc32c: None, ..sums }, Sums { size_bytes: 1, ..Sums::default() });
    }

    proptest! {
        #[test]
        fn pieces_give_the_sums_of_the_whole(first: Vec<u8>, second: Vec<u8>) {
            let mut digests = Digests::new(ALL);
            digests.update(&first);
            digests.update(&second);
            let whole = [first.clone(), second.clone()].concat();
            let expected = sums(&whole);
            prop_assert_eq!(digests.finish(), expected);
            let (one, two, length) = (sums(&first), sums(&second), second.len() as u64);
            let combined = combine_crc64nvme(one.crc64nvme.unwrap(), two.crc64nvme.unwrap(), length);
            prop_assert_eq!(Some(combined), expected.crc64nvme);
            let combined = combine_crc32c(one.crc32c.unwrap(), two.crc32c.unwrap(), length);
            prop_assert_eq!(Some(combined), expected.crc32c);
            let combined = combine_crc32(one.crc32.unwrap(), two.crc32.unwrap(), length);
            prop_assert_eq!(Some(combined), expected.crc32);
        }
    }
}
