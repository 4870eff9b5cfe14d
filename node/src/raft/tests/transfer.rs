//! A snapshot whose way breaks goes on where it ended, and is the same that it would have been.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use vaultaire_proto::GroupId;
use vaultaire_proto::tables::Tables;

use crate::raft::log::disk::{Disk, Real};
use crate::raft::snapshot::{self, Received, Receiver};
use crate::raft::types::SnapshotMeta;
use crate::tables::Store;
use crate::tables::meta::{Applied, Meta};
use crate::tables::stream::{Chunks, Start};
use crate::tables::table::Table;
use crate::tables::view::View;
use crate::tables::writer::{Outcome, Work};

const CHUNK_BYTES: usize = 200;
const ROWS: u64 = 60;

fn disk() -> Arc<dyn Disk> {
    Arc::new(Real)
}

fn meta(index: u64) -> Meta {
    Meta { applied: Some(Applied { term: 1, index }), ..Meta::default() }
}

async fn write(table: &Arc<Table>, index: u64, rows: u64) {
    let work: Work = Box::new(move |tables| {
        for row in 0..rows {
            tables.put(format!("key-{row:04}").into_bytes(), format!("{index}-{row}").into_bytes());
        }
        Outcome { meta: meta(index), then: Box::new(|| {}) }
    });
    table.apply(work).await.unwrap();
}

fn chunks(view: &View, start: Start) -> Vec<Bytes> {
    Chunks::from(view, &meta(1), start, CHUNK_BYTES).collect()
}

fn progress(path: &Path, described: &SnapshotMeta) -> Start {
    let come = Received::progress(&disk(), path, described);
    come.map(|come| come.start).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_goes_on_behind_the_last_whole_chunk() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("tables")).unwrap();
    let table = store.table(GroupId(1)).unwrap();
    write(&table, 1, ROWS).await;
    let view = table.view();
    let all = chunks(&view, Start::default());
    assert!(all.len() > 6, "{} chunks", all.len());
    let described = snapshot::describe(&meta(1)).unwrap();
    let path = folder.path().join("arriving");
    for broken in 0..=all.len() {
        for torn in [0, 1, 20] {
            let mut receiver = Receiver::create(disk(), &path).unwrap();
            all[..broken].iter().for_each(|chunk| receiver.write(chunk).unwrap());
            drop(receiver);
            if let Some(next) = all.get(broken) {
                let mut file = std::fs::File::options().append(true).open(&path).unwrap();
                file.write_all(&next[..torn.min(next.len() - 1)]).unwrap();
            }
            let start = progress(&path, &described);
            // The last chunk, which has no rows, is sent again.
            let whole = u64::try_from(broken.min(all.len() - 1)).unwrap();
            assert_eq!(start.chunks, whole);
            let rest = chunks(&view, start);
            assert_eq!(rest, all[usize::try_from(whole).unwrap()..], "after {broken} chunks");
            let come = Received::progress(&disk(), &path, &described);
            let bytes = come.map_or(0, |come| come.bytes);
            let mut receiver = match whole {
                0 => Receiver::create(disk(), &path).unwrap(),
                _ => Receiver::go_on(disk(), &path, bytes).unwrap(),
            };
            rest.iter().for_each(|chunk| receiver.write(chunk).unwrap());
            drop(receiver.finish(&described).unwrap());
            assert!(!path.exists());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_of_another_state_or_was_damaged_counts_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("tables")).unwrap();
    let table = store.table(GroupId(1)).unwrap();
    write(&table, 1, ROWS).await;
    let all = chunks(&table.view(), Start::default());
    let path = folder.path().join("arriving");
    assert_eq!(progress(&path, &snapshot::describe(&meta(1)).unwrap()), Start::default());
    let mut receiver = Receiver::create(disk(), &path).unwrap();
    all[..5].iter().for_each(|chunk| receiver.write(chunk).unwrap());
    let other = snapshot::describe(&meta(2)).unwrap();
    assert_eq!(progress(&path, &other), Start::default());
    let described = snapshot::describe(&meta(1)).unwrap();
    assert_eq!(progress(&path, &described).chunks, 5);
    let mut bytes = std::fs::read(&path).unwrap();
    let third = all[..3].iter().map(Bytes::len).sum::<usize>();
    bytes[third + 30] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(progress(&path, &described).chunks, 3, "up to the chunk that was damaged");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_attempt_sends_the_same_rows_while_the_log_goes_on_behind_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("tables")).unwrap();
    let table = store.table(GroupId(1)).unwrap();
    write(&table, 5, ROWS).await;
    let pins = table.pins();
    assert!(pins.again(0).is_none() && pins.holds(5).is_none(), "nothing is kept for nobody");
    let sending = pins.pin(&table.view(), &meta(5));
    write(&table, 9, ROWS + 10).await;
    let (view, found) = pins.again(5).unwrap();
    assert_eq!((found, view.rows().count()), (meta(5), 60));
    assert!(pins.again(6).is_none(), "who gets it could not go on");
    assert_eq!(pins.holds(9), Some(5));
    assert_eq!(pins.holds(5_000_000), None, "not at any price");
    let newer = pins.pin(&table.view(), &meta(9));
    assert_eq!(pins.again(9).unwrap().1, meta(9));
    drop((sending, newer));
}
