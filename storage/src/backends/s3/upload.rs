//! Writing to an S3 endpoint: one request for a body that fits one, parts for a larger one. A body that ends
//! wrongly, or whose caller goes away, is never completed; its parts are aborted.

use std::time::Duration;

use object_store::path::Path;
use object_store::{
    MultipartUpload, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
};
use tokio::task::JoinSet;
use tracing::warn;
use vaultaire_proto::BackendKey;

use super::S3;
use super::attributes::to_metadata;
use super::budget::{Budget, Reservation};
use super::classify::Effect;
use super::observe::{Failure, watch};
use super::parts::{Part, Parts};
use crate::backend::{Attributes, ByteStream, Stored};
use crate::error::Error;

/// Bodies up to this size are one request, larger ones parts of at least it. Some stores want all parts alike.
const PART_BYTES: u64 = 8 * 1024 * 1024;

/// The most parts that S3 accepts.
const PARTS_MAX: u64 = 10_000;

/// How many parts of one body are under way at once. What all bodies together may hold is `budget.rs`.
const PARTS_IN_FLIGHT_MAX: usize = 2;

/// How often an endpoint that said it was too busy is asked again to write the same body.
const BUSY_ATTEMPTS_MAX: u32 = 4;
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Writes a body under a key that was never used.
pub async fn put(
    s3: &S3,
    key: &BackendKey,
    attributes: &Attributes,
    size_hint: Option<u64>,
    body: ByteStream,
) -> Result<Stored, Error> {
    let part_bytes = part_bytes(size_hint);
    let mut parts = Parts::of(body);
    // The room of the first part, so that an upload in parts need not ask for more while it holds what it looked at.
    let room = s3.budget.reserve(size_hint.map_or(part_bytes, |size| size.min(part_bytes))).await?;
    let first = parts.next(size_hint.map_or(PART_BYTES, |size| size.min(PART_BYTES))).await?;
    if first.is_last {
        check_length(key, size_hint, parts.received_bytes())?;
        put_whole(s3, key, attributes, first).await?;
        return Ok(Stored { size_bytes: parts.received_bytes() });
    }
    check_not_longer(key, size_hint, parts.received_bytes())?;
    s3.ensure_free(key).await?;
    parts.give_back(first);
    let options = PutMultipartOptions {
        attributes: to_metadata(attributes),
        ..PutMultipartOptions::default()
    };
    let subject = s3.subject("start an upload", key, Effect::Repeatable);
    let started = watch(s3.clients.store.put_multipart_opts(&s3.path(key)?, options)).await;
    let upload = started.map_err(|failure| subject.classify(failure))?;
    let mut unfinished = Unfinished { upload: Some(upload), key: key.clone() };
    let cut = Cut { key, size_hint, part_bytes, room: Some(room) };
    match send_parts(s3, cut, parts, &mut unfinished).await {
        Ok(stored) => Ok(stored),
        Err(error) => {
            unfinished.abort().await;
            Err(error)
        }
    }
}

/// Parts so large that the announced length fits into the number of parts.
fn part_bytes(size_hint: Option<u64>) -> u64 {
    const STEP_BYTES: u64 = 1024 * 1024;
    let least = size_hint.unwrap_or(0).div_ceil(PARTS_MAX).div_ceil(STEP_BYTES) * STEP_BYTES;
    least.max(PART_BYTES)
}

async fn put_whole(
    s3: &S3,
    key: &BackendKey,
    attributes: &Attributes,
    part: Part,
) -> Result<(), Error> {
    let path = s3.path(key)?;
    let payload = PutPayload::from_iter(part.chunks);
    let attributes = to_metadata(attributes);
    if !s3.conditional_put {
        s3.ensure_free(key).await?;
        let options = PutOptions { mode: PutMode::Overwrite, attributes, ..PutOptions::default() };
        let put = watch(s3.clients.store.put_opts(&path, payload, options)).await;
        return put
            .map(|_result| ())
            .map_err(|failure| s3.subject("put", key, Effect::Write).classify(failure));
    }
    let mut attempt = 0;
    loop {
        let Err(failure) = put_if_free(s3, &path, &payload, &attributes).await else {
            return Ok(());
        };
        attempt += 1;
        let is_busy = matches!(failure.seen.status, Some(409 | 429 | 503));
        if is_busy && attempt < BUSY_ATTEMPTS_MAX {
            // Another writer may be the reason; then this is no matter of waiting.
            s3.ensure_free(key).await?;
            tokio::time::sleep(BUSY_PAUSE * 2_u32.pow(attempt)).await;
            continue;
        }
        return Err(s3.subject("put", key, Effect::Write).classify(failure));
    }
}

async fn put_if_free(
    s3: &S3,
    path: &Path,
    payload: &PutPayload,
    attributes: &object_store::Attributes,
) -> Result<(), Failure> {
    let options = PutOptions {
        mode: PutMode::Create,
        attributes: attributes.clone(),
        ..PutOptions::default()
    };
    watch(s3.clients.unrepeated.put_opts(path, payload.clone(), options)).await.map(|_result| ())
}

/// How a body is cut into parts.
struct Cut<'cut> {
    key: &'cut BackendKey,
    size_hint: Option<u64>,
    part_bytes: u64,
    /// Room that is there already, for the first part.
    room: Option<Reservation>,
}

