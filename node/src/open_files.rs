//! The limit of open files: raised as far as the system allows, and shared out. Journal and tables stop the process when
//! they cannot open a file, so connections may never take the descriptors that those need.

use rustix::process::{Resource, getrlimit, setrlimit};
use vaultaire_router::limits::CONNECTIONS_MAX;
use vaultaire_storage::backends::disk::directories;

use crate::error::Error;
use crate::settings::Settings;
use crate::tables;

/// With less a node does not start.
const FILES_MIN: usize = 1024;

/// Segments of the journal, what tables and disks write, sockets that listen, and connections of those who watch.
const OWN_FILES: usize = 192;

/// A connection is a socket, and the blob that its request reads or writes.
const FILES_PER_CONNECTION: usize = 2;

/// With fewer connections at once a node would be of no use.
const CONNECTIONS_MIN: usize = 64;

/// Raises the limit and answers how many S3 connections it leaves room for.
pub fn share_out(settings: &Settings) -> Result<usize, Error> {
    let files = raise();
    let connections = connections_max(files, settings.backends.len())?;
    if connections < CONNECTIONS_MAX {
        tracing::warn!(
            files,
            connections,
            "S3 connections are capped to what the limit of open files allows; more wait until one ends. Raise the hard limit for {CONNECTIONS_MAX}"
        );
    } else {
        tracing::debug!(files, connections, "the limit of open files is enough");
    }
    Ok(connections)
}

/// The soft limit of this process, set to its hard one where that is allowed.
fn raise() -> usize {
    let before = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: before.maximum, maximum: before.maximum };
    if raised != before
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "the limit of open files could not be raised to the hard one");
    }
    limit()
}

/// How many files this process may have open now.
pub fn limit() -> usize {
    let soft = getrlimit(Resource::Nofile).current;
    soft.and_then(|soft| usize::try_from(soft).ok()).unwrap_or(usize::MAX)
}

fn connections_max(files: usize, disks: usize) -> Result<usize, Error> {
    let folders = disks.saturating_mul(directories::open_max(files));
    let reserve = OWN_FILES.saturating_add(tables::files_max(files)).saturating_add(folders);
    let connections = files.saturating_sub(reserve) / FILES_PER_CONNECTION;
    if files >= FILES_MIN && connections >= CONNECTIONS_MIN {
        return Ok(connections.min(CONNECTIONS_MAX));
    }
    let needed = FILES_MIN.max(reserve + CONNECTIONS_MIN * FILES_PER_CONNECTION);
    Err(Error::Setting {
        key: "the limit of open files".to_owned(),
        why: format!(
            "is {files}, and a node with {disks} backend(s) needs at least {needed}: raise the hard limit, with `ulimit -Hn 65536` as root before the start or `LimitNOFILE=65536` in the systemd unit"
        ),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn connections_get_what_is_left() {
        assert_eq!(connections_max(1_048_576, 3).unwrap(), CONNECTIONS_MAX);
        assert_eq!(connections_max(usize::MAX, 3).unwrap(), CONNECTIONS_MAX);
        for files in [1024, 4096, 16_384] {
            let connections = connections_max(files, 3).unwrap();
            let taken = OWN_FILES + tables::files_max(files) + 3 * directories::open_max(files);
            assert!(connections >= CONNECTIONS_MIN && taken + 2 * connections <= files, "{files}");
        }
    }

    #[test]
    fn too_few_files_are_refused_with_the_next_step() {
        for (files, disks) in [(256, 1), (1023, 1), (1024, 12)] {
            let error = connections_max(files, disks).unwrap_err().to_string();
            assert!(error.contains(&files.to_string()) && error.contains("ulimit -Hn"), "{error}");
        }
    }
}
