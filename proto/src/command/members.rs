//! Changes of who belongs to the cluster.

use crate::id::NodeId;
use crate::row::{NodePhase, NodeRole};
use crate::time::TimeMs;

/// Who belongs to the cluster. The rows say what is wanted; each group's leader brings its Raft membership there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// Invites one node. `hash` is of the secret in its join token.
    Invite {
        hash: [u8; 16],
        expires_at: TimeMs,
    },
    /// An invited node gets its id.
    Join {
        hash: [u8; 16],
        name: String,
        address: String,
        role: NodeRole,
    },
    SetRole {
        node: NodeId,
        role: NodeRole,
    },
    Remove {
        node: NodeId,
    },
    /// Every group's membership is as the row in `phase` wants it.
    Settle {
        node: NodeId,
        phase: NodePhase,
    },
}
