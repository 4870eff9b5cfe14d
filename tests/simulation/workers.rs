//! What a node does of itself: memberships, leads, epochs, garbage, sweeps and repair, with times so short that all of it happens
//! in a run.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use vaultaire::metrics::Metrics;
use vaultaire::peer::pool::Pool;
use vaultaire::propose::Proposer;
use vaultaire::raft::group::Role;
use vaultaire::settings::{Garbage, Repair};
use vaultaire::workers::brake::Brake;
use vaultaire::workers::garbage::{self, Collector};
use vaultaire::workers::leaders::{self, Leaders};
use vaultaire::workers::membership;
use vaultaire::workers::repair::{self, Repairer};
use vaultaire::workers::sweep::{self, Sweeper};
use vaultaire::workers::{Context, Leads};
use vaultaire_proto::row::BackendState;
use vaultaire_proto::{Answer, Consistency, GroupId, NodeId, Query};
use vaultaire_router::place::{Candidate, Home};
use vaultaire_storage::registry::Registry;

use super::found::{CLUSTER, SHARDS};
use super::node::Ready;

const ROTATED_AFTER: Duration = Duration::from_secs(2);

/// How often a node looks which backends take new objects.
const HEARD_AFTER: Duration = Duration::from_millis(500);

/// Deletions are limited by nothing but the backend.
const RATE: u32 = 1_000_000;

/// Of a backend's bytes all may go: a run deletes most of what it writes.
const ALL_PERCENT: u32 = 100;

/// Late writes to backends land before the last sweep (`world`).
pub fn settings() -> Garbage {
    Garbage {
        upload_grace_ms: 2000,
        drain_ms: super::found::DRAIN_MS,
        resweep_ms: vec![4000],
        brake_percent: ALL_PERCENT,
        ..Garbage::default()
    }
}

/// Until it is dropped.
pub async fn work(ready: Arc<Ready>, id: NodeId, proposer: Proposer, registry: Arc<Registry>) {
    let pool = Pool::new(CLUSTER, id, None);
    let context = context(&ready, proposer.clone(), registry);
    let heard = async {
        loop {
            hear(&context, id).await;
            sleep(HEARD_AFTER).await;
        }
    };
    let repairs = async {
        let mut repairer = Repairer::new(&Repair::default());
        loop {
            repairer.step(&context).await;
            sleep(repair::PAUSE).await;
        }
    };
    let members = async {
        loop {
            membership::step(&ready.groups, &proposer, &pool).await;
            sleep(membership::PAUSE).await;
        }
    };
    let leads = async {
        let mut leaders = Leaders::default();
        loop {
            leaders.step(&ready.groups, &proposer).await;
            sleep(leaders::PAUSE).await;
        }
    };
    let epochs = async {
        loop {
            sleep(ROTATED_AFTER).await;
            ready.gateway.rotate().await;
        }
    };
    let garbage = async {
        let mut collector = Collector::new(RATE);
        loop {
            collector.step(&context).await;
            sleep(garbage::PAUSE).await;
        }
    };
    let sweeps = async {
        let mut sweeper = Sweeper::new(RATE);
        loop {
            sweeper.step(&context).await;
            sleep(sweep::pause(&context.garbage)).await;
        }
    };
    tokio::join!(members, leads, epochs, garbage, sweeps, heard, repairs);
}

fn context(ready: &Arc<Ready>, proposer: Proposer, registry: Arc<Registry>) -> Context {
    let weak = Arc::downgrade(ready);
    let leads: Leads = Arc::new(move |group| {
        let Some(ready) = weak.upgrade() else {
            return false;
        };
        let metrics = ready.groups.metrics();
        metrics.iter().any(|metrics| metrics.group == group && metrics.role == Role::Leader)
    });
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let garbage = settings();
    let brake = Arc::new(Brake::new(&garbage, SHARDS));
    let (targets, epochs) = (Arc::clone(&ready.gateway.targets), Arc::clone(&ready.gateway.epochs));
    Context {
        proposer,
        registry,
        leads,
        garbage,
        brake,
        targets,
        epochs,
        metrics: Arc::new(metrics),
    }
}

/// As a node hears of it: a while later, and perhaps from rows that are old.
async fn hear(context: &Context, id: NodeId) {
    let query = Query::ShardBackends { shard: GroupId(1) };
    let answer = context.proposer.catalog().query(query, Consistency::Stale).await;
    let Ok(Answer::ShardBackends(rows)) = answer else {
        return;
    };
    let candidates = rows.into_iter().map(|(backend, row)| {
        let node = NodeId(u64::from(backend.0));
        Candidate {
            backend,
            pool: 0,
            takes: row.state == BackendState::Active,
            home: Some(Home { node, zone: 0, region: 0 }),
            local: node == id,
        }
    });
    context.targets.replace(candidates.collect());
}
