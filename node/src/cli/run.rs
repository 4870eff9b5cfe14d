//! What `dev` and `server` have in common: flags over the file, one start, and a stop that drains.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;
use crate::identity::DataDir;
use crate::node::Node;
use crate::settings::Settings;

/// Settings that flags and environment variables may override.
#[derive(Clone, Debug, Default, Args)]
pub struct Overrides {
    /// Where S3 clients connect; port 0 takes any free one [default: 127.0.0.1:9000].
    #[arg(long, env = "VAULTAIRE_S3_ADDR")]
    pub s3_addr: Option<SocketAddr>,
    /// Where the admin API listens [default: 127.0.0.1:9001].
    #[arg(long, env = "VAULTAIRE_ADMIN_ADDR")]
    pub admin_addr: Option<SocketAddr>,
    /// Where metrics and health are served [default: 127.0.0.1:9002].
    #[arg(long, env = "VAULTAIRE_HTTP_ADDR")]
    pub http_addr: Option<SocketAddr>,
    /// How long after a write epoch closed its first sweep waits [default: 15m].
    #[arg(long, env = "VAULTAIRE_GC_UPLOAD_GRACE", value_parser = humantime::parse_duration)]
    pub upload_grace: Option<Duration>,
    /// How long replaced bytes stay readable [default: 10m].
    #[arg(long, env = "VAULTAIRE_GC_DRAIN", value_parser = humantime::parse_duration)]
    pub drain: Option<Duration>,
    /// When swept epochs are swept again, or `never` [default: 1h,24h,7d].
    #[arg(long, env = "VAULTAIRE_GC_RESWEEP")]
    pub resweep: Option<String>,
}

impl Overrides {
    /// Puts the flags over what the file said.
    pub fn apply(self, settings: &mut Settings) -> Result<(), Error> {
        let over = |slot: &mut SocketAddr, flag: Option<SocketAddr>| *slot = flag.unwrap_or(*slot);
        over(&mut settings.s3_addr, self.s3_addr);
        over(&mut settings.admin_addr, self.admin_addr);
        over(&mut settings.http_addr, self.http_addr);
        let garbage = &mut settings.garbage;
        garbage.upload_grace_ms = self.upload_grace.map_or(garbage.upload_grace_ms, millis);
        garbage.drain_ms = self.drain.map_or(garbage.drain_ms, millis);
        if let Some(times) = self.resweep {
            garbage.resweep_ms = resweep(&times)?;
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn resweep(times: &str) -> Result<Vec<u64>, Error> {
    if times == "never" {
        return Ok(Vec::new());
    }
    let parsed: Result<Vec<Duration>, _> =
        times.split(',').map(|time| humantime::parse_duration(time.trim())).collect();
    let parsed = parsed.map_err(|error| {
        Error::Usage(format!(
            "--resweep: `{times}` is not `never` or times such as 1h,24h,7d: {error}"
        ))
    })?;
    match parsed.is_sorted() {
        true => Ok(parsed.into_iter().map(millis).collect()),
        false => Err(Error::Usage("--resweep: times must ascend".to_owned())),
    }
}

/// Signals that end a node.
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Listens from now on, so that none is lost while the node starts.
    pub fn listen() -> Result<Self, Error> {
        let fail =
            |error: std::io::Error| Error::Engine { what: "signals", why: error.to_string() };
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(fail)?,
            interrupt: signal(SignalKind::interrupt()).map_err(fail)?,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Starts a node; a signal meanwhile ends the attempt.
pub async fn start(
    data_dir: DataDir,
    settings: Settings,
    signals: &mut Signals,
) -> Result<Node, Error> {
    tokio::select! {
        started = Node::start(data_dir, settings) => started,
        () = signals.wait() => Err(Error::Found("stopped by a signal before the node was ready".to_owned())),
    }
}

/// Waits for a signal, then drains; a second signal does not wait.
pub async fn until_stopped(node: Node, mut signals: Signals) -> Result<(), Error> {
    signals.wait().await;
    tracing::info!("stopping: requests under way are finished first; another signal does not wait");
    tokio::select! {
        stopped = node.stop() => {
            tracing::info!("stopped");
            stopped
        }
        () = signals.wait() => Err(Error::Found("stopped at once by a second signal; nothing acknowledged is lost".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn sweeps_are_scheduled_by_a_flag_too() {
        assert!(resweep("never").unwrap().is_empty());
        assert_eq!(resweep("1h, 24h").unwrap(), [3_600_000, 86_400_000]);
        for bad in ["", "soon", "2h,1h"] {
            assert!(matches!(resweep(bad), Err(Error::Usage(_))), "{bad}");
        }
    }
}
