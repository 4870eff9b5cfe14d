//! The harness in the middle of connections between nodes: one listener for each directed link, so that whom a connection
//! comes from and leads to is known though it is encrypted. It delays what it carries, or falls silent and stays connected.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{HARNESS, PEER_PORT, address};
use crate::error::Error;

const FIRST_PORT: u32 = 20_000;

/// More nodes than any run has.
const NODES_MAX: u32 = 32;

const READ_BYTES: usize = 16 * 1024;

/// How much may be on its way in each direction of a connection, in reads.
const ON_ITS_WAY_MAX: usize = 256;

/// What a connection through the harness is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// There is none; those that are open are closed.
    Closed,
    /// Bytes arrive so much later.
    Delayed(Duration),
    /// Bytes arrive for so long; then nothing does, and nobody is told.
    Silent { after: Duration },
}

/// A listener for each directed link.
#[derive(Debug)]
pub struct Detours {
    passage: watch::Sender<Passage>,
}

/// Where connections from one node to another are accepted.
pub fn port(from: u32, to: u32) -> u32 {
    FIRST_PORT + from * NODES_MAX + to
}

impl Detours {
    pub async fn listen(nodes: u32) -> Result<Self, Error> {
        let (passage, watched) = watch::channel(Passage::Closed);
        for (from, to) in (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))) {
            let place = format!("{HARNESS}:{}", port(from, to));
            let listener = TcpListener::bind(&place).await.map_err(|error| Error::Command {
                what: format!("listening on {place}"),
                why: error.to_string(),
            })?;
            tokio::spawn(accept(listener, to, watched.clone()));
        }
        Ok(Self { passage })
    }

    /// Connections that are open now are closed, and new ones are like this.
    pub fn pass(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }
}

/// Ends with the run.
async fn accept(listener: TcpListener, to: u32, passage: watch::Receiver<Passage>) {
    while let Ok((connection, _)) = listener.accept().await {
        let mut changed = passage.clone();
        let now = *changed.borrow_and_update();
        tokio::spawn(async move {
            tokio::select! {
                _ = changed.changed() => {}
                () = carry(connection, to, now) => {}
            }
        });
    }
}

async fn carry(connection: TcpStream, to: u32, passage: Passage) {
    if passage == Passage::Closed {
        return;
    }
    let Ok(onward) = TcpStream::connect((address(to), PEER_PORT)).await else { return };
    let ((near_read, near_write), (far_read, far_write)) =
        (connection.into_split(), onward.into_split());
    tokio::join!(one_way(near_read, far_write, passage), one_way(far_read, near_write, passage));
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    passage: Passage,
) {
    let (delay, silent_at) = match passage {
        Passage::Closed => return,
        Passage::Delayed(delay) => (delay, None),
        Passage::Silent { after } => (Duration::ZERO, Some(Instant::now() + after)),
    };
    let (tx, mut rx) = mpsc::channel::<(Instant, Bytes)>(ON_ITS_WAY_MAX);
    let read = async move {
        let mut buffer = vec![0; READ_BYTES];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let due = Instant::now() + delay;
            if tx.send((due, Bytes::copy_from_slice(&buffer[..count]))).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, bytes)) = rx.recv().await {
            if silent_at.is_some_and(|at| due >= at) {
                // The connection stays, and nothing comes any more.
                std::future::pending::<()>().await;
            }
            tokio::time::sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // What was written before the end has to be read before it.
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_come_late_and_in_order() {
        let ((mut near, one), (other, mut far)) = (duplex(64), duplex(64));
        let delay = Duration::from_millis(300);
        tokio::spawn(async move {
            one_way(split(one).0, split(other).1, Passage::Delayed(delay)).await;
        });
        let began = Instant::now();
        near.write_all(b"ab").await.unwrap();
        near.write_all(b"cd").await.unwrap();
        let mut read = [0; 4];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"abcd");
        assert!(began.elapsed() >= delay);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_keeps_the_connection() {
        let ((mut near, one), (other, mut far)) = (duplex(64), duplex(64));
        let after = Duration::from_millis(100);
        tokio::spawn(async move {
            one_way(split(one).0, split(other).1, Passage::Silent { after }).await;
        });
        near.write_all(b"ab").await.unwrap();
        let mut read = [0; 2];
        far.read_exact(&mut read).await.unwrap();
        tokio::time::sleep(after).await;
        near.write_all(b"cd").await.unwrap();
        let more = tokio::time::timeout(Duration::from_secs(60), far.read_exact(&mut read)).await;
        assert!(more.is_err(), "something came: {more:?}");
    }
}
