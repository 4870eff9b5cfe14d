//! Objects that other objects are found by: indexes and the like of known tools. They may be left alone for months, and then they are
//! needed at once, before anything else can be read: they are never put where they have to be restored.

/// Folders whose objects are such, anywhere in a key: of restic, Delta Lake, Apache Iceberg (and others that call it so) and
/// Apache Hudi.
const FOLDERS: [&str; 7] =
    ["index", "snapshots", "keys", "locks", "_delta_log", "metadata", ".hoodie"];

/// Names that are such: of restic and BorgBackup, kopia, Parquet and Spark.
const NAMES: [&str; 8] = [
    "config",
    "README",
    "kopia.repository",
    "kopia.blobcfg",
    "_metadata",
    "_common_metadata",
    "_SUCCESS",
    "manifest.json",
];

/// How names begin: of BorgBackup's caches, and of kopia's index and metadata blobs.
const BEGINNINGS: [&str; 8] =
    ["index.", "hints.", "integrity.", "xn0_", "xn1_", "xw", "_log_", "kopia."];

/// Whether a key is of an object by which others are found.
pub fn is_index(key: &str) -> bool {
    let (folders, name) = key.rsplit_once('/').unwrap_or(("", key));
    folders.split('/').any(|folder| FOLDERS.contains(&folder))
        || NAMES.contains(&name)
        || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_of_known_tools_are_known() {
        for key in [
            "backup/index/0a1b",
            "repo/snapshots/2f",
            "config",
            "borg/hints.12",
            "table/_delta_log/00000000000000000001.json",
            "warehouse/t/metadata/v3.metadata.json",
            "lake/day=1/_SUCCESS",
            "kopia/xn0_77",
        ] {
            assert!(is_index(key), "{key}");
        }
        for key in ["data/0a1b", "photos/index.jpg.d/1.jpg", "a/metadata.csv", "p/pack-1"] {
            assert!(!is_index(key), "{key}");
        }
    }
}
