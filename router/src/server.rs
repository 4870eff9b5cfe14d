//! Accepts connections, with or without TLS, and serves S3 on them until told to stop; then it
//! finishes what is in flight, within a bound. What is answered is decided by the service.

mod stall;

use std::io;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::service::S3Service;
use stall::Stall;

/// One listener.
pub struct Server {
    listener: TcpListener,
    service: S3Service,
    tls: Option<TlsAcceptor>,
    connections_max: usize,
}

impl Server {
    /// Serves on a listener that is bound already. With `tls` every connection must speak it.
    pub fn new(
        listener: TcpListener,
        service: S3Service,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Self {
        let tls = tls.map(TlsAcceptor::from);
        Self { listener, service, tls, connections_max: limits::CONNECTIONS_MAX }
    }

    /// Serves fewer connections at once, where the process may open too few files for all.
    pub fn at_most(self, connections_max: usize) -> Self {
        Self { connections_max: connections_max.min(limits::CONNECTIONS_MAX), ..self }
    }

    /// Serves until cancelled, then drains.
    pub async fn run(self, shutdown: CancellationToken) {
        let graceful = GracefulShutdown::new();
        let connections = Arc::new(Semaphore::new(self.connections_max));
        loop {
            // A connection too many waits in the kernel's queue.
            let permit = tokio::select! {
                permit = connections.clone().acquire_owned() => permit,
                () = shutdown.cancelled() => break,
            };
            let Ok(permit) = permit else { break };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            match accepted {
                Ok((stream, _peer)) => self.serve(stream, permit, &graceful, &shutdown),
                Err(error) => refused(&error).await,
            }
        }
        drop(self.listener);
        if tokio::time::timeout(limits::DRAIN_MAX, graceful.shutdown()).await.is_err() {
            tracing::warn!(
                seconds = limits::DRAIN_MAX.as_secs(),
                "requests in flight were cut: they took too long"
            );
        }
    }

    fn serve(
        &self,
        stream: TcpStream,
        permit: OwnedSemaphorePermit,
        graceful: &GracefulShutdown,
        shutdown: &CancellationToken,
    ) {
        // Without this a small answer waits for the client's delayed acknowledgement: 44 ms each.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        let watcher = graceful.watcher();
        let service = self.service.clone();
        match self.tls.clone() {
            None => {
                let connection = connection(stream, service);
                tokio::spawn(async move {
                    finish(watcher.watch(connection).await, &permit);
                });
            }
            Some(tls) => {
                let shutdown = shutdown.clone();
                tokio::spawn(async move {
                    let Some(stream) = handshake(tls, stream, &shutdown).await else { return };
                    let connection = connection(stream, service);
                    finish(watcher.watch(connection).await, &permit);
                });
            }
        }
    }
}

/// One connection of HTTP/1.1, which every S3 client speaks. HTTP/2 is left out: its flow control is the client's,
/// who could open windows of nothing and keep the answers in our memory for ever, and telling the two apart waits
/// for a first byte without a bound.
fn connection<S>(stream: S, service: S3Service) -> http1::Connection<TokioIo<Stall<S>>, S3Service>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_TIMEOUT)
        .max_headers(limits::HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(Stall::new(stream)), service)
}

/// hyper's buffer holds the headers and pieces of bodies; headers that do not fit are answered 431.
const BUFFER_BYTES_MAX: usize = 256 * 1024;

async fn handshake(
    tls: TlsAcceptor,
    stream: TcpStream,
    shutdown: &CancellationToken,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let handshake = tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, tls.accept(stream));
    let done = tokio::select! {
        done = handshake => done,
        () = shutdown.cancelled() => return None,
    };
    match done {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_elapsed) => {
            tracing::debug!("a TLS handshake took too long");
            None
        }
    }
}

fn finish(ended: Result<(), hyper::Error>, permit: &OwnedSemaphorePermit) {
    if let Err(error) = ended {
        tracing::debug!(%error, connections = permit.num_permits(), "a connection ended early");
    }
}

async fn refused(error: &io::Error) {
    let peer_went_away = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    );
    if !peer_went_away {
        tracing::error!(%error, "accepting a connection failed; raise the limit of open files if it says so");
        tokio::time::sleep(limits::ACCEPT_PAUSE).await;
    }
}

#[cfg(test)]
mod tests;
