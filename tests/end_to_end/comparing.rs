//! Replicas are compared: equal ones are, one that went its own way is told of, and no command goes into the logs that a node of an
//! older release could not apply.

use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;
use vaultaire_tests::cluster::{BUCKET, Cluster, Role};

const COMPARE: [&str; 2] = ["cluster", "compare"];

/// Groups of a cluster: control and the shards.
const GROUPS: usize = 5;

async fn put(cluster: &Cluster, node: usize, objects: usize) {
    for number in 0..objects {
        let put = cluster.client(node).put_object().bucket(BUCKET).key(format!("{node}/{number}"));
        put.body(ByteStream::from_static(b"bytes")).send().await.expect("a PUT");
    }
}

/// Every node's rows of every group.
fn replicas(compared: &Value) -> Vec<&Value> {
    let groups = compared["groups"].as_array().expect("a list");
    assert_eq!(groups.len(), GROUPS);
    groups.iter().flat_map(|group| group["replicas"].as_array().expect("a list")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_went_its_own_way_is_told_of() {
    let mut cluster = Cluster::start(3);
    cluster.add(Role::Learner);
    cluster.settled();
    put(&cluster, 1, 20).await;
    let compared = cluster.ask(2, &COMPARE);
    let all = replicas(&compared);
    assert_eq!(all.len(), 4 * GROUPS, "the learner has all rows too");
    assert!(all.iter().all(|replica| replica["differs"] == false && replica["error"].is_null()));
    assert!(all.iter().all(|replica| replica["rows"].as_u64() > Some(0)));
    cluster.stop(3);
    let silent = cluster.try_ask(1, &COMPARE);
    let why = String::from_utf8_lossy(&silent.stderr).into_owned();
    assert!(!silent.status.success() && why.contains("node 3 does not answer"), "{why}");
    // It applies what it is sent with its own clock.
    cluster.start_faulty(3, ("VAULTAIRE_PLANT", "local-clock"));
    put(&cluster, 2, 20).await;
    let compared = cluster.try_ask(1, &COMPARE);
    let why = String::from_utf8_lossy(&compared.stderr).into_owned();
    assert_eq!(compared.status.code(), Some(1), "{why}");
    assert!(why.contains("node 3") && why.contains("vaultaire cluster remove"), "{why}");
    let compared: Value = serde_json::from_slice(&compared.stdout).expect("JSON");
    for replica in replicas(&compared) {
        assert_eq!(replica["differs"], replica["node"] == "3", "{replica}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_kind_of_command_waits_until_all_nodes_can_apply_it() {
    let mut cluster = Cluster::start(3);
    cluster.stop(3);
    cluster.start_faulty(3, ("VAULTAIRE_OLD_RELEASE", "1"));
    for node in 1..=3 {
        put(&cluster, node, 5).await;
        let refused = cluster.try_ask(node, &COMPARE);
        let why = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && why.contains("vaultaire info"), "{why}");
    }
    put(&cluster, 3, 5).await;
    cluster.stop(3);
    cluster.start_node(3);
    let compared = cluster.ask(1, &COMPARE);
    assert!(replicas(&compared).iter().all(|replica| replica["differs"] == false));
    // The logs have the new kind now: who cannot apply it must not begin to follow them.
    let (late, token) = (cluster.configure(), cluster.token());
    let refused = cluster.try_join_faulty(late, &token, ("VAULTAIRE_OLD_RELEASE", "1"));
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("install the release"), "{why}");
    let joined = cluster.try_join(late, &token, Role::Learner);
    assert!(joined.status.success(), "the token is not used up by a refusal");
}
