//! A cluster of `vaultaire server` processes, formed as an operator forms one, each with a configuration file of its own.
//! What is done to it, and when, is decided elsewhere.

pub mod membership;
pub mod site;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use self::membership::Seat;
use self::site::{Clock, Site, index};
use crate::error::Error;
use crate::process::{Program, Server};

/// How long a node is started again that gives up.
const STARTS_MAX: Duration = Duration::from_secs(90);

/// What a gateway's clock says, where it can be changed: its commands would all have expired before they come, if it went by that.
const GATEWAY_CLOCK: &str = "-11m";

/// How long a service manager waits before it does that.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The processes of the nodes that keep objects, by number, from 0.
#[derive(Debug)]
pub struct Cluster {
    pub site: Arc<Site>,
    servers: Vec<Option<Server>>,
    /// In the order of their places.
    gateways: Vec<Option<Server>>,
}

impl Cluster {
    /// So many voters and gateways, all of them members when this returns.
    pub async fn start(
        program: Program,
        dir: &Path,
        (voters, gateways): (u32, u32),
        is_inside: bool,
    ) -> Result<Self, Error> {
        let site = Arc::new(Site::new(program, dir, (voters, gateways), is_inside).await?);
        let servers = (0..voters).map(|_| None).collect();
        let mut cluster = Self { site, servers, gateways: Vec::new() };
        for number in 0..voters {
            if number == 0 {
                cluster.site.configured(0, &["cluster", "init"]).await?;
            } else {
                cluster.site.settled().await?;
                cluster.site.join(number, Seat::Voter).await?;
            }
            cluster.begin(number, None).await?;
        }
        for number in cluster.site.gateways() {
            cluster.site.settled().await?;
            cluster.site.join(number, Seat::Gateway).await?;
            cluster.gateways.push(None);
            cluster.begin_gateway(number - voters - 1).await?;
        }
        cluster.site.settled().await?;
        Ok(cluster)
    }

    /// SIGTERM to all gateways, and the wait for their clean ends.
    pub async fn stop_gateways(&mut self) -> Result<(), String> {
        for server in self.gateways.drain(..) {
            server.ok_or_else(|| "it did not run".to_owned())?.stop().await?;
        }
        Ok(())
    }

    /// SIGKILL to one of them.
    pub async fn kill_gateway(&mut self, at: u32) -> Result<(), String> {
        match self.gateways[index(at)].take() {
            Some(server) => server.kill().await,
            None => Err("it did not run".to_owned()),
        }
    }

    /// Starts one that does not run, its clock late, and waits until it serves.
    pub async fn begin_gateway(&mut self, at: u32) -> Result<(), Error> {
        let number = self.site.gateways().start + at;
        let late = Clock::find(GATEWAY_CLOCK.to_owned());
        self.gateways[index(at)] = Some(supervised(&self.site, number, late.as_ref()).await?);
        Ok(())
    }

    pub fn is_gateway_running(&mut self, at: u32) -> bool {
        self.gateways[index(at)].as_mut().is_some_and(Server::is_running)
    }

    /// Starts a node that does not run, and waits until it serves. One that gives up because others do not answer is started
    /// again, as a service manager does it.
    pub async fn begin(&mut self, number: u32, clock: Option<&Clock>) -> Result<(), Error> {
        self.servers[index(number)] = Some(supervised(&self.site, number, clock).await?);
        Ok(())
    }

    /// The same, once.
    pub async fn try_begin(&mut self, number: u32) -> Result<(), Error> {
        self.servers[index(number)] = Some(self.site.start(number, None)?.ready().await?);
        Ok(())
    }

    /// Starts all nodes at once: one by itself waits for a majority before it serves.
    pub async fn begin_all(&mut self) -> Result<(), Error> {
        let site = self.site.clone();
        let starting = (0..site.keepers()).map(|number| supervised(&site, number, None));
        let servers = futures::future::try_join_all(starting).await?;
        self.servers = servers.into_iter().map(Some).collect();
        Ok(())
    }

    /// Whether a node runs: one that had to may have ended by itself.
    pub fn is_running(&mut self, number: u32) -> bool {
        self.servers[index(number)].as_mut().is_some_and(Server::is_running)
    }

    /// SIGKILL. Says so if the node had ended by itself.
    pub async fn kill(&mut self, number: u32) -> Result<(), String> {
        match self.servers[index(number)].take() {
            Some(server) => server.kill().await,
            None => Err("it did not run".to_owned()),
        }
    }

    /// SIGTERM, and the wait for a clean end.
    pub async fn stop(&mut self, number: u32) -> Result<(), String> {
        match self.servers[index(number)].take() {
            Some(server) => server.stop().await,
            None => Err("it did not run".to_owned()),
        }
    }

    /// Stops a node in the middle of whatever it does.
    pub fn pause(&self, number: u32) -> Result<(), String> {
        self.signal(number, Signal::STOP)
    }

    pub fn resume(&self, number: u32) -> Result<(), String> {
        self.signal(number, Signal::CONT)
    }

    fn signal(&self, number: u32, signal: Signal) -> Result<(), String> {
        let server = self.servers[index(number)].as_ref();
        server.ok_or_else(|| "it did not run".to_owned())?.signal(signal)
    }
}

/// Starts a node until it serves, or takes too long.
async fn supervised(site: &Site, number: u32, clock: Option<&Clock>) -> Result<Server, Error> {
    let began = Instant::now();
    loop {
        match site.start(number, clock)?.ready().await {
            Ok(server) => return Ok(server),
            Err(Error::Start { why, log }) if began.elapsed() > STARTS_MAX => {
                return Err(Error::Start { why, log });
            }
            Err(Error::Start { why, .. }) => {
                let last = why.trim().lines().last().unwrap_or_default();
                eprintln!("node {number} gave up its start, and is started again: {last}");
                tokio::time::sleep(RESTART_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}
