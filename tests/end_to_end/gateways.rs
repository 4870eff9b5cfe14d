//! Gateways: nodes without a log, rows or disks serve everything that the others do, whoever of those dies.

use std::process::Output;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use serde_json::Value;
use vaultaire_tests::cluster::{BUCKET, Cluster, Role};

async fn put(cluster: &Cluster, node: usize, key: &str, body: &str) {
    let put = cluster.client(node).put_object().bucket(BUCKET).key(key);
    let put = put.body(ByteStream::from(body.as_bytes().to_vec())).send().await;
    put.unwrap_or_else(|error| panic!("{key} through node {node}: {error:?}"));
}

async fn get(cluster: &Cluster, node: usize, key: &str) -> Vec<u8> {
    let got = cluster.client(node).get_object().bucket(BUCKET).key(key).send().await;
    let got = got.unwrap_or_else(|error| panic!("{key} through node {node}: {error:?}"));
    got.body.collect().await.expect("a body").to_vec()
}

fn refused(ended: &Output, says: &str) {
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success(), "it was not refused");
    assert!(stderr.contains(says), "`{says}` is not said: {stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_reads_what_was_written_a_moment_ago_and_outlives_whom_it_asks() {
    let mut cluster = Cluster::start(3);
    let gateway = cluster.add(Role::Gateway);
    cluster.settled();
    for round in 0..20 {
        let (there, here) = (format!("there-{round}"), format!("here-{round}"));
        put(&cluster, 1 + round % 3, "one", &there).await;
        assert_eq!(get(&cluster, gateway, "one").await, there.as_bytes());
        put(&cluster, gateway, "one", &here).await;
        assert_eq!(get(&cluster, 1 + (round + 1) % 3, "one").await, here.as_bytes());
    }
    let again = cluster.client(gateway).put_object().bucket(BUCKET).key("one").if_none_match("*");
    let refusal = again.send().await.expect_err("it is there").into_service_error();
    assert_eq!(refusal.code(), Some("PreconditionFailed"));
    for dead in 1..=3 {
        cluster.kill(dead);
        put(&cluster, gateway, &format!("without-{dead}"), "still").await;
        assert_eq!(get(&cluster, gateway, "one").await, b"here-19");
        // It begins with what it was told last, and one of those is dead.
        cluster.kill(gateway);
        cluster.start_node(gateway);
        put(&cluster, gateway, &format!("again-without-{dead}"), "still").await;
        cluster.start_node(dead);
    }
    let list = cluster.client(gateway).list_objects_v2().bucket(BUCKET).send().await;
    assert_eq!(list.expect("a list").contents().len(), 7);
    // What it wrote and what it left unfinished when it was killed is accounted for like everybody's.
    let verified = cluster.ask(gateway, &["verify"]);
    assert_eq!(verified["ok"], Value::from(true), "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_and_versions_are_made_and_listed_through_a_gateway() {
    let mut cluster = Cluster::start(3);
    let gateway = cluster.add(Role::Gateway);
    let client = cluster.client(gateway);
    client.create_bucket().bucket("made-here").send().await.expect("a bucket");
    let enabled = BucketVersioningStatus::Enabled;
    let enabled = VersioningConfiguration::builder().status(enabled).build();
    let versioning = client.put_bucket_versioning().bucket("made-here");
    versioning.versioning_configuration(enabled).send().await.expect("versions");
    for _ in 0..2 {
        let put = client.put_object().bucket("made-here").key("k");
        put.body(ByteStream::from_static(b"v")).send().await.expect("a PUT");
    }
    client.delete_object().bucket("made-here").key("k").send().await.expect("a marker");
    let listed = cluster.client(2).list_object_versions().bucket("made-here").send().await;
    let elsewhere = listed.expect("a list");
    let listed = client.list_object_versions().bucket("made-here").send().await.expect("a list");
    assert_eq!((listed.versions().len(), listed.delete_markers().len()), (2, 1));
    assert_eq!(listed.versions(), elsewhere.versions());
    let upload = client.create_multipart_upload().bucket("made-here").key("large").send().await;
    let upload = upload.expect("an upload").upload_id.expect("its id");
    let part = client.upload_part().bucket("made-here").key("large").part_number(1);
    part.upload_id(&upload).body(ByteStream::from_static(b"p")).send().await.expect("a part");
    let parts = client.list_parts().bucket("made-here").key("large").upload_id(&upload);
    assert_eq!(parts.send().await.expect("a list").parts().len(), 1);
    let uploads = client.list_multipart_uploads().bucket("made-here").send().await;
    assert_eq!(uploads.expect("a list").uploads().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_cannot_be_or_do_is_said() {
    let mut cluster = Cluster::start(3);
    let gateway = cluster.add(Role::Gateway);
    cluster.settled();
    let (with_disk, token) = (cluster.configure(), cluster.token());
    refused(&cluster.try_join(with_disk, &token, Role::Gateway), "nothing that could be lost");
    let name = gateway.to_string();
    assert_eq!(cluster.members(1).last().map(|row| &row["role"]), Some(&Value::from("gateway")));
    refused(&cluster.try_ask(1, &["cluster", "promote", &name]), "no log to vote with");
    refused(&cluster.try_ask(gateway, &["cluster", "compare"]), "is a gateway");
    refused(&cluster.try_ask(gateway, &["cluster", "snapshot"]), "is a gateway");
    let compared = cluster.ask(1, &["cluster", "compare"]);
    let groups = compared["groups"].as_array().expect("a list");
    assert!(groups.iter().all(|group| group["replicas"].as_array().map(Vec::len) == Some(3)));
    put(&cluster, gateway, "kept", "kept").await;
    cluster.ask(gateway, &["cluster", "remove", &name]);
    cluster.settled();
    let late = cluster.client(gateway).put_object().bucket(BUCKET).key("late").send().await;
    assert!(late.is_err(), "a node that was removed writes nothing");
    assert_eq!(get(&cluster, 2, "kept").await, b"kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_waits_until_all_nodes_know_what_one_is() {
    let mut cluster = Cluster::start(3);
    cluster.stop(3);
    cluster.start_faulty(3, ("VAULTAIRE_OLD_RELEASE", "1"));
    let (number, token) = (cluster.configure_as(Role::Gateway), cluster.token());
    refused(&cluster.try_join(number, &token, Role::Gateway), "vaultaire info");
    cluster.stop(3);
    cluster.start_node(3);
    let joined = cluster.try_join(number, &token, Role::Gateway);
    assert!(joined.status.success(), "the token is not used up by a refusal");
}
