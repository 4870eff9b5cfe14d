//! The store on a real disk: what is applied is there after a reopen, and half-made installs are not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use vaultaire_proto::GroupId;
use vaultaire_proto::tables::{Pair, Reader, Tables};

use super::meta::{Applied, Meta};
use super::stream::{Chunks, Rows};
use super::table::Table;
use super::view::View;
use super::writer::{Outcome, Work};
use super::*;
use crate::advice;

const GROUP: GroupId = GroupId(2);

fn meta(index: u64) -> Meta {
    Meta { applied: Some(Applied { term: 1, index }), installed: None, membership: vec![7; 3] }
}

fn put(index: u64, key: &str, value: &str) -> Work {
    let (key, value) = (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    Box::new(move |tables| {
        tables.put(key, value);
        Outcome { meta: meta(index), then: Box::new(|| {}) }
    })
}

fn rows(table: &Table) -> Vec<(String, String)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    table.view().rows().map(|(key, value)| (text(key), text(value))).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A store, and what the library beneath says of it.
struct Opened {
    store: Store,
    database: fjall::Database,
}

fn open(folder: &Path) -> (Opened, Arc<Table>) {
    let engine = OnDisk::open(folder).unwrap();
    let database = engine.database.clone();
    let store = Store::over(Arc::new(engine), folder, Place::Threads).unwrap();
    let table = store.table(GROUP).unwrap();
    (Opened { store, database }, table)
}

fn close(opened: Opened, table: Arc<Table>) {
    drop(table);
    tokio::task::block_in_place(|| opened.store.close());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_how_far_they_are_survive_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let (store, table) = open(folder.path());
    assert_eq!(table.applied(), None);
    let before = table.view();
    table.apply(put(0, "a", "1")).await.unwrap();
    table.apply(put(1, "b", "2")).await.unwrap();
    assert_eq!(table.applied(), Some(Applied { term: 1, index: 1 }));
    assert_eq!(before.rows().count(), 0, "a view does not change");
    drop(before);
    close(store, table);

    let (store, table) = open(folder.path());
    assert_eq!(rows(&table), pairs(&[("a", "1"), ("b", "2")]));
    assert_eq!(table.meta_of(&table.view()).unwrap(), meta(1));
    assert_eq!(table.applied(), Some(Applied { term: 1, index: 1 }));
    close(store, table);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_go_out_after_readers_can_see_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (store, table) = open(folder.path());
    let (tell, told) = tokio::sync::oneshot::channel();
    let reader = Arc::clone(&table);
    let work: Work = Box::new(move |tables| {
        tables.put(b"k".to_vec(), b"v".to_vec());
        let then = Box::new(move || {
            let seen = (reader.view().get(b"k").is_some(), reader.applied());
            let _ = tell.send(seen);
        });
        Outcome { meta: meta(9), then }
    });
    table.apply(work).await.unwrap();
    assert_eq!(told.await.unwrap(), (true, Some(Applied { term: 1, index: 9 })));
    table.wait_applied(9).await.unwrap();
    close(store, table);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_takes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let (store, table) = open(folder.path());
    tokio::task::block_in_place(|| store.store.close());
    assert!(table.apply(put(0, "a", "1")).await.is_err());
    drop((store, table));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_install_replaces_everything_and_is_used_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (store, table) = open(folder.path());
    table.apply(put(0, "a", "old")).await.unwrap();
    table.apply(put(1, "z", "old")).await.unwrap();
    let old = table.view();
    let pair =
        |key: &'static str| -> Result<Pair, Error> { Ok((Bytes::from(key), Bytes::from("new"))) };
    table.install(&meta(50), [pair("a"), pair("b")].into_iter()).unwrap();
    assert_eq!(rows(&table), pairs(&[("a", "new"), ("b", "new")]));
    assert_eq!(old.get(b"z").unwrap(), Bytes::from("old"), "readers of the old rows keep them");
    assert_eq!(table.applied(), Some(Applied { term: 1, index: 50 }));
    drop(old);
    table.apply(put(51, "c", "newer")).await.unwrap();
    close(store, table);

    let (store, table) = open(folder.path());
    assert_eq!(rows(&table), pairs(&[("a", "new"), ("b", "new"), ("c", "newer")]));
    assert_eq!(table.meta_of(&table.view()).unwrap(), meta(51));
    let names = store.database.list_keyspace_names().len();
    assert_eq!(names, 1, "the old keyspace is gone");
    close(store, table);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_before_an_install_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, table) = open(folder.path());
    let copied = |index| -> Work {
        Box::new(move |tables| {
            let found = tables.get(b"a").unwrap_or_default();
            tables.put(b"copy".to_vec(), found.to_vec());
            Outcome { meta: meta(index), then: Box::new(|| {}) }
        })
    };
    table.apply(copied(0)).await.unwrap();
    table.apply(put(1, "a", "1")).await.unwrap();
    table.apply(copied(2)).await.unwrap();
    assert_eq!(rows(&table), pairs(&[("a", "1"), ("copy", "1")]));
    let other: Pair = (Bytes::from_static(b"a"), Bytes::from_static(b"2"));
    table.install(&meta(50), std::iter::once(Ok(other))).unwrap();
    table.apply(copied(51)).await.unwrap();
    assert_eq!(rows(&table), pairs(&[("a", "2"), ("copy", "2")]));
    close(store, table);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_install_that_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, table) = open(folder.path());
    table.apply(put(3, "a", "old")).await.unwrap();
    let row =
        |key: &'static str| -> Result<Pair, Error> { Ok((Bytes::from(key), Bytes::from("new"))) };
    let error = table.install(&meta(9), [row("b"), row("a")].into_iter()).unwrap_err();
    assert!(error.to_string().contains("not in order"), "{error}");
    assert_eq!(rows(&table), pairs(&[("a", "old")]));
    table.install(&meta(9), [row("c")].into_iter()).unwrap();
    assert_eq!(rows(&table), pairs(&[("c", "new")]));
    close(store, table);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_made_install_is_ignored_and_a_lost_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (store, table) = open(folder.path());
    table.apply(put(0, "a", "1")).await.unwrap();
    let half = store.database.keyspace("group-2-2", Default::default).unwrap();
    half.insert("a", "half").unwrap();
    drop(half);
    close(store, table);

    let (store, table) = open(folder.path());
    assert_eq!(rows(&table), pairs(&[("a", "1")]));
    assert_eq!(store.database.list_keyspace_names().len(), 1);
    close(store, table);

    pointer::write(folder.path(), GROUP, 7).unwrap();
    let store = Store::open(folder.path()).unwrap();
    let error = store.table(GROUP).unwrap_err().to_string();
    assert!(error.contains("install 7") && error.contains(advice::RESTORE), "{error}");
    drop(store);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_pointer_is_gone_are_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (store, table) = open(folder.path());
    table.apply(put(0, "a", "1")).await.unwrap();
    close(store, table);
    let file = pointer::path(folder.path(), GROUP);
    let aside = folder.path().join("aside");
    std::fs::rename(&file, &aside).unwrap();

    for _ in 0..2 {
        let store = Store::open(folder.path()).unwrap();
        let error = store.table(GROUP).err().unwrap();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(advice::RESTORE), "{error}");
    }

    std::fs::rename(&aside, &file).unwrap();
    let (store, table) = open(folder.path());
    assert_eq!(rows(&table), pairs(&[("a", "1")]));
    close(store, table);
}

