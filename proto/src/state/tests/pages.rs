//! Pages of versions and of uploads against the obvious way: filter, roll up, cut. Markers are anything a
//! client may send: before the prefix, inside what is rolled up, longer than a key, or of what is gone.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::catalog::{Item, ListUploads, ListVersions, Page};
use crate::command::{VersionSelector, shard_of};
use crate::convert::Stored;
use crate::etag::ETag;
use crate::id::{BucketId, GroupId, UploadId, UserId, VersionId};
use crate::name::ObjectKey;
use crate::object::{Attributes, Blob, Body, DeleteMarker, Version, VersionEntry};
use crate::row::Upload;
use crate::state::key;
use crate::state::query::rolled_up;
use crate::state::tests::lists::merged;
use crate::tables::{MemTables, Reader, Tables};
use crate::time::TimeMs;

const BUCKET: BucketId = BucketId(5);

/// What a key has: a head alone, as before versioning, or versions, oldest first.
#[derive(Clone, Debug)]
enum History {
    Unversioned,
    Versions { markers: Vec<bool>, null: usize },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    key: String,
    id: VersionId,
    null: bool,
}

fn id(number: usize) -> VersionId {
    VersionId { generation: 1, index: number as u64 + 1, sub: 0 }
}

fn entry(id: VersionId, null: bool, marker: bool) -> VersionEntry {
    if marker {
        let modified = TimeMs(0);
        return VersionEntry::DeleteMarker(DeleteMarker { id, null, owner: UserId(1), modified });
    }
    VersionEntry::Object(Version {
        id,
        null,
        owner: UserId(1),
        size_bytes: 0,
        etag: ETag::whole([0; 16]),
        checksum: None,
        modified: TimeMs(0),
        place_epoch: 1,
        attributes: Attributes::default(),
        body: Body::Whole(Blob { size_bytes: 0, crc64nvme: 0, copies: Vec::new() }),
    })
}

/// The rows of every key in its shard, and what a list of all should show.
fn versions_of(keys: &BTreeMap<String, History>, count: u16) -> (Vec<MemTables>, Vec<Line>) {
    let mut shards = vec![MemTables::default(); usize::from(count)];
    let mut lines = Vec::new();
    for (text, history) in keys {
        let object_key = ObjectKey::parse(text).unwrap();
        let shard = &mut shards[usize::from(shard_of(BUCKET, &object_key, count).0) - 1];
        let entries: Vec<VersionEntry> = match history {
            History::Unversioned => vec![entry(id(0), true, false)],
            History::Versions { markers, null } => (0..)
                .zip(markers)
                .map(|(number, marker)| entry(id(number), number == *null, *marker))
                .collect(),
        };
        for entry in entries.iter().rev() {
            let line = Line { key: text.clone(), id: entry.id(), null: entry.null() };
            lines.push(line);
            let row_key = match (history, entry.null()) {
                (History::Unversioned, _) => continue,
                (History::Versions { .. }, true) => key::null_version(BUCKET, &object_key),
                (History::Versions { .. }, false) => key::version(BUCKET, &object_key, entry.id()),
            };
            shard.put(row_key, entry.encode());
        }
        if let Some(VersionEntry::Object(head)) = entries.last() {
            shard.put(key::head(BUCKET, text), head.encode());
        }
    }
    (shards, lines)
}

/// One line of a page as text.
fn shown(key: &str, id: impl std::fmt::Debug) -> String {
    format!("{key:?} {id:?}")
}

/// Rolls up what is left after the markers.
fn roll_up<T>(
    lines: &[T],
    (prefix, delimiter, key_marker): (&str, &str, &str),
    key_of: impl Fn(&T) -> &str,
    after_marker: impl Fn(&T) -> bool,
    show: impl Fn(&T) -> String,
) -> Vec<String> {
    let marked = rolled_up(key_marker, prefix, delimiter);
    let mut items: Vec<String> = Vec::new();
    for line in lines {
        let key = key_of(line);
        let common = rolled_up(key, prefix, delimiter);
        let passed = common.is_some() && common == marked;
        let after = key > key_marker || (key == key_marker && after_marker(line));
        if !key.starts_with(prefix) || passed || !after {
            continue;
        }
        let item = common.map_or_else(|| show(line), |common| format!("{common:?}"));
        if items.last() != Some(&item) {
            items.push(item);
        }
    }
    items
}

fn naive_versions(lines: &[Line], list: &ListVersions) -> Vec<String> {
    let null =
        lines.iter().find(|line| line.key == list.key_marker && line.null).map(|line| line.id);
    let after_marker = |line: &Line| match list.version_marker {
        None => false,
        Some(VersionSelector::Id(id)) => line.id < id,
        Some(VersionSelector::Null) => null.is_none_or(|null| line.id < null),
    };
    let by = (list.prefix.as_str(), list.delimiter.as_str(), list.key_marker.as_str());
    roll_up(lines, by, |line| &line.key, after_marker, |line| shown(&line.key, line.id))
}

/// Every page from the list's own markers on.
fn paged_versions(
    readers: &[&dyn Reader],
    mut list: ListVersions,
    share: usize,
    total: usize,
) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let page = merged(list.clone(), readers, share);
        check_page(&page, list.limit);
        for item in &page.items {
            (list.key_marker, list.version_marker) = match item {
                Item::Prefix(prefix) => (prefix.clone(), None),
                Item::Entry(line) => {
                    (line.key.to_string(), Some(VersionSelector::Id(line.entry.id())))
                }
            };
            found.push(match item {
                Item::Prefix(prefix) => format!("{prefix:?}"),
                Item::Entry(line) => shown(line.key.as_str(), line.entry.id()),
            });
        }
        assert_eq!(page.truncated, found.len() < total, "{found:?}");
        if !page.truncated {
            return found;
        }
    }
}

