//! A catalog without Raft: the real state machine over tables in memory, one lock around all groups.
//! For tests of whatever stands above the seam; nothing it holds survives the process.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;

use crate::catalog::{Answer, Catalog, CatalogError, Consistency, Page, Query, Scope};
use crate::command::{Command, Entry, InitCluster, Operation};
use crate::id::{ClusterId, GroupId, RequestId};
use crate::response::{Rejection, Response};
use crate::row::ClusterRow;
use crate::state;
use crate::state::query;
use crate::state::query::merge::{self, Listing, Merge};
use crate::tables::{MemTables, Reader};
use crate::time::{Clock, TimeMs};

/// A cluster of one group of tables per shard, and nothing else.
#[derive(Debug)]
pub struct LocalCatalog {
    cluster: ClusterRow,
    clock: Arc<dyn Clock>,
    groups: Mutex<Groups>,
}

#[derive(Debug)]
struct Groups {
    /// Index is the group's number.
    tables: Vec<MemTables>,
    index: u64,
}

impl LocalCatalog {
    /// Founds a cluster of `shards` shards.
    pub fn new(shards: u16, clock: Arc<dyn Clock>) -> Self {
        let init = InitCluster {
            cluster: ClusterId([0x1c; 16]),
            generation: 1,
            shards,
            region: "us-east-1".to_owned(),
            token_key: vec![7; 32],
        };
        let mut groups = Groups { tables: Vec::new(), index: 0 };
        for group in 0..=shards {
            groups.tables.push(MemTables::default());
            let command = Command {
                group: GroupId(group),
                request: RequestId([0; 16]),
                not_after: TimeMs(u64::MAX),
                operation: Operation::InitCluster(init.clone()),
            };
            groups.apply(clock.now(), command);
        }
        let cluster = ClusterRow {
            cluster: init.cluster,
            generation: init.generation,
            shards,
            region: init.region,
            token_key: init.token_key,
        };
        Self { cluster, clock, groups: Mutex::new(groups) }
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        match self.groups.lock() {
            Ok(groups) => groups,
            // A panic inside apply is a bug that its own test reports; the tables are as they were.
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

impl Groups {
    fn apply(&mut self, now: TimeMs, command: Command) -> Response {
        self.index = self.index.saturating_add(1);
        let index = self.index;
        let group = command.group;
        let Some(tables) = self.tables.get_mut(usize::from(group.0)) else {
            return Response::Rejected(Rejection::Malformed);
        };
        let entry = Entry { stamped_at: now, commands: vec![command] };
        let mut responses = state::apply_entry(tables, group, index, &entry);
        responses.pop().unwrap_or(Response::Rejected(Rejection::Malformed))
    }
}

#[async_trait]
impl Catalog for LocalCatalog {
    fn cluster(&self) -> &ClusterRow {
        &self.cluster
    }

    async fn query(&self, query: Query, _consistency: Consistency) -> Result<Answer, CatalogError> {
        let groups = self.groups();
        let shards: Vec<&dyn Reader> =
            groups.tables.iter().skip(1).map(|tables| tables as &dyn Reader).collect();
        Ok(match query.scope(self.cluster.shards) {
            Scope::Group(group, query) => match groups.tables.get(usize::from(group.0)) {
                Some(tables) => query::answer(tables, &query),
                None => return Err(CatalogError::NoLeader { group }),
            },
            Scope::Objects(list) => Answer::List(merged(list, &shards)),
            Scope::Versions(list) => Answer::ListVersions(merged(list, &shards)),
            Scope::Uploads(list) => Answer::ListUploads(merged(list, &shards)),
        })
    }

    async fn commit(&self, command: Command) -> Result<Response, CatalogError> {
        let now = self.clock.now();
        Ok(self.groups().apply(now, command))
    }
}

fn merged<L: Listing>(list: L, shards: &[&dyn Reader]) -> Page<L::Row> {
    merge::in_turn(Merge::new(list, shards.len()), shards)
}
