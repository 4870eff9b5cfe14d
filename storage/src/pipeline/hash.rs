//! Hashing a body while it is written. Small bodies are hashed in place; of a large one each batch is hashed on a
//! blocking thread while the next is received and the last is written. No thread is held for a
//! slow sender, and at most two batches are kept beyond what the writer keeps.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::checksum::{Algorithms, Digests, Sums};
use crate::backend::ByteStream;
use crate::error::Error;

/// How much is gathered before it is handed to another thread; bodies up to this size are hashed in
/// place at their end, which takes well under a millisecond.
const BATCH_BYTES: usize = 256 * 1024;

/// A sender of tiny chunks fills a batch by their number: each costs memory beyond its bytes.
const BATCH_CHUNKS_MAX: usize = 1024;

/// Looks at the checksums of a body at its end. An error ends the stream with it, so the write behind it fails.
pub type Check = Box<dyn FnOnce(&Sums) -> Result<(), Error> + Send>;

/// Where the checksums appear once the stream has ended well.
#[derive(Clone, Debug, Default)]
pub struct SumsSlot(Arc<Mutex<Option<Sums>>>);

impl SumsSlot {
    /// The checksums: present as soon as the stream has yielded its end, and the check has passed.
    pub fn get(&self) -> Option<Sums> {
        *self.0.lock()
    }
}

/// Passes a body on and computes its checksums; at its end `check` has the last word.
pub fn hashed(body: ByteStream, algorithms: Algorithms, check: Check) -> (ByteStream, SumsSlot) {
    let slot = SumsSlot::default();
    let hasher = Hasher {
        body,
        state: State::Idle(Box::new(Digests::new(algorithms))),
        pending: Vec::new(),
        pending_bytes: 0,
        check: Some(check),
        slot: slot.clone(),
    };
    let stream = futures::stream::try_unfold(hasher, |mut hasher| async move {
        let chunk = hasher.next().await?;
        Ok(chunk.map(|chunk| (chunk, hasher)))
    });
    (Box::pin(stream), slot)
}

struct Hasher {
    body: ByteStream,
    state: State,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    check: Option<Check>,
    slot: SumsSlot,
}

enum State {
    Idle(Box<Digests>),
    Running(JoinHandle<Box<Digests>>),
    /// The stream failed; it is not polled again.
    Failed,
}

impl Hasher {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(chunk) = self.body.next().await.transpose()? else {
            self.end().await?;
            return Ok(None);
        };
        self.pending_bytes += chunk.len();
        self.pending.push(chunk.clone());
        if self.pending_bytes > BATCH_BYTES || self.pending.len() > BATCH_CHUNKS_MAX {
            let mut digests = self.digests().await?;
            let batch = std::mem::take(&mut self.pending);
            self.pending_bytes = 0;
            self.state = State::Running(tokio::task::spawn_blocking(move || {
                batch.iter().for_each(|chunk| digests.update(chunk));
                digests
            }));
        }
        Ok(Some(chunk))
    }

    async fn end(&mut self) -> Result<(), Error> {
        let mut digests = self.digests().await?;
        self.pending.iter().for_each(|chunk| digests.update(chunk));
        self.pending.clear();
        let sums = digests.finish();
        if let Some(check) = self.check.take() {
            check(&sums)?;
        }
        *self.slot.0.lock() = Some(sums);
        Ok(())
    }

    /// The checksums of everything that was handed over.
    async fn digests(&mut self) -> Result<Box<Digests>, Error> {
        let stopped = Error::Stopped { operation: "hash the body" };
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Idle(digests) => Ok(digests),
            State::Running(task) => task.await.map_err(|_stopping| stopped),
            State::Failed => Err(stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::backend::collect;

    const ALL: Algorithms = Algorithms {
        md5: true,
        crc32: true,
        crc32c: true,
        crc64nvme: true,
        sha1: true,
        sha256: true,
    };

    fn body(bytes: &Bytes, chunk: usize) -> ByteStream {
        let chunks: Vec<_> =
            bytes.chunks(chunk).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        Box::pin(futures::stream::iter(chunks))
    }

    fn accept() -> Check {
        Box::new(|_sums| Ok(()))
    }

    #[tokio::test]
    async fn bodies_pass_unchanged_and_are_hashed_whole() {
        let sizes = [0, 1, 4096, BATCH_BYTES, BATCH_BYTES + 1, 5 * BATCH_BYTES + 17];
        for size in sizes {
            let bytes: Bytes = (0..size).map(|place| (place % 251) as u8).collect();
            for chunk in [1000, 70_000, BATCH_BYTES * 2] {
                let (stream, slot) = hashed(body(&bytes, chunk), ALL, accept());
                assert_eq!(slot.get(), None);
                assert_eq!(collect(stream).await.unwrap(), bytes);
                let mut expected = Digests::new(ALL);
                expected.update(&bytes);
                assert_eq!(
                    slot.get(),
                    Some(expected.finish()),
                    "{size} bytes in chunks of {chunk}"
                );
            }
        }
    }

    #[tokio::test]
    async fn tiny_chunks_do_not_pile_up() {
        let bytes = Bytes::from(vec![3; 5 * BATCH_CHUNKS_MAX + 1]);
        let (stream, slot) = hashed(body(&bytes, 1), ALL, accept());
        assert_eq!(collect(stream).await.unwrap(), bytes);
        let mut expected = Digests::new(ALL);
        expected.update(&bytes);
        assert_eq!(slot.get(), Some(expected.finish()));
    }

    #[tokio::test]
    async fn the_check_fails_the_stream_at_its_end() {
        let bytes = Bytes::from(vec![7; 3 * BATCH_BYTES]);
        let refuse: Check = Box::new(|sums| {
            assert_eq!(sums.size_bytes, 3 * BATCH_BYTES as u64);
            Err(Error::ChecksumMismatch { algorithm: "crc32c" })
        });
        let (stream, slot) = hashed(body(&bytes, 100_000), ALL, refuse);
        let error = collect(stream).await.unwrap_err();
        assert!(matches!(error, Error::ChecksumMismatch { algorithm: "crc32c" }), "{error:?}");
        assert_eq!(slot.get(), None);
    }

    #[tokio::test]
    async fn an_error_of_the_sender_passes_through() {
        let broken = [Ok(Bytes::from_static(b"x")), Err(Error::Body { source: "reset".into() })];
        let (stream, slot) = hashed(Box::pin(futures::stream::iter(broken)), ALL, accept());
        assert!(matches!(collect(stream).await, Err(Error::Body { .. })));
        assert_eq!(slot.get(), None);
    }
}
