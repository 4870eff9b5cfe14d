//! Whether all nodes have the same rows: a command that changes nothing is an entry in each group's log, each node digests its
//! rows as they are after exactly that entry, and the digests are compared. Rows that differ are a fault of a disk or a bug; nothing
//! mends them, since nobody can know which are right but by the majority.
//!
//! It is asked for by `vaultaire cluster compare`, and once a day by the leader of the control group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use tokio::time::Instant;
use vaultaire_proto::row::{NodePhase, NodeRole, NodeRow};
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::{GroupId, NodeId, Operation, RequestId};

use crate::about::About;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::peer::pool::Pool;
use crate::propose::{self, Proposer};
use crate::raft::group::Groups;
use crate::support::{PATIENCE, Support, answer, silent};

/// How often the worker looks whether it is time, and when it is: first a while after the start, and as long after a failure.
pub const PAUSE: Duration = Duration::from_secs(60);
const FIRST_AFTER: Duration = Duration::from_secs(60 * 60);
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a node may take to read all rows of a group, and how often it is asked whether it has.
const DIGEST_MAX: Duration = Duration::from_secs(5 * 60);
const POLL: Duration = Duration::from_millis(100);

/// What compares.
#[derive(Debug)]
pub struct Comparer {
    proposer: Proposer,
    pool: Arc<Pool>,
    about: Arc<About>,
    groups: Arc<Groups>,
    support: Support,
    metrics: Arc<Metrics>,
    /// When the worker compares next.
    due: Mutex<Instant>,
    /// Held by who compares: a node keeps only the last digest of a group.
    turn: tokio::sync::Mutex<()>,
}

/// One group's replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    pub group: GroupId,
    pub replicas: Vec<Replica>,
}

/// What one node said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    pub node: NodeId,
    /// Or why there is none.
    pub digest: Result<wire::RowsDigest, String>,
    /// It has not what most have.
    pub differs: bool,
}

impl Comparer {
    pub fn new(
        proposer: Proposer,
        pool: Arc<Pool>,
        about: Arc<About>,
        groups: Arc<Groups>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let support = Support::new(&proposer, &pool, &about, groups.kinds());
        let (due, turn) = (Mutex::new(Instant::now() + FIRST_AFTER), tokio::sync::Mutex::default());
        Self { proposer, pool, about, groups, support, metrics, due, turn }
    }

    /// One look of the worker.
    pub async fn step(&self) {
        let leads = self.groups.replicas().first().is_some_and(|control| control.leads());
        if !leads || Instant::now() < *self.due.lock() {
            return;
        }
        let next = match self.compare().await {
            Ok(_) => EVERY,
            Err(error) => {
                tracing::warn!(%error, "the replicas are not compared this time");
                FIRST_AFTER
            }
        };
        *self.due.lock() = Instant::now() + next;
    }

    /// Compares the replicas of every group, one group after the other. Refuses while a node is missing, comes or goes, or runs
    /// another release: one may write the same row in other words than the next.
    pub async fn compare(&self) -> Result<Vec<Comparison>, Error> {
        let Ok(_turn) = self.turn.try_lock() else {
            return Err(Error::Unmet(
                "this node compares the replicas already: ask again when it has".to_owned(),
            ));
        };
        let mut nodes = self.support.nodes().await?;
        self.ensure_equal(&nodes).await?;
        nodes.retain(|row| row.role != NodeRole::Gateway);
        let is_whole = |row: &&NodeRow| match row.phase {
            NodePhase::Joining | NodePhase::Leaving => false,
            NodePhase::Member | NodePhase::Changing | NodePhase::Removed => true,
        };
        if let Some(row) = nodes.iter().find(|row| !is_whole(row)) {
            return Err(Error::Unmet(format!(
                "node {} joins or leaves: compare when `vaultaire cluster members` says that it is done",
                row.id
            )));
        }
        let mut all = Vec::new();
        for group in std::iter::once(GroupId::CONTROL).chain(self.proposer.shards()) {
            all.push(self.compare_one(group, &nodes).await?);
        }
        let differ = all.iter().filter(|group| group.replicas.iter().any(|one| one.differs));
        self.metrics.groups_that_differ(differ.count());
        Ok(all)
    }

    /// What all nodes can apply, and that all run the same release.
    async fn ensure_equal(&self, nodes: &[NodeRow]) -> Result<(), Error> {
        let told = self.support.learn(nodes).await?;
        self.support.ensure(&Operation::CompareRows).await?;
        let mut releases: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (row, told) in nodes.iter().zip(told) {
            releases.entry(told.version).or_default().push(row.id.to_string());
        }
        if releases.len() > 1 {
            let releases = releases
                .iter()
                .map(|(release, nodes)| format!("{release} on node(s) {}", nodes.join(", ")));
            let releases = releases.collect::<Vec<_>>().join("; ");
            return Err(Error::Unmet(format!(
                "different releases may write the same row differently ({releases}): compare after the upgrade"
            )));
        }
        Ok(())
    }

