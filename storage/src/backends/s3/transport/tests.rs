//! A slow endpoint is waited for, a silent one is not: a real server on loopback, with short times.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::*;

const IDLE: Duration = Duration::from_millis(800);

/// So large and so slowly read that it takes several times `IDLE`, with far less than that in the kernel's buffers.
const BODY_BYTES: usize = 24 * 1024 * 1024;
const READ_BYTES: usize = 512 * 1024;
const READ_PAUSE: Duration = Duration::from_millis(60);

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// One connection, served by `serve`.
async fn endpoint<F, S>(serve: F) -> SocketAddr
where
    F: FnOnce(TcpStream) -> S + Send + 'static,
    S: Future<Output = ()> + Send,
{
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { serve(listener.accept().await.unwrap().0).await });
    addr
}

async fn send(addr: SocketAddr, body: Vec<u8>) -> Result<Bytes, HttpError> {
    // An error means that another test was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = client_that_waits(true, IDLE).unwrap();
    let request = http::Request::put(format!("http://{addr}/part"))
        .header("content-length", body.len())
        .body(HttpRequestBody::from(body))
        .unwrap();
    client.execute(request).await?.into_body().bytes().await
}

async fn read(stream: &mut TcpStream, bytes: usize, pause: Duration) {
    let mut left = bytes;
    let mut buffer = vec![0; READ_BYTES];
    while left > 0 {
        let wanted = left.min(READ_BYTES);
        left -= stream.read_exact(&mut buffer[..wanted]).await.unwrap();
        tokio::time::sleep(pause).await;
    }
}

#[tokio::test]
async fn an_upload_that_moves_is_never_given_up() {
    let addr = endpoint(|mut stream| async move {
        read(&mut stream, BODY_BYTES, READ_PAUSE).await;
        stream.write_all(ANSWER).await.unwrap();
        // The rest is the request's head, which was read as if it were body.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let started = Instant::now();
    assert_eq!(send(addr, vec![7; BODY_BYTES]).await.unwrap(), "ok");
    assert!(started.elapsed() > 3 * IDLE, "too fast to show anything: {:?}", started.elapsed());
}

#[tokio::test]
async fn an_upload_that_stopped_is_given_up() {
    let addr = endpoint(|mut stream| async move {
        read(&mut stream, READ_BYTES, Duration::ZERO).await;
        std::future::pending::<()>().await;
    })
    .await;
    let started = Instant::now();
    let error = send(addr, vec![7; BODY_BYTES]).await.unwrap_err();
    assert_eq!(error.kind(), HttpErrorKind::Timeout, "{error:?}");
    assert!(started.elapsed() >= IDLE && started.elapsed() < 10 * IDLE, "{:?}", started.elapsed());
}

/// Sends an answer of ten bytes in as many steps, or stops after the first.
async fn answer_slowly(mut stream: TcpStream, pause: Duration, steps: usize) {
    let _head = stream.read(&mut [0; 4096]).await.unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n").await.unwrap();
    for _step in 0..steps {
        tokio::time::sleep(pause).await;
        stream.write_all(b"x").await.unwrap();
    }
    let _until_closed = stream.read(&mut [0; 4096]).await;
}

#[tokio::test]
async fn an_answer_that_moves_is_read_to_its_end() {
    let addr = endpoint(|stream| answer_slowly(stream, IDLE / 4, 10)).await;
    let started = Instant::now();
    assert_eq!(send(addr, Vec::new()).await.unwrap(), "xxxxxxxxxx");
    assert!(started.elapsed() > 2 * IDLE);
}

#[tokio::test]
async fn an_answer_that_stopped_is_given_up() {
    let addr = endpoint(|stream| answer_slowly(stream, Duration::ZERO, 1)).await;
    let error = send(addr, Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), HttpErrorKind::Timeout, "{error:?}");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_was_sent_nothing() {
    let addr = endpoint(|stream| async move { drop(stream) }).await;
    assert_ne!(send(addr, vec![1]).await.unwrap_err().kind(), HttpErrorKind::Connect);
    let error = send(addr, vec![1]).await.unwrap_err();
    assert_eq!(error.kind(), HttpErrorKind::Connect, "{error:?}");
}
