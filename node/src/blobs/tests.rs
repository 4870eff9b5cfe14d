//! Another node's backend over a real connection with mutual TLS: the suite of every backend, and who may call.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use vaultaire_proto::row::{BackendRow, BackendState, NodePhase, NodeRole, NodeRow};
use vaultaire_proto::state::{key, rows};
use vaultaire_proto::{BackendId, BackendKey, ClusterId, GroupId, NodeId};
use vaultaire_storage::backend::{Attributes, Backend, Kind, once};
use vaultaire_storage::backends::disk::{Disk, Settings};
use vaultaire_storage::backends::identity::Expect;
use vaultaire_storage::backends::memory::Memory;
use vaultaire_storage::backends::memory::faults::Faults;
use vaultaire_storage::conformance;
use vaultaire_storage::error::{Class, Error};
use vaultaire_storage::registry::Registry;

use super::client::PeerBackend;
use super::server::OwnBackends;
use crate::about::About;
use crate::machine::ThisMachine;
use crate::peer::authority::{Authority, Credentials};
use crate::peer::guard::Guard;
use crate::peer::join::Host;
use crate::peer::pool::Pool;
use crate::peer::server::{self, Calls};
use crate::raft::arriving::Landing;
use crate::secrets::Secret;
use crate::tables::Store;
use crate::tables::meta::Meta;
use crate::tables::overlay::Overlay;
use crate::tables::table::Table;
use crate::tables::writer::Outcome;
use crate::tls;

const CLUSTER: ClusterId = ClusterId([3; 16]);
const HERE: NodeId = NodeId(2);
const THERE: NodeId = NodeId(1);
const BACKEND: BackendId = BackendId(7);
const OF_OTHERS: BackendId = BackendId(8);
const NOT_MOUNTED: BackendId = BackendId(9);
const ON_DISK: BackendId = BackendId(10);

/// Node 1 serves a backend of its own; the rows say where.
struct World {
    authority: Authority,
    control: Arc<Table>,
    stop: CancellationToken,
    /// What node 1 runs on: when it goes, all its connections break.
    there: Option<Runtime>,
    folder: TempDir,
    _store: Store,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
        self.lose();
    }
}

fn node(id: NodeId, address: &str, phase: NodePhase) -> NodeRow {
    let (name, address) = (format!("node-{id}"), address.to_owned());
    let (zone, region) = (String::new(), String::new());
    NodeRow { id, name, incarnation: 1, address, role: NodeRole::Voter, phase, zone, region }
}

fn backend(id: BackendId, node: NodeId) -> BackendRow {
    BackendRow {
        id,
        name: "hot".to_owned(),
        kind: "memory".to_owned(),
        generation: 1,
        state: BackendState::Active,
        settled: true,
        node: Some(node),
    }
}

async fn disk(folder: &Path) -> Disk {
    let (name, path, cluster) = ("disk".to_owned(), folder.join("disk"), CLUSTER.to_string());
    let expect = Expect::FreshOrOurs;
    Disk::open(Settings { id: ON_DISK, name, path, cluster, expect }).await.unwrap()
}

impl World {
    async fn start() -> Self {
        Self::with_faults(Faults::NONE).await
    }

    async fn with_faults(faults: Faults) -> Self {
        tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("tables")).unwrap();
        let control = store.table(GroupId::CONTROL).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let authority = Authority::generate().unwrap();
        let stop = CancellationToken::new();
        let landing = Landing::clear(&ThisMachine, folder.path().join("snapshots")).unwrap();
        let there = Some(Runtime::new().unwrap());
        let world = Self { authority, control, stop, there, folder, _store: store };
        world.row(key::node(THERE), node(THERE, &address, NodePhase::Member)).await;
        world.row(key::node(HERE), node(HERE, "nowhere:1", NodePhase::Member)).await;
        world.row(key::backend(BACKEND), backend(BACKEND, THERE)).await;
        world.row(key::backend(OF_OTHERS), backend(OF_OTHERS, HERE)).await;
        world.row(key::backend(NOT_MOUNTED), backend(NOT_MOUNTED, THERE)).await;
        world.row(key::backend(ON_DISK), backend(ON_DISK, THERE)).await;
        let disk = disk(world.folder.path()).await;
        let memory = Memory::with_faults(BACKEND, "hot", faults);
        world.serve(listener, landing, vec![Arc::new(disk), Arc::new(memory)]);
        world
    }

    async fn row<T: vaultaire_proto::convert::Stored + Send + 'static>(
        &self,
        key: Vec<u8>,
        row: T,
    ) {
        let work = Box::new(move |tables: &mut Overlay<'_>| {
            rows::put(tables, key, &row);
            Outcome { meta: Meta::default(), then: Box::new(|| ()) }
        });
        self.control.apply(work).await.unwrap();
    }

    fn credentials(&self, node: NodeId) -> Credentials {
        self.authority.credentials(CLUSTER, node).unwrap()
    }

    fn pool(&self, node: NodeId, credentials: Credentials) -> Arc<Pool> {
        let pool = Arc::new(Pool::new(CLUSTER, node, Some(credentials)));
        pool.follow(Arc::clone(&self.control));
        pool
    }

    fn serve(&self, listener: TcpListener, landing: Landing, own: Vec<Arc<dyn Backend>>) {
        let pool = self.pool(THERE, self.credentials(THERE));
        let registry = Arc::new(Registry::default());
        own.into_iter().for_each(|backend| registry.insert(backend).unwrap());
        registry.insert(Arc::new(Memory::new(OF_OTHERS, "hot@2".to_owned()))).unwrap();
        let parts = server::Parts {
            calls: Calls {
                about: Arc::new(About {
                    directory: Arc::default(),
                    data_dir: PathBuf::new(),
                    started: std::time::Instant::now(),
                }),
                proposer: Arc::default(),
                directory: Arc::default(),
                landing,
                stop: self.stop.clone(),
            },
            blobs: OwnBackends::new(registry, Arc::clone(&pool)),
            guard: Guard::new(pool),
            host: Host {
                cluster: CLUSTER,
                authority: self.authority.clone(),
                sealing_key: Secret::new(""),
                gateway: false,
                admitting: Arc::default(),
            },
            credentials: self.credentials(THERE),
        };
        let listener = listener.into_std().unwrap();
        self.there.as_ref().unwrap().spawn(async move {
            server::serve(TcpListener::from_std(listener).unwrap(), parts).await
        });
    }

    /// Node 1 is gone from one moment to the next.
    fn lose(&mut self) {
        if let Some(there) = self.there.take() {
            there.shutdown_background();
        }
    }

    /// A backend of node 1 as a node with these credentials sees it, which says that it is `node`.
    fn seen_by(&self, node: NodeId, credentials: Credentials, id: BackendId) -> Arc<PeerBackend> {
        let pool = self.pool(node, credentials);
        Arc::new(PeerBackend::new(id, "hot", Kind::Memory, THERE, pool))
    }

    fn seen(&self, id: BackendId) -> Arc<PeerBackend> {
        self.seen_by(HERE, self.credentials(HERE), id)
    }
}

