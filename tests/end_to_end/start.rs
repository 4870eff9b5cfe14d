//! Starts, restarts and stops of a node, and what survives them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use vaultaire_tests::server::{Options, Server};

use crate::console::{on, vaultaire};

/// The figure is one second on an idle machine; tests share theirs.
const READY_MAX: Duration = Duration::from_secs(5);

#[test]
fn dev_is_ready_soon_and_says_everything_in_one_line() {
    let began = Instant::now();
    let server = Server::start(Options::default());
    let took = began.elapsed();
    assert!(took < READY_MAX, "ready after {took:?}");
    for field in
        ["s3_url", "access_key", "secret_key", "bucket", "admin_url", "http_url", "data_dir"]
    {
        assert!(!server.ready(field).is_empty(), "{field}");
    }
    for secret in ["credentials.json", "admin.token", "secrets.key"] {
        let path = server.data_dir().join(secret);
        let mode = std::fs::metadata(&path).expect(secret).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
}

#[tokio::test]
async fn a_restart_keeps_credentials_bucket_and_objects() {
    let mut server = Server::start(Options::default());
    let (access_key, bucket) = (server.ready("access_key").to_owned(), server.bucket().to_owned());
    let put = server
        .client()
        .put_object()
        .bucket(&bucket)
        .key("kept")
        .body(ByteStream::from_static(b"bytes"));
    put.send().await.expect("PUT");
    let status = server.stop();
    assert!(status.success(), "{status}: {}", server.log_tail());
    assert!(!server.data_dir().join("node.json").exists(), "the announcement is taken back");
    let server = server.restart();
    assert_eq!(server.ready("access_key"), access_key);
    let got = server.client().get_object().bucket(&bucket).key("kept").send().await.expect("GET");
    let body = got.body.collect().await.expect("body").into_bytes();
    assert_eq!(body.as_ref(), b"bytes");
}

/// A key that was revoked must not come back, nor a bucket that was deleted.
#[tokio::test]
async fn what_a_first_start_made_and_somebody_deleted_stays_deleted() {
    let mut server = Server::start(Options::default());
    let access_key = server.ready("access_key").to_owned();
    on(&server, &["bucket", "delete", server.bucket()]).done();
    on(&server, &["key", "delete", &access_key]).done();
    for killed in [false, true] {
        match killed {
            true => server.kill(),
            false => assert!(server.stop().success()),
        }
        server = server.restart();
        let refused = server.client().list_buckets().send().await.expect_err("the key is gone");
        let code = refused.raw_response().map(|response| response.status().as_u16());
        assert_eq!(code, Some(403), "{refused:?}");
        let keys = on(&server, &["key", "list", "--json"]).done().json();
        assert_eq!(keys["keys"].as_array().map(Vec::len), Some(0), "{keys}");
        let buckets = on(&server, &["bucket", "list", "--json"]).done().json();
        assert_eq!(buckets["buckets"].as_array().map(Vec::len), Some(0), "{buckets}");
        let log = server.log_tail();
        assert!(log.contains("vaultaire key create"), "the next step is said: {log}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let mut server = Server::start(Options::default());
    for round in 0..3_u8 {
        let key = format!("round-{round}");
        let body = ByteStream::from(vec![round; 10_000]);
        let bucket = server.bucket().to_owned();
        let put = server.client().put_object().bucket(bucket).key(&key).body(body);
        put.send().await.expect("PUT");
        server.kill();
        server = server.restart();
        for earlier in 0..=round {
            let key = format!("round-{earlier}");
            let bucket = server.bucket().to_owned();
            let got = server.client().get_object().bucket(bucket).key(&key).send().await;
            let body = got.expect("GET").body.collect().await.expect("body").into_bytes();
            assert!(body.len() == 10_000 && body.iter().all(|byte| *byte == earlier), "{key}");
        }
    }
    on(&server, &["verify", "--json"]).done();
}

#[tokio::test]
async fn tls_serves_the_same_under_an_authority_of_its_own() {
    let server = Server::start(Options { tls: true, ..Options::default() });
    assert!(server.s3_url().starts_with("https://"));
    let bucket = server.bucket().to_owned();
    let put =
        server.client().put_object().bucket(&bucket).key("k").body(ByteStream::from_static(b"v"));
    put.send().await.expect("PUT over TLS");
    let ca = std::fs::read(server.ready("ca_file")).expect("the CA file");
    let server = server.restart();
    assert_eq!(std::fs::read(server.ready("ca_file")).expect("the CA file"), ca);
    let got = server.client().get_object().bucket(&bucket).key("k").send().await;
    got.expect("GET over TLS after a restart");
}

/// A PUT that a signal finds half-way is finished and acknowledged before the process ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_what_is_under_way() {
    const HALF: usize = 200_000;
    let mut server = Server::start(Options::default());
    let bucket = server.bucket().to_owned();
    let valid = PresigningConfig::expires_in(Duration::from_secs(60)).expect("a minute");
    let put = server.client().put_object().bucket(&bucket).key("slow");
    let put = put.presigned(valid).await.expect("a URL");
    let (host, http_url) = (host(server.s3_url()), server.ready("http_url").to_owned());
    let target = put.uri().split_once(&host).expect("the endpoint's URL").1.to_owned();
    let mut stream = TcpStream::connect(&host).expect("the port answers");
    let head = format!(
        "PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        2 * HALF
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 100", "the body is wanted");
    stream.write_all(&vec![7; HALF]).expect("sent");
    let status = std::thread::scope(|scope| {
        let stopping = scope.spawn(|| server.stop());
        wait_until_draining(&http_url);
        stream.write_all(&vec![7; HALF]).expect("the connection is kept");
        stopping.join().expect("a stop")
    });
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("an answer");
    assert!(rest.contains("HTTP/1.1 200"), "{rest}");
    assert!(status.success(), "{status}");
    let server = server.restart();
    let got = server.client().get_object().bucket(&bucket).key("slow").send().await.expect("GET");
    assert_eq!(got.content_length(), i64::try_from(2 * HALF).ok());
}

fn host(url: &str) -> String {
    url.strip_prefix("http://").expect("plain http").to_owned()
}

/// The HTTP port tells load balancers before the S3 port has ended.
fn wait_until_draining(http_url: &str) {
    let host = host(http_url);
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(&host).expect("the port answers while S3 drains");
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
            .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        if answer.contains("503") && answer.contains("draining") {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it never said that it drains");
}

/// Founding a cluster takes many steps; a crash between any two leaves a directory that starts.
#[test]
fn a_first_start_that_is_cut_short_can_be_repeated() {
    for delay_ms in [1, 5, 10, 20, 40, 80, 120, 160, 240, 320, 480] {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let data_dir = folder.path().join("data");
        let mut command = vaultaire(&["dev", "--json", "--data-dir"]);
        command.arg(&data_dir).stdout(Stdio::null()).stderr(Stdio::null());
        for surface in ["--s3-addr", "--admin-addr", "--http-addr"] {
            command.args([surface, "127.0.0.1:0"]);
        }
        let mut child = command.spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(delay_ms));
        child.kill().expect("a child of ours can be killed");
        child.wait().expect("a killed child can be waited for");
        let server = Server::start(Options { data_dir: Some(data_dir), ..Options::default() });
        on(&server, &["verify", "--json"]).done();
    }
}
