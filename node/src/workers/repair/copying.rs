//! One blob gets a copy elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use parking_lot::Mutex;
use vaultaire_proto::command::PutCopy;
use vaultaire_proto::object::{Blob, Body, Location, VersionEntry};
use vaultaire_proto::planted::{self, Planted};
use vaultaire_proto::row::{BlobOwner, Bucket, Copies};
use vaultaire_proto::steps;
use vaultaire_proto::{
    Answer, BackendId, Consistency, GroupId, Operation, Query, Rejection, Response,
};
use vaultaire_router::epochs::Lease;
use vaultaire_router::place::upkeep::Step;
use vaultaire_storage::backend::{Attributes, Backend, ByteStream};
use vaultaire_storage::error::Error as StorageError;
use vaultaire_storage::pipeline::verify::{Expected, verified};

use crate::ask;
use crate::error::Error;
use crate::throttle::Throttle;
use crate::workers::Context;

/// What is known of backends.
#[derive(Debug)]
pub struct Around {
    /// On which nothing may stay.
    pub leaving: BTreeSet<BackendId>,
    /// Those of them from which nothing can be read.
    pub gone: BTreeSet<BackendId>,
}

/// A live copy, as its row has it.
pub struct Job {
    pub shard: GroupId,
    pub copy: Location,
    pub owner: BlobOwner,
    pub around: Arc<Around>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// A copy on a backend, beside a known one or in its place.
    Put {
        to: BackendId,
        beside: Location,
        replaces: bool,
    },
    Drop(Location),
    Nothing(Outcome),
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing had to be done.
    Fine,
    /// Made, moved or let go of.
    Moved,
    /// The object, or its copies, changed meanwhile.
    Superseded,
    WithoutCopy,
    WithoutPlace,
    /// Tried again in the next pass.
    Failed,
}

/// Why a copy was not made.
enum Fault {
    /// This source cannot be read: another one may do.
    Source(StorageError),
    Other(Error),
}

