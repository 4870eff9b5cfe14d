//! ListMultipartUploads in one shard: keys ascending, within a key in the order of creation.

use std::ops::Bound;

use crate::catalog::{Item, ListUploads, ListedUpload, Page};
use crate::name::ObjectKey;
use crate::state::key::{self, Prefix};
use crate::state::query::merge::Listing;
use crate::state::query::{Start, rolled_up, start_of};
use crate::state::rows;
use crate::tables::{Reader, prefix_end};

impl Listing for ListUploads {
    type Row = ListedUpload;

    fn limit(&self) -> usize {
        self.limit
    }

    fn behind(&self, last: &Item<ListedUpload>) -> Self {
        let (key_marker, upload_marker) = match last {
            Item::Entry(row) => (row.key.as_str().to_owned(), Some(row.id)),
            Item::Prefix(common) => (common.clone(), None),
        };
        Self { key_marker, upload_marker, ..self.clone() }
    }

    fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    fn key(row: &ListedUpload) -> &ObjectKey {
        &row.key
    }

    fn page(&self, shard: &dyn Reader) -> Page<ListedUpload> {
        page(shard, self)
    }
}

/// A page of the open uploads of a bucket.
fn page(shard: &dyn Reader, list: &ListUploads) -> Page<ListedUpload> {
    let mut page = Page { items: Vec::new(), truncated: false };
    let Some(mut from) = first_row(list) else {
        return page;
    };
    while let Some((row_key, found)) = next(shard, list, &from) {
        if page.items.len() >= list.limit {
            page.truncated = true;
            break;
        }
        let common =
            rolled_up(found.key.as_str(), &list.prefix, &list.delimiter).map(str::to_owned);
        match common {
            Some(common) => {
                let past = prefix_end(&key::of_keys_from(Prefix::Upload, list.bucket, &common));
                page.items.push(Item::Prefix(common));
                let Some(past) = past else {
                    break;
                };
                from = Bound::Included(past);
            }
            None => {
                page.items.push(Item::Entry(found));
                from = Bound::Excluded(row_key);
            }
        }
    }
    page
}

/// Where the page begins: after the marker's upload, after the marker's key, past the prefix that the
/// marker was rolled up into, or at the list's own prefix.
fn first_row(list: &ListUploads) -> Option<Bound<Vec<u8>>> {
    let row = match start_of(&list.prefix, &list.delimiter, &list.key_marker) {
        Start::Prefix => key::of_keys_from(Prefix::Upload, list.bucket, &list.prefix),
        Start::After(text) => match list.upload_marker {
            Some(upload) => {
                let row = key::upload_of_text(list.bucket, &text, upload);
                return Some(Bound::Excluded(row));
            }
            None => prefix_end(&key::of_key(Prefix::Upload, list.bucket, &text))?,
        },
        Start::PastPrefix(text) => {
            prefix_end(&key::of_keys_from(Prefix::Upload, list.bucket, &text))?
        }
    };
    Some(Bound::Included(row))
}

fn next(
    shard: &dyn Reader,
    list: &ListUploads,
    from: &Bound<Vec<u8>>,
) -> Option<(Vec<u8>, ListedUpload)> {
    let end = prefix_end(&key::of_keys_from(Prefix::Upload, list.bucket, &list.prefix))?;
    let from = from.as_ref().map(Vec::as_slice);
    let (row_key, value) = shard.range(from, Bound::Excluded(&end)).next()?;
    let (_, key, id) = key::split_upload(&row_key)?;
    let upload = rows::decode(&row_key, &value);
    Some((row_key.to_vec(), ListedUpload { key, id, upload }))
}
