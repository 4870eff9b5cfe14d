//! From rows down to bytes: every live blob is on its backend as its row says, and every version refers
//! to blobs whose rows say that it does. A row that changed meanwhile is looked at again, and believed.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use vaultaire_proto::catalog::ScanPosition;
use vaultaire_proto::command::VersionSelector;
use vaultaire_proto::object::{Blob, Body, Location, Version, VersionEntry};
use vaultaire_proto::row::{BlobOwner, BlobRow, BlobState};
use vaultaire_proto::{Answer, BlobKey, Consistency, EpochId, GroupId, Query};

use crate::ask;
use crate::error::Error;
use crate::verify::bytes::{Compared, Promise, compare};
use crate::verify::{Kind, Phase, Verifier};

/// How many copies are looked at at the same time.
const COPIES_IN_FLIGHT: usize = 16;

/// A live blob and whose it is.
struct LiveBlob {
    location: Location,
    promise: Promise,
    owner: BlobOwner,
}

fn live(location: Location, row: BlobRow) -> Option<LiveBlob> {
    let promise = Promise { size_bytes: row.size_bytes, crc64nvme: row.crc64nvme };
    match row.state {
        BlobState::Live(owner) => Some(LiveBlob { location, promise, owner }),
        BlobState::Garbage { .. } | BlobState::Spent => None,
    }
}

/// The greatest location below another one. Epochs are log indexes, which begin at one.
fn before(location: Location) -> Location {
    let key = location.key;
    let key = match key.seq.checked_sub(1) {
        Some(seq) => BlobKey { seq, ..key },
        None => BlobKey { epoch: EpochId(key.epoch.0.saturating_sub(1)), seq: u64::MAX, ..key },
    };
    Location { key, ..location }
}

impl Verifier {
    /// Every live blob row of a shard against its bytes.
    pub(super) async fn check_blobs(&mut self, shard: GroupId) -> Result<(), Error> {
        let mut after = None;
        loop {
            let catalog = self.proposer.catalog();
            let fresh = Consistency::Linearizable;
            let page = ask::blobs(catalog, fresh, shard, after, ask::PAGE).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(*last);
            let blobs: Vec<LiveBlob> = page
                .into_iter()
                .filter(|(location, _)| self.covers(location.backend))
                .filter_map(|(location, row)| live(location, row))
                .collect();
            self.check_page(shard, blobs).await?;
        }
    }

    async fn check_page(&mut self, shard: GroupId, blobs: Vec<LiveBlob>) -> Result<(), Error> {
        let cluster = self.proposer.catalog().cluster().cluster;
        let (registry, silence) = (self.registry.clone(), Arc::clone(&self.silence));
        let checksums = self.options.checksums;
        let mut compared = stream::iter(blobs)
            .map(|blob| {
                let (registry, silence) = (registry.clone(), Arc::clone(&silence));
                async move {
                    let key = blob.location.key.backend_key(cluster);
                    let backend = blob.location.backend;
                    let place = (&*registry, &*silence);
                    let found = compare(place, backend, &key, blob.promise, checksums).await;
                    (blob, found)
                }
            })
            .buffer_unordered(COPIES_IN_FLIGHT);
        while let Some((blob, found)) = compared.next().await {
            self.looked_at(Phase::Catalog).await?;
            self.judge(shard, &blob, found).await?;
        }
        Ok(())
    }

    async fn judge(
        &mut self,
        shard: GroupId,
        blob: &LiveBlob,
        found: Compared,
    ) -> Result<(), Error> {
        let size_bytes = blob.promise.size_bytes;
        let (kind, detail) = match found {
            Compared::Sound { checked_bytes } => {
                self.summary.checked_bytes =
                    self.summary.checked_bytes.saturating_add(checked_bytes);
                return Ok(());
            }
            Compared::Missing => {
                (Kind::Dangling, format!("{size_bytes} bytes expected, nothing found"))
            }
            Compared::WrongSize { found } => {
                (Kind::SizeMismatch, format!("{size_bytes} bytes expected, {found} found"))
            }
            Compared::WrongChecksum { why } => (Kind::ChecksumMismatch, why),
            Compared::Unreadable { why } | Compared::Silent { why } => (Kind::Unreadable, why),
        };
        // It may have been deleted, and its bytes collected, since the page was read.
        let now = self.blob_row(shard, blob.location, Consistency::Linearizable).await?;
        if !now.is_some_and(|row| matches!(row.state, BlobState::Live(_))) {
            return Ok(());
        }
        let finding = self.finding(kind, blob.location, Some(&blob.owner), detail).await?;
        self.found(finding).await
    }

    async fn blob_row(
        &self,
        shard: GroupId,
        location: Location,
        consistency: Consistency,
    ) -> Result<Option<BlobRow>, Error> {
        let catalog = self.proposer.catalog();
        let page = ask::blobs(catalog, consistency, shard, Some(before(location)), 1).await?;
        let found = page.into_iter().find(|(found, _)| *found == location);
        Ok(found.map(|(_, row)| row))
    }

