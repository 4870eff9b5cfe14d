//! Which backends of other nodes there are: the registry gets those that the rows name, and loses those that are gone.

use std::sync::Arc;
use std::time::Duration;

use vaultaire_proto::row::{BackendRow, BackendState};
use vaultaire_proto::{Catalog, Consistency, NodeId};
use vaultaire_storage::backend::Kind;
use vaultaire_storage::registry::Registry;

use super::client::PeerBackend;
use crate::ask;
use crate::error::Error;
use crate::peer::pool::Pool;

/// How often the rows are looked at.
pub const PAUSE: Duration = Duration::from_secs(2);

/// One look.
pub async fn step(catalog: &dyn Catalog, registry: &Registry, pool: &Arc<Pool>) {
    if let Err(error) = follow(catalog, registry, pool).await {
        tracing::warn!(%error, "the backends of other nodes stay as they are for the next round");
    }
}

/// Makes the registry agree with the rows.
pub async fn follow(
    catalog: &dyn Catalog,
    registry: &Registry,
    pool: &Arc<Pool>,
) -> Result<(), Error> {
    for row in ask::backends(catalog, Consistency::Stale).await? {
        let Some(node) = row.node.filter(|node| *node != pool.node()) else {
            continue;
        };
        let is_here = registry.get(row.id).is_ok();
        match row.state {
            BackendState::Removed => drop(registry.remove(row.id)),
            BackendState::Active | BackendState::Draining if is_here => {}
            BackendState::Active | BackendState::Draining => add(row, node, registry, pool)?,
        }
    }
    Ok(())
}

fn add(row: BackendRow, node: NodeId, registry: &Registry, pool: &Arc<Pool>) -> Result<(), Error> {
    let Some(kind) = Kind::parse(&row.kind) else {
        tracing::warn!(backend = row.name, kind = row.kind, %node, "a backend of a kind that this release does not know");
        return Ok(());
    };
    let backend = PeerBackend::new(row.id, &row.name, kind, node, Arc::clone(pool));
    registry.insert(Arc::new(backend))?;
    tracing::info!(backend = row.name, %node, "another node's backend can be reached from here");
    Ok(())
}
