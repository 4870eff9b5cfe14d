//! One shard to apply single commands to, for tests of one rule each.

use crate::command::{
    Command, Condition, ConfigureBucket, Entry, InitCluster, Operation, PutVersion, Target,
};
use crate::etag::ETag;
use crate::id::{
    BackendId, BlobKey, BucketId, ClusterId, EpochId, GroupId, NodeId, RequestId, UserId,
};
use crate::name::ObjectKey;
use crate::object::{Attributes, Blob, Location};
use crate::response::Response;
use crate::row::{BackendState, BucketPhase, Settings, Versioning};
use crate::state::apply_entry;
use crate::tables::MemTables;
use crate::time::TimeMs;

pub const SHARD: GroupId = GroupId(1);
pub const NODE: NodeId = NodeId(1);
pub const BACKEND: BackendId = BackendId(1);
pub const BUCKET: BucketId = BucketId(1);
pub const USER: UserId = UserId(1);

/// A founded shard with a backend, a bucket and an open epoch.
pub struct Shard {
    pub tables: MemTables,
    pub epoch: EpochId,
    pub now: TimeMs,
    pub generation: u64,
    index: u64,
    seq: u64,
}

impl Shard {
    pub fn new(versioning: Versioning) -> Self {
        let mut shard = Self {
            tables: MemTables::default(),
            epoch: EpochId(0),
            now: TimeMs(1_000_000),
            generation: 0,
            index: 0,
            seq: 0,
        };
        shard.done(Operation::InitCluster(InitCluster {
            cluster: ClusterId([1; 16]),
            generation: 1,
            shards: 1,
            region: "r".into(),
            token_key: Vec::new(),
        }));
        shard.done(Operation::PutSettings(Settings { drain_ms: 0, dedupe_ms: 3_600_000 }));
        shard.backend(BACKEND, BackendState::Active);
        shard.configure(BucketPhase::Open, versioning);
        shard.open_epoch();
        shard
    }

    /// One command in an entry of its own, under a request id of its own.
    pub fn apply(&mut self, operation: Operation) -> Response {
        let mut request = [0xff; 16];
        request[..8].copy_from_slice(&self.index.to_be_bytes());
        self.apply_as(RequestId(request), operation)
    }

    pub fn apply_as(&mut self, request: RequestId, operation: Operation) -> Response {
        self.index += 1;
        let not_after = TimeMs(u64::MAX);
        let command = Command { group: SHARD, request, not_after, operation };
        let entry = Entry { stamped_at: self.now, commands: vec![command] };
        apply_entry(&mut self.tables, SHARD, self.index, &entry).remove(0)
    }

    pub fn done(&mut self, operation: Operation) {
        assert_eq!(self.apply(operation.clone()), Response::Done, "{operation:?}");
    }

    pub fn backend(&mut self, backend: BackendId, state: BackendState) {
        let generation = self.index;
        self.done(Operation::ConfigureBackend { backend, generation, state });
    }

    pub fn configure(&mut self, phase: BucketPhase, versioning: Versioning) -> bool {
        self.generation += 1;
        let generation = self.generation;
        let configure = ConfigureBucket { bucket: BUCKET, generation, phase, versioning };
        match self.apply(Operation::ConfigureBucket(configure)) {
            Response::Configured { empty } => empty,
            other => panic!("{other:?}"),
        }
    }

    pub fn open_epoch(&mut self) {
        match self.apply(Operation::OpenEpoch { node: NODE, incarnation: 1 }) {
            Response::EpochOpened { epoch, .. } => self.epoch = epoch,
            other => panic!("{other:?}"),
        }
    }

    pub fn target(&self, key: &str) -> Target {
        let key = ObjectKey::parse(key).unwrap();
        Target { bucket: BUCKET, bucket_generation: self.generation, key }
    }

    /// New bytes in the epoch opened last.
    pub fn blob(&mut self) -> Blob {
        self.seq += 1;
        let (epoch, seq) = (self.epoch, self.seq);
        let key = BlobKey { generation: 1, shard: SHARD, node: NODE, epoch, seq };
        let copies = vec![Location { backend: BACKEND, key }];
        Blob { size_bytes: 10, crc64nvme: seq, copies }
    }

    pub fn put_of(&mut self, key: &str) -> PutVersion {
        PutVersion {
            target: self.target(key),
            owner: USER,
            etag: ETag::whole([1; 16]),
            checksum: None,
            attributes: Attributes::default(),
            blob: self.blob(),
            condition: Condition::default(),
            digest: [0; 16],
        }
    }

    pub fn put(&mut self, key: &str) -> Location {
        let put = self.put_of(key);
        let location = put.blob.copies[0];
        let response = self.apply(Operation::PutVersion(put));
        assert!(matches!(response, Response::Put(_)), "{response:?}");
        location
    }
}