    async fn compare_one(&self, group: GroupId, nodes: &[NodeRow]) -> Result<Comparison, Error> {
        let request = propose::fresh_request();
        let marked = self.proposer.commit_as(request, group, Operation::CompareRows).await?;
        propose::accepted("the replicas", marked)?;
        let digests = join_all(nodes.iter().map(|row| self.digest(row.id, group, request))).await;
        let replicas = nodes.iter().zip(digests);
        let replicas =
            replicas.map(|(row, digest)| Replica { node: row.id, digest, differs: false });
        let mut comparison = Comparison { group, replicas: replicas.collect() };
        set_apart(&mut comparison.replicas);
        judge(&mut comparison.replicas);
        for replica in comparison.replicas.iter().filter(|replica| replica.differs) {
            tracing::error!(
                %group, node = %replica.node, digest = ?replica.digest,
                "a node has other rows than most: {ADVICE}"
            );
        }
        Ok(comparison)
    }

    /// Asks until the node has it or takes too long, as one does that was sent a snapshot in the place of the entry.
    async fn digest(
        &self,
        node: NodeId,
        group: GroupId,
        request: RequestId,
    ) -> Result<wire::RowsDigest, String> {
        let deadline = Instant::now() + DIGEST_MAX;
        loop {
            let told = self.ask(node, group, request).await;
            match told {
                Ok(wire::GetDigestResponse { digest: Some(digest) }) => return Ok(digest),
                Ok(_) | Err(_) if Instant::now() < deadline => tokio::time::sleep(POLL).await,
                Ok(_) => return Err("it has not digested its rows in time".to_owned()),
                Err(why) => return Err(silent(node, &why)),
            }
        }
    }

    async fn ask(
        &self,
        node: NodeId,
        group: GroupId,
        request: RequestId,
    ) -> Result<wire::GetDigestResponse, String> {
        if node == self.pool.node() {
            let told = self.about.digest(group, request);
            return told.ok_or_else(|| "the group is not running".to_owned());
        }
        let asked =
            wire::GetDigestRequest { group: u32::from(group.0), request: request.0.to_vec() };
        answer(self.pool.digest(node, PATIENCE, asked)).await
    }
}

/// What to do about a node whose rows differ.
pub const ADVICE: &str = "take it out with `vaultaire cluster remove NODE`, empty its data directory, and let it join again";

/// Rows are comparable after one and the same entry. A command whose outcome was unknown may have been proposed twice, and a node
/// that digested for another one meanwhile has missed the first.
fn set_apart(replicas: &mut [Replica]) {
    let first = replicas.iter().filter_map(|replica| replica.digest.as_ref().ok()).next();
    let Some(index) = first.map(|digest| digest.index) else {
        return;
    };
    for replica in replicas {
        let other = replica.digest.as_ref().map_or(index, |digest| digest.index);
        if other != index {
            replica.digest = Err(format!(
                "its rows were digested after entry {other}, those before after {index}"
            ));
        }
    }
}

/// Those differ that have not what more than half have. Where nothing is what more than half have, nobody can tell who is right.
fn judge(replicas: &mut [Replica]) {
    let mut votes: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for digest in replicas.iter().filter_map(|replica| replica.digest.as_ref().ok()) {
        let count = votes.entry(digest.hash.clone()).or_default();
        *count = count.saturating_add(1);
    }
    if votes.len() < 2 {
        return;
    }
    let said: usize = votes.values().sum();
    let most = votes.into_iter().find(|(_, count)| count * 2 > said).map(|(hash, _)| hash);
    for replica in replicas {
        replica.differs =
            replica.digest.as_ref().is_ok_and(|digest| Some(&digest.hash) != most.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differ(digests: &[Option<u8>]) -> Vec<bool> {
        let replicas = (1..).zip(digests).map(|(node, digest)| Replica {
            node: NodeId(node),
            digest: digest
                .map(|byte| wire::RowsDigest { index: 1, hash: vec![byte; 16], rows: 2 })
                .ok_or_else(|| "silent".to_owned()),
            differs: false,
        });
        let mut replicas: Vec<_> = replicas.collect();
        judge(&mut replicas);
        replicas.iter().map(|replica| replica.differs).collect()
    }

    #[test]
    fn rows_of_another_moment_are_not_compared() {
        let at = |node, index, byte| Replica {
            node: NodeId(node),
            digest: Ok(wire::RowsDigest { index, hash: vec![byte; 16], rows: 2 }),
            differs: false,
        };
        let mut replicas = [at(1, 7, 1), at(2, 8, 2), at(3, 7, 1)];
        set_apart(&mut replicas);
        judge(&mut replicas);
        assert!(replicas.iter().all(|replica| !replica.differs));
        assert!(replicas[1].digest.as_ref().is_err_and(|why| why.contains("after entry 8")));
    }

    #[test]
    fn whoever_is_not_with_the_majority_differs() {
        assert_eq!(differ(&[Some(1), Some(1), Some(1)]), [false, false, false]);
        assert_eq!(differ(&[Some(1), Some(2), Some(1)]), [false, true, false]);
        assert_eq!(differ(&[Some(1), None, Some(1)]), [false, false, false], "silence is no row");
        assert_eq!(differ(&[Some(1), None, Some(2)]), [true, false, true], "nobody can tell");
        assert_eq!(differ(&[Some(1)]), [false]);
    }
}