fn some_key() -> BackendKey {
    BackendKey::parse("w/a").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peers_backend_is_a_backend_like_any_other() {
    let world = World::start().await;
    conformance::assert_conforms(world.seen(BACKEND), "suite").await;
    conformance::assert_conforms(world.seen(ON_DISK), "suite").await;
    let leftovers = std::fs::read_dir(world.folder.path().join("disk").join("incoming")).unwrap();
    assert_eq!(leftovers.count(), 0, "what was broken off is not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_chunks_are_split_and_arrive_whole() {
    let world = World::start().await;
    let backend = world.seen(BACKEND);
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|at| at.to_le_bytes()[at as usize % 4]).collect();
    let body = once(Bytes::from(bytes.clone()));
    let size = Some(bytes.len() as u64);
    backend.put(&some_key(), &Attributes::default(), size, body).await.unwrap();
    let object = backend.get(&some_key(), Some(1_000_000..4_000_001)).await.unwrap();
    assert_eq!(object.size_bytes, 5_000_000);
    let found = object.collect(u64::MAX).await.unwrap();
    assert_eq!(found, bytes[1_000_000..4_000_001]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_serves_no_backend_of_another() {
    let world = World::start().await;
    let error = world.seen(OF_OTHERS).check().await.unwrap_err();
    assert!(error.to_string().contains("hot@1"), "{error}");
    assert_eq!(error.class(), Class::Transient);
}

async fn refused(backend: Arc<PeerBackend>, why: &str) {
    let body = once(Bytes::from_static(b"x"));
    let error = backend.put(&some_key(), &Attributes::default(), None, body).await.unwrap_err();
    let Error::Unavailable { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains(why), "`{why}` is not said: {source}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_its_node_has_not_mounted_may_come_back() {
    let world = World::start().await;
    let error = world.seen(NOT_MOUNTED).head(&some_key()).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_to_a_node_that_is_down_did_not_happen() {
    let world = World::start().await;
    // Nobody listens there any more.
    let freed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    world.row(key::node(THERE), node(THERE, &freed, NodePhase::Member)).await;
    refused(world.seen(BACKEND), "hot@1: ").await;
}

/// How a write ends whose node is lost when it has taken a first chunk, and `rest` is asked for.
async fn lost_at(rest: impl Stream<Item = Result<Bytes, Error>> + Send + 'static) -> Error {
    let slow = Faults { slow: 1000, slow_for: Duration::from_secs(3600), ..Faults::NONE };
    let mut world = World::with_faults(slow).await;
    let asked = Arc::new(Notify::new());
    let told = Arc::clone(&asked);
    let first = stream::iter([Ok(Bytes::from_static(b"x"))]);
    let mark = stream::poll_fn(move |_| {
        told.notify_one();
        Poll::Ready(None)
    });
    let body = Box::pin(first.chain(mark).chain(rest));
    let backend = world.seen(BACKEND);
    let (key, attributes) = (some_key(), Attributes::default());
    let put = backend.put(&key, &attributes, None, body);
    let lose = async {
        asked.notified().await;
        world.lose();
    };
    futures::join!(put, lose).0.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_may_have_happened_and_half_a_write_has_not() {
    let half = lost_at(stream::pending()).await;
    assert!(matches!(half, Error::Unavailable { .. }), "{half:?}");
    let whole = lost_at(stream::empty()).await;
    assert!(matches!(whole, Error::OutcomeUnknown { .. }), "{whole:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_members_of_this_cluster_are_served() {
    let world = World::start().await;
    let of_two = world.credentials(HERE);
    refused(world.seen_by(NodeId(9), of_two, BACKEND), "not that of node 9").await;
    let other = Authority::generate().unwrap().credentials(CLUSTER, HERE).unwrap();
    let forged = Credentials { authority: world.credentials(HERE).authority, ..other };
    let error = world.seen_by(HERE, forged, BACKEND).check().await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "TLS has refused it: {error:?}");
    world.row(key::node(HERE), node(HERE, "nowhere:1", NodePhase::Removed)).await;
    refused(world.seen(BACKEND), "was removed").await;
}
