//! How the cluster of every simulation came to be: three nodes that joined one after another, a bucket and a backend
//! that every shard knows. It happens once, in fair weather; every run goes on from there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use vaultaire::raft::group::Origin;
use vaultaire_proto::command::members::MemberChange;
use vaultaire_proto::command::{ConfigureBucket, InitCluster};
use vaultaire_proto::planted::{self, Planted};
use vaultaire_proto::row::{BackendState, BucketPhase, NodePhase, NodeRole, Settings, Versioning};
use vaultaire_proto::{
    Answer, BackendId, BucketId, Catalog, ClusterId, Command, Consistency, GroupId, NodeId,
    Operation, Query, RequestId, Response, TimeMs,
};

use super::node::{Node, Nodes, Possessions};
use super::trace::Keep;
use super::world::{Backends, World};

pub const SHARDS: u16 = 2;
pub const NODES: u64 = 3;
pub const BUCKET: BucketId = BucketId(7);
/// One on a disk of each node, so to speak: a pool.
pub const BACKENDS: [BackendId; 3] = [BackendId(1), BackendId(2), BackendId(3)];
pub const CLUSTER: ClusterId = ClusterId([9; 16]);

/// How long replaced bytes stay.
pub const DRAIN_MS: u64 = 1500;

/// No clock of a simulation comes near.
pub const NOT_AFTER: TimeMs = TimeMs(u64::MAX / 2);

const SEED: u64 = 20_261_128;

/// Longer than any step of a founding takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run begins with.
#[derive(Debug)]
pub struct Founded {
    pub nodes: BTreeMap<NodeId, Possessions>,
}

/// What a node makes of an empty log: none has one after the founding.
pub fn origin(id: NodeId) -> Origin {
    if id != NodeId(1) {
        return Origin::Joined { cluster: CLUSTER, fresh: true };
    }
    Origin::Found(InitCluster {
        cluster: CLUSTER,
        generation: 1,
        shards: SHARDS,
        region: "eu-test-1".to_owned(),
        token_key: vec![5; 32],
    })
}

/// Why there is no cluster: what is planted was found before the first fault.
pub type Failures = Vec<String>;

/// Once for each fault that is planted in those who found it.
pub fn founded(planted: Option<Planted>) -> Result<Arc<Founded>, Failures> {
    type Known = Result<Arc<Founded>, Failures>;
    static FOUNDED: Mutex<BTreeMap<Option<u8>, Known>> = Mutex::new(BTreeMap::new());
    let mut known = FOUNDED.lock();
    let at = planted.map(|planted| planted as u8);
    known.entry(at).or_insert_with(|| found(planted).map(Arc::new)).clone()
}

/// From nothing; the same every time.
pub fn found(planted: Option<Planted>) -> Result<Founded, Failures> {
    // A thread of its own: the caller may be in a runtime, and its chance stays its own.
    let founding = std::thread::spawn(move || {
        planted::plant_here(planted);
        super::runtime().block_on(async {
            let world = World::new(SEED, Keep::Sum, Backends::Work);
            let founded = tokio::time::timeout(PATIENCE, Founding::run(&world)).await;
            let late = vec!["a founding in fair weather does not end".to_owned()];
            match world.failures() {
                failures if failures.is_empty() => founded.map_err(|_| late),
                failures => Err(failures),
            }
        })
    });
    founding.join().unwrap_or_else(|_| Err(vec!["a founding in fair weather panics".to_owned()]))
}

struct Founding {
    world: Arc<World>,
    nodes: Nodes,
    requests: u128,
}

impl Founding {
    async fn run(world: &Arc<World>) -> Founded {
        let mut founding = Self { world: Arc::clone(world), nodes: Nodes::new(), requests: 0 };
        founding.add(NodeId(1)).await;
        let address = |id: NodeId| format!("node-{id}:1");
        let first = Operation::RegisterNode {
            node: NodeId(1),
            incarnation: 1,
            name: "node-1".to_owned(),
            address: address(NodeId(1)),
            zone: String::new(),
            region: String::new(),
        };
        founding.commit(GroupId::CONTROL, first).await;
        for id in (2..=NODES).map(NodeId) {
            founding.join(id, address(id)).await;
        }
        founding.prepare().await;
        for node in founding.nodes.values() {
            node.stop().await;
        }
        let has = |(id, node): (&NodeId, &Arc<Node>)| (*id, node.possessions());
        Founded { nodes: founding.nodes.iter().map(has).collect() }
    }

    async fn add(&mut self, id: NodeId) {
        let node = Node::new(Arc::clone(&self.world), id, Possessions::default());
        node.start(origin(id));
        self.nodes.insert(id, Arc::clone(&node));
        while node.ready().is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn commit(&mut self, group: GroupId, operation: Operation) -> Response {
        self.requests += 1;
        let request = RequestId(self.requests.to_be_bytes());
        let command = Command { group, request, not_after: NOT_AFTER, operation };
        let ready = self.nodes[&NodeId(1)].ready().expect("the first node runs");
        ready.catalog.commit(command).await.expect("fair weather")
    }

    async fn join(&mut self, id: NodeId, address: String) {
        let hash = [u8::try_from(id.0).expect("a small number"); 16];
        let invite = MemberChange::Invite { hash, expires_at: NOT_AFTER };
        self.commit(GroupId::CONTROL, Operation::ChangeMembers(invite)).await;
        let name = format!("node-{id}");
        let join = MemberChange::Join { hash, name, address, role: NodeRole::Voter };
        let joined = self.commit(GroupId::CONTROL, Operation::ChangeMembers(join)).await;
        assert!(matches!(&joined, Response::Node(row) if row.id == id), "{joined:?}");
        self.add(id).await;
        while !self.is_member(id).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn is_member(&self, id: NodeId) -> bool {
        let ready = self.nodes[&NodeId(1)].ready().expect("the first node runs");
        let nodes = ready.catalog.query(Query::Nodes, Consistency::Linearizable).await;
        match nodes.expect("fair weather") {
            Answer::Nodes(rows) => {
                rows.iter().any(|row| row.id == id && row.phase == NodePhase::Member)
            }
            other => panic!("an answer of another kind: {other:?}"),
        }
    }

    /// What shards are told by the control group's leader, and nodes ask for at their start.
    async fn prepare(&mut self) {
        let settings = Settings { drain_ms: DRAIN_MS, ..Settings::default() };
        for group in (0..=SHARDS).map(GroupId) {
            self.commit(group, Operation::PutSettings(settings)).await;
        }
        for shard in (1..=SHARDS).map(GroupId) {
            let bucket = ConfigureBucket {
                bucket: BUCKET,
                generation: 1,
                phase: BucketPhase::Open,
                versioning: Versioning::Off,
            };
            self.commit(shard, Operation::ConfigureBucket(bucket)).await;
            for backend in BACKENDS {
                let state = BackendState::Active;
                let backend = Operation::ConfigureBackend { backend, generation: 1, state };
                self.commit(shard, backend).await;
            }
        }
    }
}
