//! Lists against the obvious way: sort everything, roll up, cut.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;
use proptest::prelude::*;

use crate::catalog::{Item, List, ListVersions, Page};
use crate::command::{VersionSelector, shard_of};
use crate::convert::Stored;
use crate::etag::ETag;
use crate::id::{BucketId, UserId, VersionId};
use crate::name::ObjectKey;
use crate::object::{Attributes, Blob, Body, Version, VersionEntry};
use crate::state::key::Prefix;
use crate::state::query::merge::{Listing, Merge, in_turn};
use crate::state::query::rolled_up;
use crate::state::tests::model::Model;
use crate::state::{key, rows};
use crate::tables::{MemTables, Pair, Reader, Tables, scan};
use crate::time::TimeMs;

/// Every version and every head of every bucket, as the model has them.
pub fn compare_versions(shards: &[&dyn Reader], model: &Model) {
    for (bucket, expected) in &model.buckets {
        let mut wanted = Vec::new();
        for (key, entries) in &expected.keys {
            for (place, entry) in entries.iter().enumerate() {
                let object = entry.object.is_some();
                wanted.push((key.clone(), entry.id, entry.null, object, place == 0));
            }
        }
        assert_eq!(all_versions(shards, *bucket), wanted, "versions of bucket {bucket}");
        let heads = wanted.iter().filter(|row| row.3 && row.4).map(|row| &row.0);
        let listed = all_heads(shards, *bucket);
        assert!(listed.iter().eq(heads), "heads of bucket {bucket}: {listed:?}");
    }
}

/// Key, version id, whether it is null, whether it is an object, whether it is the latest.
type VersionLine = (ObjectKey, VersionId, bool, bool, bool);

/// What a shard is asked for at a time where a test does not vary it.
const SHARE: usize = 2;

/// A page over shards that are asked for `share` items at a time.
pub(super) fn merged<L: Listing>(list: L, shards: &[&dyn Reader], share: usize) -> Page<L::Row> {
    in_turn(Merge::with_share(list, shards.len(), share), shards)
}

/// The whole list of versions, in small pages.
fn all_versions(shards: &[&dyn Reader], bucket: BucketId) -> Vec<VersionLine> {
    let mut found = Vec::new();
    let mut list = ListVersions {
        bucket,
        prefix: String::new(),
        delimiter: String::new(),
        key_marker: String::new(),
        version_marker: None,
        limit: 3,
    };
    loop {
        let page = merged(list.clone(), shards, SHARE);
        for item in page.items {
            let Item::Entry(row) = item else { panic!() };
            let object = matches!(row.entry, VersionEntry::Object(_));
            list.key_marker = row.key.as_str().to_owned();
            list.version_marker = Some(match row.entry.null() {
                true => VersionSelector::Null,
                false => VersionSelector::Id(row.entry.id()),
            });
            found.push((row.key, row.entry.id(), row.entry.null(), object, row.latest));
        }
        if !page.truncated {
            return found;
        }
    }
}

fn all_heads(shards: &[&dyn Reader], bucket: BucketId) -> Vec<ObjectKey> {
    let list = List {
        bucket,
        prefix: String::new(),
        delimiter: String::new(),
        after: String::new(),
        limit: 1000,
    };
    let page = merged(list, shards, SHARE);
    page.items.into_iter().map(entry_key).collect()
}

fn entry_key(item: Item<crate::catalog::ListedObject>) -> ObjectKey {
    match item {
        Item::Entry(object) => object.key,
        Item::Prefix(prefix) => panic!("unexpected prefix {prefix}"),
    }
}

/// The ids of all versions, delete markers and uploads of a bucket, wherever they lie.
pub fn held(reader: &dyn Reader, bucket: BucketId) -> BTreeSet<Vec<u8>> {
    let heads = scan(reader, &key::of_bucket(Prefix::Head, bucket))
        .map(|(row_key, value)| rows::decode::<Version>(&row_key, &value).id);
    let versions = scan(reader, &key::of_bucket(Prefix::Version, bucket))
        .map(|(row_key, value)| rows::decode::<VersionEntry>(&row_key, &value).id());
    let uploads = scan(reader, &key::of_bucket(Prefix::Upload, bucket));
    let ids = heads.chain(versions).map(|id| id.to_bytes().to_vec());
    ids.chain(uploads.map(|(row_key, _)| row_key.to_vec())).collect()
}

