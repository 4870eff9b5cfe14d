//! Two backends never share a place: what one wrote no row of the other knows, so the other's sweep would delete it.
//! Identities refuse that when backends are opened; here it is said before anything starts, with both names.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{BackendConfig, S3Config};
use crate::error::Error;

/// Where in which bucket of which endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Scheme, host and port, as they compare.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// The prefix without slashes at its ends.
    pub prefix: String,
}

impl S3Config {
    /// Where its objects are.
    pub fn place(&self) -> Place {
        Place {
            endpoint: canonical_endpoint(&self.endpoint),
            bucket: self.bucket.clone(),
            prefix: self.prefix.trim_matches('/').to_owned(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, bucket, prefix } = self;
        write!(formatter, "{endpoint}/{bucket}/{prefix}")
    }
}

/// Refuses backends of which one lies in another.
pub fn ensure_apart(backends: &[(&str, &BackendConfig)]) -> Result<(), Error> {
    for (index, (name, config)) in backends.iter().enumerate() {
        for (other_name, other) in backends.iter().take(index) {
            if let Some(place) = shared(config, other) {
                return Err(Error::Config {
                    name: (*name).to_owned(),
                    reason: format!(
                        "it shares {place} with backend {other_name}, and each would delete what the other keeps; \
                         give each a place of its own"
                    ),
                });
            }
        }
    }
    Ok(())
}

fn shared(one: &BackendConfig, other: &BackendConfig) -> Option<String> {
    match (one, other) {
        (BackendConfig::Disk(one), BackendConfig::Disk(other)) => {
            let (one, other) = (canonical(&one.path), canonical(&other.path));
            let is_shared = one.starts_with(&other) || other.starts_with(&one);
            is_shared.then(|| one.display().to_string())
        }
        (BackendConfig::S3(one), BackendConfig::S3(other)) => {
            let (one, other) = (one.place(), other.place());
            let same_bucket = (&one.endpoint, &one.bucket) == (&other.endpoint, &other.bucket);
            let nested =
                is_below(&one.prefix, &other.prefix) || is_below(&other.prefix, &one.prefix);
            (same_bucket && nested).then(|| one.to_string())
        }
        (BackendConfig::Disk(_) | BackendConfig::Memory(_) | BackendConfig::S3(_), _) => None,
    }
}

fn is_below(prefix: &str, above: &str) -> bool {
    above.is_empty()
        || prefix.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path without links. A folder that is not there yet is found through its parent, which must be.
fn canonical(path: &Path) -> PathBuf {
    if let Ok(found) = path.canonicalize() {
        return found;
    }
    let above = path
        .parent()
        .map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    match (above.and_then(|above| above.canonicalize().ok()), path.file_name()) {
        (Some(above), Some(name)) => above.join(name),
        (Some(_) | None, _) => path.to_owned(),
    }
}

/// Host names do not tell letters apart, and the port of a scheme need not be written.
fn canonical_endpoint(endpoint: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/').to_ascii_lowercase();
    let bare = match endpoint.split_once("://") {
        Some(("http", host)) => host.strip_suffix(":80").map(|host| format!("http://{host}")),
        Some(("https", host)) => host.strip_suffix(":443").map(|host| format!("https://{host}")),
        Some(_) | None => None,
    };
    bare.unwrap_or(endpoint)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::super::{DiskConfig, MemoryConfig, SecretSource};
    use super::*;

    fn s3(endpoint: &str, bucket: &str, prefix: &str) -> BackendConfig {
        BackendConfig::S3(S3Config {
            endpoint: endpoint.to_owned(),
            region: "r".to_owned(),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            access_key: "a".to_owned(),
            secret_key: SecretSource::Env("S".to_owned()),
            path_style: true,
            allow_http: false,
            conditional_put: true,
        })
    }

    fn check(one: &BackendConfig, other: &BackendConfig) -> Result<(), String> {
        let memory = BackendConfig::Memory(MemoryConfig {});
        ensure_apart(&[("left", one), ("m", &memory), ("n", &memory), ("right", other)])
            .map_err(|error| error.to_string())
    }

    #[test]
    fn two_sections_for_one_store_are_refused_with_both_names() {
        let first = s3("https://E.example/", "b", "a/b");
        for (endpoint, prefix) in [
            ("https://e.example", "a/b"),
            ("https://e.example:443", "/a/b/"),
            ("https://e.example", "a"),
            ("https://e.example", "a/b/c"),
            ("https://e.example", ""),
        ] {
            let error = check(&first, &s3(endpoint, "b", prefix)).unwrap_err();
            assert!(error.contains("left") && error.contains("right"), "{error}");
        }
        for apart in [
            s3("https://e.example", "b", "a/bc"),
            s3("https://e.example", "c", "a/b"),
            s3("https://e.example:444", "b", "a/b"),
            s3("http://e.example", "b", "c"),
        ] {
            check(&first, &apart).unwrap();
        }
    }

    #[test]
    fn two_disks_in_one_folder_are_refused_whatever_the_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("one")).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).unwrap();
        let disk = |path: &str| BackendConfig::Disk(DiskConfig { path: folder.path().join(path) });
        for (one, other) in [
            ("one", "one"),
            ("one", "./one/"),
            ("one", "link/one"),
            ("new", "link/new"),
            ("one", "one/blobs"),
        ] {
            let error = check(&disk(one), &disk(other)).unwrap_err();
            assert!(error.contains("left") && error.contains("right"), "{one} {other}: {error}");
        }
        for (one, other) in [("one", "two"), ("one", "one-more"), ("new", "link/newer")] {
            check(&disk(one), &disk(other)).unwrap();
        }
    }
}
