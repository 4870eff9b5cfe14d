//! The server on a real socket: segments, headers that are too many, draining.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::test_support::sign::{self, Scope};
use crate::test_support::world::World;

async fn start(world: &World) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = Server::new(listener, world.service.clone(), None);
    (address, stop.clone(), tokio::spawn(server.run(stop)))
}

fn signed(world: &World, method: &Method, uri: &str, length: Option<usize>) -> String {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost"));
    headers.insert("x-amz-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
    if let Some(length) = length {
        headers.insert("content-length", HeaderValue::from(length));
    }
    sign::in_header(&world.ann, &Scope::default(), method, uri, &mut headers);
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()))
        .collect();
    format!("{method} {uri} HTTP/1.1\r\n{lines}\r\n")
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn headers_and_a_small_body_leave_in_one_segment() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("x".repeat(4096)).send().await.expect(200);
    let (address, stop, server) = start(&world).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..5 {
        stream.write_all(signed(&world, &Method::GET, "/photos/k", None).as_bytes()).await.unwrap();
        stream.readable().await.unwrap();
        // What one write sent arrives at once on the loopback.
        let mut buffer = vec![0; 64 * 1024];
        let got = stream.read(&mut buffer).await.unwrap();
        let text = String::from_utf8_lossy(&buffer[..got]);
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        assert!(text.ends_with(&"x".repeat(4096)), "head and body came apart: {got} bytes");
    }
    stop.cancel();
    drop(stream);
    server.await.unwrap();
}

#[tokio::test]
async fn ten_mebibytes_of_headers_are_refused() {
    let world = World::new().await;
    let (address, stop, server) = start(&world).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n").await;
    let line = format!("x-filler: {}\r\n", "y".repeat(1000));
    for _ in 0..10 * 1024 {
        if stream.write_all(line.as_bytes()).await.is_err() {
            break;
        }
    }
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    // The server still serves others.
    let mut other = TcpStream::connect(address).await.unwrap();
    other
        .write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(read_all(&mut other).await.starts_with("HTTP/1.1 200"));
    stop.cancel();
    server.await.unwrap();
}

/// More than is allowed, and little enough for the buffer: the answer is S3's.
#[tokio::test]
async fn headers_that_are_read_and_too_many_have_an_error_of_their_own() {
    let world = World::with_bucket("photos").await;
    let (address, stop, server) = start(&world).await;
    for (bytes, status) in
        [(limits::HEADER_BYTES_MAX - 2000, "200"), (limits::HEADER_BYTES_MAX, "400")]
    {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = signed(&world, &Method::GET, "/photos", None);
        let head = request.strip_suffix("\r\n").unwrap();
        let filler = format!("x-filler: {}\r\nconnection: close\r\n\r\n", "y".repeat(bytes));
        stream.write_all(format!("{head}{filler}").as_bytes()).await.unwrap();
        let answer = read_all(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        let code = "<Code>RequestHeaderSectionTooLarge</Code>";
        assert_eq!(answer.contains(code), status == "400", "{answer}");
    }
    stop.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn requests_in_flight_are_finished_before_the_server_stops() {
    let world = World::with_bucket("photos").await;
    let (address, stop, server) = start(&world).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(signed(&world, &Method::PUT, "/photos/k", Some(10)).as_bytes()).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    while world.epochs.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!server.is_finished());
    stream.write_all(b"world").await.unwrap();
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 200"));
    server.await.unwrap();
    assert_eq!(world.get("/photos/k").send().await.bytes(), "helloworld");
}

/// What the server does to a peer who says nothing, or not what HTTP/1.1 begins with.
async fn is_closed_in_time(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let patience = limits::HEADER_TIMEOUT * 2;
    assert!(tokio::time::timeout(patience, read).await.is_ok(), "the connection stayed open");
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let world = World::new().await;
    let (address, stop, server) = start(&world).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: lo").await.unwrap();
    let mut half_a_preface = TcpStream::connect(address).await.unwrap();
    half_a_preface.write_all(b"PRI * HT").await.unwrap();
    tokio::time::pause();
    for stream in [&mut silent, &mut slow, &mut half_a_preface] {
        is_closed_in_time(stream).await;
    }
    stop.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn http_2_by_prior_knowledge_is_refused() {
    let world = World::new().await;
    let (address, stop, server) = start(&world).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer:?}");
    stop.cancel();
    server.await.unwrap();
}

/// A certificate made for this test, and both sides that trust it.
fn tls() -> (Arc<rustls::ServerConfig>, tokio_rustls::TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), tokio_rustls::TlsConnector::from(Arc::new(client)))
}

#[tokio::test]
async fn the_same_service_speaks_tls() {
    let world = World::with_bucket("photos").await;
    world.put("/photos/k").body("hello").send().await.expect(200);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accept, connect) = tls();
    let stop = CancellationToken::new();
    let server = Server::new(listener, world.service.clone(), Some(accept));
    let server = tokio::spawn(server.run(stop.clone()));
    // Someone who speaks no TLS disturbs nobody.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut stream =
        connect.connect(name, TcpStream::connect(address).await.unwrap()).await.unwrap();
    stream.write_all(signed(&world, &Method::GET, "/photos/k", None).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut silent =
        connect.connect(name, TcpStream::connect(address).await.unwrap()).await.unwrap();
    tokio::time::pause();
    is_closed_in_time(&mut silent).await;
    stop.cancel();
    server.await.unwrap();
}
