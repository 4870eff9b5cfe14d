//! What a shard should answer, said as plainly as possible: lists of versions per key, sets of
//! blobs, no rows, no indexes, no encodings.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{
    Command, CompleteUpload, DeleteVersion, Operation, PutPart, PutVersion, Target, VersionSelector,
};
use crate::etag::ETag;
use crate::id::{
    BackendId, BlobKey, BucketId, EpochId, GroupId, RequestId, UploadId, UserId, VersionId,
};
use crate::name::ObjectKey;
use crate::object::Blob;
use crate::response::{Deleted, Put, Rejection, Response};
use crate::row::{BucketPhase, Versioning};
use crate::state::tests::rules::{Asked, Forgotten, asked, etag_of, holds, is_final, only_key};
use crate::state::upload::PART_BYTES_MIN;
use crate::time::TimeMs;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: VersionId,
    pub null: bool,
    /// None: a delete marker.
    pub object: Option<Object>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub etag: ETag,
    pub size: u64,
    pub modified: TimeMs,
    /// The copies of each part.
    pub blobs: Vec<Vec<BlobKey>>,
}

#[derive(Clone, Debug)]
pub struct ModelBucket {
    pub generation: u64,
    pub phase: BucketPhase,
    pub versioning: Versioning,
    /// Newest first.
    pub keys: BTreeMap<ObjectKey, Vec<Entry>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Live,
    Garbage,
    Spent,
}

/// Part numbers and MD5s as a complete lists them.
type Listed = Vec<(u16, [u8; 16])>;
pub type Parts = BTreeMap<u16, ([u8; 16], u64, Vec<BlobKey>)>;

#[derive(Default)]
pub struct Model {
    pub now: TimeMs,
    pub dedupe_ms: u64,
    pub buckets: BTreeMap<BucketId, ModelBucket>,
    pub uploads: BTreeMap<UploadId, (BucketId, ObjectKey, Parts)>,
    pub completed: BTreeMap<UploadId, (BucketId, ObjectKey, Listed, Response)>,
    pub blobs: BTreeMap<BlobKey, Life>,
    /// Where each is, its size and its checksum.
    pub facts: BTreeMap<BlobKey, (BackendId, u64, u64)>,
    pub lost: BTreeSet<BackendId>,
    pub open_epochs: BTreeSet<EpochId>,
    pub swept_epochs: BTreeSet<EpochId>,
    pub answered: BTreeMap<RequestId, (Asked, Response)>,
    /// In the order in which they are forgotten: answers before completed uploads of one instant.
    pub expiry: BTreeSet<(TimeMs, Forgotten)>,
}

impl Model {
    /// What the shard should answer to a command whose entry stands at `index`.
    pub fn apply(&mut self, index: u64, stamp: TimeMs, command: &Command) -> Response {
        self.now = self.now.max(stamp);
        let response = self.once(index, command);
        self.forget();
        response
    }

    /// A worker's request takes its place among those that are forgotten in time.
    pub fn remember_worker(&mut self, request: RequestId) {
        let until = self.now.plus_ms(self.dedupe_ms);
        self.expiry.insert((until, Forgotten::Answer(request)));
    }

    pub fn forget(&mut self) {
        for _ in 0..2 {
            let Some((at, what)) = self.expiry.first().copied().filter(|(at, _)| *at < self.now)
            else {
                break;
            };
            self.expiry.remove(&(at, what));
            match what {
                Forgotten::Answer(request) => drop(self.answered.remove(&request)),
                Forgotten::Completed(upload) => drop(self.completed.remove(&upload)),
            }
        }
    }

    fn once(&mut self, index: u64, command: &Command) -> Response {
        let asked = asked(&command.operation);
        let known = self.answered.get(&command.request).cloned();
        let repeated = known
            .filter(|(former, _)| Some(former) == asked.as_ref())
            .map(|(_, response)| response);
        let fresh = command.operation.new_blob().map(only_key);
        if let Some(blob) = fresh
            && self.blobs.contains_key(&blob)
        {
            return repeated.unwrap_or(Response::Rejected(Rejection::Unknown));
        }
        if fresh.is_none()
            && let Some(response) = repeated
        {
            return response;
        }
        if self.now > command.not_after {
            return Response::Rejected(Rejection::Expired);
        }
        if let (Some(blob), Some(response)) = (fresh, repeated) {
            self.discard(blob);
            return response;
        }
        let id = VersionId { generation: 1, index, sub: 0 };
        let response = match self.execute(id, &command.operation) {
            Ok(response) => response,
            Err(rejection) => Response::Rejected(rejection),
        };
        if let Some(asked) = asked
            && is_final(&response)
        {
            self.expiry.retain(|(_, what)| *what != Forgotten::Answer(command.request));
            let until = self.now.plus_ms(self.dedupe_ms);
            self.expiry.insert((until, Forgotten::Answer(command.request)));
            self.answered.insert(command.request, (asked, response.clone()));
        }
        response
    }

