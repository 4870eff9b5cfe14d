//! Checks of what a backend does to blobs: write-once keys, and failed writes that leave nothing.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;

use super::{Broken, Trial, attributes, ensure, pattern};
use crate::backend::{ByteStream, WriteOnce, once};
use crate::error::Error;

/// Small, streamed, and larger than any single request of an object store.
const SIZES: [usize; 3] = [100, 3 * 1024 * 1024, 17 * 1024 * 1024];

/// How many write the same key at once.
const WRITERS: usize = 8;

/// How long a put is driven before it is dropped: long enough to have begun.
const BEFORE_DROP: Duration = Duration::from_millis(200);

/// What a dropped put left is removed in the background.
const CLEANING_ATTEMPTS_MAX: u32 = 50;
const CLEANING_PAUSE: Duration = Duration::from_millis(50);

const CHUNK_BYTES: usize = 64 * 1024;

pub(super) async fn write_once(trial: &Trial) -> Result<(), Broken> {
    for size in SIZES {
        let key = trial.key(&format!("size-{size}"))?;
        let bytes = pattern(size);
        trial.put(&key, &bytes).await?;
        let mut other = bytes.to_vec();
        other.reverse();
        let again = trial.put(&key, &Bytes::from(other)).await;
        ensure(matches!(again, Err(Error::AlreadyExists { .. })), || {
            format!("{size} bytes again: {again:?}")
        })?;
        ensure(trial.read(&key).await? == bytes, || format!("{size} bytes were overwritten"))?;
    }
    Ok(())
}

pub(super) async fn concurrent_writers(trial: &Trial) -> Result<(), Broken> {
    if trial.backend.capabilities().write_once == WriteOnce::Checked {
        return Ok(());
    }
    for size in [10, 2 * 1024 * 1024] {
        let key = trial.key(&format!("raced-{size}"))?;
        let bodies: Vec<Bytes> =
            (0..WRITERS).map(|writer| Bytes::from(vec![writer as u8; size])).collect();
        let results = join_all(bodies.iter().map(|body| trial.put(&key, body))).await;
        let winners: Vec<&Bytes> = results
            .iter()
            .zip(&bodies)
            .filter(|(result, _)| result.is_ok())
            .map(|(_, body)| body)
            .collect();
        ensure(winners.len() == 1, || format!("{} winners of {size} bytes", winners.len()))?;
        for result in &results {
            let lost = matches!(result, Ok(_) | Err(Error::AlreadyExists { .. }));
            ensure(lost, || format!("a loser was told {result:?}"))?;
        }
        let read = trial.read(&key).await?;
        ensure(winners.iter().all(|winner| **winner == read), || {
            "the loser's bytes are there".to_owned()
        })?;
    }
    Ok(())
}

pub(super) async fn wrong_length(trial: &Trial) -> Result<(), Broken> {
    for size in SIZES {
        let bytes = pattern(size);
        for announced in [size as u64 + 1, size as u64 - 1] {
            let key = trial.key(&format!("size-{size}-{announced}"))?;
            let put =
                trial.backend.put(&key, &attributes(&key), Some(announced), chunked(&bytes)).await;
            let refused = matches!(put, Err(Error::WrongSize { .. }));
            ensure(refused, || format!("{size} bytes announced as {announced}: {put:?}"))?;
            trial.ensure_absent(&key).await?;
        }
        let key = trial.key(&format!("size-{size}-unknown"))?;
        let stored = trial.backend.put(&key, &attributes(&key), None, chunked(&bytes)).await?;
        ensure(stored.size_bytes == size as u64, || {
            format!("{} of {size} bytes", stored.size_bytes)
        })?;
    }
    Ok(())
}

pub(super) async fn broken_body(trial: &Trial) -> Result<(), Broken> {
    for size in SIZES {
        let key = trial.key(&format!("size-{size}"))?;
        let bytes = pattern(size);
        let reset = futures::stream::iter([Err(Error::Body { source: "connection reset".into() })]);
        let body: ByteStream = Box::pin(chunked(&bytes).chain(reset));
        let put = trial.backend.put(&key, &attributes(&key), Some(size as u64 * 2), body).await;
        ensure(matches!(put, Err(Error::Body { .. })), || format!("after {size} bytes: {put:?}"))?;
        trial.ensure_absent(&key).await?;
        // The key was not used, so it is still free.
        trial.put(&key, &bytes).await?;
    }
    Ok(())
}

pub(super) async fn dropped_put(trial: &Trial) -> Result<(), Broken> {
    for size in SIZES {
        let key = trial.key(&format!("size-{size}"))?;
        let body: ByteStream = Box::pin(chunked(&pattern(size)).chain(futures::stream::pending()));
        let attributes = attributes(&key);
        let put = trial.backend.put(&key, &attributes, None, body);
        let ended = tokio::time::timeout(BEFORE_DROP, put).await;
        ensure(ended.is_err(), || format!("a put without an end ended: {ended:?}"))?;
        let mut attempt = 0;
        while let Err(broken) = trial.ensure_absent(&key).await {
            attempt += 1;
            if attempt == CLEANING_ATTEMPTS_MAX {
                return Err(broken);
            }
            tokio::time::sleep(CLEANING_PAUSE).await;
        }
    }
    Ok(())
}

pub(super) async fn delete_repeats(trial: &Trial) -> Result<(), Broken> {
    let (gone, kept) = (trial.key("e/1")?, trial.key("e/2")?);
    trial.put(&gone, &pattern(10)).await?;
    trial.put(&kept, &pattern(10)).await?;
    trial.backend.delete(&gone).await?;
    trial.ensure_absent(&gone).await?;
    trial.backend.delete(&gone).await?;
    trial.backend.delete(&trial.key("never/there")?).await?;
    ensure(trial.read(&kept).await? == pattern(10), || "the neighbour changed".to_owned())?;
    trial.backend.delete(&kept).await?;
    // The folder, where there is one, was emptied: writing there goes on.
    trial.put(&trial.key("e/3")?, &pattern(10)).await?;
    Ok(())
}

pub(super) async fn copies(trial: &Trial) -> Result<(), Broken> {
    for size in [0, 100, 9 * 1024 * 1024] {
        let (from, to) = (trial.key(&format!("from-{size}"))?, trial.key(&format!("to/{size}"))?);
        let bytes = pattern(size);
        trial.put(&from, &bytes).await?;
        let stored = trial.backend.copy(&from, &to).await?;
        ensure(stored.size_bytes == size as u64, || {
            format!("copied {} of {size}", stored.size_bytes)
        })?;
        let again = trial.backend.copy(&from, &to).await;
        ensure(matches!(again, Err(Error::AlreadyExists { .. })), || {
            format!("copied again: {again:?}")
        })?;
        trial.backend.delete(&from).await?;
        ensure(trial.read(&to).await? == bytes, || format!("the copy of {size} bytes differs"))?;
    }
    Ok(())
}

pub(super) async fn check(trial: &Trial) -> Result<(), Broken> {
    trial.backend.check().await?;
    ensure(!trial.backend.name().is_empty(), || "the backend has no name".to_owned())?;
    let key = trial.key("one-chunk")?;
    trial.backend.put(&key, &attributes(&key), None, once(pattern(1))).await?;
    Ok(())
}

fn chunked(bytes: &Bytes) -> ByteStream {
    let chunks: Vec<_> = (0..bytes.len())
        .step_by(CHUNK_BYTES)
        .map(|at| Ok(bytes.slice(at..bytes.len().min(at + CHUNK_BYTES))))
        .collect();
    Box::pin(futures::stream::iter(chunks))
}
