//! What a node does of itself: memberships, leads, epochs, garbage and sweeps, with times so short that all of it happens in a run.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use vaultaire::metrics::Metrics;
use vaultaire::peer::pool::Pool;
use vaultaire::propose::Proposer;
use vaultaire::raft::group::Role;
use vaultaire::settings::Garbage;
use vaultaire::workers::brake::Brake;
use vaultaire::workers::garbage::{self, Collector};
use vaultaire::workers::leaders::{self, Leaders};
use vaultaire::workers::membership;
use vaultaire::workers::sweep::{self, Sweeper};
use vaultaire::workers::{Context, Leads};
use vaultaire_proto::{Clock, NodeId};
use vaultaire_router::epochs::Epochs;
use vaultaire_router::targets::Targets;
use vaultaire_storage::backends::memory::Memory;
use vaultaire_storage::registry::Registry;

use super::found::{BACKEND, CLUSTER, SHARDS};
use super::node::Ready;

const ROTATED_AFTER: Duration = Duration::from_secs(2);

/// Deletions are limited by nothing but the backend.
const RATE: u32 = 1_000_000;

/// Of a backend's bytes all may go: a run deletes most of what it writes.
const ALL_PERCENT: u32 = 100;

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
pub async fn work(
    ready: Arc<Ready>,
    id: NodeId,
    life: u64,
    proposer: Proposer,
    backend: Arc<Memory>,
) {
    let pool = Pool::new(CLUSTER, id, None);
    let clock = Arc::clone(&ready.clock) as Arc<dyn Clock>;
    let epochs = Epochs::new(Arc::clone(&ready.catalog) as _, clock, id, life);
    let context = context(&ready, proposer.clone(), backend, epochs);
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
    tokio::join!(members, leads, epochs, garbage, sweeps);
}

fn context(
    ready: &Arc<Ready>,
    proposer: Proposer,
    backend: Arc<Memory>,
    epochs: Arc<Epochs>,
) -> Context {
    let registry = Arc::new(Registry::default());
    registry.insert(backend).expect("the only one");
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
    let targets = Arc::new(Targets::of_node(&[BACKEND]));
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
