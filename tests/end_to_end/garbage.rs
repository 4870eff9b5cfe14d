//! What is deleted, replaced or abandoned leaves the disk once its time has come, and nothing else does.

use std::path::Path;
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use vaultaire_tests::server::{Options, Server};

use crate::console::on;

const COLLECTED_MAX: Duration = Duration::from_secs(60);

fn quick() -> Options {
    let extra_args =
        ["--upload-grace", "1s", "--drain", "1s", "--resweep", "never"].map(str::to_owned);
    Options { extra_args: extra_args.into(), ..Options::default() }
}

/// The bytes of all files below a folder.
fn bytes_below(folder: &Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += bytes_below(&entry.path()),
            Ok(metadata) => bytes += metadata.len(),
            Err(_) => {}
        }
    }
    bytes
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + COLLECTED_MAX;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} took longer than {COLLECTED_MAX:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_and_deleted_bytes_are_collected() {
    const SIZE: usize = 300_000;
    let server = Server::start(quick());
    let (client, bucket) = (server.client(), server.bucket());
    for round in 0..4_u8 {
        for key in ["kept", "gone"] {
            let body = ByteStream::from(vec![round; SIZE]);
            client.put_object().bucket(bucket).key(key).body(body).send().await.expect("PUT");
        }
    }
    client.delete_object().bucket(bucket).key("gone").send().await.expect("DELETE");
    let hot = server.data_dir().join("backends").join("hot");
    assert!(bytes_below(&hot) > SIZE as u64);
    wait_until("garbage collection", || bytes_below(&hot) < 2 * SIZE as u64);
    let kept = client.get_object().bucket(bucket).key("kept").send().await.expect("GET");
    let body = kept.body.collect().await.expect("body").into_bytes();
    assert!(body.len() == SIZE && body.iter().all(|byte| *byte == 3));
    let verified = on(&server, &["verify", "--json"]).done().json();
    assert_eq!((&verified["objects"], &verified["ok"]), (&1.into(), &true.into()), "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_a_killed_life_that_no_row_knows_are_swept() {
    let mut server = Server::start(quick());
    let (client, bucket) = (server.client(), server.bucket().to_owned());
    client
        .put_object()
        .bucket(&bucket)
        .key("kept")
        .body(vec![7; 5000].into())
        .send()
        .await
        .expect("PUT");
    server.kill();
    let hot = server.data_dir().join("backends").join("hot");
    let known = newest_file(&hot).expect("the blob of the PUT");
    let orphan = known.with_file_name(sibling(&known));
    std::fs::copy(&known, &orphan).expect("a file can be copied");
    let server = server.restart();
    wait_until("the sweep", || !orphan.exists());
    assert!(known.exists());
    let verified = on(&server, &["verify", "--json"]).done().json();
    assert_eq!((&verified["objects"], &verified["unswept"]), (&1.into(), &0.into()), "{verified}");
}

#[tokio::test]
async fn verify_finds_lost_and_damaged_bytes() {
    let server = Server::start(Options::default());
    let (client, bucket) = (server.client(), server.bucket().to_owned());
    let hot = server.data_dir().join("backends").join("hot");
    let mut blobs = Vec::new();
    for key in ["sound", "lost", "damaged"] {
        client
            .put_object()
            .bucket(&bucket)
            .key(key)
            .body(vec![7; 5000].into())
            .send()
            .await
            .expect("PUT");
        blobs.push(newest_file(&hot).expect("the blob of the PUT"));
        // Files are told apart by the time at which they were made.
        std::thread::sleep(Duration::from_millis(20));
    }
    let sound = on(&server, &["verify", "--json"]).done().json();
    assert_eq!(sound["checked_bytes"], 15_000, "{sound}");
    std::fs::remove_file(&blobs[1]).expect("a file can be removed");
    let mut bytes = std::fs::read(&blobs[2]).expect("a blob");
    bytes[100] ^= 1;
    std::fs::write(&blobs[2], bytes).expect("a blob can be damaged");
    let found = on(&server, &["verify", "--json"]);
    assert_eq!(found.code, 1, "{found:?}");
    let found = found.json();
    assert_eq!(
        (&found["dangling"], &found["checksum_mismatches"]),
        (&1.into(), &1.into()),
        "{found}"
    );
    let mut keys: Vec<&str> = found["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|finding| finding["object_key"].as_str())
        .collect();
    keys.sort_unstable();
    assert_eq!(keys, ["damaged", "lost"]);
    let quick = on(&server, &["verify", "--json", "--no-checksums"]).json();
    assert_eq!(
        (&quick["dangling"], &quick["checksum_mismatches"]),
        (&1.into(), &0.into()),
        "{quick}"
    );
}

/// The file below a folder that was written last, the identity file aside.
fn newest_file(folder: &Path) -> Option<std::path::PathBuf> {
    let mut newest = None;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, metadata) = (entry.path(), entry.metadata().ok()?);
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.len() >= 5000 {
                let modified = metadata.modified().ok()?;
                if newest.as_ref().is_none_or(|(latest, _)| *latest < modified) {
                    newest = Some((modified, path));
                }
            }
        }
    }
    newest.map(|(_, path)| path)
}

/// The name of a blob of the same epoch with another number, as a crashed upload would leave it.
fn sibling(blob: &Path) -> String {
    let name = blob.file_name().and_then(|name| name.to_str()).expect("blob names are text");
    let (stem, seq) = name.rsplit_once(|last: char| !last.is_ascii_digit()).unwrap_or(("", name));
    let separator = &name[stem.len()..name.len() - seq.len()];
    format!(
        "{stem}{separator}{}",
        seq.parse::<u64>().expect("a blob name ends in its number") + 1_000
    )
}
