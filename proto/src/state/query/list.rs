//! ListObjects in one shard. A rolled-up prefix costs one seek, however many keys lie below it:
//! O(results + prefixes), never O(keys).

use std::ops::Bound;

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
    let first = key::head(list.bucket, &list.prefix);
    let end = prefix_end(&first).unwrap_or_default();
    let mut heads = match start_of(&list.prefix, &list.delimiter, &list.after) {
        Start::Prefix => shard.range(Bound::Included(&first), Bound::Excluded(&end)),
        Start::After(text) => {
            shard.range(Bound::Excluded(&key::head(list.bucket, &text)), Bound::Excluded(&end))
        }
        Start::PastPrefix(text) => past(shard, list.bucket, &text, &end),
    };
    while let Some((row_key, value)) = heads.next() {
        if page.items.len() >= list.limit {
            page.truncated = true;
            break;
        }
        let Some((_, text)) = key::split_head(&row_key) else {
            break;
        };
        if let Some(common) = rolled_up(text, &list.prefix, &list.delimiter) {
            heads = past(shard, list.bucket, common, &end);
            page.items.push(Item::Prefix(common.to_owned()));
        } else if let Ok(key) = ObjectKey::parse(text) {
            let version = rows::decode(&row_key, &value);
            page.items.push(Item::Entry(ListedObject { key, version }));
        }
    }
    page
}

/// The heads behind a rolled-up prefix: one seek.
fn past<'a>(
    shard: &'a dyn Reader,
    bucket: BucketId,
    common: &str,
    end: &[u8],
) -> Box<dyn Iterator<Item = Pair> + 'a> {
    match prefix_end(&key::head(bucket, common)) {
        Some(next) => shard.range(Bound::Included(&next), Bound::Excluded(end)),
        None => Box::new(std::iter::empty()),
    }
}
