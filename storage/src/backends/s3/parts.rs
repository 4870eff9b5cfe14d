//! Cutting a body into parts of one exact size, without copying it: some stores refuse parts that differ.

use bytes::Bytes;
use futures::StreamExt;

use crate::backend::ByteStream;
use crate::error::Error;

/// Cuts a body into parts of exactly one size.
pub struct Parts {
    body: ByteStream,
    carried: Option<Bytes>,
    received_bytes: u64,
}

/// A part, or what is left at the end of the body.
pub struct Part {
    pub chunks: Vec<Bytes>,
    pub is_last: bool,
}

impl Parts {
    /// The parts of a body from its beginning.
    pub fn of(body: ByteStream) -> Self {
        Self { body, carried: None, received_bytes: 0 }
    }

    /// How much of the body was received.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// The next part. Only the last has another size, and may be empty.
    pub async fn next(&mut self, part_bytes: u64) -> Result<Part, Error> {
        let mut chunks = Vec::new();
        let mut missing = part_bytes;
        loop {
            let next = match self.carried.take() {
                Some(carried) => Some(carried),
                None => self
                    .body
                    .next()
                    .await
                    .transpose()?
                    .inspect(|chunk| self.received_bytes += chunk.len() as u64),
            };
            let Some(mut chunk) = next else {
                return Ok(Part { chunks, is_last: true });
            };
            if chunk.is_empty() {
                continue;
            }
            if missing == 0 {
                self.carried = Some(chunk);
                return Ok(Part { chunks, is_last: false });
            }
            let taken = usize::try_from(missing).unwrap_or(usize::MAX).min(chunk.len());
            let rest = chunk.split_off(taken);
            missing -= taken as u64;
            chunks.push(chunk);
            if !rest.is_empty() {
                self.carried = Some(rest);
            }
        }
    }

    /// Puts a part back in front of the body: parts may be larger than the first look at it.
    pub fn give_back(&mut self, part: Part) {
        let before = part.chunks.into_iter().chain(self.carried.take()).map(Ok);
        let after = std::mem::replace(&mut self.body, Box::pin(futures::stream::empty()));
        // What is given back is counted when it is received again.
        self.received_bytes = 0;
        self.body = Box::pin(futures::stream::iter(before.collect::<Vec<_>>()).chain(after));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bodies_are_cut_into_equal_parts(sizes in proptest::collection::vec(0_usize..40, 0..20), part in 1_u64..50) {
            let bytes: Vec<u8> = (0..sizes.iter().sum::<usize>()).map(|place| place as u8).collect();
            let mut rest = Bytes::from(bytes.clone());
            let chunks: Vec<_> = sizes.iter().map(|size| Ok(rest.split_to(*size))).collect();
            let body: ByteStream = Box::pin(futures::stream::iter(chunks));
            let mut parts = Parts::of(body);
            let first = futures::executor::block_on(parts.next(7)).unwrap();
            parts.give_back(first);
            let mut whole = Vec::new();
            loop {
                let next = futures::executor::block_on(parts.next(part)).unwrap();
                let flat = next.chunks.concat();
                whole.extend_from_slice(&flat);
                if next.is_last {
                    prop_assert!(flat.len() as u64 <= part);
                    break;
                }
                prop_assert_eq!(flat.len() as u64, part);
            }
            prop_assert_eq!(whole.len() as u64, parts.received_bytes());
            prop_assert_eq!(whole, bytes);
        }
    }
}
