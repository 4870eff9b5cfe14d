//! ListObjects: a k-way merge over the shards' heads. A rolled-up prefix costs one seek per shard,
//! however many keys lie below it: O((results + prefixes) * shards), never O(keys).

use std::iter::Peekable;
use std::ops::Bound;

use crate::catalog::{Item, List, ListedObject, Page};
use crate::id::BucketId;
use crate::name::ObjectKey;
use crate::state::query::{Start, rolled_up, start_of};
use crate::state::{key, rows};
use crate::tables::{Pair, Reader, prefix_end};

/// A page of the live heads of a bucket.
pub fn list(shards: &[&dyn Reader], list: &List) -> Page<ListedObject> {
    let mut page = Page { items: Vec::new(), truncated: false };
    if list.limit == 0 {
        return page;
    }
    let start = start_of(&list.prefix, &list.delimiter, &list.after);
    let mut cursors: Vec<Cursor<'_>> = shards
        .iter()
        .map(|reader| Cursor::new(*reader, list.bucket, &list.prefix, &start))
        .collect();
    while let Some(first) = first_of(&mut cursors) {
        if page.items.len() >= list.limit {
            page.truncated = true;
            break;
        }
        let Some(text) = cursors.get_mut(first).and_then(Cursor::key) else {
            break;
        };
        if let Some(common) = rolled_up(&text, &list.prefix, &list.delimiter) {
            for cursor in &mut cursors {
                cursor.skip_prefix(common);
            }
            page.items.push(Item::Prefix(common.to_owned()));
        } else if let Some(entry) = cursors.get_mut(first).and_then(Cursor::take) {
            page.items.push(Item::Entry(entry));
        }
    }
    page
}

/// Which cursor stands at the smallest key. Keys are unique over shards.
fn first_of(cursors: &mut [Cursor<'_>]) -> Option<usize> {
    let mut first: Option<(usize, &[u8])> = None;
    for (index, cursor) in cursors.iter_mut().enumerate() {
        if let Some(row_key) = cursor.peek()
            && first.is_none_or(|(_, smallest)| row_key < smallest)
        {
            first = Some((index, row_key));
        }
    }
    first.map(|(index, _)| index)
}

/// One shard's heads from some key on.
struct Cursor<'a> {
    reader: &'a dyn Reader,
    bucket: BucketId,
    end: Vec<u8>,
    rows: Peekable<Box<dyn Iterator<Item = Pair> + 'a>>,
}

impl<'a> Cursor<'a> {
    fn new(reader: &'a dyn Reader, bucket: BucketId, prefix: &str, start: &Start) -> Self {
        let first = key::head(bucket, prefix);
        let end = prefix_end(&first).unwrap_or_default();
        let rows = match start {
            Start::Prefix => reader.range(Bound::Included(&first), Bound::Excluded(&end)),
            Start::After(text) => {
                reader.range(Bound::Excluded(&key::head(bucket, text)), Bound::Excluded(&end))
            }
            Start::PastPrefix(text) => past(reader, bucket, text, &end),
        };
        Self { reader, bucket, end, rows: rows.peekable() }
    }

    fn peek(&mut self) -> Option<&[u8]> {
        self.rows.peek().map(|(row_key, _)| row_key.as_ref())
    }

    fn key(&mut self) -> Option<String> {
        key::split_head(self.peek()?).map(|(_, text)| text.to_owned())
    }

    fn take(&mut self) -> Option<ListedObject> {
        let (row_key, value) = self.rows.next()?;
        let (_, text) = key::split_head(&row_key)?;
        Some(ListedObject {
            key: ObjectKey::parse(text).ok()?,
            version: rows::decode(&row_key, &value),
        })
    }

    /// Goes past a rolled-up prefix with one seek, if this shard stands in it.
    fn skip_prefix(&mut self, common: &str) {
        let first = key::head(self.bucket, common);
        if self.peek().is_some_and(|row_key| row_key.starts_with(&first)) {
            self.rows = past(self.reader, self.bucket, common, &self.end).peekable();
        }
    }
}

fn past<'a>(
    reader: &'a dyn Reader,
    bucket: BucketId,
    common: &str,
    end: &[u8],
) -> Box<dyn Iterator<Item = Pair> + 'a> {
    match prefix_end(&key::head(bucket, common)) {
        Some(next) => reader.range(Bound::Included(&next), Bound::Excluded(end)),
        None => Box::new(std::iter::empty()),
    }
}
