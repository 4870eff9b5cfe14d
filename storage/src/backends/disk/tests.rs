//! Tests of the disk as a whole: the shared suite, and what only a disk promises about crashes and concurrency.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;

use super::*;
use crate::backend::{collect, once};
use crate::conformance;

async fn open(path: &Path, expect: Expect) -> Result<Disk, Error> {
    Disk::open(Settings {
        id: BackendId(1),
        name: "disk".to_owned(),
        path: path.to_owned(),
        cluster: "c".to_owned(),
        expect,
    })
    .await
}

fn key(text: &str) -> BackendKey {
    BackendKey::parse(text).unwrap()
}

async fn put(disk: &Disk, name: &str, bytes: &'static [u8]) -> Result<Stored, Error> {
    disk.put(&key(name), &Attributes::default(), None, once(Bytes::from_static(bytes))).await
}

fn entries(path: &Path) -> usize {
    std::fs::read_dir(path).unwrap().count()
}

/// What dropped puts leave is removed in the background, soon.
async fn assert_incoming_empties(folder: &Path) {
    let incoming = folder.join("incoming");
    for _attempt in 0..100 {
        if entries(&incoming) == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{} unfinished bodies are left", entries(&incoming));
}

#[tokio::test]
async fn conforms() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(open(folder.path(), Expect::FreshOrOurs).await.unwrap());
    conformance::assert_conforms(disk, "t").await;
    assert_incoming_empties(folder.path()).await;
}

#[tokio::test]
async fn conforms_without_the_page_cache() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), Expect::FreshOrOurs).await.unwrap();
    disk.root.tries_cache.store(false, std::sync::atomic::Ordering::Relaxed);
    conformance::assert_conforms(Arc::new(disk), "t").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_on_several_threads() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(open(folder.path(), Expect::FreshOrOurs).await.unwrap());
    conformance::assert_conforms(disk, "t").await;
}

#[tokio::test]
async fn blobs_outlive_the_process_and_unfinished_bodies_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), Expect::FreshOrOurs).await.unwrap();
    put(&disk, "w/c/1/2/3", b"kept").await.unwrap();
    drop(disk);
    std::fs::write(folder.path().join("incoming/17"), "cut off by a crash").unwrap();
    let disk = open(folder.path(), Expect::Ours).await.unwrap();
    assert_eq!(entries(&folder.path().join("incoming")), 0);
    let object = disk.get(&key("w/c/1/2/3"), None).await.unwrap();
    assert_eq!(collect(object.stream).await.unwrap(), "kept");
}

#[tokio::test]
async fn a_disk_belongs_to_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), Expect::FreshOrOurs).await.unwrap();
    let second = open(folder.path(), Expect::Ours).await;
    assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
    drop(disk);
    open(folder.path(), Expect::Ours).await.unwrap();
}

#[tokio::test]
async fn a_lost_mount_is_noticed_while_running() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    let disk = open(&path, Expect::FreshOrOurs).await.unwrap();
    disk.check().await.unwrap();
    std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    let lost = disk.check().await.unwrap_err();
    assert!(matches!(lost, Error::IdentityMissing { .. }), "{lost:?}");
    let unmounted = open(&path, Expect::Ours).await.unwrap_err();
    assert!(matches!(unmounted, Error::IdentityMissing { .. }), "{unmounted:?}");
}

#[tokio::test]
async fn swept_epochs_leave_no_folders() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), Expect::FreshOrOurs).await.unwrap();
    for name in ["w/c/1/1/1/7/1", "w/c/1/1/1/7/2", "w/c/1/1/1/8/1"] {
        put(&disk, name, b"x").await.unwrap();
    }
    disk.delete(&key("w/c/1/1/1/7/1")).await.unwrap();
    assert!(folder.path().join("blobs/w/c/1/1/1/7").exists());
    disk.delete(&key("w/c/1/1/1/7/2")).await.unwrap();
    assert!(!folder.path().join("blobs/w/c/1/1/1/7").exists());
    disk.delete(&key("w/c/1/1/1/8/1")).await.unwrap();
    assert_eq!(entries(&folder.path().join("blobs")), 0);
}

/// A crash after a blob was unlinked: the repeated deletion does all that was left, the flush of the folder too.
#[tokio::test]
async fn a_deletion_that_was_cut_off_is_finished_when_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), Expect::FreshOrOurs).await.unwrap();
    put(&disk, "w/c/1/1/1/7/1", b"x").await.unwrap();
    drop(disk);
    std::fs::remove_file(folder.path().join("blobs/w/c/1/1/1/7/@1")).unwrap();
    let disk = open(folder.path(), Expect::Ours).await.unwrap();
    disk.delete(&key("w/c/1/1/1/7/1")).await.unwrap();
    assert_eq!(entries(&folder.path().join("blobs")), 0);
    disk.delete(&key("w/c/1/1/1/7/1")).await.unwrap();
    assert_eq!(entries(&folder.path().join("blobs")), 0, "looking made no folder");
}

/// Writers and deleters of one folder race: its removal never loses a write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn puts_survive_the_removal_of_their_folder() {
    const ROUNDS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), Expect::FreshOrOurs).await.unwrap();
    let churn = |lane: usize| {
        let disk = &disk;
        async move {
            for round in 0..ROUNDS {
                let name = format!("w/c/{}/{lane}-{round}", round % 2);
                put(disk, &name, b"x").await.unwrap();
                disk.head(&key(&name)).await.unwrap();
                disk.delete(&key(&name)).await.unwrap();
            }
        }
    };
    join_all((0..6).map(churn)).await;
    assert_eq!(disk.list("", None, 10).await.unwrap(), []);
    assert_eq!(entries(&folder.path().join("incoming")), 0);
}

#[tokio::test]
async fn a_blob_cut_short_on_disk_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), Expect::FreshOrOurs).await.unwrap();
    let size: u64 = 3 * 1024 * 1024;
    let body = once(Bytes::from(vec![1; size as usize]));
    disk.put(&key("w/c/1"), &Attributes::default(), Some(size), body).await.unwrap();
    let object = disk.get(&key("w/c/1"), None).await.unwrap();
    let file =
        std::fs::File::options().write(true).open(folder.path().join("blobs/w/c/@1")).unwrap();
    file.set_len(size / 2).unwrap();
    let error = collect(object.stream).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

/// A sender that stalls holds no thread: more of them than the disk has lanes, and it still serves.
#[tokio::test]
async fn stalled_senders_do_not_stop_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), Expect::FreshOrOurs).await.unwrap();
    let attributes = Attributes::default();
    let keys: Vec<_> = (0..300).map(|number| key(&format!("w/stalled/{number}"))).collect();
    let stalled = keys.iter().map(|key| {
        // So many chunks that the body is streamed, however small they are.
        let begun = (0..2000).map(|_| Ok(Bytes::from_static(b"x")));
        let body = futures::stream::iter(begun).chain(futures::stream::pending());
        disk.put(key, &attributes, None, Box::pin(body))
    });
    let stalled = join_all(stalled);
    let served = async {
        for number in 0..20 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            put(&disk, &format!("w/served/{number}"), b"x").await.unwrap();
        }
    };
    tokio::select! {
        _ = stalled => panic!("a stalled put ended"),
        () = served => {}
    }
    assert_eq!(disk.list("w/served/", None, 100).await.unwrap().len(), 20);
    assert_eq!(disk.list("w/stalled/", None, 100).await.unwrap(), []);
}