impl Cut<'_> {
    /// Room for the next part. Asked for only while no part is being received.
    async fn room(&mut self, budget: &Budget, received_bytes: u64) -> Result<Reservation, Error> {
        if let Some(room) = self.room.take() {
            return Ok(room);
        }
        let left = self.size_hint.map(|size| size.saturating_sub(received_bytes));
        budget.reserve(left.map_or(self.part_bytes, |left| left.min(self.part_bytes))).await
    }
}

async fn send_parts(
    s3: &S3,
    mut cut: Cut<'_>,
    mut parts: Parts,
    unfinished: &mut Unfinished,
) -> Result<Stored, Error> {
    let (key, size_hint, part_bytes) = (cut.key, cut.size_hint, cut.part_bytes);
    let mut under_way: JoinSet<Result<(), Failure>> = JoinSet::new();
    let mut count = 0;
    loop {
        let next = async {
            let room = cut.room(&s3.budget, parts.received_bytes()).await?;
            Ok((parts.next(part_bytes).await?, room))
        };
        let (part, room) = tokio::select! {
            next = next => next?,
            // A part that failed ends the upload at once, however slow the sender is.
            failure = first_failure(&mut under_way) => return Err(part_error(s3, key, failure)),
        };
        check_not_longer(key, size_hint, parts.received_bytes())?;
        count += 1;
        if count > PARTS_MAX {
            return Err(Error::Unsupported {
                backend: s3.id,
                operation: "a body of more than 80 GB whose length was not announced",
            });
        }
        while under_way.len() >= PARTS_IN_FLIGHT_MAX {
            settle_one(s3, key, &mut under_way).await?;
        }
        let upload = unfinished.upload.as_mut().ok_or(Error::Stopped { operation: "put" })?;
        let sending = watch(upload.put_part(PutPayload::from_iter(part.chunks)));
        under_way.spawn(async move {
            let outcome = sending.await;
            drop(room);
            outcome
        });
        if part.is_last {
            break;
        }
    }
    while !under_way.is_empty() {
        settle_one(s3, key, &mut under_way).await?;
    }
    check_length(key, size_hint, parts.received_bytes())?;
    let upload = unfinished.upload.as_mut().ok_or(Error::Stopped { operation: "put" })?;
    let completed = watch(upload.complete()).await;
    completed.map_err(|failure| {
        s3.subject("complete the upload", key, Effect::Write).classify(failure)
    })?;
    unfinished.upload = None;
    Ok(Stored { size_bytes: parts.received_bytes() })
}

/// Waits until a part fails; for ever where none does.
async fn first_failure(under_way: &mut JoinSet<Result<(), Failure>>) -> Option<Failure> {
    loop {
        match under_way.join_next().await {
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(failure))) => return Some(failure),
            Some(Err(_panicked_or_cancelled)) => return None,
            None => std::future::pending().await,
        }
    }
}

async fn settle_one(
    s3: &S3,
    key: &BackendKey,
    under_way: &mut JoinSet<Result<(), Failure>>,
) -> Result<(), Error> {
    match under_way.join_next().await {
        Some(Ok(Ok(()))) | None => Ok(()),
        Some(Ok(Err(failure))) => Err(part_error(s3, key, Some(failure))),
        Some(Err(_panicked_or_cancelled)) => Err(part_error(s3, key, None)),
    }
}

/// A part is not visible before the upload is completed, so its failure leaves nothing at the key.
fn part_error(s3: &S3, key: &BackendKey, failure: Option<Failure>) -> Error {
    match failure {
        Some(failure) => s3.subject("put a part of", key, Effect::Repeatable).classify(failure),
        None => Error::Stopped { operation: "put" },
    }
}

fn check_length(
    key: &BackendKey,
    size_hint: Option<u64>,
    received_bytes: u64,
) -> Result<(), Error> {
    match size_hint.filter(|expected| *expected != received_bytes) {
        Some(expected_bytes) => {
            Err(Error::WrongSize { key: key.clone(), expected_bytes, received_bytes })
        }
        None => Ok(()),
    }
}

/// A body that is too long already is refused before more of it is sent on.
fn check_not_longer(
    key: &BackendKey,
    size_hint: Option<u64>,
    received_bytes: u64,
) -> Result<(), Error> {
    match size_hint.filter(|expected| received_bytes > *expected) {
        Some(_shorter) => check_length(key, size_hint, received_bytes),
        None => Ok(()),
    }
}

/// An upload whose parts cost money until it is completed or aborted.
struct Unfinished {
    upload: Option<Box<dyn MultipartUpload>>,
    key: BackendKey,
}

impl Unfinished {
    async fn abort(&mut self) {
        if let Some(upload) = self.upload.take() {
            abort(upload, &self.key).await;
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else {
            return;
        };
        let key = self.key.clone();
        match tokio::runtime::Handle::try_current() {
            Ok(handle) => drop(handle.spawn(async move { abort(upload, &key).await })),
            Err(_no_runtime) => {
                warn!(%key, "parts of an abandoned upload stay until the bucket expires them")
            }
        }
    }
}

async fn abort(mut upload: Box<dyn MultipartUpload>, key: &BackendKey) {
    if let Err(error) = upload.abort().await {
        warn!(%key, %error, "parts of a failed upload stay until the bucket expires them");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn five_tebibytes_fit_into_the_parts() {
        for size in [0, 1, 80_000_000_000, 5 * 1024_u64.pow(4)] {
            let part = part_bytes(Some(size));
            assert!(size.div_ceil(part) <= PARTS_MAX && part >= PART_BYTES, "{size}");
        }
        assert_eq!(part_bytes(None), PART_BYTES);
    }
}
