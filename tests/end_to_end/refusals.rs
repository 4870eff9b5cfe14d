//! What a node refuses to start with: a specific error each, the next step in it, and nothing broken.

use std::net::TcpListener;
use std::path::Path;

use vaultaire_tests::server::{Options, Server};

use crate::console::{on, try_dev};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// Starts a node once, so that the directory is one of a cluster.
fn founded(data_dir: &Path) {
    let data_dir = Some(data_dir.to_owned());
    let mut server = Server::start(Options { data_dir, ..Options::default() });
    assert!(server.stop().success());
}

#[test]
fn a_port_in_use() {
    for flag in ["--s3-addr", "--admin-addr", "--http-addr"] {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = taken.local_addr().expect("an address").to_string();
        let data = folder();
        try_dev(&data.path().join("data"), &[flag, &addr]).refused(1, &[&addr, flag, "in use"]);
        drop(taken);
        // Nothing half-made was left: the same directory starts.
        founded(&data.path().join("data"));
    }
}

#[test]
fn a_directory_that_cannot_be_written() {
    let file = folder();
    let path = file.path().join("file");
    std::fs::write(&path, "mine").expect("a file can be written");
    try_dev(&path.join("data"), &[]).refused(1, &["cannot write", "--data-dir"]);
    try_dev(&path, &[]).refused(1, &["--data-dir"]);
    try_dev(Path::new("/proc/vaultaire"), &[]).refused(1, &["cannot write", "--data-dir"]);
}

#[test]
fn a_directory_in_use_by_another_process() {
    let server = Server::start(Options::default());
    let pid = server.pid().to_string();
    try_dev(server.data_dir(), &[]).refused(1, &["in use", &pid, "--data-dir"]);
    on(&server, &["status"]).done();
}

#[test]
fn a_directory_with_somebody_elses_files() {
    let data = folder();
    std::fs::write(data.path().join("thesis.tex"), "mine").expect("a file can be written");
    try_dev(data.path(), &[]).refused(1, &["thesis.tex", "--data-dir"]);
    let left: Vec<_> = std::fs::read_dir(data.path()).expect("a folder").collect();
    assert_eq!(left.len(), 1, "nothing was added");
}

#[test]
fn a_directory_of_a_newer_format() {
    let data = folder();
    founded(data.path());
    let path = data.path().join("identity.json");
    let text = std::fs::read_to_string(&path).expect("the identity");
    let newer = text.replace("\"format\": 1", "\"format\": 2");
    assert_ne!(newer, text);
    std::fs::write(&path, newer).expect("a file can be written");
    try_dev(data.path(), &[]).refused(1, &["format version 2", "newer release"]);
}

#[test]
fn a_directory_put_together_from_two_clusters() {
    let (one, two) = (folder(), folder());
    founded(one.path());
    founded(two.path());
    std::fs::copy(two.path().join("identity.json"), one.path().join("identity.json"))
        .expect("a file can be copied");
    try_dev(one.path(), &[]).refused(1, &["cluster"]);
}

#[test]
fn a_directory_whose_journal_is_gone() {
    let data = folder();
    founded(data.path());
    std::fs::remove_dir_all(data.path().join("journal")).expect("a folder can be removed");
    let refused = try_dev(data.path(), &[]);
    assert_eq!(refused.code, 1, "a lost journal must not become a new cluster: {refused:?}");
}

#[test]
fn a_directory_whose_secrets_cannot_be_opened() {
    let data = folder();
    founded(data.path());
    std::fs::remove_file(data.path().join("secrets.key")).expect("a file can be removed");
    try_dev(data.path(), &[]).refused(1, &["secrets.key", "restore it from a backup"]);
}

#[test]
fn a_backend_that_is_anothers() {
    let (one, two) = (folder(), folder());
    founded(one.path());
    founded(two.path());
    let hot = one.path().join("backends").join("hot");
    std::fs::remove_dir_all(&hot).expect("a folder can be removed");
    std::fs::rename(two.path().join("backends").join("hot"), &hot).expect("a folder can be moved");
    try_dev(one.path(), &[]).refused(1, &["the disk is lost, not empty"]);
}

#[test]
fn backends_of_which_none_can_be_reached() {
    let data = folder();
    founded(data.path());
    let backends = data.path().join("backends");
    std::fs::remove_dir_all(&backends).expect("a folder can be removed");
    for name in ["hot", "warm", "cold"] {
        std::fs::create_dir_all(backends.join(name)).expect("a folder can be made");
    }
    try_dev(data.path(), &[]).refused(1, &["cannot be reached", "the disk is lost, not empty"]);
}

#[test]
fn well_known_credentials_where_others_can_reach_them() {
    let data = folder();
    let secret = data.path().join("secret");
    std::fs::write(&secret, "minioadmin\n").expect("a file can be written");
    let secret = secret.to_string_lossy().into_owned();
    let path = data.path().join("data");
    try_dev(&path, &["--bucket", "No"]).refused(1, &["bucket No", "3 to 63"]);
    let extra =
        ["--access-key", "minioadmin", "--secret-key-file", &secret, "--s3-addr", "0.0.0.0:0"];
    try_dev(&path, &extra).refused(1, &["minioadmin", "well-known", "127.0.0.1"]);
    assert!(!path.exists(), "what is refused leaves no trace");
    let extra_args =
        ["--access-key", "minioadmin", "--secret-key-file", &secret].map(str::to_owned).into();
    let server = Server::start(Options { data_dir: Some(path), extra_args, ..Options::default() });
    assert_eq!(server.ready("access_key"), "minioadmin", "on loopback they are a choice");
}
