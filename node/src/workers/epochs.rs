//! Rotates this node's write epochs, so that no epoch stays open longer than its age and its number of
//! writes allow. When that is, the router knows; what becomes of closed epochs is `sweep.rs`.

use std::sync::Arc;
use std::time::Duration;

use vaultaire_proto::Clock;
use vaultaire_router::epochs::Epochs;

/// How often ages are looked at.
pub const PAUSE: Duration = Duration::from_secs(10);

/// One look.
pub async fn step(epochs: Arc<Epochs>, clock: Arc<dyn Clock>) {
    epochs.rotate(clock.now()).await;
}
