//! What the log may forget: entries whose effects are durable in the tables, but for a share that a follower can catch up from.
//! One group at a time, so that their syncs never come together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vaultaire_proto::GroupId;

use super::replica::Replica;
use crate::error::Error;

/// A group's log is shortened when it has this many entries: each takes some memory, and some time at a start.
pub const LOG_ENTRIES_MAX: u64 = 50_000;

/// Or when this much was appended since it was last shortened.
pub const LOG_BYTES_MAX: u64 = 32 << 20;

/// One part in this many is kept.
const KEEP_SHARE: u64 = 4;

const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Looks after all groups' logs until told to stop.
pub async fn run(groups: Vec<Arc<Replica>>, stop: CancellationToken) {
    let mut appended: BTreeMap<GroupId, u64> = BTreeMap::new();
    let mut every = tokio::time::interval(CHECK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        for group in &groups {
            group.look_after_snapshots().await;
            let before = appended.entry(group.id).or_default();
            let now = group.appended_bytes();
            if !is_long(group, now.saturating_sub(*before)) {
                continue;
            }
            // It may wait a minute for a snapshot. Dropped half-way it has only synced.
            let Some(shortened) = stop.run_until_cancelled(shorten(group)).await else {
                return;
            };
            match shortened {
                Ok(_) => *before = now,
                Err(error) => tracing::warn!(
                    group = %group.id, %error,
                    "the log was not shortened and goes on growing; it is tried again, look at the disk if this repeats"
                ),
            }
        }
    }
}

fn is_long(group: &Replica, appended_bytes: u64) -> bool {
    let metrics = group.metrics();
    // What has to stay for who receives a snapshot makes no log long.
    let until = group.table.pins().holds(metrics.applied).unwrap_or(metrics.applied);
    let entries = until.saturating_sub(metrics.purged);
    entries >= LOG_ENTRIES_MAX || (appended_bytes >= LOG_BYTES_MAX && entries >= KEEP_SHARE)
}

/// Makes the tables durable, then forgets all but the newest share of what they hold. Answers up to where they are.
pub async fn shorten(group: &Replica) -> Result<u64, Error> {
    let durable = group.snapshot().await?;
    let purged = group.metrics().purged;
    let keep = durable.saturating_sub(purged) / KEEP_SHARE;
    let held = group.table.pins().holds(durable).unwrap_or(durable);
    let upto = durable.saturating_sub(keep).min(held);
    tracing::info!(group = %group.id, durable, purged_before = purged, upto, "shortening the log");
    group.purge(upto).await?;
    Ok(durable)
}
