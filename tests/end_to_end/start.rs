//! Starts, restarts and stops of a node, and what survives them.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use vaultaire_tests::server::{Options, Server};

use crate::console::on;

/// The figure is one second on an idle machine; tests share theirs.
const READY_MAX: Duration = Duration::from_secs(5);

#[test]
fn dev_is_ready_soon_and_says_everything_in_one_line() {
    let began = Instant::now();
    let server = Server::start(Options::default());
    let took = began.elapsed();
    assert!(took < READY_MAX, "ready after {took:?}");
    for field in ["s3_url", "access_key", "secret_key", "bucket", "admin_url", "http_url", "data_dir"] {
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
    let put = server.client().put_object().bucket(&bucket).key("kept").body(ByteStream::from_static(b"bytes"));
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
    let put = server.client().put_object().bucket(&bucket).key("k").body(ByteStream::from_static(b"v"));
    put.send().await.expect("PUT over TLS");
    let ca = std::fs::read(server.ready("ca_file")).expect("the CA file");
    let server = server.restart();
    assert_eq!(std::fs::read(server.ready("ca_file")).expect("the CA file"), ca);
    let got = server.client().get_object().bucket(&bucket).key("k").send().await;
    got.expect("GET over TLS after a restart");
}