/// A start that ended before the first pointer was written left a keyspace without a row.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_keyspace_without_a_pointer_is_a_start_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let (store, table) = open(folder.path());
    close(store, table);
    std::fs::remove_file(pointer::path(folder.path(), GROUP)).unwrap();
    let (store, table) = open(folder.path());
    assert_eq!(table.applied(), None);
    close(store, table);
}

/// The rows' own journal, and its bytes.
fn journal(folder: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let files = std::fs::read_dir(folder.join("rows")).unwrap().map(|entry| entry.unwrap().path());
    let journals: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "jnl")).collect();
    let [path] = &journals[..] else { panic!("{journals:?}") };
    (path.clone(), std::fs::read(path).unwrap())
}

/// Zeros where `text` was, as a block that never reached the disk reads.
fn blank(bytes: &mut [u8], text: &str) {
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    bytes[at..at + text.len()].fill(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_the_disk_lost_is_cut_off_and_filled_in_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, table) = open(folder.path());
    let all = [(0, "a", "first-value"), (1, "b", "second-value"), (2, "c", "third-value")];
    for (index, key, value) in all {
        table.apply(put(index, key, value)).await.unwrap();
    }
    close(store, table);
    let (path, mut bytes) = journal(folder.path());
    blank(&mut bytes, "second-value");
    std::fs::write(&path, &bytes).unwrap();

    let (store, table) = open(folder.path());
    assert_eq!(rows(&table), pairs(&[("a", "first-value")]));
    assert_eq!(table.applied(), Some(Applied { term: 1, index: 0 }));
    let mut names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let kept = names.find(|path| path.to_string_lossy().contains(".damaged-")).unwrap();
    assert_eq!(std::fs::read(kept).unwrap(), bytes, "what it was is kept");
    for (index, key, value) in &all[1..] {
        table.apply(put(*index, key, value)).await.unwrap();
    }
    close(store, table);
    let (store, table) = open(folder.path());
    assert_eq!(rows(&table), all.map(|(_, key, value)| (key.to_owned(), value.to_owned())));
    close(store, table);
}

