//! The catalog seam over Raft groups: a barrier and a view for a query, the proposer for a command.
//! It knows nothing of what rows mean (proto's `state`) nor of openraft (`raft`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;
use vaultaire_proto::catalog::{Page, Scope};
use vaultaire_proto::planted::{self, Planted};
use vaultaire_proto::row::ClusterRow;
use vaultaire_proto::state;
use vaultaire_proto::state::query::answer;
use vaultaire_proto::state::query::merge::{Listing, Merge};
use vaultaire_proto::{
    Answer, Catalog, CatalogError, Command, Consistency, GroupId, Operation, Query, Rejection,
    Response,
};

use crate::place::Place;
use crate::raft::kinds::Kinds;
use crate::raft::replica::Replica;
use crate::tables::view::View;

/// How long a command whose outcome is not definite is repeated under its request id.
pub const COMMIT_DEADLINE: Duration = Duration::from_secs(20);

/// How long a read waits for a leader to be elected.
pub const READ_DEADLINE: Duration = Duration::from_secs(8);

/// Between two attempts.
pub const REPEAT_AFTER: Duration = Duration::from_millis(100);

/// How many shards one list reads at the same time: the threads for that are shared with everything that waits for a disk.
const SHARDS_AT_ONCE: usize = 8;

/// The replicated state, by way of this node's groups.
#[derive(Debug)]
pub struct RaftCatalog {
    cluster: ClusterRow,
    /// By group id: the control group, then the shards.
    groups: Vec<Arc<Replica>>,
    kinds: Arc<Kinds>,
}

impl RaftCatalog {
    pub fn new(cluster: ClusterRow, groups: Vec<Arc<Replica>>, kinds: Arc<Kinds>) -> Self {
        Self { cluster, groups, kinds }
    }

    /// This node's replicas, the control group's first.
    pub fn replicas(&self) -> &[Arc<Replica>] {
        &self.groups
    }

    fn group(&self, group: GroupId) -> Result<&Arc<Replica>, CatalogError> {
        self.groups.get(usize::from(group.0)).ok_or(CatalogError::NoLeader { group })
    }

    /// A view no older than `consistency` allows.
    async fn view(&self, group: &Replica, consistency: Consistency) -> Result<View, CatalogError> {
        match consistency {
            Consistency::Linearizable => self.pass(group).await?,
            Consistency::Stale => {}
        }
        Ok(group.table.view())
    }

    /// Waits for the end of an election within a bound: most are over before a client would have come back.
    async fn pass(&self, group: &Replica) -> Result<(), CatalogError> {
        let deadline = Instant::now() + READ_DEADLINE;
        loop {
            match group.barrier.pass().await {
                Err(CatalogError::NoLeader { .. }) if Instant::now() < deadline => {}
                passed => return passed,
            }
            tokio::time::sleep(REPEAT_AFTER).await;
        }
    }

    /// Decides too early what only `apply` may: where that fault is planted.
    async fn condition_holds(
        &self,
        group: &Replica,
        command: &Command,
    ) -> Result<Result<(), Rejection>, CatalogError> {
        let Operation::PutVersion(put) = &command.operation else {
            return Ok(Ok(()));
        };
        let view = self.view(group, Consistency::Linearizable).await?;
        let head = state::version::head(&view, put.target.bucket, &put.target.key);
        Ok(state::guard::holds(&put.condition, head.as_ref()))
    }

    /// One page of a list, from views that all rounds share. The shards of a round are read at the same time.
    async fn merged<L>(
        &self,
        list: L,
        consistency: Consistency,
    ) -> Result<Page<L::Row>, CatalogError>
    where
        L: Listing + Send + 'static,
        L::Row: Send,
    {
        let shards = self.groups.iter().filter(|group| group.id.is_shard());
        let views = try_join_all(shards.map(|group| self.view(group, consistency))).await?;
        let mut merge = Merge::new(list, views.len());
        loop {
            let wanted = merge.wanted();
            if wanted.is_empty() {
                return Ok(merge.finish());
            }
            let pages = wanted.into_iter().filter_map(|(shard, list)| {
                let view = views.get(shard)?.clone();
                let place = self.groups.first()?.table.place();
                Some(async move { Ok((shard, blocking(place, move || list.page(&view)).await?)) })
            });
            let mut pages = stream::iter(pages).buffer_unordered(SHARDS_AT_ONCE);
            while let Some((shard, page)) = pages.try_next().await? {
                merge.give(shard, page);
            }
        }
    }
}

