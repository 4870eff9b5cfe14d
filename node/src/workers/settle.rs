//! Redo of what must be known in every shard before it is acknowledged: bucket and backend configurations
//! whose pusher crashed half-way. The unsettled row is the record; pushing twice is harmless.

use std::time::Duration;

use vaultaire_proto::Consistency;
use vaultaire_proto::settle::{settle_backend, settle_bucket};

use crate::ask;
use crate::error::Error;
use crate::propose::Proposer;

/// How often unsettled rows are looked for.
pub const PAUSE: Duration = Duration::from_secs(5);

/// One look.
pub async fn step(proposer: &Proposer) {
    if let Err(error) = settle_all(proposer).await {
        tracing::warn!(%error, "unsettled rows are left for the next round");
    }
}

/// Settles every bucket and backend that is not.
pub async fn settle_all(proposer: &Proposer) -> Result<(), Error> {
    let catalog = proposer.catalog();
    for bucket in ask::unsettled_buckets(catalog, Consistency::Linearizable).await? {
        tracing::info!(bucket = %bucket.name, generation = bucket.generation, "settling a bucket again");
        settle_bucket(catalog, bucket).await?;
    }
    for backend in ask::backends(catalog, Consistency::Linearizable).await? {
        // A first one is settled by its own node, once it is open there: from then on an empty disk is a lost one.
        if !backend.settled && backend.generation > 1 {
            settle_backend(catalog, backend).await?;
        }
    }
    Ok(())
}
