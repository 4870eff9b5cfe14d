//! Disks and nodes that are taken away, or lost: their objects get copies elsewhere, and nothing else changes for anybody.

use std::path::PathBuf;
use std::process::Output;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use serde_json::Value;
use vaultaire_tests::cluster::{BUCKET, Cluster};

const OBJECTS: usize = 24;

/// How often a disk that is new gets another chance to take objects. One round lasts about a second.
const FILLS_MAX: usize = 30;

fn key(number: usize) -> String {
    format!("object-{number}")
}

fn body(number: usize) -> Vec<u8> {
    format!("the bytes of object {number} ").repeat(100 * (number + 1)).into_bytes()
}

/// Small objects through every node, and one in parts.
async fn fill(cluster: &Cluster, nodes: &[usize]) {
    for number in 0..OBJECTS {
        let client = cluster.client(nodes[number % nodes.len()]);
        let put = client.put_object().bucket(BUCKET).key(key(number));
        put.body(ByteStream::from(body(number))).send().await.expect("a PUT");
    }
    let client = cluster.client(nodes[0]);
    let created = client.create_multipart_upload().bucket(BUCKET).key("parts").send().await;
    let upload = created.expect("an upload").upload_id.expect("an id");
    let mut completed = CompletedMultipartUpload::builder();
    for number in 1..=2 {
        let part = client.upload_part().bucket(BUCKET).key("parts").upload_id(&upload);
        let part = part.part_number(number).body(ByteStream::from(part_of(number))).send().await;
        let etag = part.expect("a part").e_tag.expect("a tag");
        completed =
            completed.parts(CompletedPart::builder().part_number(number).e_tag(etag).build());
    }
    let complete = client.complete_multipart_upload().bucket(BUCKET).key("parts");
    let complete = complete.upload_id(upload).multipart_upload(completed.build());
    complete.send().await.expect("a complete upload");
}

fn part_of(number: i32) -> Vec<u8> {
    let length = if number == 1 { 5 << 20 } else { 1000 };
    vec![u8::try_from(number).unwrap_or(0); length]
}

async fn all_is_there(cluster: &Cluster, node: usize) {
    let client = cluster.client(node);
    let get = async |key: &str| {
        let got = client.get_object().bucket(BUCKET).key(key).send().await;
        let got = got.unwrap_or_else(|error| panic!("{key} through node {node}: {error:?}"));
        got.body.collect().await.expect("a body").to_vec()
    };
    for number in 0..OBJECTS {
        assert_eq!(get(&key(number)).await, body(number), "{number} through node {node}");
    }
    let parts = [part_of(1), part_of(2)].concat();
    assert!(get("parts").await == parts, "the object in parts differs");
}

fn backends(cluster: &Cluster, asked: usize) -> Vec<Value> {
    cluster.ask(asked, &["backend", "list"])["backends"].as_array().expect("a list").clone()
}

/// The backend of a node that takes new objects, or is drained.
fn live_blobs(cluster: &Cluster, asked: usize, node: u64) -> Option<u64> {
    let of_node = |row: &&Value| row["node"].as_u64() == Some(node) && row["state"] != "lost";
    backends(cluster, asked).iter().find(of_node)?["live_blobs"].as_u64()
}

fn is_none_lost(cluster: &Cluster, asked: usize) -> bool {
    backends(cluster, asked).iter().all(|row| row["state"] != "lost")
}

fn disk(cluster: &Cluster, node: usize) -> PathBuf {
    cluster.node(node).config.with_file_name(format!("disk-{node}"))
}

fn wipe(folder: &PathBuf) {
    std::fs::remove_dir_all(folder).expect("a folder that is there");
    std::fs::create_dir(folder).expect("a folder can be made");
}

fn refused(ended: &Output, says: &str) {
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success(), "it was not refused");
    assert!(stderr.contains(says), "`{says}` is not said: {stderr}");
}

