//! ListObjectVersions in one shard: keys ascending, within a key the newest first, the null version in its place
//! by time. A bucket that never had versions shows its heads as `null`.

use std::ops::Bound;

use crate::catalog::{Item, ListVersions, ListedVersion, Page};
use crate::command::VersionSelector;
use crate::id::{BucketId, VersionId};
use crate::name::ObjectKey;
use crate::object::VersionEntry;
use crate::state::key::Prefix;
use crate::state::query::merge::Listing;
use crate::state::query::{Start, rolled_up, start_of};
use crate::state::{key, rows, version};
use crate::tables::{Reader, prefix_end, scan};

impl Listing for ListVersions {
    type Row = ListedVersion;

    fn limit(&self) -> usize {
        self.limit
    }

    fn behind(&self, last: &Item<ListedVersion>) -> Self {
        let (key_marker, version_marker) = match last {
            Item::Entry(row) => {
                (row.key.as_str().to_owned(), Some(VersionSelector::Id(row.entry.id())))
            }
            Item::Prefix(common) => (common.clone(), None),
        };
        Self { key_marker, version_marker, ..self.clone() }
    }

    fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    fn key(row: &ListedVersion) -> &ObjectKey {
        &row.key
    }

    fn page(&self, shard: &dyn Reader) -> Page<ListedVersion> {
        page(shard, self)
    }
}

/// A page of versions and delete markers of a bucket.
fn page(shard: &dyn Reader, list: &ListVersions) -> Page<ListedVersion> {
    let mut page = Page { items: Vec::new(), truncated: false };
    let mut start = start_of(&list.prefix, &list.delimiter, &list.key_marker);
    if let (Some(marker), Start::After(text)) = (list.version_marker, &start)
        && text.starts_with(&list.prefix)
        && !rest_of_marked_key(shard, list, marker, &mut page)
    {
        return page;
    }
    while let Some(text) = next_key(shard, list, &start) {
        if page.items.len() >= list.limit {
            page.truncated = true;
            break;
        }
        if let Some(common) = rolled_up(&text, &list.prefix, &list.delimiter) {
            page.items.push(Item::Prefix(common.to_owned()));
            start = Start::PastPrefix(common.to_owned());
            continue;
        }
        if !push_versions(shard, list, &text, None, &mut page) {
            break;
        }
        start = Start::After(text);
    }
    page
}

/// The versions of the marker's own key that are older than the marker. False: the page is full.
fn rest_of_marked_key(
    shard: &dyn Reader,
    list: &ListVersions,
    marker: VersionSelector,
    page: &mut Page<ListedVersion>,
) -> bool {
    let Ok(key) = ObjectKey::parse(&list.key_marker) else {
        return true;
    };
    // A null version that is gone meanwhile says nothing of where the last page ended: rather show
    // a version twice than never.
    let older_than = match marker {
        VersionSelector::Id(id) => Some(id),
        VersionSelector::Null => {
            version::find(shard, list.bucket, &key, VersionSelector::Null).map(|entry| entry.id())
        }
    };
    push_versions(shard, list, key.as_str(), older_than, page)
}

/// The smallest key from `start` on that has a version.
fn next_key(shard: &dyn Reader, list: &ListVersions, start: &Start) -> Option<String> {
    let found = [next_head(shard, list, start), next_versioned(shard, list, start)];
    found.into_iter().flatten().min()
}

fn next_head(reader: &dyn Reader, list: &ListVersions, start: &Start) -> Option<String> {
    let first = key::head(list.bucket, &list.prefix);
    let end = prefix_end(&first)?;
    let from = match start {
        Start::Prefix => Bound::Included(first),
        Start::After(text) => Bound::Excluded(key::head(list.bucket, text)),
        Start::PastPrefix(text) => Bound::Included(prefix_end(&key::head(list.bucket, text))?),
    };
    let (row_key, _) =
        reader.range(from.as_ref().map(Vec::as_slice), Bound::Excluded(&end)).next()?;
    key::split_head(&row_key).map(|(_, text)| text.to_owned())
}

fn next_versioned(reader: &dyn Reader, list: &ListVersions, start: &Start) -> Option<String> {
    let first = key::of_keys_from(Prefix::Version, list.bucket, &list.prefix);
    let end = prefix_end(&first)?;
    let from = match start {
        Start::Prefix => first,
        Start::After(text) => prefix_end(&key::of_key(Prefix::Version, list.bucket, text))?,
        Start::PastPrefix(text) => {
            prefix_end(&key::of_keys_from(Prefix::Version, list.bucket, text))?
        }
    };
    let (row_key, _) = reader.range(Bound::Included(&from), Bound::Excluded(&end)).next()?;
    key::split_version(&row_key).map(|(_, key, _)| key.as_str().to_owned())
}

/// Appends a key's versions, newest first, from `older_than` on. False: the page is full and more is there.
fn push_versions(
    reader: &dyn Reader,
    list: &ListVersions,
    text: &str,
    older_than: Option<VersionId>,
    page: &mut Page<ListedVersion>,
) -> bool {
    let Ok(key) = ObjectKey::parse(text) else {
        return true;
    };
    let newest = newest_id(reader, list.bucket, &key);
    let room = list.limit.saturating_sub(page.items.len());
    let mut found = newest_first(reader, list.bucket, &key, older_than, room.saturating_add(1));
    let full = found.len() > room;
    found.truncate(room);
    for entry in found {
        let latest = newest == Some(entry.id());
        page.items.push(Item::Entry(ListedVersion { key: key.clone(), entry, latest }));
    }
    page.truncated = full;
    !full
}

fn newest_id(reader: &dyn Reader, bucket: BucketId, key: &ObjectKey) -> Option<VersionId> {
    let newest = version::newest(reader, bucket, key).map(|entry| entry.id());
    let head = version::head(reader, bucket, key).map(|head| head.id);
    newest.max(head)
}

fn newest_first(
    reader: &dyn Reader,
    bucket: BucketId,
    key: &ObjectKey,
    older_than: Option<VersionId>,
    limit: usize,
) -> Vec<VersionEntry> {
    let older = |entry: &VersionEntry| older_than.is_none_or(|marker| entry.id() < marker);
    let all = key::of_key(Prefix::Version, bucket, key.as_str());
    let end = prefix_end(&all).unwrap_or_default();
    let from = match older_than {
        Some(marker) => Bound::Excluded(key::version(bucket, key, marker)),
        None => Bound::Included(all),
    };
    let null = key::null_version(bucket, key);
    let mut found: Vec<VersionEntry> = reader
        .range(from.as_ref().map(Vec::as_slice), Bound::Excluded(&end))
        .take_while(|(row_key, _)| *row_key != null.as_slice())
        .map(|(row_key, value)| rows::decode::<VersionEntry>(&row_key, &value))
        .take(limit)
        .collect();
    let null = version::find(reader, bucket, key, VersionSelector::Null).filter(older);
    if let Some(null) = null {
        let place = found.partition_point(|entry| entry.id() > null.id());
        found.insert(place, null);
        found.truncate(limit);
    }
    found
}

/// Every version row of a key, for tests and invariants.
pub fn all_of_key(reader: &dyn Reader, bucket: BucketId, key: &ObjectKey) -> Vec<VersionEntry> {
    scan(reader, &key::of_key(Prefix::Version, bucket, key.as_str()))
        .map(|(row_key, value)| rows::decode(&row_key, &value))
        .collect()
}