fn stream(view: &View, meta: &Meta) -> Vec<Bytes> {
    Chunks::new(view, meta).collect()
}

fn read(chunks: Vec<Bytes>) -> Result<(Meta, Vec<Pair>), Error> {
    let (meta, rows) = Rows::open(chunks.into_iter().map(Ok))?;
    Ok((meta, rows.collect::<Result<Vec<_>, _>>()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_arrives_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (store, table) = open(folder.path());
    let large = "x".repeat(stream::CHUNK_BYTES / 3);
    for index in 0..10_u64 {
        table.apply(put(index, &format!("key-{index}"), &large)).await.unwrap();
    }
    let view = table.view();
    let chunks = stream(&view, &meta(9));
    assert!(chunks.len() > 4, "several chunks are needed to cut between them");
    let (found, pairs) = read(chunks.clone()).unwrap();
    assert_eq!(found, meta(9));
    assert!(pairs.into_iter().eq(view.rows()));
    for cut in 0..chunks.len() {
        assert!(read(chunks[..cut].to_vec()).is_err(), "cut before chunk {cut}");
        let mut without = chunks.clone();
        without.remove(cut);
        assert!(read(without).is_err(), "without chunk {cut}");
        let mut flipped = chunks.clone();
        let mut bytes = flipped[cut].to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 0x40;
        flipped[cut] = Bytes::from(bytes);
        assert!(read(flipped).is_err(), "bit flipped in chunk {cut}");
    }
    let mut swapped = chunks.clone();
    swapped.swap(1, 2);
    assert!(read(swapped).is_err());
    drop(view);
    close(store, table);
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    let key = || prop::collection::vec(0_u8..4, 1..3);
    prop_oneof![
        key().prop_map(Bound::Included),
        key().prop_map(Bound::Excluded),
        Just(Bound::Unbounded)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Views on disk agree with an ordered map, whatever the bounds, and never show the reserved row.
    #[test]
    fn a_view_is_a_table(
        rows in prop::collection::btree_map(prop::collection::vec(1_u8..4, 1..3), any::<Vec<u8>>(), 0..20),
        ranges in prop::collection::vec((bound(), bound()), 40),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let model: BTreeMap<Vec<u8>, Vec<u8>> = rows.clone();
        runtime.block_on(async {
            let (store, table) = open(folder.path());
            let work: Work = Box::new(move |tables| {
                for (key, value) in rows {
                    tables.put(key, value);
                }
                Outcome { meta: meta(0), then: Box::new(|| {}) }
            });
            table.apply(work).await.unwrap();
            let view = table.view();
            for (from, to) in ranges {
                let inside = |key: &Vec<u8>| {
                    (match &from {
                        Bound::Included(from) => key >= from,
                        Bound::Excluded(from) => key > from,
                        Bound::Unbounded => true,
                    }) && (match &to {
                        Bound::Included(to) => key <= to,
                        Bound::Excluded(to) => key < to,
                        Bound::Unbounded => true,
                    })
                };
                let expected: Vec<Vec<u8>> = model.keys().filter(|key| inside(key)).cloned().collect();
                let slices = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
                let found: Vec<Vec<u8>> = view.range(slices.0, slices.1).map(|(key, _)| key.to_vec()).collect();
                assert_eq!(found, expected);
                let mut found: Vec<Vec<u8>> =
                    view.range_reverse(slices.0, slices.1).map(|(key, _)| key.to_vec()).collect();
                found.reverse();
                assert_eq!(found, expected);
            }
            drop(view);
            close(store, table);
        });
    }
}
