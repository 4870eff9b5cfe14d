//! A body on its way to another node. Its end is said: a stream that only stops was broken off, and nothing of it is kept.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use tokio::time::Instant;
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::wire::v1::put_blob_part::{End, Head, Part};
use vaultaire_storage::backend::ByteStream;
use vaultaire_storage::error::Error;

use super::CHUNK_BYTES_MAX;

/// How often a peer that does not take what it was given is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What the sending side knows of an upload.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Since when the peer has something that it has not taken; none while it is the body that is waited for.
    peer_since: Option<Instant>,
    /// Why the body ended early.
    failed: Option<Error>,
}

impl Progress {
    /// Why the body ended early, if it did.
    pub fn failed(&self) -> Option<Error> {
        self.0.lock().failed.take()
    }

    /// Returns when the peer has not moved for `idle`.
    pub async fn stalled(&self, idle: Duration) {
        loop {
            let since = self.0.lock().peer_since;
            if since.is_some_and(|since| since.elapsed() >= idle) {
                return;
            }
            tokio::time::sleep(LOOK.min(idle)).await;
        }
    }

    fn give(&self) {
        self.0.lock().peer_since = Some(Instant::now());
    }

    fn take(&self) {
        self.0.lock().peer_since = None;
    }
}

/// Where the sender is.
struct Sender {
    head: Option<Head>,
    rest: Bytes,
    body: Option<ByteStream>,
    progress: Progress,
}

/// The messages of a body.
pub fn parts(
    head: Head,
    body: ByteStream,
    progress: Progress,
) -> impl Stream<Item = wire::PutBlobPart> + Send + 'static {
    let sender = Sender { head: Some(head), rest: Bytes::new(), body: Some(body), progress };
    stream::unfold(sender, |mut sender| async move {
        // Asked for more: what was given has been taken.
        sender.progress.take();
        let part = sender.next().await?;
        sender.progress.give();
        Some((wire::PutBlobPart { part: Some(part) }, sender))
    })
}

impl Sender {
    async fn next(&mut self) -> Option<Part> {
        if let Some(head) = self.head.take() {
            return Some(Part::Head(head));
        }
        while self.rest.is_empty() {
            match self.body.as_mut()?.next().await {
                Some(Ok(chunk)) => self.rest = chunk,
                Some(Err(error)) => {
                    self.body = None;
                    self.progress.0.lock().failed = Some(error);
                    return None;
                }
                None => {
                    self.body = None;
                    return Some(Part::End(End {}));
                }
            }
        }
        let length = self.rest.len().min(CHUNK_BYTES_MAX);
        Some(Part::Chunk(self.rest.split_to(length)))
    }
}

/// A body as it arrives. What ends without its end is an error.
pub fn body<E: std::error::Error + Send + Sync + 'static>(
    parts: impl Stream<Item = Result<wire::PutBlobPart, E>> + Send + 'static,
) -> ByteStream {
    let broken = |why: &str| Error::Body { source: why.into() };
    let parts = Some(Box::pin(parts));
    Box::pin(stream::unfold(parts, move |parts| async move {
        let mut parts = parts?;
        let next = match parts.next().await {
            Some(Ok(wire::PutBlobPart { part: Some(Part::Chunk(chunk)) })) => {
                return Some((Ok(chunk), Some(parts)));
            }
            Some(Ok(wire::PutBlobPart { part: Some(Part::End(End {})) })) => return None,
            Some(Ok(_)) => broken("a body goes on with its chunks"),
            Some(Err(error)) => Error::Body { source: error.into() },
            None => broken("the sending node broke it off"),
        };
        Some((Err(next), None))
    }))
}
