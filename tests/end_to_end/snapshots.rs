//! Catching up by snapshots: one whose way breaks goes on where it ended, and what arrives is what all others have.

use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use futures::{StreamExt, stream};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use vaultaire_tests::cluster::{BUCKET, Cluster};
use vaultaire_tests::server::binary;

/// Rows of 2 KiB each: a snapshot of a shard has several chunks.
const OBJECTS: usize = 3000;
const PUTS_AT_ONCE: usize = 32;

/// A chunk in half a second.
const SLOW: &str = "snapshot_bytes_per_second = \"512KiB\"\n";

/// Longer than the others let a connection be silent.
const SILENCE: Duration = Duration::from_secs(6);

async fn put(cluster: &Cluster, numbers: Range<usize>) {
    let filler = "m".repeat(1900);
    let client = cluster.client(1);
    let puts = numbers.map(|number| {
        let put = client.put_object().bucket(BUCKET).key(format!("k-{number:05}"));
        let put = put.metadata("filler", &filler).body(ByteStream::from_static(b"x"));
        async move { put.send().await.map(|_| ()).expect("a PUT") }
    });
    stream::iter(puts).buffer_unordered(PUTS_AT_ONCE).collect::<Vec<()>>().await;
}

/// What has come of the snapshot that arrives at the moment.
fn arrived_bytes(data_dir: &Path) -> u64 {
    // Not there before the node has begun.
    let files = std::fs::read_dir(data_dir.join("snapshots")).into_iter().flatten();
    let sizes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
    sizes.max().unwrap_or_default()
}

/// Of five groups two nodes lead two each, and the third one; at first one node leads them all.
fn leads_are_spread(cluster: &Cluster) -> bool {
    let leads = |member: &Value| member["leads"].as_array().map_or(0, Vec::len);
    cluster.members(1).iter().all(|member| leads(member) <= 2)
}

/// A process that ends with its test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("it can be ended");
    }
}

/// Starts a node without waiting until it serves, which it does when it has caught up.
fn begin(cluster: &Cluster, number: usize) -> Server {
    let mut command = Command::new(binary());
    command.args(["--json", "server", "--config"]).arg(&cluster.node(number).config);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Server(command.spawn().expect("the binary that was built can be started"))
}

fn signal(server: &Server, signal: Signal) {
    kill_process(Pid::from_child(&server.0), signal).expect("a signal can be sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_whose_way_breaks_goes_on_where_it_ended() {
    let mut cluster = Cluster::with_peer_settings(3, SLOW);
    // A lead that moves meanwhile begins with a snapshot of its own, and goes on with none.
    cluster.until("the leads are spread", leads_are_spread);
    cluster.kill(3);
    put(&cluster, 0..OBJECTS).await;
    for node in [1, 2] {
        cluster.ask(node, &["cluster", "snapshot"]);
    }
    let third = begin(&cluster, 3);
    // A third of what a shard's snapshot has.
    cluster.until("a snapshot arrives", |cluster| {
        arrived_bytes(&cluster.node(3).data_dir) > 600 << 10
    });
    signal(&third, Signal::STOP);
    tokio::time::sleep(SILENCE).await;
    signal(&third, Signal::CONT);
    cluster.until("it goes on", |cluster| {
        [1, 2].iter().any(|node| cluster.log(*node).contains("a snapshot that broke off goes on"))
    });
    // It is asked when it has caught up: a node that is sent a snapshot in the place of the entry that asks has nothing to compare.
    cluster.until("it serves", |cluster| cluster.try_ask(3, &["status"]).status.success());
    cluster.ask(1, &["cluster", "compare"]);
    assert_eq!(arrived_bytes(&cluster.node(3).data_dir), 0, "nothing of it is left");
}