#[async_trait]
impl Catalog for RaftCatalog {
    fn cluster(&self) -> &ClusterRow {
        &self.cluster
    }

    async fn query(&self, query: Query, consistency: Consistency) -> Result<Answer, CatalogError> {
        Ok(match query.scope(self.cluster.shards) {
            Scope::Group(group, query) => {
                let group = self.group(group)?;
                let view = self.view(group, consistency).await?;
                match reach(&query) {
                    Reach::Point => answer(&view, &query),
                    Reach::Range => {
                        blocking(group.table.place(), move || answer(&view, &query)).await?
                    }
                }
            }
            Scope::Objects(list) => Answer::List(self.merged(list, consistency).await?),
            Scope::Versions(list) => Answer::ListVersions(self.merged(list, consistency).await?),
            Scope::Uploads(list) => Answer::ListUploads(self.merged(list, consistency).await?),
        })
    }

    /// Repeats what is not definite: `apply` answers a repeated request id as it did the first time.
    async fn commit(&self, command: Command) -> Result<Response, CatalogError> {
        let group = self.group(command.group)?;
        if !self.kinds.allow(&command.operation) {
            return Err(CatalogError::Unsupported);
        }
        if planted::is(Planted::ConditionAtProposer)
            && let Err(rejection) = self.condition_holds(group, &command).await?
        {
            return Ok(Response::Rejected(rejection));
        }
        let deadline = Instant::now() + COMMIT_DEADLINE;
        let mut unknown = None;
        loop {
            match group.proposer.propose(command.clone()).await {
                Ok(response) => return Ok(response),
                Err(error @ CatalogError::OutcomeUnknown { .. }) => unknown = Some(error),
                Err(CatalogError::NoLeader { .. }) if Instant::now() < deadline => {}
                // Of an attempt whose outcome is unknown, no later failure says that nothing was changed.
                Err(error) => return Err(unknown.unwrap_or(error)),
            }
            if Instant::now() >= deadline {
                return Err(unknown.unwrap_or(CatalogError::NoLeader { group: command.group }));
            }
            tokio::time::sleep(REPEAT_AFTER).await;
        }
    }
}

/// How much of a table a query may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// A few rows: cheaper than a change of thread.
    Point,
    /// As many as its limit says, perhaps from a cold disk: not on a thread that serves others.
    Range,
}

fn reach(query: &Query) -> Reach {
    match query {
        Query::Cluster
        | Query::Bucket(_)
        | Query::BucketById(_)
        | Query::AccessKey(_)
        | Query::User(_)
        | Query::Version { .. }
        | Query::Upload { .. }
        | Query::Epoch { .. }
        | Query::ShardBucket { .. } => Reach::Point,
        Query::Buckets { .. }
        | Query::UnsettledBuckets { .. }
        | Query::AccessKeys { .. }
        | Query::Users { .. }
        | Query::Backends
        | Query::Nodes
        | Query::Parts { .. }
        | Query::List(_)
        | Query::ListVersions(_)
        | Query::ListUploads(_)
        | Query::Epochs { .. }
        | Query::Garbage { .. }
        | Query::Blobs { .. }
        | Query::SweepView { .. }
        | Query::Versions { .. }
        | Query::ShardBackends { .. }
        | Query::BlobOf { .. } => Reach::Range,
    }
}

async fn blocking<T: Send + 'static>(
    place: &Place,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CatalogError> {
    place.run(work).await.map_err(|_| CatalogError::Stopped)
}