    fn execute(&mut self, id: VersionId, operation: &Operation) -> Result<Response, Rejection> {
        match operation {
            Operation::PutVersion(put) => self.put(id, put),
            Operation::DeleteVersion(delete) => self.delete(id, delete),
            Operation::CreateUpload(create) => {
                self.bucket(&create.target, true)?;
                let upload = UploadId { shard: GroupId(1), created: id };
                let place = (create.target.bucket, create.target.key.clone(), Parts::new());
                self.uploads.insert(upload, place);
                Ok(Response::UploadCreated { upload })
            }
            Operation::PutPart(part) => self.put_part(part),
            Operation::PutCopy(copy) => self.put_copy(copy),
            Operation::DropCopy { copy } => self.drop_copy(copy.key),
            Operation::CompleteUpload(complete) => self.complete(id, complete),
            Operation::AbortUpload { target, upload } => {
                self.bucket(target, false)?;
                let parts = self.upload(target, *upload)?.clone();
                self.uploads.remove(upload);
                parts.values().for_each(|(_, _, copies)| self.release_all(copies));
                Ok(Response::Done)
            }
            Operation::ConfigureBucket(configure) => {
                let bucket = self.buckets.entry(configure.bucket).or_insert(ModelBucket {
                    generation: 0,
                    phase: configure.phase,
                    versioning: configure.versioning,
                    keys: BTreeMap::new(),
                });
                if bucket.generation <= configure.generation {
                    bucket.generation = configure.generation;
                    bucket.phase = configure.phase;
                    bucket.versioning = configure.versioning;
                }
                let empty = bucket.keys.values().all(Vec::is_empty)
                    && !self.uploads.values().any(|(bucket, _, _)| *bucket == configure.bucket);
                Ok(Response::Configured { empty })
            }
            other => panic!("the model does not know {other:?}"),
        }
    }

    fn bucket(&self, target: &Target, adds: bool) -> Result<Versioning, Rejection> {
        let bucket = self.buckets.get(&target.bucket).ok_or(Rejection::ConfigAhead)?;
        match bucket.phase {
            BucketPhase::Deleted => return Err(Rejection::NoSuchBucket),
            BucketPhase::Deleting if adds => return Err(Rejection::OperationAborted),
            _ => {}
        }
        match target.bucket_generation.cmp(&bucket.generation) {
            std::cmp::Ordering::Less => Err(Rejection::StaleConfig),
            std::cmp::Ordering::Greater => Err(Rejection::ConfigAhead),
            std::cmp::Ordering::Equal => Ok(bucket.versioning),
        }
    }

    pub fn fresh(&self, blob: &Blob) -> Result<BlobKey, Rejection> {
        let key = only_key(blob);
        if self.lost.contains(&blob.copies[0].backend) {
            return Err(Rejection::StaleConfig);
        }
        if self.open_epochs.contains(&key.epoch) { Ok(key) } else { Err(Rejection::EpochClosed) }
    }

    pub fn entries(&mut self, target: &Target) -> &mut Vec<Entry> {
        let bucket = self.buckets.get_mut(&target.bucket).expect("checked before");
        bucket.keys.entry(target.key.clone()).or_default()
    }

    fn head(&mut self, target: &Target) -> Option<Entry> {
        self.entries(target).first().filter(|entry| entry.object.is_some()).cloned()
    }

    fn put(&mut self, id: VersionId, put: &PutVersion) -> Result<Response, Rejection> {
        let versioning = self.bucket(&put.target, true)?;
        let blob = self.fresh(&put.blob)?;
        let head = self.head(&put.target);
        if let Err(rejection) = holds(&put.condition, head.as_ref()) {
            self.discard(blob);
            return Err(rejection);
        }
        let object = Object {
            etag: put.etag,
            size: put.blob.size_bytes,
            modified: self.now,
            blobs: vec![vec![blob]],
        };
        self.live(&put.blob);
        Ok(self.install(&put.target, versioning, id, object))
    }

    fn install(
        &mut self,
        target: &Target,
        versioning: Versioning,
        id: VersionId,
        object: Object,
    ) -> Response {
        let null = versioning != Versioning::Enabled;
        let put = Put {
            version: id,
            null,
            etag: object.etag,
            checksum: None,
            size_bytes: object.size,
            modified: object.modified,
        };
        self.replace(target, Entry { id, null, object: Some(object) });
        Response::Put(put)
    }

    /// A new newest entry; a null one takes the place of the former null one.
    fn replace(&mut self, target: &Target, entry: Entry) {
        let mut gone = Vec::new();
        if entry.null {
            gone = self.entries(target).extract_if(.., |former| former.null).collect();
        }
        self.entries(target).insert(0, entry);
        gone.into_iter().for_each(|former| self.release_entry(&former));
    }

    fn release_entry(&mut self, entry: &Entry) {
        if let Some(object) = &entry.object {
            object.blobs.iter().for_each(|copies| self.release_all(copies));
        }
    }

    pub fn discard(&mut self, blob: BlobKey) {
        if self.open_epochs.contains(&blob.epoch) {
            self.release(blob);
        }
    }

