//! Verifying a blob while it is read. The last chunk is held back until the checksum is known, so a
//! reader of a damaged blob never receives all the bytes that it was promised: the connection is cut instead.

use crc_fast::{CrcAlgorithm, Digest};
use futures::StreamExt;

use crate::backend::ByteStream;
use crate::error::Error;

/// What a whole blob must turn out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its CRC-64/NVME.
    pub crc64nvme: u64,
    /// Its size.
    pub size_bytes: u64,
    /// Its name in errors: blob and backend.
    pub subject: String,
}

/// Passes on a read of a whole blob, and ends it with `Error::Corrupt` where it is not what it should be.
pub fn verified(stream: ByteStream, expected: Expected) -> ByteStream {
    let verifier =
        Verifier { stream, expected, crc: Digest::new(CrcAlgorithm::Crc64Nvme), seen_bytes: 0 };
    Box::pin(futures::stream::try_unfold(verifier, |mut verifier| async move {
        let chunk = verifier.next().await?;
        Ok(chunk.map(|chunk| (chunk, verifier)))
    }))
}

struct Verifier {
    stream: ByteStream,
    expected: Expected,
    crc: Digest,
    seen_bytes: u64,
}

impl Verifier {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        let Some(chunk) = self.stream.next().await.transpose()? else {
            return self.end().map(|()| None);
        };
        self.seen_bytes += chunk.len() as u64;
        self.crc.update(&chunk);
        if self.seen_bytes >= self.expected.size_bytes {
            self.end()?;
        }
        Ok(Some(chunk))
    }

    fn end(&self) -> Result<(), Error> {
        let corrupt =
            |reason: String| Err(Error::Corrupt { subject: self.expected.subject.clone(), reason });
        if self.seen_bytes != self.expected.size_bytes {
            let (seen, size) = (self.seen_bytes, self.expected.size_bytes);
            return corrupt(format!("read {seen} bytes where {size} were stored"));
        }
        let crc = self.crc.finalize();
        if crc != self.expected.crc64nvme {
            let stored = self.expected.crc64nvme;
            return corrupt(format!("its crc64nvme is {crc:016x} where {stored:016x} was stored"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn expected(bytes: &[u8]) -> Expected {
        Expected {
            crc64nvme: crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes),
            size_bytes: bytes.len() as u64,
            subject: "blob".to_owned(),
        }
    }

    /// Reads everything: the bytes that came out, and how it ended.
    fn read(bytes: &[u8], chunk: usize, expected: Expected) -> (Vec<u8>, Result<(), Error>) {
        let chunks: Vec<_> =
            bytes.chunks(chunk).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let mut stream = verified(Box::pin(futures::stream::iter(chunks)), expected);
        let mut out = Vec::new();
        futures::executor::block_on(async {
            while let Some(chunk) = stream.next().await {
                match chunk {
                    Ok(chunk) => out.extend_from_slice(&chunk),
                    Err(error) => return (out, Err(error)),
                }
            }
            (out, Ok(()))
        })
    }

    proptest! {
        #[test]
        fn whole_blobs_pass_and_damaged_ones_are_cut(bytes: Vec<u8>, chunk in 1_usize..64, at: prop::sample::Index) {
            let (out, end) = read(&bytes, chunk, expected(&bytes));
            prop_assert!(end.is_ok());
            prop_assert_eq!(&out, &bytes);
            if !bytes.is_empty() {
                let mut damaged = bytes.clone();
                damaged[at.index(bytes.len())] ^= 1;
                let (out, end) = read(&damaged, chunk, expected(&bytes));
                let is_corrupt = matches!(end, Err(Error::Corrupt { .. }));
                prop_assert!(is_corrupt);
                prop_assert!(out.len() < bytes.len(), "the reader must notice");
            }
        }
    }

    #[test]
    fn short_and_long_blobs_are_corrupt() {
        for found in [&b"1234"[..], b"123456", b""] {
            let (out, end) = read(found, 2, expected(b"12345"));
            assert!(matches!(end, Err(Error::Corrupt { .. })), "{found:?}");
            assert!(out.len() < 5, "{found:?}");
        }
        let (_out, end) = read(b"1", 1, expected(b""));
        assert!(matches!(end, Err(Error::Corrupt { .. })));
    }
}
