//! The body of a request as it comes from the connection: a sender that falls silent is given up, and
//! what all requests hold in memory together is bounded. A chunk counts until the next one is asked for.
//! What is left of a refused request's body is read and thrown away, within a bound: closing the
//! connection on a client that still sends would take the error from it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::StreamExt;
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use s3s::{Body, StdError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_util::sync::PollSemaphore;

use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::boxed;
use crate::limits;

/// Wraps the body of a request; what is not read of it can be had back.
pub fn guard(body: Body, budget: &Arc<Semaphore>) -> (Body, Unread) {
    if body.is_end_stream() {
        return (body, Unread::default());
    }
    let unread = Arc::<Left>::default();
    let guarded = Guarded {
        inner: body,
        budget: PollSemaphore::new(budget.clone()),
        held: None,
        waiting: None,
        silence: None,
        patience: None,
        unread: unread.clone(),
    };
    (Body::http_body(guarded), Unread(Some(unread)))
}

/// What was not read of a body, once nobody reads it any more, and why it was given up if it was.
#[derive(Debug, Default)]
pub struct Unread(Option<Arc<Left>>);

#[derive(Debug, Default)]
struct Left {
    body: Mutex<Option<Body>>,
    cause: Mutex<Option<Error>>,
}

/// Whether the connection can carry another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Everything was read.
    Gone,
    /// The client may still send, or wait to be asked for it.
    Left,
}

impl Unread {
    /// Why the body was given up: whoever read it may have made another error of it.
    pub fn cause(&self) -> Option<Error> {
        self.0.as_ref().and_then(|left| left.cause.lock().clone())
    }

    /// Reads it away, unless the client waits to be asked for it.
    pub async fn drain(self, client_waits: bool) -> Rest {
        let Some(mut body) = self.0.and_then(|left| left.body.lock().take()) else {
            return Rest::Gone;
        };
        if client_waits {
            return Rest::Left;
        }
        let all = async move {
            let mut bytes = 0_usize;
            while let Some(chunk) = body.next().await {
                bytes = bytes.saturating_add(chunk.map_or(usize::MAX, |chunk| chunk.len()));
                if bytes > limits::UNWANTED_BODY_BYTES_MAX {
                    return Rest::Left;
                }
            }
            Rest::Gone
        };
        tokio::time::timeout(limits::UNWANTED_BODY_TIMEOUT, all).await.unwrap_or(Rest::Left)
    }
}

struct Guarded {
    inner: Body,
    budget: PollSemaphore,
    held: Option<OwnedSemaphorePermit>,
    /// A chunk that is here but not yet paid for.
    waiting: Option<Bytes>,
    silence: Option<Pin<Box<Sleep>>>,
    /// Runs while a chunk waits for its share of the budget.
    patience: Option<Pin<Box<Sleep>>>,
    unread: Arc<Left>,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if !self.inner.is_end_stream() {
            *self.unread.body.lock() = Some(std::mem::take(&mut self.inner));
        }
    }
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = &mut *self;
        this.held = None;
        if this.waiting.is_none() {
            match ready!(this.poll_inner(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.waiting = Some(data),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        let cost = permits(this.waiting.as_ref().map_or(0, Bytes::len));
        match this.budget.poll_acquire_many(cx, cost) {
            Poll::Ready(Some(permit)) => this.held = Some(permit),
            // The semaphore is never closed.
            Poll::Ready(None) => return Poll::Ready(Some(Err("the body budget is closed".into()))),
            Poll::Pending => {
                let patience = this.patience.get_or_insert_with(|| {
                    Box::pin(tokio::time::sleep(limits::IN_FLIGHT_PATIENCE))
                });
                ready!(patience.as_mut().poll(cx));
                return Poll::Ready(Some(Err(this.give_up(memory_spent()))));
            }
        }
        this.patience = None;
        Poll::Ready(this.waiting.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.waiting {
            None => self.inner.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}

impl Guarded {
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.silence = None;
            return Poll::Ready(frame);
        }
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limits::BODY_IDLE_TIMEOUT)));
        ready!(silence.as_mut().poll(cx));
        Poll::Ready(Some(Err(self.give_up(Error::new(Code::RequestTimeout)))))
    }

    fn give_up(&self, cause: Error) -> StdError {
        *self.unread.cause.lock() = Some(cause.clone());
        boxed(cause)
    }
}

