//! Which backends there are, on this node and on others: the registry gets those that the rows name, and new objects go to
//! those that are called as this node's configuration wants it, on whatever node. Those that cannot be reached are
//! passed over until they can.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;
use vaultaire_proto::row::{BackendRow, BackendState, NodePhase, NodeRow};
use vaultaire_proto::{Catalog, Consistency, NodeId};
use vaultaire_router::place::{Candidate, Home};
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
    /// The names that take new objects, the preferred one first. Empty: where the cluster has one name, that one.
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
        let (mut candidates, mut names) = (Vec::new(), Names::default());
        let write_to = self.write_to(&rows);
        for row in &rows {
            self.register(row);
            candidates.extend(self.candidate(row, &write_to, &nodes, &mut names));
        }
        self.targets.replace(candidates);
        Ok(())
    }

    fn write_to(&self, rows: &[BackendRow]) -> Vec<String> {
        if !self.write_to.is_empty() {
            return self.write_to.clone();
        }
        let names = names(rows);
        // Which of several is meant is asked at the start.
        if names.len() == 1 { names.into_iter().collect() } else { Vec::new() }
    }

    /// One that cannot be had stops neither the others nor a start. One that is gone is closed, also where it is this node's.
    fn register(&self, row: &BackendRow) {
        if row.state.is_gone() {
            if self.registry.remove(row.id).is_some() {
                tracing::warn!(backend = row.name, id = %row.id, state = ?row.state, "a backend is not used any more");
            }
            return;
        }
        let of_other = row.node.filter(|node| *node != self.pool.node());
        if let Some(node) = of_other
            && self.registry.get(row.id).is_err()
        {
            self.add(row, node);
        }
    }

    fn add(&self, row: &BackendRow, node: NodeId) {
        let Some(kind) = Kind::parse(&row.kind) else {
            tracing::warn!(backend = row.name, kind = row.kind, %node, "a backend of a kind that this release does not know");
            return;
        };
        let backend = PeerBackend::new(row.id, &row.name, kind, node, Arc::clone(&self.pool));
        match self.registry.insert(Arc::new(backend)) {
            Ok(()) => {
                tracing::info!(backend = row.name, %node, "another node's backend can be reached from here");
            }
            Err(error) => {
                tracing::warn!(backend = row.name, %node, %error, "another node's backend cannot be reached from here: this node calls one of its own by that name");
            }
        }
    }

    /// Whether a backend takes new objects: its shards must know it, and its node must stay.
    fn candidate(
        &self,
        row: &BackendRow,
        write_to: &[String],
        nodes: &[NodeRow],
        names: &mut Names,
    ) -> Option<Candidate> {
        if row.state.is_gone() {
            return None;
        }
        let pool = write_to.iter().position(|name| *name == row.name);
        let home = row.node.map(|node| names.home(node, nodes));
        let leaves = |node: &NodeRow| match node.phase {
            NodePhase::Leaving | NodePhase::Removed => true,
            NodePhase::Member | NodePhase::Joining | NodePhase::Changing => false,
        };
        let gone = nodes.iter().any(|node| row.node == Some(node.id) && leaves(node));
        Some(Candidate {
            backend: row.id,
            pool: pool.unwrap_or(usize::MAX),
            home,
            local: row.node.is_none_or(|node| node == self.pool.node()),
            takes: pool.is_some() && row.state == BackendState::Active && row.settled && !gone,
        })
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

/// What the cluster's backends are called.
pub fn names(rows: &[BackendRow]) -> BTreeSet<String> {
    rows.iter().filter(|row| !row.state.is_gone()).map(|row| row.name.clone()).collect()
}

/// Numbers for the names of zones and regions, as long as one look lasts.
#[derive(Debug, Default)]
struct Names(BTreeMap<String, u32>);

impl Names {
    fn home(&mut self, node: NodeId, nodes: &[NodeRow]) -> Home {
        let row = nodes.iter().find(|row| row.id == node);
        let (zone, region) = row.map_or(("", ""), |row| (&*row.zone, &*row.region));
        Home { node, zone: self.number(zone), region: self.number(region) }
    }

    fn number(&mut self, name: &str) -> u32 {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        *self.0.entry(name.to_owned()).or_insert(next)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use vaultaire_proto::catalog::local::LocalCatalog;
    use vaultaire_proto::time::ManualClock;
    use vaultaire_proto::{BackendId, ClusterId, GroupId, Operation, Response, TimeMs};
    use vaultaire_storage::backends::memory::Memory;

    use super::*;
    use crate::propose::Proposer;

    struct World {
        proposer: Proposer,
        watch: Watch,
    }

    impl World {
        /// What node 1 sees.
        fn new() -> Self {
            let clock = Arc::new(ManualClock::new(TimeMs(1)));
            let catalog = Arc::new(LocalCatalog::new(1, clock.clone()));
            let pool = Arc::new(Pool::new(ClusterId([1; 16]), NodeId(1), None));
            let (registry, targets) = (Arc::default(), Arc::default());
            let watch = Watch { pool, registry, targets, write_to: Vec::new() };
            Self { proposer: Proposer::new(catalog, clock), watch }
        }

        async fn put(&self, name: &str, kind: &str, node: u64) -> BackendId {
            let (name, kind, node) = (name.to_owned(), kind.to_owned(), Some(NodeId(node)));
            let put = Operation::PutBackend { name, kind, state: BackendState::Active, node };
            match self.proposer.commit(GroupId::CONTROL, put).await.unwrap() {
                Response::Backend(row) => row.id,
                other => panic!("{other:?}"),
            }
        }

        async fn set(&self, backend: BackendId, state: BackendState) {
            let set = Operation::SetBackendState { backend, state };
            self.proposer.commit_accepted("", GroupId::CONTROL, set).await.unwrap();
        }

        async fn seen(&self) -> Vec<String> {
            self.watch.follow(self.proposer.catalog()).await.unwrap();
            let all = self.watch.registry.all();
            all.iter().map(|backend| backend.name().to_owned()).collect()
        }
    }

    #[tokio::test]
    async fn the_registry_has_what_other_nodes_have() {
        let world = World::new();
        world.put("hot", "disk", 1).await;
        let second = world.put("hot", "disk", 2).await;
        let third = world.put("hot", "disk", 3).await;
        world.set(third, BackendState::Draining).await;
        assert_eq!(world.seen().await, ["hot@2", "hot@3"], "its own is opened elsewhere");
        assert_eq!(world.watch.registry.get(second).unwrap().kind(), Kind::Disk);
        world.set(second, BackendState::Lost).await;
        assert_eq!(world.seen().await, ["hot@3"]);
        world.set(third, BackendState::Removed).await;
        assert_eq!(world.seen().await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn one_that_cannot_be_had_hides_no_other() {
        let world = World::new();
        world.put("odd", "tape", 2).await;
        world.put("hot", "disk", 2).await;
        world.put("cold", "disk", 2).await;
        world.watch.registry.insert(Arc::new(Memory::new(BackendId(99), "hot@2"))).unwrap();
        assert_eq!(world.seen().await, ["cold@2", "hot@2"]);
    }
}
