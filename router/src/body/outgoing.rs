//! Reads stored bytes for an answer. A full read of a blob is verified, and its last chunk held back until it
//! is; when a copy fails in the middle, another one continues. Small reads are whole before the answer begins.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::Body;
use tokio::sync::OwnedSemaphorePermit;
use vaultaire_proto::BackendId;
use vaultaire_proto::object::{Blob, Location, Part};
use vaultaire_storage::backend::ByteStream;
use vaultaire_storage::error::Error as StorageError;
use vaultaire_storage::pipeline::checksum::{Algorithms, Digests};

use crate::body::incoming::share;
use crate::call::Context;
use crate::limits;

/// A piece of one blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub blob: Blob,
    pub range: Range<u64>,
}

/// The pieces that make up `range` of an object whose parts follow each other.
pub fn of_parts(parts: Vec<Part>, range: &Range<u64>) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut start = 0_u64;
    for part in parts {
        let end = start.saturating_add(part.blob.size_bytes);
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            segments.push(Segment { blob: part.blob, range: from - start..to - start });
        }
        start = end;
    }
    segments
}

/// The bytes of the segments as a body.
pub async fn body(ctx: &Arc<Context>, segments: Vec<Segment>) -> Result<Body, StorageError> {
    let total: u64 = segments.iter().map(|segment| segment.range.end - segment.range.start).sum();
    if let Ok(small) = usize::try_from(total)
        && total <= limits::SMALL_READ_BYTES
    {
        // Paid before it is read, and held until the last byte of it has left.
        let paid = pay(ctx, small).await?;
        let mut reader = Reader::new(ctx.clone(), segments, Pays::Before);
        let bytes = reader.collect().await?;
        return Ok(Body::from(Bytes::from_owner(Paid { bytes, _paid: paid })));
    }
    let mut reader = Reader::new(ctx.clone(), segments, Pays::ByChunk);
    // The first chunk now: a copy that is gone must become another resolution, not a broken answer.
    let first = reader.next().await?;
    let first = futures::stream::iter(first.map(|chunk| Ok(Frame::data(chunk))));
    let rest = futures::stream::try_unfold(reader, |mut reader| async move {
        match reader.next().await {
            Ok(chunk) => Ok(chunk.map(|chunk| (Frame::data(chunk), reader))),
            Err(error) => {
                tracing::error!(%error, "an answer was cut: its bytes cannot be read");
                Err(error)
            }
        }
    });
    Ok(Body::http_body_unsync(StreamBody::new(first.chain(rest))))
}

/// The bytes of the segments as a stream, for copies.
pub fn stream(ctx: &Arc<Context>, segments: Vec<Segment>) -> ByteStream {
    let reader = Reader::new(ctx.clone(), segments, Pays::ByChunk);
    Box::pin(futures::stream::try_unfold(reader, |mut reader| async move {
        Ok(reader.next().await?.map(|chunk| (chunk, reader)))
    }))
}

/// Bytes and their share of the budget.
struct Paid {
    bytes: Bytes,
    _paid: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Paid {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

async fn pay(ctx: &Context, bytes: usize) -> Result<OwnedSemaphorePermit, StorageError> {
    // In S3's own words, which come out again where the error is answered.
    share(&ctx.budget_out, bytes)
        .await
        .map_err(|error| StorageError::Body { source: Box::new(error) })
}

/// Who takes the budget's share of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pays {
    /// Whoever reads: for everything, before.
    Before,
    /// The reader, until the next chunk is asked for.
    ByChunk,
}

struct Reader {
    ctx: Arc<Context>,
    pays: Pays,
    /// Last first.
    segments: Vec<Segment>,
    current: Option<Reading>,
    _held: Option<OwnedSemaphorePermit>,
}

/// One segment being read.
struct Reading {
    segment: Segment,
    at: u64,
    /// Copies that were not tried yet, last first.
    copies: Vec<Location>,
    stream: Option<ByteStream>,
    /// Where the stream comes from.
    from: Option<BackendId>,
    /// Where the whole blob is read.
    digests: Option<Digests>,
}

impl Reader {
    fn new(ctx: Arc<Context>, mut segments: Vec<Segment>, pays: Pays) -> Self {
        segments.reverse();
        Self { ctx, pays, segments, current: None, _held: None }
    }

