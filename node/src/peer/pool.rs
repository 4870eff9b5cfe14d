//! Connections to other nodes: two for each, so that a snapshot never stands in the way of a heartbeat. They are made when
//! they are first needed, mend themselves, and follow a node to a new address.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use parking_lot::{Mutex, RwLock};
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use vaultaire_proto::row::{BackendRow, NodePhase, NodeRow};
use vaultaire_proto::state::{key, rows};
use vaultaire_proto::{BackendId, ClusterId, NodeId};

use super::authority::Credentials;
use super::{CLUSTER, FROM, TO, server_name};
use crate::tables::table::Table;

/// A peer that takes longer to accept a connection is tried again later.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How often a silent connection is asked whether it lives, and how long it may take to say so. Together well below an
/// election timeout twice over, so that a cut link is noticed before it is needed again.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(2);

/// What may be under way on one stream and on one connection without being read.
pub const STREAM_WINDOW_BYTES: u32 = 2 << 20;
pub const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Raft, commands and barriers.
    Control,
    /// Snapshots and blobs.
    Bulk,
}

/// This node cannot reach another.
#[derive(Clone, Debug, thiserror::Error)]
#[error("node {node} cannot be reached: {why}")]
pub struct Unreachable {
    pub node: NodeId,
    pub why: String,
}

/// Nodes and backends as somebody who has the rows told of them.
#[derive(Debug, Default)]
struct Told {
    /// Shared with whoever asks by them, which every request of a gateway does.
    nodes: Arc<[NodeRow]>,
    backends: Vec<BackendRow>,
}

struct Link {
    address: String,
    channel: Channel,
}

/// The ways from this node to all others.
pub struct Pool {
    cluster: ClusterId,
    node: NodeId,
    /// None: this node was never told to have peers.
    credentials: Option<Credentials>,
    /// Says where nodes are, once it is open.
    control: OnceLock<Arc<Table>>,
    /// The same on a node that has no rows: what it was told last.
    told: RwLock<Told>,
    links: Mutex<BTreeMap<(NodeId, Lane), Link>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pool").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Pool {
    pub fn new(cluster: ClusterId, node: NodeId, credentials: Option<Credentials>) -> Self {
        let (control, told, links) = (OnceLock::new(), RwLock::default(), Mutex::default());
        Self { cluster, node, credentials, control, told, links }
    }

    /// The node whose pool it is.
    pub fn node(&self) -> NodeId {
        self.node
    }

    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Takes the rows of the control group for what they say of other nodes, however old: an address that has changed is
    /// heard of by the node that moved.
    pub fn follow(&self, control: Arc<Table>) {
        if self.control.set(control).is_err() {
            tracing::error!("the control group was opened twice, which is a bug");
        }
    }

    /// Takes somebody's word for what the rows of the control group say, where this node has none.
    pub fn learn(&self, nodes: Vec<NodeRow>, backends: Vec<BackendRow>) {
        *self.told.write() = Told { nodes: nodes.into(), backends };
    }

    /// All nodes that this one was told of.
    pub fn told(&self) -> Arc<[NodeRow]> {
        Arc::clone(&self.told.read().nodes)
    }

    /// What is known of a node.
    pub fn row(&self, node: NodeId) -> Option<NodeRow> {
        match self.control.get() {
            Some(control) => rows::get(&control.view(), &key::node(node)),
            None => self.told.read().nodes.iter().find(|row| row.id == node).cloned(),
        }
    }

    /// Whether a backend is this node's.
    pub fn owns(&self, backend: BackendId) -> bool {
        let row: Option<BackendRow> = match self.control.get() {
            Some(control) => rows::get(&control.view(), &key::backend(backend)),
            None => self.told.read().backends.iter().find(|row| row.id == backend).cloned(),
        };
        row.is_some_and(|row| row.node == Some(self.node))
    }

    /// The way to a node. Whether it answers shows only in use.
    pub fn channel(&self, node: NodeId, lane: Lane) -> Result<Channel, Unreachable> {
        let unreachable = |why: &str| Unreachable { node, why: why.to_owned() };
        let Some(row) = self.row(node) else {
            return Err(unreachable("this node does not know it"));
        };
        if row.phase == NodePhase::Removed {
            return Err(unreachable("it was removed from the cluster"));
        }
        if row.address.is_empty() {
            return Err(unreachable("it has not said where it can be reached"));
        }
        let mut links = self.links.lock();
        if let Some(link) = links.get(&(node, lane)).filter(|link| link.address == row.address) {
            return Ok(link.channel.clone());
        }
        let channel = self.dial(node, &row.address)?;
        let link = Link { address: row.address, channel: channel.clone() };
        links.insert((node, lane), link);
        Ok(channel)
    }

    fn dial(&self, node: NodeId, address: &str) -> Result<Channel, Unreachable> {
        let unreachable = |why: String| Unreachable { node, why };
        let Some(credentials) = &self.credentials else {
            return Err(unreachable(
                "this node has no [peer] section in its configuration".to_owned(),
            ));
        };
        let tls = ClientTlsConfig::new()
            .ca_certificate(credentials.authority.clone())
            .identity(credentials.identity.clone())
            .domain_name(server_name(self.cluster, node));
        let endpoint = Endpoint::from_shared(format!("https://{address}"))
            .and_then(|endpoint| endpoint.tls_config(tls))
            .map_err(|error| unreachable(format!("{address}: {error}")))?;
        Ok(lazy(endpoint))
    }

    /// A call to a node: it says who calls whom, and how long an answer is waited for.
    pub fn request<T>(&self, to: NodeId, deadline: Option<Duration>, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        let cluster = self.cluster.to_string();
        for (name, value) in [(FROM, self.node.0), (TO, to.0)] {
            metadata.insert(name, MetadataValue::from(value));
        }
        if let Ok(cluster) = MetadataValue::try_from(cluster) {
            metadata.insert(CLUSTER, cluster);
        }
        if let Some(deadline) = deadline {
            request.set_timeout(deadline);
        }
        request
    }
}

/// A way to a node that is made when it is needed. The limit holds for the whole of it: tonic's own connector has one for TCP
/// alone, and a peer that accepts and never answers the TLS handshake would hold up every call for ever.
pub fn lazy(endpoint: Endpoint) -> Channel {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    tuned(endpoint).connect_with_connector_lazy(connector)
}

/// What all connections between nodes have in common.
fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_MAX)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_MAX)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
}
