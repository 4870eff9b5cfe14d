//! The async side of writing a blob. A small body is collected and written in one hop to a blocking thread; a large
//! one alternates between reading a batch and writing it, so a slow sender holds no thread and
//! memory holds two batches at most. File operations are in `upload.rs`.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{Either, select};
use vaultaire_proto::BackendKey;

use super::read;
use super::root::{Lane, Root};
use super::upload::{Fate, Upload};
use crate::backend::{ByteStream, Stored};
use crate::error::Error;

/// Bodies up to this size are written in one hop; larger ones in batches of it.
const BATCH_BYTES: u64 = 1024 * 1024;

/// A sender of tiny chunks fills a batch by their number: each costs memory beyond its bytes.
const BATCH_CHUNKS_MAX: usize = 1024;

/// Part of a body.
#[derive(Debug, Default)]
struct Batch {
    chunks: Vec<Bytes>,
    size_bytes: u64,
    is_last: bool,
}

/// Writes a body under a key that was never used.
pub async fn put(
    root: &Arc<Root>,
    key: &BackendKey,
    size_hint: Option<u64>,
    mut body: ByteStream,
) -> Result<Stored, Error> {
    let length = Length { key, expected_bytes: size_hint };
    let batch = next_batch(&mut body).await?;
    if batch.is_last {
        length.check(batch.size_bytes)?;
        return finish(root, key, Start::Body(batch)).await;
    }
    length.check_so_far(batch.size_bytes)?;
    let upload = write_batches(root, &length, body, batch).await?;
    finish(root, key, Start::Upload(upload)).await
}

/// Copies a blob within the disk.
pub async fn copy(root: &Arc<Root>, from: &BackendKey, to: &BackendKey) -> Result<Stored, Error> {
    let (source, _size_bytes) = read::open(root, from).await?;
    finish(root, to, Start::Copy(source)).await
}

/// What the last hop begins with.
enum Start {
    Body(Batch),
    Upload(Upload),
    Copy(std::fs::File),
}

/// The last hop: whatever is not written yet, then durability and the name. A caller that goes away meanwhile
/// leaves no blob.
async fn finish(root: &Arc<Root>, key: &BackendKey, start: Start) -> Result<Stored, Error> {
    let mut guard =
        Guard { root: root.clone(), key: key.clone(), fate: Arc::default(), is_armed: true };
    let (fate, key, own) = (guard.fate.clone(), key.clone(), root.clone());
    let outcome = root
        .blocking(Lane::Write, "put", move |_root| {
            let upload = match start {
                Start::Upload(upload) => upload,
                Start::Body(batch) => Upload::create(&own)?.write(&key, &batch.chunks)?,
                Start::Copy(source) => Upload::create(&own)?.write_file(&key, &source)?,
            };
            upload.commit(&key, &fate)
        })
        .await;
    guard.is_armed = false;
    outcome
}

/// Removes the blob of a caller that went away after the blob was there and before it knew.
struct Guard {
    root: Arc<Root>,
    key: BackendKey,
    fate: Arc<Fate>,
    is_armed: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.is_armed || !self.fate.abandon() {
            return;
        }
        let (root, key) = (self.root.clone(), self.key.clone());
        let remove = move || {
            if let Err(error) = root.remove(&key) {
                tracing::warn!(%key, %error, "an abandoned blob stays until its epoch is swept");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(handle) => drop(handle.spawn_blocking(remove)),
            Err(_no_runtime) => remove(),
        }
    }
}

/// Writes each batch while the next one is read.
async fn write_batches(
    root: &Arc<Root>,
    length: &Length<'_>,
    mut body: ByteStream,
    first: Batch,
) -> Result<Upload, Error> {
    let mut received_bytes = first.size_bytes;
    let mut upload = None;
    let mut batch = first;
    loop {
        let is_last = batch.is_last;
        let writing = Box::pin(write_batch(root, length.key, upload.take(), batch.chunks));
        if is_last {
            let written = writing.await?;
            return match length.check(received_bytes) {
                Ok(()) => Ok(written),
                Err(error) => Err(give_up(root, written, error).await),
            };
        }
        let reading = Box::pin(next_batch(&mut body));
        let (read, written) = match select(reading, writing).await {
            Either::Left((read, writing)) => (read, writing.await?),
            // A write that failed is reported at once, however slow the sender is.
            Either::Right((written, reading)) => {
                let written = written?;
                (reading.await, written)
            }
        };
        let checked = read.and_then(|next| {
            received_bytes = received_bytes.saturating_add(next.size_bytes);
            length.check_so_far(received_bytes).map(|()| next)
        });
        match checked {
            Ok(next) => (upload, batch) = (Some(written), next),
            Err(error) => return Err(give_up(root, written, error).await),
        }
    }
}

async fn write_batch(
    root: &Arc<Root>,
    key: &BackendKey,
    upload: Option<Upload>,
    chunks: Vec<Bytes>,
) -> Result<Upload, Error> {
    let (own, key) = (root.clone(), key.clone());
    root.blocking(Lane::Write, "put", move |_root| {
        let upload = match upload {
            Some(upload) => upload,
            None => Upload::create(&own)?,
        };
        upload.write(&key, &chunks)
    })
    .await
}

/// Removes the unfinished file before the error is reported.
async fn give_up(root: &Arc<Root>, upload: Upload, error: Error) -> Error {
    let removed = root.blocking(Lane::Write, "put", move |_root| {
        upload.discard();
        Ok(())
    });
    match removed.await {
        Ok(()) => error,
        Err(stopped) => stopped,
    }
}

async fn next_batch(body: &mut ByteStream) -> Result<Batch, Error> {
    let mut batch = Batch::default();
    while batch.size_bytes < BATCH_BYTES && batch.chunks.len() < BATCH_CHUNKS_MAX {
        match body.next().await.transpose()? {
            Some(chunk) if chunk.is_empty() => {}
            Some(chunk) => {
                batch.size_bytes += chunk.len() as u64;
                batch.chunks.push(chunk);
            }
            None => {
                batch.is_last = true;
                break;
            }
        }
    }
    Ok(batch)
}

/// The length that was announced, if any.
struct Length<'key> {
    key: &'key BackendKey,
    expected_bytes: Option<u64>,
}

impl Length<'_> {
    /// At the end of the body.
    fn check(&self, received_bytes: u64) -> Result<(), Error> {
        match self.expected_bytes {
            Some(expected_bytes) if expected_bytes != received_bytes => {
                Err(Error::WrongSize { key: self.key.clone(), expected_bytes, received_bytes })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Before the end of the body: a body that is too long already is refused early.
    fn check_so_far(&self, received_bytes: u64) -> Result<(), Error> {
        match self.expected_bytes {
            Some(expected_bytes) if received_bytes > expected_bytes => self.check(received_bytes),
            Some(_) | None => Ok(()),
        }
    }
}
