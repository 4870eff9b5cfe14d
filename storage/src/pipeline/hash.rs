//! Hashing a body while it is written. Small bodies are hashed in place; of a large one a blocking thread hashes what has
//! come while the next is received and the last is written. The thread goes on for as long as there is something
//! to hash and no longer, so none is held for a slow sender; what waits for it is bounded.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::checksum::{Algorithms, Digests, Sums};
use crate::backend::ByteStream;
use crate::error::Error;

/// How much is gathered before it is handed to another thread; bodies up to this size are hashed in
/// place at their end, which takes well under a millisecond.
const BATCH_BYTES: usize = 256 * 1024;

/// The body waits for the thread when this much has not been hashed.
const WAITING_BYTES_MAX: usize = 3 * BATCH_BYTES;

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
    let queue = Queue { idle: Some(Box::new(Digests::new(algorithms))), ..Queue::default() };
    let hasher = Hasher {
        body,
        shared: Arc::new(Shared { queue: Mutex::new(queue), taken: Notify::new() }),
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
    shared: Arc<Shared>,
    check: Option<Check>,
    slot: SumsSlot,
}

/// Between the stream and the thread.
struct Shared {
    queue: Mutex<Queue>,
    /// The thread took a batch, or ended.
    taken: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    /// The checksums of everything taken so far; with the thread while one runs.
    idle: Option<Box<Digests>>,
    /// The thread did not give the checksums back.
    lost: bool,
}

impl Queue {
    fn push(&mut self, chunk: Bytes) {
        self.waiting_bytes += chunk.len();
        self.waiting.push(chunk);
    }

    fn is_batch(&self) -> bool {
        self.waiting_bytes > BATCH_BYTES || self.waiting.len() > BATCH_CHUNKS_MAX
    }

    fn is_full(&self) -> bool {
        self.waiting_bytes > WAITING_BYTES_MAX || self.waiting.len() > 2 * BATCH_CHUNKS_MAX
    }

    fn take(&mut self) -> Vec<Bytes> {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting)
    }
}

impl Shared {
    /// Waits for the thread until the queue is as wanted.
    async fn until(&self, wanted: impl Fn(&Queue) -> bool) -> Result<(), Error> {
        loop {
            // Registered before the look, so that what happens after it is not missed.
            let taken = self.taken.notified();
            {
                let queue = self.queue.lock();
                if queue.lost {
                    return Err(STOPPED);
                }
                if wanted(&queue) {
                    return Ok(());
                }
            }
            taken.await;
        }
    }
}

impl Hasher {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(chunk) = self.body.next().await.transpose()? else {
            self.end().await?;
            return Ok(None);
        };
        let started = {
            let mut queue = self.shared.queue.lock();
            queue.push(chunk.clone());
            if queue.is_batch() { queue.idle.take() } else { None }
        };
        if started.is_some() {
            let worker = Worker { shared: self.shared.clone(), digests: started };
            tokio::task::spawn_blocking(move || worker.run());
        }
        self.shared.until(|queue| !queue.is_full()).await?;
        Ok(Some(chunk))
    }

    async fn end(&mut self) -> Result<(), Error> {
        self.shared.until(|queue| queue.idle.is_some()).await?;
        let (digests, rest) = {
            let mut queue = self.shared.queue.lock();
            (queue.idle.take(), queue.take())
        };
        let mut digests = digests.ok_or(STOPPED)?;
        rest.iter().for_each(|chunk| digests.update(chunk));
        let sums = digests.finish();
        if let Some(check) = self.check.take() {
            check(&sums)?;
        }
        *self.slot.0.lock() = Some(sums);
        Ok(())
    }
}

const STOPPED: Error = Error::Stopped { operation: "hash the body" };

/// The thread's part.
struct Worker {
    shared: Arc<Shared>,
    digests: Option<Box<Digests>>,
}

impl Worker {
    /// Hashes for as long as a batch waits; less than that is left for the stream's next call or its end.
    fn run(mut self) {
        loop {
            let batch = {
                let mut queue = self.shared.queue.lock();
                if !queue.is_batch() {
                    queue.idle = self.digests.take();
                    break;
                }
                queue.take()
            };
            self.shared.taken.notify_one();
            if let Some(digests) = &mut self.digests {
                batch.iter().for_each(|chunk| digests.update(chunk));
            }
        }
        self.shared.taken.notify_one();
    }
}

impl Drop for Worker {
    /// A thread that panicked, or that was never started because the process stops, has the checksums with it.
    fn drop(&mut self) {
        if self.digests.is_some() {
            self.shared.queue.lock().lost = true;
            self.shared.taken.notify_one();
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