    /// Every version of a shard against the rows of its blobs.
    pub(super) async fn check_versions(&mut self, shard: GroupId) -> Result<(), Error> {
        let mut after: Option<ScanPosition> = None;
        loop {
            let catalog = self.proposer.catalog();
            let fresh = Consistency::Linearizable;
            let page = ask::versions(catalog, fresh, shard, after, ask::PAGE).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for (position, entry) in page {
                match entry {
                    VersionEntry::Object(version) => {
                        self.summary.objects += 1;
                        self.check_version(shard, &position, version).await?;
                    }
                    VersionEntry::DeleteMarker(_) => {}
                }
            }
        }
    }

    async fn check_version(
        &mut self,
        shard: GroupId,
        position: &ScanPosition,
        version: Version,
    ) -> Result<(), Error> {
        let Some(version) = self.with_parts(position, version).await? else {
            return Ok(());
        };
        for blob in blobs_of(&version) {
            for location in &blob.copies {
                let row = self.blob_row(shard, *location, Consistency::Stale).await?;
                let Some(contradiction) = contradiction(blob, row.as_ref()) else {
                    continue;
                };
                let now = self.current(position, &version).await?;
                let still = now.as_ref().is_some_and(|now| refers_to(now, location));
                let row = self.blob_row(shard, *location, Consistency::Linearizable).await?;
                if !still || self::contradiction(blob, row.as_ref()).is_none() {
                    continue;
                }
                let owner = BlobOwner::Version {
                    bucket: position.bucket,
                    key: position.key.clone(),
                    version: version.id,
                };
                let finding = self
                    .finding(Kind::Inconsistent, *location, Some(&owner), contradiction)
                    .await?;
                self.found(finding).await?;
            }
        }
        Ok(())
    }

    /// The version with all its parts; `None` where it is gone meanwhile.
    async fn with_parts(
        &self,
        position: &ScanPosition,
        version: Version,
    ) -> Result<Option<Version>, Error> {
        match version.body {
            Body::Whole(_) | Body::Parts(_) => Ok(Some(version)),
            Body::Manifest { .. } => self.current(position, &version).await,
        }
    }

    /// The same version as it is now; `None` where it is gone.
    async fn current(
        &self,
        position: &ScanPosition,
        version: &Version,
    ) -> Result<Option<Version>, Error> {
        let selector = match (position.version, version.null) {
            (None, _) => None,
            (Some(_), true) => Some(VersionSelector::Null),
            (Some(id), false) => Some(VersionSelector::Id(id)),
        };
        let query = Query::Version {
            bucket: position.bucket,
            key: position.key.clone(),
            version: selector,
            manifest: true,
        };
        match self.proposer.catalog().query(query, Consistency::Linearizable).await? {
            Answer::Version(Some(VersionEntry::Object(now))) if now.id == version.id => {
                Ok(Some(now))
            }
            Answer::Version(_) => Ok(None),
            _ => Err(Error::UnexpectedAnswer { question: "version" }),
        }
    }
}

fn blobs_of(version: &Version) -> Vec<&Blob> {
    match &version.body {
        Body::Whole(blob) => vec![blob],
        Body::Parts(parts) => parts.iter().map(|part| &part.blob).collect(),
        Body::Manifest { .. } => Vec::new(),
    }
}

fn refers_to(version: &Version, location: &Location) -> bool {
    blobs_of(version).iter().any(|blob| blob.copies.contains(location))
}

/// What a blob's row says against the version that refers to it.
fn contradiction(blob: &Blob, row: Option<&BlobRow>) -> Option<String> {
    let Some(row) = row else {
        return Some("the version refers to a blob that has no row".to_owned());
    };
    match row.state {
        BlobState::Live(_) => {}
        BlobState::Garbage { .. } => {
            return Some("the version refers to a blob whose row says garbage".to_owned());
        }
        BlobState::Spent => {
            return Some("the version refers to a blob whose row says deleted".to_owned());
        }
    }
    let differs = row.size_bytes != blob.size_bytes || row.crc64nvme != blob.crc64nvme;
    differs.then(|| "size or checksum differ between the version and its blob's row".to_owned())
}

#[cfg(test)]
mod tests {
    use vaultaire_proto::{BackendId, NodeId};

    use super::*;

    #[test]
    fn nothing_lies_between_a_location_and_the_one_before() {
        let key = |epoch, seq| BlobKey {
            generation: 1,
            shard: GroupId(1),
            node: NodeId(1),
            epoch: EpochId(epoch),
            seq,
        };
        let at = |epoch, seq| Location { backend: BackendId(1), key: key(epoch, seq) };
        assert_eq!(before(at(5, 3)), at(5, 2));
        assert_eq!(before(at(5, 0)), at(4, u64::MAX));
        assert!(before(at(5, 0)) < at(5, 0));
    }
}
