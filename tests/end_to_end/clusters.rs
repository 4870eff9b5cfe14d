//! Clusters of real processes: how one is formed, what any node serves, what a death costs, and what is refused.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;
use vaultaire_tests::client::{Endpoint, connect};
use vaultaire_tests::cluster::{BUCKET, Cluster, Role};
use vaultaire_tests::process::Process;

async fn put(cluster: &Cluster, node: usize, key: &str, body: &'static [u8]) {
    let client = cluster.client(node);
    let put = client.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(body));
    put.send().await.unwrap_or_else(|error| panic!("{key} through node {node}: {error:?}"));
}

async fn get(cluster: &Cluster, node: usize, key: &str) -> Vec<u8> {
    let client = cluster.client(node);
    let got = client.get_object().bucket(BUCKET).key(key).send().await;
    let got = got.unwrap_or_else(|error| panic!("{key} through node {node}: {error:?}"));
    got.body.collect().await.expect("a body").to_vec()
}

/// Which node leads the control group, as another one knows.
fn leader(cluster: &Cluster, asked: usize) -> usize {
    let leads = |member: &&Value| {
        member["leads"].as_array().is_some_and(|leads| leads.contains(&Value::from("0")))
    };
    let members = cluster.members(asked);
    let leader = members.iter().find(leads).expect("a leader");
    leader["node"].as_str().and_then(|id| id.parse().ok()).expect("a node id")
}

fn refused(ended: &Output, says: &str) {
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success(), "it was not refused");
    assert!(stderr.contains(says), "`{says}` is not said: {stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_serves_everything_and_a_dead_leader_is_replaced() {
    let mut cluster = Cluster::start(3);
    for node in 1..=3 {
        put(&cluster, node, &format!("through-{node}"), b"hello").await;
    }
    for node in 1..=3 {
        for of in 1..=3 {
            assert_eq!(get(&cluster, node, &format!("through-{of}")).await, b"hello");
        }
    }
    let dead = leader(&cluster, 1);
    let alive: Vec<usize> = (1..=3).filter(|node| *node != dead).collect();
    cluster.kill(dead);
    for node in &alive {
        put(&cluster, *node, &format!("without-leader-{node}"), b"still").await;
    }
    cluster.start_node(dead);
    for node in &alive {
        assert_eq!(get(&cluster, dead, &format!("without-leader-{node}")).await, b"still");
    }
    let list = cluster.client(dead).list_objects_v2().bucket(BUCKET).send().await.expect("a list");
    let keys: BTreeSet<&str> = list.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(keys.len(), 5, "{keys:?}");
}

