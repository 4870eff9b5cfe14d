//! The HTTP port: health, metrics and the page for people.

use std::io::{Read, Write};
use std::net::TcpStream;

use vaultaire_tests::server::{Options, Server};

fn get(url: &str, path: &str) -> (u16, String) {
    let addr = url.strip_prefix("http://").expect("plain http");
    let mut stream = TcpStream::connect(addr).expect("the port answers");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status =
        answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
    (status, answer)
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