const BUCKET: BucketId = BucketId(5);

fn shards_with(keys: &BTreeSet<String>, count: u16) -> Vec<MemTables> {
    let mut shards = vec![MemTables::default(); usize::from(count)];
    for text in keys {
        let object_key = ObjectKey::parse(text).unwrap();
        let row = Version {
            id: VersionId { generation: 1, index: 1, sub: 0 },
            null: true,
            owner: UserId(1),
            size_bytes: 0,
            etag: ETag::whole([0; 16]),
            checksum: None,
            modified: TimeMs(0),
            place_epoch: 1,
            attributes: Attributes::default(),
            body: Body::Whole(Blob { size_bytes: 0, crc64nvme: 0, copies: Vec::new() }),
        };
        let shard = usize::from(shard_of(BUCKET, &object_key, count).0) - 1;
        shards[shard].put(key::head(BUCKET, text), row.encode());
    }
    // A neighbour bucket must never show.
    shards[0].put(key::head(BucketId(6), "a"), Vec::new());
    shards[0].put(key::head(BucketId(4), "z"), Vec::new());
    shards
}

/// A shard in which nobody may read as far as the next bucket: there may be any number of removed rows before it.
struct Fenced<'a>(&'a MemTables);

impl Reader for Fenced<'_> {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key)
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Box<dyn Iterator<Item = Pair> + '_> {
        let fence = key::head(BucketId(BUCKET.0 + 1), "");
        let inside = move |(row_key, _): &Pair| assert!(*row_key < fence, "read too far");
        Box::new(self.0.range(from, to).inspect(inside))
    }

    fn range_reverse(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Box<dyn Iterator<Item = Pair> + '_> {
        self.0.range_reverse(from, to)
    }
}

/// Items of a whole list, rolled up, in order.
fn naive(keys: &BTreeSet<String>, prefix: &str, delimiter: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let item = rolled_up(key, prefix, delimiter).unwrap_or(key).to_owned();
        if items.last() != Some(&item) {
            items.push(item);
        }
    }
    items
}

fn text_of(item: &Item<crate::catalog::ListedObject>) -> String {
    match item {
        Item::Entry(object) => object.key.as_str().to_owned(),
        Item::Prefix(prefix) => prefix.clone(),
    }
}

proptest! {
    #[test]
    fn pages_over_shards_are_the_sorted_whole(
        keys in prop::collection::btree_set("[ab/\\x00\u{e9}]{1,5}", 0..40),
        prefix in "[ab/]{0,2}",
        delimiter in prop::sample::select(vec!["", "/", "b", "/a"]),
        count in 1..5u16,
        limit in 1..7usize,
        share in 1..5usize,
    ) {
        let shards = shards_with(&keys, count);
        let fenced: Vec<Fenced<'_>> = shards.iter().map(Fenced).collect();
        let readers: Vec<&dyn Reader> = fenced.iter().map(|shard| shard as &dyn Reader).collect();
        let wanted = naive(&keys, &prefix, delimiter);
        let mut found: Vec<String> = Vec::new();
        loop {
            let after = found.last().cloned().unwrap_or_default();
            let list = List {
                bucket: BUCKET, prefix: prefix.clone(), delimiter: delimiter.to_owned(), after, limit,
            };
            let page = merged(list, &readers, share);
            prop_assert!(page.items.len() <= limit);
            found.extend(page.items.iter().map(text_of));
            prop_assert_eq!(page.truncated, found.len() < wanted.len());
            if !page.truncated {
                break;
            }
        }
        prop_assert_eq!(found, wanted);
    }
}

#[test]
fn a_marker_inside_a_rolled_up_prefix_is_past_it() {
    let keys: BTreeSet<String> = ["a/1", "a/2", "b"].map(String::from).into();
    let shards = shards_with(&keys, 1);
    let list = List {
        bucket: BUCKET,
        prefix: String::new(),
        delimiter: "/".into(),
        after: "a/1".into(),
        limit: 10,
    };
    let page = merged(list, &[&shards[0]], SHARE);
    let found: Vec<String> = page.items.iter().map(text_of).collect();
    assert_eq!(found, ["b"]);
}
