//! The first half of a gateway's start: it has no journal, no groups and no disks; it asks what the cluster is, and opens what all
//! nodes reach alike.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use vaultaire_proto::row::ClusterRow;
use vaultaire_proto::{Answer, Clock, ClusterId, Consistency, GroupId, Query};
use vaultaire_router::epochs::Epochs;

use super::catalog::{RemoteCatalog, Way};
use super::roster;
use crate::ask;
use crate::blobs::watch;
use crate::clock::NodeClock;
use crate::engine::{self, Begun, Engine, Ways};
use crate::error::Error;
use crate::founding;
use crate::identity::{DataDir, Identity};
use crate::peer::pool::Pool;
use crate::propose::Proposer;
use crate::raft::group::Groups;
use crate::settings::{Settings, Work};
use crate::stopwatch::Stopwatch;
use crate::workers::brake::Brake;

/// Between two attempts to find somebody who answers, and how often it is said that nobody does.
const PAUSE: Duration = Duration::from_millis(200);
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// When it returns, the gateway has been heard of by the cluster.
pub async fn start(
    data_dir: &DataDir,
    identity: &Identity,
    settings: &Settings,
    begun: Begun,
    stopwatch: &mut Stopwatch,
) -> Result<Engine, Error> {
    settings.check_backends(Work::Gateway)?;
    engine::has_peers(identity, settings)?;
    let base = engine::base_of_gateway(data_dir, identity)?;
    let ways = Ways::new(&base, data_dir, begun.directory);
    if let Some(port) = begun.port {
        ways.serve(data_dir, port, &base)?;
    }
    let pool = Arc::clone(&ways.pool);
    pool.learn(roster::load(data_dir.path())?, Vec::new());
    let node_clock = NodeClock::system();
    let way = Way::new(Arc::clone(&pool), Arc::clone(&node_clock));
    let cluster = cluster(&way, &pool, data_dir.path(), base.cluster).await?;
    stopwatch.lap("the cluster's answer");
    let clock: Arc<dyn Clock> = node_clock;
    let catalog = Arc::new(RemoteCatalog::new(cluster, way));
    let proposer = Proposer::new(catalog, Arc::clone(&clock));
    let incarnation = founding::register(&proposer, base.node, settings).await?;
    roster::follow(&pool, proposer.catalog(), data_dir.path()).await?;
    let (opened, ()) = tokio::try_join!(
        founding::open_backends(&proposer, base.node, settings, Arc::clone(&ways.registry)),
        founding::close_former_epochs(&proposer, base.node, incarnation),
    )?;
    let write_to = write_to(&proposer, settings, opened.write.clone()).await?;
    let watch = engine::watch(&pool, &opened, write_to);
    watch.follow(proposer.catalog()).await?;
    stopwatch.lap("backends and first rows");
    let epochs = Epochs::new(proposer.shared_catalog(), Arc::clone(&clock), base.node, incarnation);
    let brake = Arc::new(Brake::new(&settings.garbage, proposer.catalog().cluster().shards));
    Ok(Engine {
        groups: Arc::new(Groups::none()),
        pool,
        about: ways.about,
        proposer,
        clock,
        node: base.node,
        sealer: Arc::new(base.sealer),
        authority: base.authority,
        opened,
        watch: Arc::new(watch),
        epochs,
        brake,
        cut: None,
        gateway: true,
    })
}

/// The names that take new objects: as the file says, or those that it has sections of; else the one that the cluster has.
async fn write_to(
    proposer: &Proposer,
    settings: &Settings,
    own: Vec<String>,
) -> Result<Vec<String>, Error> {
    if !settings.write_to.is_empty() || !own.is_empty() {
        return Ok(if settings.write_to.is_empty() { own } else { settings.write_to.clone() });
    }
    let names = watch::names(&ask::backends(proposer.catalog(), Consistency::Stale).await?);
    match names.len() {
        0 | 1 => Ok(Vec::new()),
        _ => Err(Error::Setting {
            key: "write_to".to_owned(),
            why: format!(
                "is missing: say which of {} takes new objects, the preferred one first",
                names.into_iter().collect::<Vec<_>>().join(", ")
            ),
        }),
    }
}

/// What the cluster was founded with: waited for as long as it takes, since all others may be started hours later.
async fn cluster(
    way: &Way,
    pool: &Pool,
    data_dir: &Path,
    expected: ClusterId,
) -> Result<ClusterRow, Error> {
    let began = Instant::now();
    let mut told = began;
    loop {
        let asked = way.query(GroupId::CONTROL, &Query::Cluster, Consistency::Stale).await;
        match asked {
            Ok(Answer::Cluster(Some(row))) if row.cluster == expected => return Ok(row),
            Ok(Answer::Cluster(Some(row))) => {
                return Err(Error::OtherCluster {
                    path: data_dir.to_owned(),
                    found: row.cluster.to_string(),
                    expected: expected.to_string(),
                    expected_by: "its identity.json",
                });
            }
            Ok(_) | Err(_) => {}
        }
        if told.elapsed() >= TOLD_EVERY {
            told = Instant::now();
            let nodes = pool.told();
            let asked: Vec<&str> = nodes.iter().map(|row| row.address.as_str()).collect();
            tracing::warn!(
                waited_s = began.elapsed().as_secs(), nodes = ?asked,
                "no node answers this gateway: they are down, or they have removed it"
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}
