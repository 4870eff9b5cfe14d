//! A small limit of open files: the node keeps what journal and tables need, and stays up while more connect to it than
//! there are files.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use vaultaire_tests::server::{Options, Server, binary};

use crate::console::{on, run};

/// What many systems allow by default.
const FILES: u64 = 1024;
/// More connections than that.
const IDLE: usize = 1200;
const CONNECT_MAX: Duration = Duration::from_secs(3);
const SERVED_MAX: Duration = Duration::from_secs(30);

/// The clients are in this process, whose soft limit may be as small.
fn raise_own_limit() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).expect("a soft limit");
}

/// Answers with the status of a health check on a connection that stays open.
fn healthy(stream: &mut TcpStream) -> bool {
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut answer = [0; 1024];
    let length = stream.read(&mut answer).expect("an answer");
    answer[..length].starts_with(b"HTTP/1.1 200")
}

#[tokio::test(flavor = "multi_thread")]
async fn more_idle_connections_than_files_leave_the_node_up() {
    raise_own_limit();
    let server = Server::start(Options { files_max: Some(FILES), ..Options::default() });
    let host = server.s3_url().strip_prefix("http://").expect("plain http").to_owned();
    let mut early = TcpStream::connect(&host).expect("the port answers");
    early.set_read_timeout(Some(SERVED_MAX)).expect("a timeout");
    assert!(healthy(&mut early));
    // Its connection is kept, and used again below.
    let client = server.client();
    let bucket = server.bucket();
    let put = |client: &aws_sdk_s3::Client, key: String| {
        client.put_object().bucket(bucket).key(key).body(ByteStream::from_static(b"v"))
    };
    put(&client, "before".to_owned()).send().await.expect("PUT");
    let attempts = (0..IDLE).map(|_| {
        let connecting = tokio::net::TcpStream::connect(host.clone());
        tokio::spawn(tokio::time::timeout(CONNECT_MAX, connecting))
    });
    // Those that neither the node nor the kernel's queue has room for are still trying.
    let attempts = futures::future::join_all(attempts).await;
    let idle: Vec<_> =
        attempts.into_iter().flatten().filter_map(|tried| tried.ok()?.ok()).collect();
    assert!(idle.len() >= 100, "{} connections", idle.len());
    assert!(healthy(&mut early), "who was served before still is");
    for number in 0..50 {
        put(&client, format!("meanwhile-{number}")).send().await.expect("PUT");
    }
    on(&server, &["status", "--json"]).done();
    drop(idle);
    let began = Instant::now();
    put(&server.client(), "after".to_owned()).send().await.expect("PUT by a newcomer");
    assert!(began.elapsed() < SERVED_MAX, "{:?}", began.elapsed());
    on(&server, &["verify", "--json"]).done();
    let log = server.log_tail();
    assert!(log.contains("capped"), "the cap is said: {log}");
}

#[test]
fn too_few_files_are_refused_with_the_next_step() {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let mut command = Command::new("prlimit");
    command.arg("--nofile=512:512").arg(binary()).args(["dev", "--json", "--data-dir"]);
    command.arg(folder.path().join("data"));
    for surface in ["--s3-addr", "--admin-addr", "--http-addr"] {
        command.args([surface, "127.0.0.1:0"]);
    }
    run(command).refused(1, &["limit of open files", "512", "ulimit -Hn"]);
}
