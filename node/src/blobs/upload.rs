//! A body on its way to another node. Its end is said: a stream that only stops was broken off, and nothing of it is kept.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::wire::v1::put_blob_part::{End, Head, Part};
use vaultaire_storage::backend::ByteStream;
use vaultaire_storage::error::Error;

use super::CHUNK_BYTES_MAX;

/// How often a peer that does not take what it was given is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A sender that brings nothing for this long is gone: longer than a client of the S3 port may pause.
const BODY_IDLE_MAX: Duration = Duration::from_secs(300);

/// What the sending side knows of an upload. The write keeps it and the messages look at it, since they belong to the
/// connection: without it the write was dropped, and a body that ends then, as one does whose source went with it, is not
/// whole.
#[derive(Debug, Default)]
pub struct Progress(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Since when the peer has something that it has not taken; none while it is the body that is waited for.
    peer_since: Option<Instant>,
    /// Why the body ended early.
    failed: Option<Error>,
    /// The end was given.
    complete: bool,
}

impl Progress {
    /// Why the body ended early, if it did.
    pub fn failed(&self) -> Option<Error> {
        self.0.lock().failed.take()
    }

    /// Whether the end was given: before that, nothing was kept.
    pub fn is_complete(&self) -> bool {
        self.0.lock().complete
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

    fn given(&self) {
        self.0.lock().peer_since = Some(Instant::now());
    }
}

/// Where the sender is.
struct Sender {
    head: Option<Head>,
    rest: Bytes,
    body: Option<ByteStream>,
    progress: Weak<Mutex<State>>,
}

/// The messages of a body.
pub fn parts(
    head: Head,
    body: ByteStream,
    progress: &Progress,
) -> impl Stream<Item = wire::PutBlobPart> + Send + use<> {
    // Until it asks for the head it has not answered: it may accept connections and be frozen.
    progress.given();
    let progress = Arc::downgrade(&progress.0);
    let sender = Sender { head: Some(head), rest: Bytes::new(), body: Some(body), progress };
    stream::unfold(sender, |mut sender| async move {
        // Asked for more: what was given has been taken.
        sender.note(|state| state.peer_since = None)?;
        let part = sender.next().await;
        // After the last part it is the answer that is waited for.
        sender.note(|state| {
            state.peer_since = Some(Instant::now());
            state.complete |= matches!(part, Some(Part::End(End {})));
        })?;
        part.map(|part| (wire::PutBlobPart { part: Some(part) }, sender))
    })
}

impl Sender {
    /// None: the write was dropped.
    fn note(&self, change: impl FnOnce(&mut State)) -> Option<()> {
        change(&mut self.progress.upgrade()?.lock());
        Some(())
    }

