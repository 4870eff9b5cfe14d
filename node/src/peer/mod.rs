//! What nodes of one cluster say to each other, over gRPC and mutual TLS. What the calls mean is Raft's (`raft`) and the
//! catalog's; here are connections, certificates and invitations.
//!
//! How it reads: `authority` (who is trusted), `token` (an invitation), `calls` (what is asked), `pool`
//! (connections out), `guard` (who may call),
//! `server` (calls in), `join` (becoming a member).

pub mod authority;
pub mod calls;
pub mod guard;
pub mod join;
pub mod pool;
pub mod server;
pub mod token;

use vaultaire_proto::{ClusterId, NodeId};

/// In the metadata of every call: the cluster, in hexadecimal digits.
pub const CLUSTER: &str = "vaultaire-cluster";

/// The node that calls.
pub const FROM: &str = "vaultaire-from";

/// The node that is meant: an address may have got another tenant.
pub const TO: &str = "vaultaire-to";

/// The group of a stream whose messages do not name it.
pub const GROUP: &str = "vaultaire-group";

/// Larger messages are refused on both sides. A page of a log is 4 MiB and one entry more.
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// The name in a node's certificate. Nobody looks it up: it is what the certificate proves.
pub fn server_name(cluster: ClusterId, node: NodeId) -> String {
    format!("node-{node}.{cluster}.vaultaire.internal")
}

/// The name in every certificate of a cluster, for those who do not know yet which node they call.
pub const ANY_SERVER_NAME: &str = "any-node.vaultaire.internal";