fn check_page<T>(page: &Page<T>, limit: usize) {
    assert!(page.items.len() <= limit, "a page above its limit");
    assert!(!page.truncated || page.items.len() == limit, "a page that ends early");
}

fn keys() -> impl Strategy<Value = String> {
    "[ab/\\x00\u{e9}]{1,4}"
}

fn marker() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        keys(),
        keys(),
        "[ab/]".prop_map(|text| text.repeat(ObjectKey::LEN_MAX + 1)),
    ]
}

fn history() -> impl Strategy<Value = History> {
    let versions = (prop::collection::vec(any::<bool>(), 1..5), 0..6usize)
        .prop_map(|(markers, null)| History::Versions { markers, null });
    prop_oneof![Just(History::Unversioned), versions]
}

fn version_marker() -> impl Strategy<Value = Option<VersionSelector>> {
    prop_oneof![
        Just(None),
        Just(Some(VersionSelector::Null)),
        (0..6usize).prop_map(|number| Some(VersionSelector::Id(id(number)))),
    ]
}

/// Prefix, delimiter, shards, page size and what a shard is asked for at a time.
fn shape() -> impl Strategy<Value = (String, &'static str, u16, usize, usize)> {
    let delimiter = prop::sample::select(vec!["", "/", "b", "/a"]);
    ("[ab/]{0,2}", delimiter, 1..5u16, 1..7usize, 1..5usize)
}

fn upload() -> Upload {
    let attributes = Attributes::default();
    Upload { owner: UserId(1), created: TimeMs(0), attributes, checksum: None }
}

proptest! {
    #[test]
    fn pages_of_versions_are_the_whole(
        keys in prop::collection::btree_map(keys(), history(), 0..25),
        (prefix, delimiter, count, limit, share) in shape(),
        key_marker in marker(),
        version_marker in version_marker(),
    ) {
        let (shards, lines) = versions_of(&keys, count);
        let readers: Vec<&dyn Reader> = shards.iter().map(|shard| shard as &dyn Reader).collect();
        let delimiter = delimiter.to_owned();
        let list = ListVersions { bucket: BUCKET, prefix, delimiter, key_marker, version_marker, limit };
        let wanted = naive_versions(&lines, &list);
        prop_assert_eq!(paged_versions(&readers, list, share, wanted.len()), wanted);
    }

    #[test]
    fn pages_of_uploads_are_the_whole(
        keys in prop::collection::btree_map(keys(), 1..4usize, 0..25),
        (prefix, delimiter, count, limit, share) in shape(),
        key_marker in marker(),
        upload_marker in prop::option::of(0..4usize),
    ) {
        let mut shards = vec![MemTables::default(); usize::from(count)];
        let mut lines: Vec<(String, UploadId)> = Vec::new();
        let shard_of = |text: &str| match ObjectKey::parse(text) {
            Ok(key) => shard_of(BUCKET, &key, count),
            Err(_) => GroupId(1),
        };
        for (text, uploads) in &keys {
            let shard = shard_of(text);
            for number in 0..*uploads {
                let upload_id = UploadId { shard, created: id(number) };
                let row_key = key::upload(BUCKET, &ObjectKey::parse(text).unwrap(), upload_id);
                shards[usize::from(shard.0) - 1].put(row_key, upload().encode());
                lines.push((text.clone(), upload_id));
            }
        }
        let upload_marker =
            upload_marker.map(|number| UploadId { shard: shard_of(&key_marker), created: id(number) });
        let after_marker = |line: &(String, UploadId)| upload_marker.is_some_and(|id| line.1 > id);
        let by = (prefix.as_str(), delimiter, key_marker.as_str());
        let wanted =
            roll_up(&lines, by, |line| &line.0, after_marker, |line| shown(&line.0, line.1));
        let readers: Vec<&dyn Reader> = shards.iter().map(|shard| shard as &dyn Reader).collect();
        let delimiter = delimiter.to_owned();
        let list = ListUploads { bucket: BUCKET, prefix, delimiter, key_marker, upload_marker, limit };
        prop_assert_eq!(paged_uploads(&readers, list, share, wanted.len()), wanted);
    }
}

fn paged_uploads(
    readers: &[&dyn Reader],
    mut list: ListUploads,
    share: usize,
    total: usize,
) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let page = merged(list.clone(), readers, share);
        check_page(&page, list.limit);
        for item in &page.items {
            (list.key_marker, list.upload_marker) = match item {
                Item::Prefix(prefix) => (prefix.clone(), None),
                Item::Entry(line) => (line.key.to_string(), Some(line.id)),
            };
            found.push(match item {
                Item::Prefix(prefix) => format!("{prefix:?}"),
                Item::Entry(line) => shown(line.key.as_str(), line.id),
            });
        }
        assert_eq!(page.truncated, found.len() < total, "{found:?}");
        if !page.truncated {
            return found;
        }
    }
}

#[test]
fn a_null_marker_that_is_gone_hides_no_version() {
    let three = History::Versions { markers: vec![false; 3], null: usize::MAX };
    let (shards, lines) = versions_of(&BTreeMap::from([("k".to_owned(), three)]), 1);
    let list = ListVersions {
        bucket: BUCKET,
        prefix: String::new(),
        delimiter: String::new(),
        key_marker: "k".to_owned(),
        version_marker: Some(VersionSelector::Null),
        limit: 10,
    };
    let wanted: Vec<String> = lines.iter().map(|line| shown(&line.key, line.id)).collect();
    assert_eq!(paged_versions(&[&shards[0]], list, 2, 3), wanted);
}