    async fn next(&mut self) -> Option<Part> {
        if let Some(head) = self.head.take() {
            return Some(Part::Head(head));
        }
        while self.rest.is_empty() {
            match self.body.as_mut()?.next().await {
                Some(Ok(chunk)) => self.rest = chunk,
                Some(Err(error)) => {
                    self.body = None;
                    return self.note(|state| state.failed = Some(error)).and(None);
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

/// A body as it arrives. What ends without its end, or does not go on, is an error.
pub fn body<E: std::error::Error + Send + Sync + 'static>(
    parts: impl Stream<Item = Result<wire::PutBlobPart, E>> + Send + 'static,
) -> ByteStream {
    let broken = |why: &str| Error::Body { source: why.into() };
    let parts = Some(Box::pin(parts));
    Box::pin(stream::unfold(parts, move |parts| async move {
        let mut parts = parts?;
        let Ok(part) = timeout(BODY_IDLE_MAX, parts.next()).await else {
            return Some((Err(broken("the sending node does not go on")), None));
        };
        let next = match part {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::convert::Infallible;
    use std::pin::pin;

    use futures::FutureExt;
    use vaultaire_storage::backend::collect;

    use super::*;

    const IDLE: Duration = Duration::from_secs(30);

    fn chunks(sizes: &[usize]) -> ByteStream {
        let chunks: Vec<_> = sizes.iter().map(|size| Ok(Bytes::from(vec![1; *size]))).collect();
        Box::pin(stream::iter(chunks))
    }

    /// Whether the peer counts as stalled after twice the time that it has.
    async fn is_stalled(progress: &Progress) -> bool {
        tokio::time::timeout(IDLE * 2, progress.stalled(IDLE)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_a_whole_body_and_says_nothing_is_given_up() {
        let failing = Box::pin(stream::iter([Err(Error::Body { source: "gone".into() })]));
        for body in [chunks(&[1, 2]), chunks(&[]), failing] {
            let progress = Progress::default();
            let sent: Vec<_> = parts(Head::default(), body, &progress).collect().await;
            assert!(is_stalled(&progress).await, "after {} parts", sent.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_asks_for_a_body_is_given_up() {
        let progress = Progress::default();
        let _parts = parts(Head::default(), chunks(&[1]), &progress);
        assert!(is_stalled(&progress).await && !progress.is_complete());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_given_up_for_what_it_does_not_take_and_not_for_a_slow_body() {
        let progress = Progress::default();
        let slow = Box::pin(chunks(&[1]).chain(stream::pending()));
        let mut parts = pin!(parts(Head::default(), slow, &progress));
        assert!(parts.next().await.is_some() && parts.next().await.is_some());
        assert!(is_stalled(&progress).await, "a chunk that is not taken");
        assert!(parts.next().now_or_never().is_none(), "the body has no more yet");
        assert!(!is_stalled(&progress).await, "it is the body that is waited for");
    }

    #[tokio::test]
    async fn a_body_may_have_been_kept_once_its_end_was_given_and_not_before() {
        let progress = Progress::default();
        let mut sent = pin!(parts(Head::default(), chunks(&[CHUNK_BYTES_MAX + 1]), &progress));
        for _head_and_two_chunks in 0..3 {
            assert!(sent.next().await.is_some());
            assert!(!progress.is_complete());
        }
        assert!(sent.next().await.is_some());
        assert!(progress.is_complete());
        let failing = Box::pin(stream::iter([Err(Error::Body { source: "gone".into() })]));
        let progress = Progress::default();
        let sent: Vec<_> = parts(Head::default(), failing, &progress).collect().await;
        assert_eq!(sent.len(), 1, "a head without an end");
        assert!(!progress.is_complete() && progress.failed().is_some());
    }

    #[tokio::test]
    async fn a_body_that_ends_with_a_dropped_write_is_not_whole() {
        let progress = Progress::default();
        let (source, mut chunks) = tokio::sync::mpsc::channel(1);
        let body = Box::pin(stream::poll_fn(move |context| chunks.poll_recv(context)));
        let mut sent = Box::pin(parts(Head::default(), body, &progress));
        source.send(Ok(Bytes::from_static(b"x"))).await.unwrap();
        assert!(sent.next().await.is_some() && sent.next().await.is_some());
        assert!(sent.next().now_or_never().is_none(), "the body has no more yet");
        drop(progress);
        drop(source);
        assert!(sent.next().await.is_none(), "no end was given");
    }

    async fn received(sent: Vec<Part>) -> Result<Bytes, Error> {
        let sent = sent.into_iter().map(|part| Ok(wire::PutBlobPart { part: Some(part) }));
        collect(body::<Infallible>(stream::iter(sent))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_whole_only_with_its_end() {
        let chunk = || Part::Chunk(Bytes::from_static(b"x"));
        assert_eq!(received(vec![chunk(), chunk(), Part::End(End {})]).await.unwrap(), "xx");
        assert_eq!(received(vec![Part::End(End {})]).await.unwrap(), "");
        for broken in [vec![], vec![chunk()], vec![chunk(), Part::Head(Head::default())]] {
            let outcome = received(broken).await;
            assert!(matches!(outcome, Err(Error::Body { .. })), "{outcome:?}");
        }
        let silent = body::<Infallible>(stream::pending());
        let outcome = tokio::time::timeout(BODY_IDLE_MAX * 2, collect(silent)).await;
        assert!(matches!(outcome, Ok(Err(Error::Body { .. }))), "{outcome:?}");
    }
}