impl Job {
    pub async fn run(self, context: &Context, throttle: &Throttle) -> Outcome {
        match self.attempt(context, throttle).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(copy = ?self.copy, %error, "a copy could not be moved");
                Outcome::Failed
            }
        }
    }

    async fn attempt(&self, context: &Context, throttle: &Throttle) -> Result<Outcome, Error> {
        let catalog = context.proposer.catalog();
        // However old the answer: what is done with it is compared and set.
        let blob = ask::blob_of(catalog, Consistency::Stale, self.shard, self.copy).await?;
        let Some(blob) = blob else {
            return Ok(Outcome::Superseded);
        };
        let readable = |copy: &Location| !self.around.gone.contains(&copy.backend);
        let left: Vec<Location> = blob.copies.iter().copied().filter(readable).collect();
        if left.is_empty() {
            return Ok(Outcome::WithoutCopy);
        }
        let bucket = self.bucket(context).await?;
        let copies = bucket.as_ref().and_then(|row| row.copies).unwrap_or_default();
        let (to, beside, replaces) = match self.task(context, &left, copies) {
            Task::Nothing(outcome) => return Ok(outcome),
            Task::Drop(copy) => return self.drop_copy(context, copy).await,
            Task::Put { to, beside, replaces } => (to, beside, replaces),
        };
        let target = context.registry.get(to)?;
        let put = PutCopy { blob: blob.clone(), beside, replaces };
        let left = Blob { copies: left, ..blob.clone() };
        for source in context.targets.read_order(&context.registry, &left) {
            throttle.take(blob.size_bytes).await;
            match self.copied(context, &blob, source, &target, bucket.as_ref()).await {
                Ok((lease, new)) => return self.commit(context, put, lease, new).await,
                Err(Fault::Source(error)) => {
                    tracing::warn!(?source, %error, "a copy cannot be read; trying another");
                    context.targets.note(source.backend, &error);
                }
                Err(Fault::Other(error)) => {
                    if let Error::Storage(error) = &error {
                        context.targets.note(target.id(), error);
                    }
                    return Err(error);
                }
            }
        }
        // Not for want of a copy: backends that are only away come back.
        Ok(Outcome::Failed)
    }

    /// One step towards what the bucket wants.
    fn task(&self, context: &Context, left: &[Location], copies: Copies) -> Task {
        let (targets, registry) = (&context.targets, &context.registry);
        let leaves = |copy: &Location| self.around.leaving.contains(&copy.backend);
        let kept: Vec<Location> = left.iter().copied().filter(|copy| !leaves(copy)).collect();
        let ids: Vec<BackendId> = kept.iter().map(|copy| copy.backend).collect();
        let at = |id: BackendId| kept.iter().copied().find(|copy| copy.backend == id);
        if leaves(&self.copy) {
            let (beside, replaces) = (self.copy, true);
            let to = match ids.as_slice() {
                [] => targets.refuge(registry, self.copy.backend),
                kept => match targets.upkeep(registry, kept, copies) {
                    Step::Add(to) => Some(to),
                    Step::Wait => None,
                    Step::Keep | Step::Move(..) | Step::Drop(_) => return Task::Drop(self.copy),
                },
            };
            let without = Task::Nothing(Outcome::WithoutPlace);
            return to.map_or(without, |to| Task::Put { to, beside, replaces });
        }
        // Others are looked after from the first of their copies, once nothing of them must leave.
        if kept.iter().min() != Some(&self.copy) || kept.len() < left.len() {
            return Task::Nothing(Outcome::Fine);
        }
        match targets.upkeep(registry, &ids, copies) {
            Step::Keep => Task::Nothing(Outcome::Fine),
            Step::Wait => Task::Nothing(Outcome::WithoutPlace),
            Step::Add(to) => Task::Put { to, beside: self.copy, replaces: false },
            Step::Move(from, to) => {
                let fine = Task::Nothing(Outcome::Fine);
                at(from).map_or(fine, |beside| Task::Put { to, beside, replaces: true })
            }
            Step::Drop(id) => at(id).map_or(Task::Nothing(Outcome::Fine), Task::Drop),
        }
    }

    async fn bucket(&self, context: &Context) -> Result<Option<Bucket>, Error> {
        let (BlobOwner::Version { bucket, .. } | BlobOwner::Part { bucket, .. }) = &self.owner;
        ask::bucket_by_id(context.proposer.catalog(), Consistency::Stale, *bucket).await
    }

    async fn drop_copy(&self, context: &Context, copy: Location) -> Result<Outcome, Error> {
        let operation = Operation::DropCopy { copy };
        match context.proposer.commit(self.shard, operation).await? {
            Response::Done => {
                steps::reach(steps::Step::CopyDropped);
                Ok(Outcome::Moved)
            }
            Response::Rejected(Rejection::Superseded) => Ok(Outcome::Superseded),
            Response::Rejected(rejection) => {
                Err(Error::Rejected { subject: format!("the copy at {copy:?}"), rejection })
            }
            _ => Err(Error::UnexpectedAnswer { question: "drop copy" }),
        }
    }

    /// R1 and R2. The lease keeps the epoch open until the outcome is known.
    async fn copied(
        &self,
        context: &Context,
        blob: &Blob,
        source: Location,
        target: &Arc<dyn Backend>,
        bucket: Option<&Bucket>,
    ) -> Result<(Lease, Location), Fault> {
        let cluster = context.proposer.catalog().cluster().cluster;
        let from = context.registry.get(source.backend).map_err(Fault::Source)?;
        let key = source.key.backend_key(cluster);
        let object = from.get(&key, None).await.map_err(Fault::Source)?;
        let expected = Expected {
            crc64nvme: blob.crc64nvme,
            size_bytes: blob.size_bytes,
            subject: format!("{key} on backend {}", from.name()),
        };
        let slot: Arc<Mutex<Option<StorageError>>> = Arc::default();
        let body = watched(verified(object.stream, expected), Arc::clone(&slot));
        let attributes = self.attributes(bucket);
        let lease = context.epochs.allocate(self.shard).await;
        let lease = lease.map_err(|error| Fault::Other(Error::Found(error.to_string())))?;
        let to = lease.key.backend_key(cluster);
        match target.put(&to, &attributes, Some(blob.size_bytes), body).await {
            Ok(stored) if stored.size_bytes == blob.size_bytes => {
                let new = Location { backend: target.id(), key: lease.key };
                Ok((lease, new))
            }
            Ok(stored) => {
                let reason =
                    format!("{} bytes were stored of {}", stored.size_bytes, blob.size_bytes);
                let subject = format!("{to} on backend {}", target.name());
                Err(Fault::Other(StorageError::Corrupt { subject, reason }.into()))
            }
            Err(error) => match slot.lock().take() {
                Some(of_source) => Err(Fault::Source(of_source)),
                None => Err(Fault::Other(error.into())),
            },
        }
    }

    /// R3.
    async fn commit(
        &self,
        context: &Context,
        put: PutCopy,
        lease: Lease,
        new: Location,
    ) -> Result<Outcome, Error> {
        steps::reach(steps::Step::CopyMade);
        let put = match planted::is(Planted::CopyUnchecked) {
            true => self.of_whatever_is_current(context, put).await?,
            false => put,
        };
        let size_bytes = put.blob.size_bytes;
        let put = PutCopy { blob: Blob { copies: vec![new], ..put.blob }, ..put };
        let committed = context.proposer.commit(self.shard, Operation::PutCopy(put)).await;
        drop(lease);
        match committed? {
            Response::Done => {
                steps::reach(steps::Step::CopyAdded);
                context.metrics.copy_moved(size_bytes);
                Ok(Outcome::Moved)
            }
            Response::Rejected(Rejection::Superseded) => Ok(Outcome::Superseded),
            // The same command again, whose first answer was not heard: the next pass sees what it did.
            Response::Rejected(Rejection::Unknown) => Ok(Outcome::Superseded),
            Response::Rejected(Rejection::EpochClosed) => {
                context.epochs.forget(&new.key);
                Ok(Outcome::Failed)
            }
            Response::Rejected(rejection) => {
                Err(Error::Rejected { subject: format!("a copy at {new:?}"), rejection })
            }
            _ => Err(Error::UnexpectedAnswer { question: "put copy" }),
        }
    }

    /// The bytes of the current version, whichever that is: where that fault is planted.
    async fn of_whatever_is_current(
        &self,
        context: &Context,
        put: PutCopy,
    ) -> Result<PutCopy, Error> {
        let BlobOwner::Version { bucket, key, .. } = &self.owner else {
            return Ok(put);
        };
        let query =
            Query::Version { bucket: *bucket, key: key.clone(), version: None, manifest: false };
        let catalog = context.proposer.catalog();
        let current = catalog.query(query, Consistency::Linearizable).await?;
        let Answer::Version(Some(VersionEntry::Object(version))) = current else {
            return Ok(put);
        };
        let Body::Whole(blob) = version.body else {
            return Ok(put);
        };
        let beside = match blob.copies.contains(&put.beside) {
            true => Some(put.beside),
            false => blob.copies.first().copied(),
        };
        Ok(beside.map_or(put.clone(), |beside| PutCopy { blob, beside, ..put }))
    }

    /// The copy describes itself as the first one did, and knows its version by now.
    fn attributes(&self, bucket: Option<&Bucket>) -> Attributes {
        let (key, version) = match &self.owner {
            BlobOwner::Version { key, version, .. } => (key, version.to_string()),
            BlobOwner::Part { key, .. } => (key, String::new()),
        };
        Attributes {
            bucket: bucket.map_or_else(String::new, |row| row.name.to_string()),
            key: key.as_str().to_owned(),
            version,
            size_bytes: None,
            content_type: None,
        }
    }
}

/// Passes a stream on, and keeps the error that ended it: what a backend says of a body that failed does not tell whose
/// fault it was.
fn watched(stream: ByteStream, slot: Arc<Mutex<Option<StorageError>>>) -> ByteStream {
    Box::pin(stream.map(move |chunk| {
        chunk.map_err(|error| {
            let told = StorageError::Body { source: error.to_string().into() };
            *slot.lock() = Some(error);
            told
        })
    }))
}
