//! Which backends there are, on this node and on others: the registry gets those that the rows name, and new objects go to
//! those that are called as this node's configuration wants it, on whatever node. Those that cannot be reached are
//! passed over until they can.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;
use vaultaire_proto::row::{BackendRow, BackendState, NodePhase, NodeRow};
use vaultaire_proto::{Catalog, Consistency, NodeId};
use vaultaire_router::place::Candidate;
use vaultaire_router::targets::Targets;
use vaultaire_storage::backend::Kind;
use vaultaire_storage::registry::Registry;

use super::client::PeerBackend;
use crate::ask;
use crate::error::Error;
use crate::peer::pool::Pool;

/// How often the rows are looked at, and the other nodes' backends.
pub const PAUSE: Duration = Duration::from_secs(2);

/// A backend that does not say within this time who it is, is passed over.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What is kept in agreement with the rows.
#[derive(Debug)]
pub struct Watch {
    pub pool: Arc<Pool>,
    pub registry: Arc<Registry>,
    pub targets: Arc<Targets>,
    /// The names that take new objects, the preferred one first.
    pub write_to: Vec<String>,
}

impl Watch {
    /// One look.
    pub async fn step(&self, catalog: &dyn Catalog) {
        if let Err(error) = self.follow(catalog).await {
            tracing::warn!(%error, "backends stay as they are known for the next round");
        }
        self.visit().await;
    }

    /// Makes registry and targets agree with the rows.
    pub async fn follow(&self, catalog: &dyn Catalog) -> Result<(), Error> {
        let nodes = ask::nodes(catalog, Consistency::Stale).await?;
        let rows = ask::backends(catalog, Consistency::Stale).await?;
        let mut candidates = Vec::new();
        for row in &rows {
            self.register(row)?;
            candidates.extend(self.candidate(row, &nodes));
        }
        self.targets.replace(candidates);
        Ok(())
    }

    fn register(&self, row: &BackendRow) -> Result<(), Error> {
        let Some(node) = row.node.filter(|node| *node != self.pool.node()) else {
            return Ok(());
        };
        let is_here = self.registry.get(row.id).is_ok();
        match row.state {
            BackendState::Removed => drop(self.registry.remove(row.id)),
            BackendState::Active | BackendState::Draining if is_here => {}
            BackendState::Active | BackendState::Draining => self.add(row, node)?,
        }
        Ok(())
    }

    fn add(&self, row: &BackendRow, node: NodeId) -> Result<(), Error> {
        let Some(kind) = Kind::parse(&row.kind) else {
            tracing::warn!(backend = row.name, kind = row.kind, %node, "a backend of a kind that this release does not know");
            return Ok(());
        };
        let backend = PeerBackend::new(row.id, &row.name, kind, node, Arc::clone(&self.pool));
        self.registry.insert(Arc::new(backend))?;
        tracing::info!(backend = row.name, %node, "another node's backend can be reached from here");
        Ok(())
    }

    /// A backend that takes new objects, if this one does. Its shards must know it, and its node must stay.
    fn candidate(&self, row: &BackendRow, nodes: &[NodeRow]) -> Option<Candidate> {
        let pool = self.write_to.iter().position(|name| *name == row.name)?;
        let leaves = |node: &NodeRow| match node.phase {
            NodePhase::Leaving | NodePhase::Removed => true,
            NodePhase::Member | NodePhase::Joining | NodePhase::Changing => false,
        };
        let gone = nodes.iter().any(|node| row.node == Some(node.id) && leaves(node));
        if row.state != BackendState::Active || !row.settled || gone {
            return None;
        }
        let local = row.node.is_none_or(|node| node == self.pool.node());
        Some(Candidate { backend: row.id, pool, node: row.node, local })
    }

    /// Asks the other nodes' backends who they are, all at once.
    async fn visit(&self) {
        let of_others = self.registry.all().into_iter().filter(|backend| {
            // Those of this node tell by themselves when they fail.
            backend.kind().is_of_node() && !self.pool.owns(backend.id())
        });
        let visits = of_others.map(|backend| async move {
            match timeout(ANSWER_MAX, backend.identify()).await {
                Ok(Ok(())) => self.targets.clear(backend.id()),
                Ok(Err(_)) | Err(_) => self.targets.suspect(backend.id()),
            }
        });
        join_all(visits).await;
    }
}