    fn delete(&mut self, id: VersionId, delete: &DeleteVersion) -> Result<Response, Rejection> {
        let bucket = self.buckets.get(&delete.target.bucket);
        let versioned = bucket.is_some_and(|bucket| bucket.versioning != Versioning::Off);
        let versioning = self.bucket(&delete.target, versioned && delete.version.is_none())?;
        let selected = |entry: &Entry| match delete.version {
            Some(VersionSelector::Id(id)) => entry.id == id && !entry.null,
            Some(VersionSelector::Null) => entry.null,
            None => false,
        };
        let concerned = match delete.version {
            None => self.head(&delete.target),
            Some(_) => self.entries(&delete.target).iter().find(|entry| selected(entry)).cloned(),
        };
        if concerned.as_ref().is_some_and(|entry| entry.object.is_some()) {
            holds(&delete.condition, concerned.as_ref())?;
        }
        if let Some(selector) = delete.version {
            let Some(entry) = concerned else {
                let (version, null) = match selector {
                    VersionSelector::Id(id) => (Some(id), false),
                    VersionSelector::Null => (None, true),
                };
                return Ok(Response::Deleted(Deleted { version, null, marker: false }));
            };
            self.entries(&delete.target).retain(|entry| !selected(entry));
            self.release_entry(&entry);
            let (version, marker) = (Some(entry.id), entry.object.is_none());
            return Ok(Response::Deleted(Deleted { version, null: entry.null, marker }));
        }
        if versioning == Versioning::Off {
            let gone = std::mem::take(self.entries(&delete.target));
            gone.iter().for_each(|entry| self.release_entry(entry));
            return Ok(Response::Deleted(Deleted { version: None, null: false, marker: false }));
        }
        let null = versioning == Versioning::Suspended;
        self.replace(&delete.target, Entry { id, null, object: None });
        Ok(Response::Deleted(Deleted { version: Some(id), null, marker: true }))
    }

    fn upload(&mut self, target: &Target, upload: UploadId) -> Result<&mut Parts, Rejection> {
        match self.uploads.get_mut(&upload) {
            Some((bucket, key, parts)) if *bucket == target.bucket && *key == target.key => {
                Ok(parts)
            }
            _ => Err(Rejection::NoSuchUpload),
        }
    }

    fn put_part(&mut self, put: &PutPart) -> Result<Response, Rejection> {
        self.bucket(&put.target, true)?;
        let blob = self.fresh(&put.blob)?;
        match self.upload(&put.target, put.upload) {
            Err(rejection) => {
                self.discard(blob);
                return Err(rejection);
            }
            Ok(parts) => {
                let new = (put.md5, put.blob.size_bytes, vec![blob]);
                let former = parts.insert(put.number, new);
                self.live(&put.blob);
                if let Some((_, _, former)) = former {
                    self.release_all(&former);
                }
            }
        }
        Ok(Response::PartPut { modified: self.now })
    }

    fn complete(
        &mut self,
        id: VersionId,
        complete: &CompleteUpload,
    ) -> Result<Response, Rejection> {
        let listed: Listed = complete.parts.iter().map(|part| (part.number, part.md5)).collect();
        let Target { bucket, key, .. } = &complete.target;
        if let Some((of, former_key, former, response)) = self.completed.get(&complete.upload) {
            return if (of, former_key, former) == (bucket, key, &listed) {
                Ok(response.clone())
            } else {
                Err(Rejection::NoSuchUpload)
            };
        }
        let versioning = self.bucket(&complete.target, true)?;
        let parts = self.upload(&complete.target, complete.upload)?.clone();
        if listed.is_empty() {
            return Err(Rejection::InvalidPart);
        }
        if listed.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(Rejection::InvalidPartOrder);
        }
        let same =
            |(number, md5): &(u16, [u8; 16])| parts.get(number).is_some_and(|part| part.0 == *md5);
        if !listed.iter().all(same) {
            return Err(Rejection::InvalidPart);
        }
        if listed.iter().rev().skip(1).any(|(number, _)| parts[number].1 < PART_BYTES_MIN) {
            return Err(Rejection::EntityTooSmall);
        }
        let head = self.head(&complete.target);
        holds(&complete.condition, head.as_ref())?;
        self.uploads.remove(&complete.upload);
        let kept: Vec<u16> = listed.iter().map(|(number, _)| *number).collect();
        for (number, (_, _, copies)) in &parts {
            if !kept.contains(number) {
                self.release_all(copies);
            }
        }
        let object = Object {
            etag: etag_of(&listed),
            size: kept.iter().map(|number| parts[number].1).sum(),
            modified: self.now,
            blobs: kept.iter().map(|number| parts[number].2.clone()).collect(),
        };
        let response = self.install(&complete.target, versioning, id, object);
        let until = self.now.plus_ms(self.dedupe_ms);
        self.expiry.insert((until, Forgotten::Completed(complete.upload)));
        self.completed.insert(complete.upload, (*bucket, key.clone(), listed, response.clone()));
        Ok(response)
    }
}

/// The owner of everything in these tests.
pub const OWNER: UserId = UserId(1);
