//! What a node says of itself to the others, for `vaultaire info`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::statvfs;
use vaultaire_proto::command::{FIRST_KINDS, KINDS};
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::{GroupId, RequestId, planted};

use crate::raft::directory::Directory;

/// Where the answers come from.
#[derive(Debug)]
pub struct About {
    pub directory: Arc<Directory>,
    pub data_dir: PathBuf,
    pub started: Instant,
}

/// Which kinds of commands this process can apply.
pub fn kinds() -> u32 {
    if planted::is_old_release() { FIRST_KINDS } else { KINDS }
}

impl About {
    /// As of now. What cannot be told is zero.
    pub fn tell(&self) -> wire::DescribeResponse {
        let (free, total) = match statvfs(&self.data_dir) {
            Ok(space) => (
                space.f_bavail.saturating_mul(space.f_frsize),
                space.f_blocks.saturating_mul(space.f_frsize),
            ),
            Err(_) => (0, 0),
        };
        let groups = self.directory.all().into_iter().map(|replica| {
            let metrics = replica.metrics();
            wire::GroupState {
                group: u32::from(metrics.group.0),
                term: metrics.term,
                leads: replica.leads(),
                applied: metrics.applied,
            }
        });
        wire::DescribeResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            groups: groups.collect(),
            disk_free_bytes: free,
            disk_total_bytes: total,
            kinds: kinds(),
        }
    }

    /// What this node's rows of a group came to after the entry that asked. None: no such group.
    pub fn digest(&self, group: GroupId, request: RequestId) -> Option<wire::GetDigestResponse> {
        let table = Arc::clone(&self.directory.get(group)?.table);
        let digest = table.digest_for(request).map(|digest| wire::RowsDigest {
            index: digest.index,
            hash: digest.hash.to_be_bytes().to_vec(),
            rows: digest.rows,
        });
        Some(wire::GetDigestResponse { digest })
    }
}
