//! From bytes up to rows: every key under our prefix is known to a row, or belongs to a write epoch whose
//! sweep is still to come (I4). Anything else is an orphan: paid for, and of no use to anybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use vaultaire_proto::object::Location;
use vaultaire_proto::row::{Epoch, EpochState};
use vaultaire_proto::{BackendKey, BlobKey, EpochId, GroupId, NodeId};
use vaultaire_storage::backend::Backend;

use crate::ask;
use crate::error::Error;
use crate::verify::{Finding, Kind, Phase, Verifier};

/// How many keys one page of a listing has.
const PAGE: usize = 1000;

/// Whose sweep would find a key.
type Owner = (GroupId, (u32, NodeId, EpochId));

impl Verifier {
    /// Every key of ours on one backend against the rows.
    pub(super) async fn check_keys(&mut self, backend: &Arc<dyn Backend>) -> Result<(), Error> {
        let cluster = self.proposer.catalog().cluster().cluster;
        let prefix = format!("w/{cluster}/");
        let mut after: Option<BackendKey> = None;
        loop {
            self.progress(Phase::Backends).await?;
            let page = match backend.list(&prefix, after.as_ref(), PAGE).await {
                Ok(page) => page,
                Err(error) => return self.unlistable(backend, &error).await,
            };
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.key.clone());
            let mut by_epoch: BTreeMap<Owner, Vec<BlobKey>> = BTreeMap::new();
            for listed in &page {
                match BlobKey::from_backend_key(&listed.key, cluster) {
                    Some(blob) if self.has_shard(blob.shard) => {
                        let epoch = (blob.generation, blob.node, blob.epoch);
                        by_epoch.entry((blob.shard, epoch)).or_default().push(blob);
                    }
                    Some(_) | None => self.foreign(backend, &listed.key).await?,
                }
            }
            for (owner, blobs) in by_epoch {
                self.check_epoch(backend, owner, blobs).await?;
            }
        }
    }

    fn has_shard(&self, shard: GroupId) -> bool {
        shard.is_shard() && shard.0 <= self.proposer.catalog().cluster().shards
    }

    async fn check_epoch(
        &mut self,
        backend: &Arc<dyn Backend>,
        (shard, epoch): Owner,
        blobs: Vec<BlobKey>,
    ) -> Result<(), Error> {
        let catalog = self.proposer.catalog();
        let view = ask::sweep_view(catalog, shard, backend.id(), epoch, blobs.clone()).await?;
        let sweep_to_come = to_come(view.epoch.as_ref());
        for blob in blobs {
            if view.kept.contains(&blob) {
                continue;
            }
            if sweep_to_come {
                self.summary.unswept += 1;
                continue;
            }
            self.orphan(backend, blob).await?;
        }
        Ok(())
    }

    async fn orphan(&mut self, backend: &Arc<dyn Backend>, blob: BlobKey) -> Result<(), Error> {
        let cluster = self.proposer.catalog().cluster().cluster;
        let size_bytes = match backend.head(&blob.backend_key(cluster)).await {
            Ok(info) => info.size_bytes,
            // Collected since the page was listed.
            Err(error) if error.is_not_found() => return Ok(()),
            Err(_) => 0,
        };
        let location = Location { backend: backend.id(), key: blob };
        let detail = format!("{size_bytes} bytes that no row knows, and no sweep will look again");
        let finding = self.finding(Kind::Orphan, location, None, detail).await?;
        self.found(finding).await
    }

    /// A key under our prefix that no node of this cluster can have written.
    async fn foreign(&mut self, backend: &Arc<dyn Backend>, key: &BackendKey) -> Result<(), Error> {
        let detail = "no node of this cluster writes such keys: somebody else put it here";
        self.found(about(Kind::Orphan, backend, key.to_string(), detail.to_owned())).await
    }

    async fn unlistable(
        &mut self,
        backend: &Arc<dyn Backend>,
        error: &vaultaire_storage::error::Error,
    ) -> Result<(), Error> {
        let detail = format!("its keys could not be listed: {error}");
        self.found(about(Kind::Unreadable, backend, String::new(), detail)).await
    }
}

/// Whether a sweep will still look at what is unreferenced in this epoch.
fn to_come(epoch: Option<&Epoch>) -> bool {
    match epoch.map(|row| &row.state) {
        Some(EpochState::Open | EpochState::Closed { .. }) => true,
        Some(EpochState::Swept) | None => false,
    }
}

fn about(kind: Kind, backend: &Arc<dyn Backend>, backend_key: String, detail: String) -> Finding {
    Finding {
        kind,
        backend: backend.name().to_owned(),
        backend_key,
        bucket: String::new(),
        object_key: String::new(),
        version_id: String::new(),
        detail,
    }
}