#[test]
fn every_node_says_how_it_is_doing_and_a_dead_one_is_told_of() {
    let mut cluster = Cluster::start(3);
    let told = cluster.ask(2, &["info"]);
    let nodes = told["nodes"].as_array().expect("nodes");
    assert_eq!(nodes.len(), 3, "{told}");
    let mut led = BTreeSet::new();
    for node in nodes {
        assert_eq!((&node["error"], &node["role"]), (&Value::Null, &"voter".into()), "{told}");
        assert!(node["disk_free_bytes"].as_u64() > Some(0), "{told}");
        assert!(node["behind_entries"].is_u64() && node["uptime_ms"].as_u64() > Some(0), "{told}");
        let leads = node["leads"].as_array().expect("groups").iter();
        led.extend(leads.map(Value::to_string));
    }
    assert_eq!(led.len(), 5, "each group is led by somebody: {told}");
    cluster.kill(3);
    let told = cluster.ask(1, &["info"]);
    let errors: Vec<bool> = told["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| node["error"].is_string())
        .collect();
    assert_eq!(errors, [false, false, true], "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minority_refuses_writes_and_loses_nothing() {
    let mut cluster = Cluster::start(3);
    put(&cluster, 1, "before", b"kept").await;
    cluster.kill(2);
    cluster.kill(3);
    let config = cluster.client(1).config().to_builder();
    // The SDK would try for minutes.
    let client =
        aws_sdk_s3::Client::from_conf(config.retry_config(RetryConfig::disabled()).build());
    let body = ByteStream::from_static(b"lost?");
    let put_alone = client.put_object().bucket(BUCKET).key("alone").body(body).send().await;
    let error = put_alone.expect_err("no majority is there");
    let status = error.raw_response().map(|response| response.status().as_u16());
    assert_eq!(status, Some(503), "{error:?}");
    cluster.start_node(2);
    put(&cluster, 1, "after", b"again").await;
    assert_eq!(get(&cluster, 2, "before").await, b"kept");
    assert_eq!(get(&cluster, 2, "after").await, b"again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_after_the_log_was_shortened_gets_a_snapshot() {
    let mut cluster = Cluster::start(1);
    for number in 0..40 {
        put(&cluster, 1, &format!("early-{number}"), b"kept").await;
    }
    cluster.ask(1, &["cluster", "snapshot"]);
    let index = |cluster: &Cluster, node: usize, name: &str| -> Vec<u64> {
        let status = cluster.ask(node, &["status"]);
        let groups = status["groups"].as_array().expect("a list").iter();
        groups.map(|group| group[name].as_u64().unwrap_or(0)).collect()
    };
    let purged = index(&cluster, 1, "purged_index");
    assert!(purged.iter().all(|purged| *purged > 0), "no log was shortened: {purged:?}");
    let second = cluster.add(Role::Voter);
    cluster.settled();
    let installed = index(&cluster, second, "snapshot_index");
    for (installed, purged) in installed.iter().zip(&purged) {
        assert!(installed >= purged, "what was purged can only come by snapshot: {installed:?}");
    }
    for number in 0..40 {
        assert_eq!(get(&cluster, second, &format!("early-{number}")).await, b"kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_runs_a_cluster_on_one_machine() {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let start = || {
        let mut command = crate::console::vaultaire(&["dev", "--json", "--nodes", "2"]);
        command.args(["--learners", "1", "--data-dir"]).arg(folder.path().join("data"));
        for surface in ["--s3-addr", "--admin-addr", "--http-addr"] {
            command.args([surface, "127.0.0.1:0"]);
        }
        Process::start(command, &folder.path().join("log"))
    };
    let client = |dev: &Process, node: usize| {
        let url = dev.ready_line()["nodes"][node]["s3_url"].as_str().expect("an address");
        connect(&Endpoint {
            url: url.to_owned(),
            access_key: dev.ready("access_key").to_owned(),
            secret_key: dev.ready("secret_key").to_owned(),
            ca_pem: None,
        })
    };
    let mut dev = start();
    assert_eq!(dev.ready_line()["nodes"].as_array().map(Vec::len), Some(3));
    let body = ByteStream::from_static(b"hello");
    let put = client(&dev, 2).put_object().bucket("dev").key("k").body(body).send().await;
    put.expect("the learner takes writes");
    assert!(dev.stop().success());
    // The same cluster again, from its files.
    let mut dev = start();
    let got = client(&dev, 0).get_object().bucket("dev").key("k").send().await.expect("an object");
    assert_eq!(got.body.collect().await.expect("a body").to_vec(), b"hello");
    // However it ends, its nodes end with it.
    let pids: Vec<i64> =
        (0..3).filter_map(|at| dev.ready_line()["nodes"][at]["pid"].as_i64()).collect();
    assert_eq!(pids.len(), 3);
    dev.kill();
    let deadline = Instant::now() + Duration::from_secs(60);
    while pids.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
        assert!(Instant::now() < deadline, "nodes of a killed `dev` go on: {pids:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_removed_whose_vote_is_needed() {
    let mut cluster = Cluster::start(3);
    cluster.kill(3);
    // Any node can tell who is left: it asks them.
    let asked = 1 + usize::from(leader(&cluster, 1) == 1);
    let other = (3 - asked).to_string();
    refused(&cluster.try_ask(asked, &["cluster", "remove", &other]), "no majority");
    refused(&cluster.try_ask(asked, &["cluster", "demote", &other]), "no majority");
    let gone = cluster.try_ask(asked, &["cluster", "remove", "3", "--lost"]);
    assert!(gone.status.success(), "{}", String::from_utf8_lossy(&gone.stderr));
    put(&cluster, 1, "k", b"still").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_longer_is_listed_and_can_be_waited_for() {
    let mut cluster = Cluster::start(3);
    let under_way = |cluster: &Cluster, node: usize| -> Vec<Value> {
        let listed = cluster.ask(node, &["operations"]);
        listed["operations"].as_array().expect("a list").clone()
    };
    assert_eq!(under_way(&cluster, 1), Vec::<Value>::new());
    // One that is let in and does not come: it cannot catch up, so it gets no vote.
    let (late, token) = (cluster.configure(), cluster.token());
    assert!(cluster.try_join(late, &token, Role::Voter).status.success());
    let listed = under_way(&cluster, 2);
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((&listed[0]["operation"], &listed[0]["kind"]), (&"nodes/4".into(), &"join".into()));
    assert_eq!((&listed[0]["done"], &listed[0]["left"]), (&false.into(), &Value::Null));
    cluster.start_node(late);
    let waited = cluster.ask(3, &["operations", "wait", "nodes/4"]);
    assert_eq!((&waited["operation"], &waited["done"]), (&"nodes/4".into(), &true.into()));
    assert_eq!(cluster.members(1)[3]["state"], "member");
    assert_eq!(under_way(&cluster, late), Vec::<Value>::new());
    refused(&cluster.try_ask(1, &["operations", "wait", "nodes/9"]), "no such node");
    refused(&cluster.try_ask(1, &["operations", "wait", "everything"]), "operations/nodes/4");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_change_and_go() {
    let mut cluster = Cluster::start(2);
    let third = cluster.add(Role::Learner);
    cluster.settled();
    put(&cluster, third, "through-a-learner", b"hello").await;
    // Any node can be asked to wait for the end.
    let promoted = cluster.ask(2, &["cluster", "promote", "3", "--wait"]);
    assert_eq!((&promoted["role"], &promoted["state"]), (&"voter".into(), &"member".into()));
    let roles = |cluster: &Cluster| -> Vec<Value> {
        cluster.members(1).iter().map(|member| member["role"].clone()).collect()
    };
    assert_eq!(roles(&cluster), ["voter", "voter", "voter"]);
    cluster.ask(1, &["backend", "drain", "hot@2", "--wait"]);
    let removed = cluster.ask(1, &["cluster", "remove", "2", "--wait"]);
    assert_eq!(removed["state"], "removed", "{removed}");
    assert_eq!(get(&cluster, third, "through-a-learner").await, b"hello");
    // Removed for ever: not under its old id, however intact its data directory is.
    cluster.kill(2);
    let again = cluster.try_ask(1, &["cluster", "promote", "2"]);
    refused(&again, "was removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_join_says_why() {
    let mut cluster = Cluster::start(1);
    let config = |cluster: &Cluster, node: usize| {
        cluster.node(node).config.to_str().expect("a plain name").to_owned()
    };
    let init = |config: &str| cluster_command(&["cluster", "init", "--config", config]);
    refused(&init(&config(&cluster, 1)), "in use by process");
    let second = cluster.configure();
    let wrong = format!("vjt1-{}", "0".repeat(96));
    refused(&cluster.try_join(second, &wrong, Role::Voter), "belongs to another cluster");
    refused(&cluster.try_join(second, "hello", Role::Voter), "is no join token");
    let token = cluster.token();
    let mut forged = token.clone();
    forged.replace_range(token.len() - 8.., "00000000");
    refused(&cluster.try_join(second, &forged, Role::Voter), "unknown or has expired");
    assert!(cluster.try_join(second, &token, Role::Voter).status.success());
    refused(&cluster.try_join(second, &token, Role::Voter), "is node 2 of cluster");
    refused(&init(&config(&cluster, 2)), "is node 2 of cluster");
    let third = cluster.configure();
    refused(&cluster.try_join(third, &token, Role::Voter), "used already");
    let other = cluster.token();
    refused(&cluster.try_join(third, &other, Role::Voter), "another change of the membership");
    cluster.start_node(second);
    cluster.settled();
    // An old id on an empty directory would vote twice.
    cluster.kill(second);
    for lost in ["journal", "tables"] {
        std::fs::remove_dir_all(cluster.node(second).data_dir.join(lost)).expect("a folder");
    }
    let config = config(&cluster, second);
    refused(&cluster_command(&["server", "--config", &config]), "let it join again");
}

fn cluster_command(line: &[&str]) -> Output {
    crate::console::vaultaire(line).output().expect("the binary that was found can be started")
}
