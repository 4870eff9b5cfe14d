//! A disk without space left: the client is told, nothing acknowledged is lost, the node stays up and
//! readable, and goes on once there is space. Each node gets a small file system in a mount namespace of
//! its own, which needs no root where user namespaces are allowed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use vaultaire_tests::client::{Endpoint, connect};
use vaultaire_tests::server::binary;

const OBJECT_BYTES: usize = 1024 * 1024;
const FREED_MAX: Duration = Duration::from_secs(60);

/// A node whose folder `small` is a file system of its own.
struct Cramped {
    child: Child,
    client: Client,
    folder: tempfile::TempDir,
}

impl Drop for Cramped {
    fn drop(&mut self) {
        // Both fail only for a child that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// None where this machine lets nobody mount anything: said, and not taken for a success elsewhere.
fn start(size: &str, data_dir: &str, backend: &str) -> Option<Cramped> {
    let mut probe = Command::new("unshare");
    probe.args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
    if !probe.output().is_ok_and(|output| output.status.success()) {
        let strict = std::env::var_os("VAULTAIRE_STRICT").is_some_and(|value| value == "1");
        assert!(
            !strict,
            "this machine allows no mount namespace, and VAULTAIRE_STRICT forbids to skip"
        );
        eprintln!("skipped: this machine allows no mount namespace");
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let small = folder.path().join("small");
    std::fs::create_dir(&small).expect("a folder can be made");
    std::fs::write(folder.path().join("secret"), "full-disk-secret\n").expect("a file");
    let config = folder.path().join("vaultaire.toml");
    std::fs::write(&config, text(data_dir, backend)).expect("a file can be written");
    let script = "mount -t tmpfs -o size=$1 tmpfs $2 && exec $3 server --json --config $4";
    let mut child = Command::new("unshare")
        .args(["-rm", "sh", "-c", script, "sh", size])
        .args([&small, binary(), &config])
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(folder.path().join("log")).expect("a log"))
        .spawn()
        .expect("unshare ran before");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("the child was spawned with a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a ready line");
    let ready: serde_json::Value = match serde_json::from_str(&line) {
        Ok(ready) => ready,
        Err(error) => panic!("{error}: {line} {}", log(folder.path())),
    };
    let endpoint = Endpoint {
        url: ready["s3_url"].as_str().expect("a URL").to_owned(),
        access_key: "FULLDISK".to_owned(),
        secret_key: "full-disk-secret".to_owned(),
        ca_pem: None,
    };
    Some(Cramped { child, client: connect(&endpoint), folder })
}

fn text(data_dir: &str, backend: &str) -> String {
    format!(
        r#"
data_dir = "{data_dir}"
[s3]
addr = "127.0.0.1:0"
[admin]
addr = "127.0.0.1:0"
[http]
addr = "127.0.0.1:0"
[gc]
upload_grace = "1s"
drain = "0s"
[first]
access_key = "FULLDISK"
secret_key_file = "secret"
bucket = "data"
[backends.disk]
kind = "disk"
path = "{backend}"
"#
    )
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

impl Cramped {
    async fn put(&self, number: usize) -> Result<(), String> {
        let fill = u8::try_from(number % 251).expect("below 251");
        let body = ByteStream::from(vec![fill; OBJECT_BYTES]);
        let key = format!("object-{number}");
        match self.client.put_object().bucket("data").key(key).body(body).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{:?}", error.into_service_error())),
        }
    }

    async fn assert_readable(&self, number: usize) {
        let key = format!("object-{number}");
        let got = self.client.get_object().bucket("data").key(&key).send().await;
        let got =
            got.unwrap_or_else(|error| panic!("GET {key}: {error:?} {}", log(self.folder.path())));
        let body = got.body.collect().await.expect("body").into_bytes();
        let fill = u8::try_from(number % 251).expect("below 251");
        assert!(body.len() == OBJECT_BYTES && body.iter().all(|byte| *byte == fill), "{key}");
    }

    /// Writes until the disk is full; answers how many objects were acknowledged, and the refusal.
    async fn fill(&self, most: usize) -> (usize, String) {
        for number in 0..most {
            if let Err(refusal) = self.put(number).await {
                return (number, refusal);
            }
        }
        panic!("{most} objects fit on a disk that should be too small");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_backend_refuses_writes_and_goes_on_when_there_is_space() {
    let Some(mut node) = start("16m", "data", "small/blobs") else { return };
    let (stored, refusal) = node.fill(64).await;
    assert!(stored >= 8, "{stored} objects of 1 MiB on 16 MiB: {refusal}");
    assert!(refusal.contains("full") || refusal.contains("space"), "the cause is said: {refusal}");
    for number in 0..stored {
        node.assert_readable(number).await;
    }
    for number in 0..4 {
        let key = format!("object-{number}");
        node.client.delete_object().bucket("data").key(key).send().await.expect("DELETE");
    }
    let deadline = Instant::now() + FREED_MAX;
    while let Err(refusal) = node.put(stored).await {
        assert!(
            Instant::now() < deadline,
            "space was freed and writes are still refused: {refusal}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    node.assert_readable(stored).await;
    assert!(node.child.try_wait().expect("a child of ours").is_none(), "the node stayed up");
}

/// Blobs on the file system of the journal: they may not take what the journal and the tables need.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_data_directory_leaves_the_node_up_and_readable() {
    let Some(mut node) = start("420m", "small/data", "small/blobs") else { return };
    let (stored, refusal) = node.fill(420).await;
    assert!(refusal.contains("full") || refusal.contains("space"), "the cause is said: {refusal}");
    for attempt in 0..200 {
        let refused = node.put(stored + attempt).await;
        assert!(refused.is_err(), "attempt {attempt} after the disk was full");
    }
    for number in (0..stored).step_by(7) {
        node.assert_readable(number).await;
    }
    for number in 0..8 {
        let key = format!("object-{number}");
        node.client.delete_object().bucket("data").key(key).send().await.expect("DELETE");
    }
    let deadline = Instant::now() + FREED_MAX;
    while let Err(refusal) = node.put(stored).await {
        assert!(
            Instant::now() < deadline,
            "space was freed and writes are still refused: {refusal}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(node.child.try_wait().expect("a child of ours").is_none(), "the node stayed up");
}
