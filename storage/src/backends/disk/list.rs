//! Listing in the order of keys with memory for one page. A folder's entries come unordered, so each
//! pass over a folder keeps only the smallest that a page can need; an epoch is one folder.

use std::collections::BTreeMap;
use std::io;

use rustix::fs::AtFlags;
use rustix::io::Errno;
use vaultaire_proto::BackendKey;

use super::directories::each_entry;
use super::layout::{Place, blob_name, is_segment, join};
use super::root::Root;
use crate::backend::Listed;
use crate::error::Error;

/// How many entries a pass keeps beyond those that a page needs: folders may turn out to hold nothing.
const SPARE_ENTRIES: usize = 64;

/// One page: the keys with the prefix that come after `after`.
pub fn page(
    root: &Root,
    prefix: &str,
    after: Option<&BackendKey>,
    limit: usize,
) -> Result<Vec<Listed>, Error> {
    let (folder, _rest) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    if !folder.is_empty() && !folder.split('/').all(is_segment) {
        // No key can have this prefix, and no path may be made of it.
        return Ok(Vec::new());
    }
    let mut walk =
        Walk { root, prefix, after: after.map(BackendKey::as_str), limit, found: Vec::new() };
    walk.folder(folder).map_err(|error| Error::file(root.id, "list", prefix, error))?;
    Ok(walk.found)
}

struct Walk<'walk> {
    root: &'walk Root,
    prefix: &'walk str,
    after: Option<&'walk str>,
    limit: usize,
    found: Vec<Listed>,
}

/// An entry of a folder under the text that sorts it among all keys: a blob by its key, a folder
/// by its path and a slash, which every key below it begins with.
type Entries = BTreeMap<String, Entry>;

#[derive(Clone, Copy)]
enum Entry {
    Blob,
    Folder,
}

impl Walk<'_> {
    /// Visits one folder. Recursion ends: a key has at most as many segments as bytes.
    fn folder(&mut self, path: &str) -> io::Result<()> {
        let mut passed: Option<String> = None;
        while self.found.len() < self.limit {
            let keep = self.limit - self.found.len() + SPARE_ENTRIES;
            let entries = self.smallest(path, passed.as_deref(), keep)?;
            let was_all = entries.len() < keep;
            for (sorted, entry) in entries {
                if self.found.len() == self.limit {
                    return Ok(());
                }
                match entry {
                    Entry::Blob => self.blob(&sorted)?,
                    Entry::Folder => self.folder(sorted.trim_end_matches('/'))?,
                }
                passed = Some(sorted);
            }
            if was_all {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The smallest entries of a folder that come after those already passed.
    fn smallest(&self, path: &str, passed: Option<&str>, keep: usize) -> io::Result<Entries> {
        let mut entries = Entries::new();
        each_entry(self.root.directories.top(), path, |name, is_folder| {
            let entry = if is_folder { Entry::Folder } else { Entry::Blob };
            let Some(sorted) = sort_text(path, name, entry) else {
                return;
            };
            let is_new = passed.is_none_or(|passed| sorted.as_str() > passed);
            if !is_new || !self.wants(&sorted, entry) {
                return;
            }
            entries.insert(sorted, entry);
            if entries.len() > keep {
                entries.pop_last();
            }
        })?;
        Ok(entries)
    }

    fn wants(&self, sorted: &str, entry: Entry) -> bool {
        match entry {
            Entry::Blob => {
                sorted.starts_with(self.prefix) && self.after.is_none_or(|after| sorted > after)
            }
            Entry::Folder => {
                let holds_prefix =
                    sorted.starts_with(self.prefix) || self.prefix.starts_with(sorted);
                let holds_later =
                    self.after.is_none_or(|after| sorted > after || after.starts_with(sorted));
                holds_prefix && holds_later
            }
        }
    }

    fn blob(&mut self, key: &str) -> io::Result<()> {
        let Ok(key) = BackendKey::parse(key) else {
            return Ok(());
        };
        let path = Place::of(&key).path();
        match rustix::fs::statat(self.root.directories.top(), path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let size_bytes = u64::try_from(stat.st_size).unwrap_or(0);
                self.found.push(Listed { key, size_bytes });
                Ok(())
            }
            // Deleted since its folder was read.
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn sort_text(path: &str, name: &str, entry: Entry) -> Option<String> {
    match entry {
        Entry::Blob => Some(join(path, blob_name(name)?)),
        Entry::Folder if is_segment(name) => Some(format!("{}/", join(path, name))),
        Entry::Folder => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::collections::BTreeSet;
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::Settings;
    use super::*;
    use crate::backends::identity::Expect;
    use vaultaire_proto::BackendId;

    fn disk(path: &Path) -> Root {
        let settings = Settings {
            id: BackendId(1),
            name: "disk".to_owned(),
            path: path.to_owned(),
            cluster: "c".to_owned(),
            expect: Expect::FreshOrOurs,
        };
        Root::open(&settings).unwrap()
    }

    fn place_empty_blob(folder: &Path, key: &BackendKey) {
        let file = folder.join("blobs").join(Place::of(key).path());
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, b"").unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn pages_are_the_sorted_keys(
            keys in proptest::collection::btree_set("[ab.0-]{1,3}(/[ab.0-]{1,2}){0,2}", 0..24),
            prefix in "[ab.0-]{0,2}(/[ab.0-]{0,1}){0,1}",
            limit in 1_usize..6,
        ) {
            let keys: BTreeSet<BackendKey> = keys.iter().filter_map(|key| BackendKey::parse(key).ok()).collect();
            let folder = tempfile::tempdir().unwrap();
            let root = disk(folder.path());
            for key in &keys {
                place_empty_blob(folder.path(), key);
            }
            let mut listed = Vec::new();
            loop {
                let next = page(&root, &prefix, listed.last(), limit).unwrap();
                prop_assert!(next.len() <= limit);
                if next.is_empty() {
                    break;
                }
                listed.extend(next.into_iter().map(|row| row.key));
            }
            let expected: Vec<_> = keys.into_iter().filter(|key| key.as_str().starts_with(&prefix)).collect();
            prop_assert_eq!(listed, expected);
        }
    }

    #[test]
    fn a_pass_that_meets_only_empty_folders_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let root = disk(folder.path());
        for number in 0..3 * SPARE_ENTRIES {
            std::fs::create_dir_all(folder.path().join(format!("blobs/a/{number:05}"))).unwrap();
        }
        let last = BackendKey::parse("a/z").unwrap();
        place_empty_blob(folder.path(), &last);
        let found = page(&root, "a/", None, 1).unwrap();
        assert_eq!(found, [Listed { key: last, size_bytes: 0 }]);
    }

    #[test]
    fn a_prefix_cannot_leave_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let root = disk(folder.path());
        for prefix in ["../", "/", "a/../../", "a//b"] {
            assert_eq!(page(&root, prefix, None, 10).unwrap(), [], "{prefix}");
        }
    }
}
