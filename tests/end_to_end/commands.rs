//! The commands against a running node, and against none.

use std::path::Path;

use vaultaire_tests::client::connect;
use vaultaire_tests::server::{Options, Server};

use crate::console::{on, run, vaultaire};

#[test]
fn buckets_are_created_listed_shown_and_deleted() {
    let server = Server::start(Options::default());
    let created = on(&server, &["bucket", "create", "photos", "--json"]).done().json();
    assert_eq!((&created["name"], &created["owner"]), (&"photos".into(), &"dev".into()));
    on(&server, &["bucket", "create", "photos"]).refused(1, &["photos"]);
    let list = on(&server, &["bucket", "list", "--json"]).done().json();
    let names: Vec<&str> = list["buckets"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(names, [server.bucket(), "photos"]);
    let info = on(&server, &["bucket", "info", "photos"]).done();
    assert!(info.stdout.contains("versioning  off"), "{}", info.stdout);
    let versioned =
        on(&server, &["bucket", "create", "history", "--versioned", "--json"]).done().json();
    assert_eq!(versioned["versioning"], "enabled");
    on(&server, &["bucket", "delete", "photos", "--json"]).done();
    on(&server, &["bucket", "info", "photos"]).refused(1, &["photos", "no such bucket"]);
    on(&server, &["bucket", "create", "No_Good"]).refused(1, &["invalid bucket name"]);
    on(&server, &["bucket", "create", "theirs", "--owner", "nobody"]).refused(1, &["no such user"]);
}

#[test]
fn every_change_leaves_a_line_in_the_log() {
    let server = Server::start(Options::default());
    on(&server, &["bucket", "create", "photos"]).done();
    on(&server, &["bucket", "delete", "photos"]).done();
    on(&server, &["key", "delete", "VTNONE"]).refused(1, &["no such access key"]);
    let log = server.log_tail();
    for words in [
        ["CreateBucket", "buckets/photos"],
        ["DeleteBucket", "buckets/photos"],
        ["DeleteKey", "keys/VTNONE"],
    ] {
        let said = |line: &str| words.iter().all(|word| line.contains(word)) && line.contains("id");
        assert!(log.lines().any(said), "{words:?} in {log}");
    }
}

#[tokio::test]
async fn a_bucket_with_objects_is_not_deleted() {
    let server = Server::start(Options::default());
    let put = server.client().put_object().bucket(server.bucket()).key("k");
    put.send().await.expect("PUT");
    on(&server, &["bucket", "delete", server.bucket()]).refused(1, &["not empty"]);
    let info = on(&server, &["bucket", "info", server.bucket(), "--json"]).done().json();
    assert_eq!((&info["objects"], &info["state"]), (&1.into(), &"open".into()));
    server.client().head_object().bucket(server.bucket()).key("k").send().await.expect("HEAD");
}

#[tokio::test]
async fn keys_work_from_their_first_second_until_they_are_deleted() {
    let server = Server::start(Options::default());
    let key = on(&server, &["key", "create", "--name", "alice", "--json"]).done().json();
    for field in ["name", "user_id", "access_key", "secret_key"] {
        assert!(key[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {key}");
    }
    let again = on(&server, &["key", "create", "--name", "alice", "--json"]).done().json();
    assert_eq!(again["user_id"], key["user_id"], "one user, two keys");
    assert_ne!(again["access_key"], key["access_key"]);
    let access_key = key["access_key"].as_str().expect("a text").to_owned();
    let secret_key = key["secret_key"].as_str().expect("a text").to_owned();
    let endpoint = vaultaire_tests::client::Endpoint {
        access_key: access_key.clone(),
        secret_key,
        ..server.endpoint()
    };
    let alice = connect(&endpoint);
    alice.create_bucket().bucket("alices").send().await.expect("alice creates a bucket");
    let list = on(&server, &["key", "list", "--name", "alice", "--json"]).done();
    assert!(
        list.stdout.contains(&access_key) && !list.stdout.contains("secret"),
        "{}",
        list.stdout
    );
    assert_eq!(list.json()["keys"].as_array().map(Vec::len), Some(2));
    on(&server, &["key", "delete", &access_key]).done();
    let refused = alice.list_buckets().send().await.expect_err("the key is gone");
    let code = refused.raw_response().map(|response| response.status().as_u16());
    assert_eq!(code, Some(403), "{refused:?}");
    on(&server, &["key", "delete", &access_key]).refused(1, &["no such access key"]);
    on(&server, &["key", "create", "--name", "a b"]).refused(1, &["user name"]);
}

#[test]
fn backends_are_listed_and_probed() {
    let server = Server::start(Options::default());
    let list = on(&server, &["backend", "list", "--json"]).done().json();
    let names: Vec<&str> = list["backends"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(names, ["hot", "warm", "cold"]);
    let check = on(&server, &["backend", "check", "warm", "--json"]).done().json();
    assert_eq!(check["ok"], true, "{check}");
    assert!(check["probes"].as_array().is_some_and(|probes| probes.len() >= 6), "{check}");
    on(&server, &["backend", "check", "tape"]).refused(1, &["tape", "vaultaire backend list"]);
}

#[tokio::test]
async fn status_tells_of_groups_journal_and_counts() {
    let server = Server::start(Options::default());
    let put =
        server.client().put_object().bucket(server.bucket()).key("k").body(vec![1; 100].into());
    put.send().await.expect("PUT");
    let status = on(&server, &["status", "--json"]).done().json();
    let groups = status["groups"].as_array().expect("a list");
    assert_eq!(groups.len(), 5, "control and four shards");
    assert!(groups.iter().all(|group| group["role"] == "leader"), "{status}");
    assert_eq!(
        (&status["counts"]["objects"], &status["counts"]["size_bytes"]),
        (&1.into(), &100.into())
    );
    assert!(status["journal"]["syncs"].as_u64().is_some_and(|syncs| syncs > 0), "{status}");
    let text = on(&server, &["status"]).done().stdout;
    assert!(text.contains("GROUP") && text.contains("hot"), "{text}");
}

#[test]
fn without_a_node_every_command_says_how_to_start_one() {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let absent = folder.path().join("absent");
    for line in [
        ["status", "--json", ""],
        ["bucket", "list", ""],
        ["key", "list", ""],
        ["backend", "list", ""],
        ["verify", "--json", ""],
        ["bucket", "delete", "photos"],
    ] {
        let words: Vec<&str> = line.into_iter().filter(|word| !word.is_empty()).collect();
        let mut command = vaultaire(&words);
        command.arg("--data-dir").arg(&absent);
        run(command).refused(3, &["no node is running", "vaultaire dev --data-dir"]);
    }
    assert!(!absent.exists(), "a question creates nothing");
}

#[test]
fn a_killed_node_counts_as_none() {
    let mut server = Server::start(Options::default());
    server.kill();
    on(&server, &["status"]).refused(3, &["no node is running"]);
}

#[test]
fn a_node_is_found_by_address_and_token_too() {
    let server = Server::start(Options::default());
    let token_file = server.data_dir().join("admin.token");
    let by_address = |token_file: &Path| {
        let mut command = vaultaire(&["status", "--json", "--admin", server.ready("admin_url")]);
        command.arg("--token-file").arg(token_file);
        run(command)
    };
    by_address(&token_file).done();
    let wrong = server.data_dir().with_extension("token");
    std::fs::write(&wrong, "not-the-token\n").expect("a file can be written");
    by_address(&wrong).refused(1, &["admin.token"]);
    run(vaultaire(&["status", "--admin", server.ready("admin_url")])).refused(2, &["--token-file"]);
}

#[test]
fn completions_are_printed_for_a_shell() {
    let script = run(vaultaire(&["completions", "bash"])).done().stdout;
    assert!(script.contains("_vaultaire") && script.contains("backend"), "{script}");
    run(vaultaire(&["completions", "tcsh"])).refused(2, &["tcsh"]);
}
