//! ListObjects in one shard. A rolled-up prefix costs one seek, however many keys lie below it:
//! O(results + prefixes), never O(keys).

use std::ops::Bound;

use bytes::Bytes;

use crate::catalog::{Item, List, ListedObject, Page};
use crate::id::BucketId;
use crate::name::ObjectKey;
use crate::state::query::merge::Listing;
use crate::state::query::{Start, rolled_up, start_of};
use crate::state::{key, rows};
use crate::tables::{Pair, Reader, prefix_end};

impl Listing for List {
    type Row = ListedObject;

    fn limit(&self) -> usize {
        self.limit
    }

    fn behind(&self, last: &Item<ListedObject>) -> Self {
        let after = match last {
            Item::Entry(row) => row.key.as_str().to_owned(),
            Item::Prefix(common) => common.clone(),
        };
        Self { after, ..self.clone() }
    }

    fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    fn key(row: &ListedObject) -> &ObjectKey {
        &row.key
    }

    fn page(&self, shard: &dyn Reader) -> Page<ListedObject> {
        page(shard, self)
    }
}

/// A page of the live heads of a bucket.
fn page(shard: &dyn Reader, list: &List) -> Page<ListedObject> {
    let mut page = Page { items: Vec::new(), truncated: false };
    let mut heads = Heads::new(shard, list);
    while let Some((row_key, value)) = heads.rows.next() {
        if page.items.len() >= list.limit {
            page.truncated = true;
            break;
        }
        let Some((_, text)) = key::split_head(&row_key) else {
            break;
        };
        if let Some(common) = rolled_up(text, &list.prefix, &list.delimiter) {
            heads.go_past(common);
            page.items.push(Item::Prefix(common.to_owned()));
        } else if let Ok(key) = ObjectKey::parse(text) {
            let version = rows::decode(&row_key, &value);
            page.items.push(Item::Entry(ListedObject { key, version }));
        }
        heads.end_at(&row_key);
    }
    page
}

/// A shard's heads with the list's prefix, from some place on.
struct Heads<'a> {
    shard: &'a dyn Reader,
    bucket: BucketId,
    first: Vec<u8>,
    end: Vec<u8>,
    rows: Box<dyn Iterator<Item = Pair> + 'a>,
    /// The last of all, once a prefix was rolled up.
    last: Option<Bytes>,
}

impl<'a> Heads<'a> {
    fn new(shard: &'a dyn Reader, list: &List) -> Self {
        let bucket = list.bucket;
        let first = key::head(bucket, &list.prefix);
        let end = prefix_end(&first).unwrap_or_default();
        let from = match start_of(&list.prefix, &list.delimiter, &list.after) {
            Start::Prefix => Some(Bound::Included(first.clone())),
            Start::After(text) => Some(Bound::Excluded(key::head(bucket, &text))),
            Start::PastPrefix(text) => prefix_end(&key::head(bucket, &text)).map(Bound::Included),
        };
        let rows = match &from {
            Some(from) => shard.range(from.as_ref().map(Vec::as_slice), Bound::Excluded(&end)),
            None => Box::new(std::iter::empty()),
        };
        Self { shard, bucket, first, end, rows, last: None }
    }

    /// One seek. It has no upper bound, since finding that in index and block takes the tables a fifth of the time, and
    /// needs none: there is a head between here and `last`, so what lies behind (perhaps many removed rows) is never read.
    fn go_past(&mut self, common: &str) {
        let (shard, first, end) = (self.shard, &self.first, &self.end);
        let last = self.last.get_or_insert_with(|| {
            let mut heads = shard.range_reverse(Bound::Included(first), Bound::Excluded(end));
            heads.next().map_or_else(Bytes::new, |(row_key, _)| row_key)
        });
        self.rows = match prefix_end(&key::head(self.bucket, common)) {
            Some(next) if next.as_slice() <= last.as_ref() => {
                shard.range(Bound::Included(&next), Bound::Unbounded)
            }
            _ => Box::new(std::iter::empty()),
        };
    }

    /// Nothing is read behind the last head.
    fn end_at(&mut self, row_key: &[u8]) {
        if self.last.as_ref().is_some_and(|last| row_key >= last.as_ref()) {
            self.rows = Box::new(std::iter::empty());
        }
    }
}