/// The bytes of all bodies have their bound, and this request waited long enough for its share.
pub fn memory_spent() -> Error {
    Error::slow_down("Too many bytes of requests are in memory; try again in a second.")
}

/// A share of the budget, or the advice to come back later.
pub async fn share(budget: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
    let share = budget.clone().acquire_many_owned(permits(bytes));
    match tokio::time::timeout(limits::IN_FLIGHT_PATIENCE, share).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(memory_spent()),
    }
}

/// One permit per byte; a single chunk never asks for more than a small budget has.
pub fn permits(bytes: usize) -> u32 {
    const CHUNK_MAX: usize = 1024 * 1024;
    u32::try_from(bytes.min(CHUNK_MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use http_body_util::StreamBody;

    use super::*;

    fn chunks(count: usize, bytes: usize) -> Body {
        let frames =
            (0..count).map(move |_| Ok::<_, StdError>(Frame::data(Bytes::from(vec![0; bytes]))));
        Body::http_body(StreamBody::new(futures::stream::iter(frames)))
    }

    #[tokio::test]
    async fn bodies_share_one_budget() {
        let budget = Arc::new(Semaphore::new(1000));
        let (mut one, _) = guard(chunks(3, 600), &budget);
        let (mut two, _) = guard(chunks(1, 600), &budget);
        assert_eq!(one.next().await.unwrap().unwrap().len(), 600);
        assert_eq!(budget.available_permits(), 400);
        let waiting = tokio::spawn(async move { two.next().await.unwrap().unwrap().len() });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "the budget is spent");
        // The first body's chunk is done with: its bytes go to whoever waits longest.
        let rest = tokio::spawn(async move { one.count().await });
        assert_eq!(waiting.await.unwrap(), 600);
        assert_eq!(rest.await.unwrap(), 2);
        assert_eq!(budget.available_permits(), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_body() {
        let budget = Arc::new(Semaphore::new(1000));
        let never = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, StdError>>());
        let (mut body, _) = guard(Body::http_body(never), &budget);
        let error = body.next().await.unwrap().unwrap_err();
        assert!(error.to_string().starts_with("RequestTimeout"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_chunk_waits_for_memory_only_so_long() {
        let budget = Arc::new(Semaphore::new(1000));
        let _all = budget.clone().acquire_many_owned(1000).await.unwrap();
        let (mut body, unread) = guard(chunks(1, 600), &budget);
        let error = body.next().await.unwrap().unwrap_err();
        assert!(error.to_string().starts_with("SlowDown"), "{error}");
        assert!(unread.cause().unwrap().is(Code::SlowDown));
        assert!(share(&budget, 1).await.unwrap_err().is(Code::SlowDown));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_reads_is_read_away_within_a_bound() {
        let budget = Arc::new(Semaphore::new(1000));
        for (client_waits, rest, left) in [(false, Rest::Gone, 0), (true, Rest::Left, 3)] {
            let sent = Arc::new(Mutex::new(3));
            let counter = sent.clone();
            let frames = futures::stream::poll_fn(move |_| {
                let mut left = counter.lock();
                let more = *left > 0;
                *left -= i32::from(more);
                Poll::Ready(more.then(|| Ok::<_, StdError>(Frame::data(Bytes::from_static(b"x")))))
            });
            let (body, unread) = guard(Body::http_body(StreamBody::new(frames)), &budget);
            drop(body);
            assert_eq!(unread.drain(client_waits).await, rest);
            assert_eq!(*sent.lock(), left);
        }
        let never = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, StdError>>());
        let (body, unread) = guard(Body::http_body(never), &budget);
        drop(body);
        assert_eq!(unread.drain(false).await, Rest::Left);
    }
}