    async fn collect(&mut self) -> Result<Bytes, StorageError> {
        let Some(first) = self.next().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.next().await? else {
            return Ok(first);
        };
        let mut whole = BytesMut::from(first.as_ref());
        whole.extend_from_slice(&second);
        while let Some(chunk) = self.next().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        self._held = None;
        loop {
            if self.current.is_none() {
                let Some(segment) = self.segments.pop() else {
                    return Ok(None);
                };
                self.current = Some(Reading::new(&self.ctx, segment));
            }
            let Some(reading) = &mut self.current else {
                return Ok(None);
            };
            match reading.next(&self.ctx).await? {
                Some(chunk) => {
                    match self.pays {
                        Pays::Before => {}
                        Pays::ByChunk => self._held = Some(pay(&self.ctx, chunk.len()).await?),
                    }
                    return Ok(Some(chunk));
                }
                None => self.current = None,
            }
        }
    }
}

impl Reading {
    fn new(ctx: &Context, segment: Segment) -> Self {
        let mut copies = ctx.settings.targets.read_order(&ctx.registry, &segment.blob);
        copies.reverse();
        let whole = segment.range == (0..segment.blob.size_bytes);
        let crc = Algorithms { crc64nvme: true, ..Algorithms::default() };
        Self {
            at: segment.range.start,
            copies,
            stream: None,
            from: None,
            digests: whole.then(|| Digests::new(crc)),
            segment,
        }
    }

    /// The next chunk of this segment; a copy that fails is replaced by the next one, from where it stopped.
    async fn next(&mut self, ctx: &Context) -> Result<Option<Bytes>, StorageError> {
        let mut failed = None;
        while self.at < self.segment.range.end {
            let Some(stream) = &mut self.stream else {
                let Some(copy) = self.copies.pop() else {
                    return Err(failed.unwrap_or_else(|| {
                        corrupt(&self.segment.blob, "it has no copy left to read")
                    }));
                };
                self.from = Some(copy.backend);
                match open(ctx, copy, self.at..self.segment.range.end, &self.segment.blob).await {
                    Ok(stream) => self.stream = Some(stream),
                    Err(error) => failed = Some(self.given_up(ctx, failed, error)),
                }
                continue;
            };
            let chunk = match stream.next().await {
                Some(Ok(chunk)) if chunk.is_empty() => continue,
                Some(Ok(chunk)) => chunk,
                Some(Err(error)) => {
                    tracing::warn!(%error, "a copy failed while it was read");
                    failed = Some(self.given_up(ctx, failed, error));
                    continue;
                }
                None => {
                    let short = corrupt(&self.segment.blob, "it is shorter than recorded");
                    failed = Some(self.given_up(ctx, failed, short));
                    continue;
                }
            };
            match self.accept(&chunk) {
                Ok(()) => return Ok(Some(chunk)),
                // What was damaged may have been sent already: only a first chunk can be replaced. Whoever asks again is given
                // another copy.
                Err(error) if self.at > self.segment.range.start => {
                    return Err(self.given_up(ctx, failed, error));
                }
                Err(error) => {
                    tracing::error!(%error, "a copy is damaged; run `vaultaire verify`");
                    self.digests =
                        Some(Digests::new(Algorithms { crc64nvme: true, ..Algorithms::default() }));
                    failed = Some(self.given_up(ctx, failed, error));
                }
            }
        }
        Ok(None)
    }

    /// The copy that is read is read no further. Its backend is passed over for a while where that is its fault.
    fn given_up(
        &mut self,
        ctx: &Context,
        before: Option<StorageError>,
        error: StorageError,
    ) -> StorageError {
        self.stream = None;
        if let Some(backend) = self.from {
            ctx.settings.targets.note(backend, &error);
        }
        worse(before, error)
    }

    /// Counts a chunk; the last one of a whole blob only if the checksum is right.
    fn accept(&mut self, chunk: &Bytes) -> Result<(), StorageError> {
        let at = self.at.saturating_add(chunk.len() as u64);
        if at > self.segment.range.end {
            return Err(corrupt(&self.segment.blob, "it is longer than recorded"));
        }
        if let Some(digests) = &mut self.digests {
            digests.update(chunk);
            if at == self.segment.range.end {
                let crc = self.digests.take().and_then(|digests| digests.finish().crc64nvme);
                if crc != Some(self.segment.blob.crc64nvme) {
                    return Err(corrupt(
                        &self.segment.blob,
                        "its checksum is not the recorded one",
                    ));
                }
            }
        }
        self.at = at;
        Ok(())
    }
}

async fn open(
    ctx: &Context,
    copy: Location,
    range: Range<u64>,
    blob: &Blob,
) -> Result<ByteStream, StorageError> {
    let backend = ctx.registry.get(copy.backend)?;
    let key = copy.key.backend_key(ctx.catalog.cluster().cluster);
    let whole = range == (0..blob.size_bytes);
    let object = backend.get(&key, (!whole).then_some(range)).await?;
    if object.size_bytes != blob.size_bytes {
        return Err(corrupt(blob, "its size is not the recorded one"));
    }
    Ok(object.stream)
}

/// Of two failures the one that says more: a copy that is merely gone says that it may have moved.
fn worse(before: Option<StorageError>, error: StorageError) -> StorageError {
    match before {
        Some(before) if error.is_not_found() => before,
        Some(_) | None => error,
    }
}

fn corrupt(blob: &Blob, reason: &str) -> StorageError {
    let subject = match blob.copies.first() {
        Some(copy) => format!("blob {:?} of backend {}", copy.key, copy.backend),
        None => "a blob without copies".to_owned(),
    };
    StorageError::Corrupt { subject, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
