//! The HTTP port: health, metrics and the page for people.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use vaultaire_tests::cluster::Cluster;
use vaultaire_tests::server::{Options, Server};

/// How long a node may take to say what it waits for.
const TOLD_MAX: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

fn get(url: &str, path: &str) -> (u16, String) {
    let addr = url.strip_prefix("http://").expect("plain http");
    try_get(addr, path).expect("an answer")
}

fn try_get(addr: &str, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(addr)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status =
        answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
    Ok((status, answer))
}

/// Killed where the test ends, however it does.
struct Alone(Child);

impl Drop for Alone {
    fn drop(&mut self) {
        // Fails only for one that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_waits_for_a_quorum_says_so() {
    let mut cluster = Cluster::start(2);
    cluster.kill(1);
    cluster.kill(2);
    let command = cluster.command(1).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _alone = Alone(command.expect("the binary that was found can be started"));
    let http = cluster.node(1).http.clone();
    let answers = |path: &str, status: u16, told: &str| {
        let deadline = Instant::now() + TOLD_MAX;
        loop {
            let answer = try_get(&http, path);
            if matches!(&answer, Ok((found, text)) if *found == status && text.contains(told)) {
                return;
            }
            assert!(Instant::now() < deadline, "{path}: {answer:?}, not {status} with {told:?}");
            std::thread::sleep(POLL_INTERVAL);
        }
    };
    answers("/readyz", 503, "starting: group 0 has no leader");
    answers("/readyz/write", 503, "more than half of its voters have to run");
    // Whoever restarts what is not alive must leave it alone.
    answers("/livez", 200, "ok");
    answers("/metrics", 200, "vaultaire_build_info");
    let status = cluster.try_ask(1, &["status"]);
    let told = String::from_utf8_lossy(&status.stderr);
    assert_eq!(status.status.code(), Some(3), "{told}");
    assert!(told.contains("is starting or stopping and does not answer"), "{told}");
    cluster.start_node(2);
    answers("/readyz/write", 200, "ok");
}

#[tokio::test]
async fn health_and_metrics_are_served() {
    let server = Server::start(Options::default());
    let http_url = server.ready("http_url");
    for path in ["/livez", "/readyz", "/readyz/write", "/"] {
        assert_eq!(get(http_url, path).0, 200, "{path}");
    }
    assert_eq!(get(http_url, "/nothing").0, 404);
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(server.s3_url(), path).0, 200, "{path} for load balancers");
    }
    let put = server.client().put_object().bucket(server.bucket()).key("k");
    put.send().await.expect("PUT");
    let metrics = get(http_url, "/metrics").1;
    for name in
        ["vaultaire_build_info{", "vaultaire_ready 1", "vaultaire_raft_leader{group=\"4\"} 1"]
    {
        assert!(metrics.contains(name), "`{name}` is not in {metrics}");
    }
    assert!(
        metrics
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .all(|line| line.contains(" vaultaire_"))
    );
}