/// Every copy that a row names is there, with the right bytes, and nothing else is.
fn verified(cluster: &Cluster, asked: usize) {
    let checked = cluster.try_ask(asked, &["verify"]);
    let told = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{told} {}", String::from_utf8_lossy(&checked.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_lost_costs_no_object() {
    let mut cluster = Cluster::start(3);
    fill(&cluster, &[1, 2, 3]).await;
    cluster.kill(3);
    std::fs::remove_dir_all(disk(&cluster, 3)).expect("a folder that is there");
    // Only a leader knows who answers.
    let leads = |cluster: &Cluster, asked: usize| {
        cluster.members(asked)[2]["heard_ms_ago"].as_u64().is_some_and(|ago| ago > 3_000)
    };
    cluster.until("a leader misses node 3", |cluster| (1..=2).any(|asked| leads(cluster, asked)));
    let asked = if leads(&cluster, 1) { 1 } else { 2 };
    refused(&cluster.try_ask(asked, &["cluster", "remove", "3"]), "backend drain hot@3");
    cluster.ask(asked, &["cluster", "remove", "3", "--lost", "--dry-run"]);
    assert_eq!(cluster.members(asked)[2]["state"], "member", "nothing was changed");
    cluster.ask(asked, &["cluster", "remove", "3", "--lost"]);
    cluster.until("what node 3 had is copied", |cluster| is_none_lost(cluster, asked));
    let copies = u64::try_from(OBJECTS).expect("few") + 2;
    for node in [1, 2] {
        all_is_there(&cluster, node).await;
        let id = u64::try_from(node).expect("few");
        assert_eq!(live_blobs(&cluster, asked, id), Some(copies), "node {node} has all of them");
    }
    verified(&cluster, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_is_emptied_taken_away_and_replaced() {
    let mut cluster = Cluster::start(3);
    fill(&cluster, &[1, 2, 3]).await;
    refused(&cluster.try_ask(1, &["backend", "remove", "hot@3"]), "backend drain hot@3");
    cluster.ask(1, &["backend", "drain", "hot@3", "--dry-run"]);
    let drained = cluster.ask(1, &["backend", "drain", "hot@3", "--wait"]);
    assert_eq!((&drained["state"], &drained["live_blobs"]), (&"draining".into(), &0.into()));
    for node in 1..=3 {
        all_is_there(&cluster, node).await;
    }
    cluster.ask(1, &["backend", "remove", "hot@3"]);
    assert_eq!(live_blobs(&cluster, 1, 3), None);
    refused(&cluster.try_ask(1, &["backend", "activate", "hot@3"]), "there is no backend hot@3");
    cluster.stop(3);
    wipe(&disk(&cluster, 3));
    cluster.start_node(3);
    all_is_there(&cluster, 3).await;
    assert_eq!(live_blobs(&cluster, 1, 3), Some(0), "the new disk is a backend of its own");
    // It takes objects once its shards know it and its node has looked at them again, which it does every other second.
    let mut rounds = 0..FILLS_MAX;
    while live_blobs(&cluster, 1, 3) == Some(0) {
        assert!(rounds.next().is_some(), "the new disk takes nothing\n{}", cluster.logs());
        fill(&cluster, &[3]).await;
    }
    verified(&cluster, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_disk_is_given_up_and_its_node_goes_on_with_a_new_one() {
    let mut cluster = Cluster::start(3);
    fill(&cluster, &[1, 2, 3]).await;
    cluster.stop(3);
    wipe(&disk(&cluster, 3));
    let config = cluster.node(3).config.to_str().expect("a plain name").to_owned();
    let start = || crate::console::vaultaire(&["server", "--config", &config]).output();
    refused(&start().expect("a binary"), "the disk is lost, not empty");
    let losses = cluster.ask(1, &["backend", "losses", "hot@3"]);
    assert_eq!(losses["count"], 0, "every object has a copy on another node");
    let lost = cluster.ask(1, &["backend", "remove", "hot@3", "--lost", "--wait"]);
    assert_eq!(lost["live_blobs"], 0);
    cluster.until("the lost one is forgotten", |cluster| is_none_lost(cluster, 1));
    cluster.start_node(3);
    assert_eq!(live_blobs(&cluster, 3, 3), Some(0));
    for node in 1..=3 {
        all_is_there(&cluster, node).await;
    }
    verified(&cluster, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_says_how_many_copies_there_are_and_where() {
    let cluster = Cluster::in_zones(vec!["a", "a", "b"]);
    assert_eq!(cluster.members(1)[2]["zone"], "b");
    cluster.ask(1, &["bucket", "copies", BUCKET, "2", "--spread", "zone"]);
    fill(&cluster, &[1, 2, 3]).await;
    let held = |cluster: &Cluster| -> Vec<u64> {
        (1..=3).map(|node| live_blobs(cluster, 1, node).unwrap_or_default()).collect()
    };
    let all = u64::try_from(OBJECTS).expect("few") + 2;
    // Also of what was put before every node had heard of the others' zones.
    cluster.until("one copy is in each zone", |cluster| {
        let held = held(cluster);
        held[0] + held[1] == all && held[2] == all
    });
    refused(&cluster.try_ask(1, &["bucket", "copies", BUCKET, "6"]), "5 copies at most");
    cluster.ask(2, &["bucket", "copies", BUCKET, "3"]);
    cluster.until("every node has every object", |cluster| held(cluster) == vec![all; 3]);
    cluster.ask(3, &["bucket", "copies", BUCKET, "0"]);
    let sum = |cluster: &Cluster| held(cluster).iter().sum::<u64>();
    cluster.until("what is too much is let go of", |cluster| sum(cluster) == 2 * all);
    for node in 1..=3 {
        all_is_there(&cluster, node).await;
    }
    verified(&cluster, 2);
}
