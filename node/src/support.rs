//! What every node of the cluster can apply, by asking each: a new kind of command waits until all have said that they know it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;
use vaultaire_proto::command::FIRST_KINDS;
use vaultaire_proto::row::{NodePhase, NodeRow};
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::{CatalogError, Consistency, NodeId, Operation};

use crate::about::About;
use crate::ask;
use crate::error::Error;
use crate::peer::pool::Pool;
use crate::propose::Proposer;
use crate::raft::kinds::Kinds;

/// How long a node may take to answer one question.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Who asks, and where what came of it is kept.
#[derive(Clone, Debug)]
pub struct Support {
    proposer: Proposer,
    pool: Arc<Pool>,
    about: Arc<About>,
    kinds: Arc<Kinds>,
}

impl Support {
    pub fn new(
        proposer: &Proposer,
        pool: &Arc<Pool>,
        about: &Arc<About>,
        kinds: &Arc<Kinds>,
    ) -> Self {
        let (proposer, pool) = (proposer.clone(), Arc::clone(pool));
        Self { proposer, pool, about: Arc::clone(about), kinds: Arc::clone(kinds) }
    }

    /// Every node that was not removed: also one that is only just coming, or not yet gone, has to apply what is proposed.
    pub async fn nodes(&self) -> Result<Vec<NodeRow>, Error> {
        let nodes = ask::nodes(self.proposer.catalog(), Consistency::Linearizable).await?;
        Ok(nodes.into_iter().filter(|row| row.phase != NodePhase::Removed).collect())
    }

    /// Refuses what some node may be unable to apply.
    pub async fn ensure(&self, operation: &Operation) -> Result<(), Error> {
        if self.kinds.allow(operation) {
            return Ok(());
        }
        let nodes = self.nodes().await?;
        self.learn(&nodes).await?;
        match self.kinds.allow(operation) {
            true => Ok(()),
            false => Err(Error::Catalog(CatalogError::Unsupported)),
        }
    }

    /// Asks these nodes, which are all there are: what all of them can apply may be proposed from now on. Answers what each said
    /// of itself; where one says nothing, nothing is learned.
    pub async fn learn(&self, nodes: &[NodeRow]) -> Result<Vec<wire::DescribeResponse>, Error> {
        let told = join_all(nodes.iter().map(|row| self.describe(row.id))).await;
        let mut all = Vec::new();
        for (row, told) in nodes.iter().zip(told) {
            all.push(told.map_err(|why| Error::Unmet(silent(row.id, &why)))?);
        }
        let kinds = all.iter().map(|told| told.kinds.max(FIRST_KINDS)).min();
        self.kinds.learn(kinds.unwrap_or(FIRST_KINDS));
        Ok(all)
    }

    async fn describe(&self, node: NodeId) -> Result<wire::DescribeResponse, String> {
        if node == self.pool.node() {
            return Ok(self.about.tell());
        }
        answer(self.pool.describe(node, PATIENCE)).await
    }
}

/// Why a node that has to be asked stops everything.
pub fn silent(node: NodeId, why: &str) -> String {
    format!("node {node} does not answer: {why}; all nodes must be there for this")
}

/// An answer in time, or why there is none.
pub async fn answer<T, E: std::fmt::Display>(
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
