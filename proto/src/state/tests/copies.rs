//! Copies in random sequences: new ones beside or instead of others, a backend that is lost, and what becomes of blobs
//! that nothing refers to.

use std::collections::BTreeMap;

use crate::catalog::{Answer, Query};
use crate::command::{Operation, PutCopy};
use crate::id::{BlobKey, EpochId};
use crate::object::{Blob, Location};
use crate::response::{Rejection, Response};
use crate::row::{BackendState, BlobRow, BlobState, EpochState};
use crate::state::query;
use crate::state::tests::model::{Life, Model};
use crate::state::tests::rules::only_key;
use crate::state::tests::script::{BACKEND, NODE, SECOND, SHARD, Script};

impl Model {
    pub fn live(&mut self, blob: &Blob) {
        let key = only_key(blob);
        self.blobs.insert(key, Life::Live);
        self.facts.insert(key, (blob.copies[0].backend, blob.size_bytes, blob.crc64nvme));
    }

    pub fn release_all(&mut self, copies: &[BlobKey]) {
        copies.iter().for_each(|copy| self.release(*copy));
    }

    /// What was on a lost backend is forgotten at once: nobody can delete it.
    pub fn release(&mut self, blob: BlobKey) {
        let home = self.facts.get(&blob).map(|fact| fact.0);
        if home.is_some_and(|home| self.lost.contains(&home)) {
            self.blobs.remove(&blob);
        } else {
            self.blobs.insert(blob, Life::Garbage);
        }
    }

    pub fn put_copy(&mut self, put: &PutCopy) -> Result<Response, Rejection> {
        let new = self.fresh(&put.blob)?;
        let (old, home) = (put.beside.key, put.blob.copies[0].backend);
        let refused = if self.blobs.get(&old) != Some(&Life::Live) {
            Some(Rejection::Superseded)
        } else if (self.facts[&old].1, self.facts[&old].2)
            != (put.blob.size_bytes, put.blob.crc64nvme)
        {
            Some(Rejection::BadDigest)
        } else {
            let facts = self.facts.clone();
            let copies = self.copies_with(old);
            let kept = copies.iter().filter(|copy| !put.replaces || **copy != old);
            match kept.copied().any(|copy| facts[&copy].0 == home) {
                true => Some(Rejection::Superseded),
                false => {
                    copies.push(new);
                    None
                }
            }
        };
        if let Some(rejection) = refused {
            self.discard(new);
            return Err(rejection);
        }
        self.live(&put.blob);
        if put.replaces {
            self.copies_with(old).retain(|copy| *copy != old);
            self.release(old);
        }
        Ok(Response::Done)
    }

    pub fn drop_copy(&mut self, copy: BlobKey) -> Result<Response, Rejection> {
        if self.blobs.get(&copy) != Some(&Life::Live) {
            return Err(Rejection::Superseded);
        }
        let (facts, lost) = (self.facts.clone(), self.lost.clone());
        let copies = self.copies_with(copy);
        if !copies.iter().any(|other| *other != copy && !lost.contains(&facts[other].0)) {
            return Err(Rejection::Superseded);
        }
        copies.retain(|other| *other != copy);
        self.release(copy);
        Ok(Response::Done)
    }

    /// The copies of the one blob that has this one.
    fn copies_with(&mut self, copy: BlobKey) -> &mut Vec<BlobKey> {
        let buckets = self.buckets.values_mut().flat_map(|bucket| bucket.keys.values_mut());
        let objects = buckets.flatten().filter_map(|entry| entry.object.as_mut());
        let of_objects = objects.flat_map(|object| object.blobs.iter_mut());
        let uploads = self.uploads.values_mut();
        let of_parts = uploads.flat_map(|(_, _, parts)| parts.values_mut().map(|part| &mut part.2));
        let mut all = of_objects.chain(of_parts);
        all.find(|copies| copies.contains(&copy)).expect("every live copy belongs to something")
    }
}

