//! Random client requests, plausible often enough to reach every rule.

use crate::command::{
    CompleteUpload, Condition, CreateUpload, DeleteVersion, ListedPart, Match, Operation, PutPart,
    PutVersion, Target, VersionSelector,
};
use crate::etag::ETag;
use crate::id::{BlobKey, BucketId, UploadId, VersionId};
use crate::name::ObjectKey;
use crate::object::{Attributes, Blob, Location};
use crate::response::Response;
use crate::state::tests::model::OWNER;
use crate::state::tests::script::{BACKEND, NODE, SHARD, Script};
use crate::state::upload::PART_BYTES_MIN;

impl Script {
    pub fn target(&mut self) -> Target {
        let bucket = BucketId(1 + self.random.below(2));
        let key = ["a", "b", "b/c", "b\u{0}d"][self.random.below(4) as usize];
        let generation = self.model.buckets[&bucket].generation;
        let seen = match self.random.below(20) {
            0 => generation.saturating_sub(1),
            1 => generation + 1,
            _ => generation,
        };
        Target { bucket, bucket_generation: seen, key: ObjectKey::parse(key).unwrap() }
    }

    pub fn blob(&mut self) -> Blob {
        self.seq += 1;
        let epoch = self.random.pick(&self.epochs).copied().unwrap();
        let key = BlobKey { generation: 1, shard: SHARD, node: NODE, epoch, seq: self.seq };
        let size_bytes = if self.random.one_in(3) { 10 } else { PART_BYTES_MIN };
        Blob { size_bytes, crc64nvme: self.seq, copies: vec![Location { backend: BACKEND, key }] }
    }

    pub fn md5(&mut self) -> [u8; 16] {
        [self.random.below(3) as u8; 16]
    }

    pub fn condition(&mut self) -> Condition {
        let some = match self.random.below(3) {
            0 => Match::Any,
            1 => Match::ETag(ETag::whole(self.md5())),
            _ => Match::Never,
        };
        match self.random.below(8) {
            0 => Condition { if_match: Some(some), ..Condition::default() },
            1 => Condition { if_none_match: Some(some), ..Condition::default() },
            _ => Condition::default(),
        }
    }

    pub fn put(&mut self) {
        let put = PutVersion {
            target: self.target(),
            owner: OWNER,
            etag: ETag::whole(self.md5()),
            checksum: None,
            attributes: Attributes::default(),
            blob: self.blob(),
            condition: self.condition(),
            digest: self.md5(),
        };
        self.client(Operation::PutVersion(put));
    }

    pub fn delete(&mut self) {
        let target = self.target();
        let mut ids: Vec<VersionId> =
            self.model.entries(&target).iter().map(|entry| entry.id).collect();
        // What a client makes up; its row key is that of the null version.
        ids.push(VersionId::default());
        let version = match self.random.below(6) {
            0 | 1 => self.random.pick(&ids).map(|id| VersionSelector::Id(*id)),
            2 => Some(VersionSelector::Null),
            _ => None,
        };
        let condition = self.condition();
        self.client(Operation::DeleteVersion(DeleteVersion {
            target,
            owner: OWNER,
            version,
            condition,
        }));
    }

    pub fn create_upload(&mut self) {
        let target = self.target();
        let create = CreateUpload {
            target: target.clone(),
            owner: OWNER,
            attributes: Attributes::default(),
            checksum: None,
        };
        if let Response::UploadCreated { upload } = self.client(Operation::CreateUpload(create)) {
            self.uploads.push((target, upload));
        }
    }

    pub fn upload(&mut self) -> Option<(Target, UploadId)> {
        let (mut target, upload) = self.random.pick(&self.uploads).cloned()?;
        target.bucket_generation = self.model.buckets[&target.bucket].generation;
        Some((target, upload))
    }

    pub fn put_part(&mut self) {
        let Some((target, upload)) = self.upload() else {
            return;
        };
        let part = PutPart {
            target,
            upload,
            number: 1 + self.random.below(4) as u16,
            md5: self.md5(),
            checksum: None,
            blob: self.blob(),
            digest: self.md5(),
        };
        self.client(Operation::PutPart(part));
    }

    pub fn complete(&mut self) {
        let Some((mut target, upload)) = self.upload() else {
            return;
        };
        let stored =
            self.model.uploads.get(&upload).map(|(_, _, parts)| parts.clone()).unwrap_or_default();
        let mut parts: Vec<ListedPart> = stored
            .iter()
            .map(|(number, (md5, _, _))| ListedPart { number: *number, md5: *md5, checksum: None })
            .collect();
        match self.random.below(8) {
            0 => parts.reverse(),
            1 => drop(parts.pop()),
            2 => parts.iter_mut().for_each(|part| part.md5 = [9; 16]),
            3 => target = self.target(),
            _ => {}
        }
        let condition = self.condition();
        let complete =
            CompleteUpload { target, upload, parts, condition, checksum: None, size_bytes: None };
        self.client(Operation::CompleteUpload(complete));
    }

    pub fn abort(&mut self) {
        let Some((target, upload)) = self.upload() else {
            return;
        };
        self.client(Operation::AbortUpload { target, upload });
    }
}
