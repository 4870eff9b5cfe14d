//! The safety brake as an operator meets it: a node whose configuration lets nearly nothing go says that deletions are
//! held, and lets them go when it is told to.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;
use vaultaire_tests::client::{Endpoint, connect};

use crate::console::{Ended, run, vaultaire};

const SIZE: usize = 5000;
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
data_dir = "data"
[s3]
addr = "127.0.0.1:0"
[admin]
addr = "127.0.0.1:0"
[http]
addr = "127.0.0.1:0"
[gc]
drain = "0s"
brake_percent = 0
brake_floor = "0B"
[first]
access_key = "BRAKE"
secret_key_file = "secret"
bucket = "data"
[backends.disk]
kind = "disk"
path = "blobs"
"#;

/// A node that is killed when a test ends, however it ends.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail only for a child that has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it on a folder; answers where its S3 port is.
fn start(folder: &Path) -> (Node, Endpoint) {
    std::fs::write(folder.join("secret"), "brake-secret\n").expect("a file can be written");
    std::fs::write(folder.join("vaultaire.toml"), CONFIG).expect("a file can be written");
    let mut command = vaultaire(&["server", "--json", "--config"]);
    let log = std::fs::File::create(folder.join("log")).expect("a log");
    command.arg(folder.join("vaultaire.toml")).stdout(Stdio::piped()).stderr(log);
    let mut node = Node(command.spawn().expect("the binary that was found can be started"));
    let stdout = node.0.stdout.take().expect("the child was spawned with a pipe");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("a ready line");
    let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
        panic!(
            "{error}: {line} {}",
            std::fs::read_to_string(folder.join("log")).unwrap_or_default()
        )
    });
    let endpoint = Endpoint {
        url: ready["s3_url"].as_str().expect("a URL").to_owned(),
        access_key: "BRAKE".to_owned(),
        secret_key: "brake-secret".to_owned(),
        ca_pem: None,
    };
    (node, endpoint)
}

fn on(folder: &Path, line: &[&str]) -> Ended {
    let mut command = vaultaire(line);
    command.arg("--data-dir").arg(folder.join("data"));
    run(command)
}

fn backend(folder: &Path) -> Value {
    on(folder, &["backend", "list", "--json"]).done().json()["backends"][0].clone()
}

/// How many files of an object's size lie below a folder.
fn blobs_below(folder: &Path) -> usize {
    let mut blobs = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => blobs += blobs_below(&entry.path()),
            Ok(metadata) => blobs += usize::from(metadata.len() >= SIZE as u64),
            Err(_) => {}
        }
    }
    blobs
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} took longer than {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_over_the_allowance_wait_for_an_operator() {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let folder = folder.path();
    let (_node, endpoint) = start(folder);
    let client = connect(&endpoint);
    for _ in 0..4 {
        let body = ByteStream::from(vec![7; SIZE]);
        client.put_object().bucket("data").key("k").body(body).send().await.expect("PUT");
    }
    wait_until("the brake", || !backend(folder)["held_deletions"].is_null());
    let shown = backend(folder);
    let held = &shown["held_deletions"];
    assert_eq!((&held["shards"], &held["allowed_bytes"]), (&1.into(), &0.into()), "{shown}");
    assert_eq!(held["deleted_bytes"], SIZE, "one that is larger than the allowance goes: {shown}");
    assert!(shown["released_until_ms"].is_null(), "{shown}");
    assert_eq!(blobs_below(&folder.join("blobs")), 3);
    for line in [["backend", "list"].as_slice(), &["status"]] {
        let text = on(folder, line).done().stdout;
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("deletions are held in 1 shard(s)"), "{text}");
        assert!(words.contains("`vaultaire backend release disk`"), "{text}");
    }
    let log = std::fs::read_to_string(folder.join("log")).expect("a log");
    assert_eq!(log.matches("deletions are held").count(), 1, "{log}");

    on(folder, &["backend", "release", "tape"]).refused(1, &["tape", "vaultaire backend list"]);
    assert!(!backend(folder)["held_deletions"].is_null());
    let released = on(folder, &["backend", "release", "disk", "--json"]).done().json();
    assert_eq!(released["name"], "disk");
    assert!(released["released_until_ms"].as_u64().is_some_and(|ms| ms > 0), "{released}");
    wait_until("what was held", || blobs_below(&folder.join("blobs")) == 1);
    let shown = backend(folder);
    assert!(shown["held_deletions"].is_null() && shown["released_until_ms"].is_u64(), "{shown}");
    let text = on(folder, &["backend", "release", "disk"]).done().stdout;
    assert!(text.contains("the safety brake is lifted on backend disk until"), "{text}");
    client.get_object().bucket("data").key("k").send().await.expect("what is alive stays");
}