impl Script {
    fn rows(&self) -> Vec<(Location, BlobRow)> {
        let query = Query::Blobs { shard: SHARD, after: None, limit: usize::MAX };
        let Answer::Blobs(rows) = query::answer(&self.one, &query) else { panic!() };
        rows
    }

    pub fn lives(&self) -> BTreeMap<BlobKey, Life> {
        let life = |row: BlobRow| match row.state {
            BlobState::Live(_) => Life::Live,
            BlobState::Garbage { .. } => Life::Garbage,
            BlobState::Spent => Life::Spent,
        };
        self.rows().into_iter().map(|(location, row)| (location.key, life(row))).collect()
    }

    /// A worker that read some row a while ago has copied its bytes.
    pub fn copy(&mut self) {
        let Some((beside, row)) = self.random.pick(&self.rows()).cloned() else {
            return;
        };
        if self.random.one_in(5) {
            self.client(Operation::DropCopy { copy: beside });
            return;
        }
        let mut blob = self.blob();
        blob.copies[0].backend = if self.random.one_in(3) { BACKEND } else { SECOND };
        blob.size_bytes = row.size_bytes;
        blob.crc64nvme = row.crc64nvme + u64::from(self.random.one_in(10));
        let replaces = self.random.one_in(2);
        self.client(Operation::PutCopy(PutCopy { blob, beside, replaces }));
    }

    pub fn lose_backend(&mut self) {
        if self.random.one_in(2) {
            let (generation, state) = (2, BackendState::Lost);
            self.internal(Operation::ConfigureBackend { backend: SECOND, generation, state });
            self.model.lost.insert(SECOND);
        }
    }

    pub fn collect(&mut self) {
        let backend = if self.random.one_in(2) { BACKEND } else { SECOND };
        let query = Query::Garbage { shard: SHARD, backend, until: self.clock, limit: 5 };
        let Answer::Garbage(garbage) = query::answer(&self.one, &query) else { panic!() };
        let blobs: Vec<Location> = garbage.iter().map(|row| row.location).collect();
        for location in &blobs {
            let life = self.model.blobs.get(&location.key).copied();
            assert_eq!(life, Some(Life::Garbage), "{location:?} would be deleted");
            let lost = self.model.lost.contains(&location.backend);
            if lost || self.model.swept_epochs.contains(&location.key.epoch) {
                self.model.blobs.remove(&location.key);
            } else {
                self.model.blobs.insert(location.key, Life::Spent);
            }
        }
        self.internal(Operation::Collected { blobs });
    }

    pub fn sweep(&mut self) {
        let query = Query::Epochs { shard: SHARD };
        let Answer::Epochs(epochs) = query::answer(&self.one, &query) else { panic!() };
        for epoch in epochs {
            if self.model.open_epochs.contains(&epoch.id) {
                continue;
            }
            let last = self.random.one_in(2);
            let EpochState::Closed { sweeps, .. } = &epoch.state else { continue };
            for backend in [BACKEND, SECOND] {
                if self.model.lost.contains(&backend) {
                    continue;
                }
                let done = sweeps.iter().find(|sweep| sweep.backend == backend);
                let swept = Operation::EpochSwept {
                    generation: 1,
                    node: NODE,
                    epoch: epoch.id,
                    backend,
                    round: done.map_or(0, |sweep| sweep.done),
                    last,
                };
                self.internal(swept.clone());
                if self.random.one_in(3) {
                    // Another leader did the same round: the sweep is not counted again.
                    self.internal(swept);
                }
            }
            if last {
                self.prune(epoch.id);
            }
        }
    }

    fn prune(&mut self, epoch: EpochId) {
        self.model.swept_epochs.insert(epoch);
        let prune = Operation::PruneEpoch { generation: 1, node: NODE, epoch, limit: 2 };
        while self.internal(prune.clone()) == (Response::Pruned { more: true }) {}
        self.model.blobs.retain(|key, life| key.epoch != epoch || *life != Life::Spent);
    }
}
