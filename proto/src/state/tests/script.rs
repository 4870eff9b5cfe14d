//! Random commands, and what is compared after each.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, ConfigureBucket, Entry, InitCluster, Operation, Target};
use crate::id::{BackendId, BucketId, ClusterId, EpochId, GroupId, NodeId, RequestId, UploadId};
use crate::object::Blob;
use crate::response::Response;
use crate::row::{BackendState, BucketPhase, Settings, Versioning};
use crate::state::tests::Random;
use crate::state::tests::model::Model;
use crate::state::tests::rules::only_key;
use crate::state::{apply_entry, invariants, snapshot};
use crate::tables::{MemTables, Reader, Tables};
use crate::time::TimeMs;

pub const SHARD: GroupId = GroupId(1);
pub const NODE: NodeId = NodeId(1);
pub const BACKEND: BackendId = BackendId(1);
/// Gets second copies, until it is lost.
pub const SECOND: BackendId = BackendId(2);
const DEADLINE_MS: u64 = 600_000;
const SETTINGS: Settings = Settings { drain_ms: 1_000, dedupe_ms: 3_600_000 };
/// Every n-th sequence checks the invariants after each step, the others at the end.
const THOROUGH_ONE_IN: u64 = 8;
/// In the others the whole state is compared after every n-th step; responses always are.
const COMPARED_ONE_IN: u64 = 5;

pub struct Script {
    pub random: Random,
    pub one: MemTables,
    two: MemTables,
    pub model: Model,
    index: u64,
    pub clock: TimeMs,
    pub seq: u64,
    requests: u64,
    pub epochs: Vec<EpochId>,
    pub uploads: Vec<(Target, UploadId)>,
    history: Vec<Command>,
    thorough: bool,
    /// What buckets that are being deleted held after the last step, with their generations.
    deleting: BTreeMap<BucketId, (u64, BTreeSet<Vec<u8>>)>,
}

impl Script {
    pub fn new(seed: u64) -> Self {
        let mut script = Self {
            random: Random::new(seed),
            one: MemTables::default(),
            two: MemTables::default(),
            model: Model { dedupe_ms: SETTINGS.dedupe_ms, ..Model::default() },
            index: 0,
            clock: TimeMs(1_000_000),
            seq: 0,
            requests: 0,
            epochs: Vec::new(),
            uploads: Vec::new(),
            history: Vec::new(),
            thorough: seed.is_multiple_of(THOROUGH_ONE_IN),
            deleting: BTreeMap::new(),
        };
        script.found();
        script
    }

    fn found(&mut self) {
        let init = InitCluster {
            cluster: ClusterId([1; 16]),
            generation: 1,
            shards: 1,
            region: "r".into(),
            token_key: Vec::new(),
        };
        for operation in [Operation::InitCluster(init), Operation::PutSettings(SETTINGS)] {
            self.internal(operation);
        }
        for backend in [BACKEND, SECOND] {
            let (generation, state) = (1, BackendState::Active);
            self.internal(Operation::ConfigureBackend { backend, generation, state });
        }
        self.open_epoch();
        for bucket in 1..=2 {
            self.configure(BucketId(bucket), BucketPhase::Open, Versioning::Off);
        }
    }

    /// A command that only workers send; the model learns of its effect directly.
    pub fn internal(&mut self, operation: Operation) -> Response {
        self.requests += 1;
        let mut request = [0xee; 16];
        request[..8].copy_from_slice(&self.requests.to_be_bytes());
        let command = Command {
            group: SHARD,
            request: RequestId(request),
            not_after: TimeMs(u64::MAX),
            operation,
        };
        let response = self.replicas(&command);
        self.model.now = self.model.now.max(self.clock);
        if matches!(command.operation, Operation::OpenEpoch { .. } | Operation::EpochSwept { .. }) {
            self.model.remember_worker(command.request);
        }
        self.model.forget();
        response
    }

    fn replicas(&mut self, command: &Command) -> Response {
        self.index += 1;
        let entry = Entry { stamped_at: self.clock, commands: vec![command.clone()] };
        let mut one = apply_entry(&mut self.one, SHARD, self.index, &entry);
        let two = apply_entry(&mut self.two, SHARD, self.index, &entry);
        assert_eq!(one, two, "replicas answer differently to {command:?}");
        one.pop().unwrap()
    }

    fn submit(&mut self, command: Command) -> Response {
        let response = self.replicas(&command);
        let expected = self.model.apply(self.index, self.clock, &command);
        assert_eq!(response, expected, "step {} {command:?}", self.index);
        self.history.push(command);
        response
    }

    pub fn client(&mut self, operation: Operation) -> Response {
        self.requests += 1;
        let mut request = [0; 16];
        request[..8].copy_from_slice(&self.requests.to_be_bytes());
        self.submit(Command {
            group: SHARD,
            request: RequestId(request),
            not_after: self.clock.plus_ms(DEADLINE_MS),
            operation,
        })
    }

