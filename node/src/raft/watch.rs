//! A Raft group that has died of an error leaves a process that looks alive and can commit nothing more. Its death is noticed
//! here; stopping the process, which a supervisor starts again, is the cure.

use std::sync::Arc;

use openraft::RaftMetrics;
use openraft::async_runtime::WatchReceiver;
use openraft::type_config::alias::WatchReceiverOf;
use tokio_util::sync::CancellationToken;
use vaultaire_proto::GroupId;

use super::types::{Raft, TypeConfig};
use crate::machine::Machine;

type Metrics = WatchReceiverOf<TypeConfig, RaftMetrics<TypeConfig>>;

/// Stops the process when the group dies before it was told to stop.
pub async fn run(group: GroupId, raft: Raft, machine: Arc<dyn Machine>, stop: CancellationToken) {
    // Raft is held meanwhile: without its last user it would end too, which is no failure.
    let Some(why) = died(raft.metrics(), stop).await else {
        return;
    };
    tracing::error!(
        %group, why,
        "a group has failed and takes no more commands; this process stops here. Start it again; if it stops again, look at \
         the disk and at the first error above"
    );
    machine.end(&format!("group {group} has failed: {why}"));
}

/// Why the group died; nothing if it was stopped.
async fn died(mut metrics: Metrics, stop: CancellationToken) -> Option<String> {
    loop {
        // Copied at once: openraft cannot publish while its metrics are borrowed.
        let running = metrics.borrow_watched().running_state.clone();
        let ended = match running {
            Ok(()) => tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                changed = metrics.changed() => changed.is_err().then(|| "it ended without a word".to_owned()),
            },
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = ended {
            // Whoever stops a group says so first.
            return (!stop.is_cancelled()).then_some(why);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::raft::tests::World;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_group_that_dies_is_told_from_one_that_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let world = World::start(&folder).await;
        let replica = std::sync::Arc::clone(&world.catalog.replicas()[0]);
        let watch =
            |stop: &CancellationToken| tokio::spawn(died(replica.raft().metrics(), stop.clone()));
        let (running, stopping) = (CancellationToken::new(), CancellationToken::new());
        let (died, stopped) = (watch(&running), watch(&stopping));
        stopping.cancel();
        world.stop().await;
        assert_eq!(stopped.await.unwrap(), None);
        assert!(died.await.unwrap().is_some(), "nobody had told this one that it ends");
    }
}
