//! A connection that cuts a peer who takes no byte for too long: such a peer would hold a part of the
//! memory budget for ever. It also cuts one who never says a first byte, which holds a place among the connections.
//! Silence later is bounded where bodies and headers are read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::limits;

/// Wraps a stream.
#[derive(Debug)]
pub struct Stall<S> {
    inner: S,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    /// Runs until the first byte has come: hyper waits for it without a bound, to tell HTTP/2 from HTTP/1.
    silent: Option<Pin<Box<Sleep>>>,
}

impl<S> Stall<S> {
    /// The peer has this long for its first byte.
    pub fn new(inner: S) -> Self {
        let silent = Some(Box::pin(tokio::time::sleep(limits::HEADER_TIMEOUT)));
        Self { inner, waiting: None, silent }
    }

    /// What the write made of it, or the end of our patience.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limits::WRITE_IDLE_TIMEOUT)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes no more bytes")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stall<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if read.is_ready() {
            self.silent = None;
        } else if let Some(silent) = &mut self.silent {
            ready!(silent.as_mut().poll(cx));
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the peer says nothing",
            )));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stall<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(cx, closed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_cut() {
        let (near, _far) = tokio::io::duplex(16);
        let error = Stall::new(near).write_all(&[0; 17]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_speaks_is_cut_and_one_that_did_may_pause() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut near = Stall::new(near);
        let error = near.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let (other, mut speaks) = tokio::io::duplex(16);
        let mut other = Stall::new(other);
        speaks.write_all(b"ab").await.unwrap();
        assert_eq!(other.read_u8().await.unwrap(), b'a');
        tokio::time::sleep(limits::HEADER_TIMEOUT * 2).await;
        assert_eq!(other.read_u8().await.unwrap(), b'b');
        far.shutdown().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_peer_is_not() {
        let (near, mut far) = tokio::io::duplex(16);
        let reader = tokio::spawn(async move {
            let mut byte = [0];
            for _ in 0..20 {
                tokio::time::sleep(limits::WRITE_IDLE_TIMEOUT / 2).await;
                far.read_exact(&mut byte).await.unwrap();
            }
            far
        });
        Stall::new(near).write_all(&[0; 36]).await.unwrap();
        reader.await.unwrap();
    }
}