    pub fn step(&mut self, number: u64) {
        self.clock = self.clock.plus_ms(self.random.below(50));
        match self.random.below(100) {
            0..=24 => self.put(),
            25..=29 => self.copy(),
            30..=44 => self.delete(),
            45..=49 => self.create_upload(),
            50..=61 => self.put_part(),
            62..=69 => self.complete(),
            70..=71 => self.abort(),
            72..=76 => self.repeat_proposal(),
            77..=81 => self.client_retry(),
            82..=85 => self.reconfigure(),
            86..=88 => self.rotate_epochs(),
            89..=91 => self.collect(),
            92..=93 => self.sweep(),
            94 => self.lose_backend(),
            95 => self.clock = self.clock.plus_ms(self.random.below(5_000_000)),
            _ => self.snapshot(),
        }
        if self.thorough {
            self.check_invariants();
            self.check_deleting();
        }
        if self.thorough || number.is_multiple_of(COMPARED_ONE_IN) {
            self.compare();
        }
    }

    /// A proposer that never heard the outcome proposes the very same command again.
    fn repeat_proposal(&mut self) {
        if let Some(command) = self.random.pick(&self.history).cloned() {
            self.submit(command);
        }
    }

    /// A client repeats a request: the same id and inputs, other bytes at a new key, a new deadline. Or
    /// its inputs differ, and it is another request under the same id.
    fn client_retry(&mut self) {
        let Some(mut command) = self.random.pick(&self.history).cloned() else {
            return;
        };
        let blob = self.blob();
        let other = self.random.one_in(4).then(|| self.md5());
        match &mut command.operation {
            Operation::PutVersion(put) => {
                put.blob = Blob { size_bytes: put.blob.size_bytes, ..blob };
                put.digest = other.unwrap_or(put.digest);
            }
            Operation::PutPart(part) => {
                part.blob = Blob { size_bytes: part.blob.size_bytes, ..blob };
                part.digest = other.unwrap_or(part.digest);
            }
            Operation::PutCopy(copy) => {
                copy.blob.copies[0].key = only_key(&blob);
            }
            _ => {}
        }
        command.not_after = self.clock.plus_ms(DEADLINE_MS);
        self.submit(command);
    }

    fn configure(&mut self, bucket: BucketId, phase: BucketPhase, versioning: Versioning) {
        let generation = self.model.buckets.get(&bucket).map_or(1, |bucket| bucket.generation + 1);
        let late = generation > 2 && self.random.one_in(10);
        let generation = if late { generation - 2 } else { generation };
        let configure = ConfigureBucket { bucket, generation, phase, versioning };
        self.client(Operation::ConfigureBucket(configure));
    }

    fn reconfigure(&mut self) {
        let bucket = BucketId(1 + self.random.below(2));
        let now = self.model.buckets[&bucket].versioning;
        let versioning = match (now, self.random.below(3)) {
            (_, 0) => Versioning::Enabled,
            (Versioning::Off, 1) => Versioning::Off,
            (_, _) => Versioning::Suspended,
        };
        let phase = if self.random.one_in(6) { BucketPhase::Deleting } else { BucketPhase::Open };
        self.configure(bucket, phase, versioning);
    }

    fn open_epoch(&mut self) {
        let opened = self.internal(Operation::OpenEpoch { node: NODE, incarnation: 1 });
        let Response::EpochOpened { epoch, .. } = opened else { panic!("{opened:?}") };
        self.model.open_epochs.insert(epoch);
        self.epochs.push(epoch);
    }

    fn rotate_epochs(&mut self) {
        if self.random.one_in(2) {
            return self.open_epoch();
        }
        let open: Vec<EpochId> = self.model.open_epochs.iter().copied().collect();
        if open.len() < 2 {
            return;
        }
        let epoch = *self.random.pick(&open).unwrap();
        assert_eq!(
            self.internal(Operation::CloseEpoch { generation: 1, node: NODE, epoch }),
            Response::Done
        );
        self.model.open_epochs.remove(&epoch);
    }

    /// The second replica is replaced by what a snapshot of the first makes of an empty one.
    fn snapshot(&mut self) {
        let mut fresh = MemTables::default();
        for row in snapshot::rows(&self.one) {
            snapshot::install(&mut fresh, &row);
        }
        self.two = fresh;
    }

    /// Damages the second replica, to see that the comparison notices.
    pub fn lose_a_row(&mut self) {
        let row = snapshot::rows(&self.two).last().unwrap();
        self.two.delete(&row.0);
    }

    fn compare(&mut self) {
        assert_eq!(self.lives(), self.model.blobs, "blobs at index {}", self.index);
        super::lists::compare_versions(&[&self.one as &dyn Reader], &self.model);
    }

    fn check_invariants(&self) {
        let violations = invariants::check(&self.one);
        assert!(violations.is_empty(), "{violations:?}");
    }

    /// What a shard said of a bucket being deleted must stay true: nothing appears in it.
    fn check_deleting(&mut self) {
        for (id, bucket) in &self.model.buckets {
            let held = super::lists::held(&self.one, *id);
            let former = self.deleting.remove(id);
            if bucket.phase != BucketPhase::Deleting {
                continue;
            }
            if let Some((_, former)) = former.filter(|(since, _)| *since == bucket.generation) {
                assert!(held.is_subset(&former), "something appeared in bucket {id}");
            }
            self.deleting.insert(*id, (bucket.generation, held));
        }
    }

    pub fn finish(&mut self) {
        self.compare();
        self.check_invariants();
        assert_eq!(snapshot::state_hash(&self.one), snapshot::state_hash(&self.two));
        assert_eq!(self.one, self.two, "replicas differ");
    }
}
