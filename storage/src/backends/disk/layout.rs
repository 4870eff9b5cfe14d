//! From backend keys to paths and back. The key's own path is the layout: an epoch is one folder, so listing
//! and sweeping an epoch reads one folder, and a swept epoch leaves nothing behind.

use vaultaire_proto::BackendKey;

/// Marks a file. Keys cannot hold this character, so the blob `a` and the folder of `a/b` never meet.
const BLOB_MARK: char = '@';

/// Where a blob lies below `blobs/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder, empty for the top.
    pub folder: String,
    /// The file's name in it.
    pub file: String,
}

impl Place {
    /// The place of a key.
    pub fn of(key: &BackendKey) -> Self {
        let (folder, last) = key.as_str().rsplit_once('/').unwrap_or(("", key.as_str()));
        Self { folder: folder.to_owned(), file: format!("{BLOB_MARK}{last}") }
    }

    /// The path below `blobs/`.
    pub fn path(&self) -> String {
        join(&self.folder, &self.file)
    }
}

/// Appends a name to a folder's path, which is empty at the top.
pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The last segment of the key that a file's name stands for; no key for what is not ours.
pub fn blob_name(file: &str) -> Option<&str> {
    file.strip_prefix(BLOB_MARK).filter(|name| is_segment(name))
}

/// Whether this can be one segment of a key, and so a folder of ours.
pub fn is_segment(name: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.');
    !matches!(name, "" | "." | "..") && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_key_has_a_place_of_its_own(segments in proptest::collection::vec("[a-z0-9_-][a-z0-9._-]{0,5}", 1..6)) {
            let key = BackendKey::parse(&segments.join("/")).unwrap();
            let place = Place::of(&key);
            let name = blob_name(&place.file).unwrap();
            prop_assert_eq!(join(&place.folder, name), key.as_str());
            prop_assert!(!is_segment(&place.file), "a file is never taken for a folder");
        }
    }

    #[test]
    fn foreign_names_are_not_keys() {
        assert_eq!(blob_name("lost+found"), None);
        assert_eq!(blob_name("@"), None);
        assert_eq!(blob_name("@.."), None);
        assert!(!is_segment("lost+found"));
    }
}
