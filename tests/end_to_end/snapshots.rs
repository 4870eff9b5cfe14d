//! Catching up by snapshots: one whose way breaks goes on where it ended, and what arrives is what all others have.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use futures::{StreamExt, stream};
use rustix::process::Signal;
use vaultaire_tests::cluster::{BUCKET, Cluster};

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
    let files = std::fs::read_dir(data_dir.join("snapshots")).expect("a folder");
    let sizes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
    sizes.max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_whose_way_breaks_goes_on_where_it_ended() {
    let mut cluster = Cluster::with_peer_settings(3, SLOW);
    // Connections that are open are given up sooner than those that are only being made.
    put(&cluster, 0..PUTS_AT_ONCE).await;
    cluster.signal(3, Signal::STOP);
    put(&cluster, 0..OBJECTS).await;
    for node in [1, 2] {
        cluster.ask(node, &["cluster", "snapshot"]);
    }
    cluster.signal(3, Signal::CONT);
    // A third of what a shard's snapshot has.
    cluster.until("a snapshot arrives", |cluster| {
        arrived_bytes(&cluster.node(3).data_dir) > 600 << 10
    });
    cluster.signal(3, Signal::STOP);
    tokio::time::sleep(SILENCE).await;
    cluster.signal(3, Signal::CONT);
    cluster.until("it goes on", |cluster| {
        [1, 2].iter().any(|node| cluster.log(*node).contains("a snapshot that broke off goes on"))
    });
    cluster.until("it is installed", |cluster| {
        cluster.try_ask(1, &["cluster", "compare"]).status.success()
    });
    assert_eq!(arrived_bytes(&cluster.node(3).data_dir), 0, "nothing of it is left");
    let list = cluster.client(3).list_objects_v2().bucket(BUCKET).prefix("k-029").send().await;
    assert_eq!(list.expect("a list").contents().len(), 100);
    cluster.stop(3);
}
