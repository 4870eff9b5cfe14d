//! Faults that an operator makes: leads that are handed over, votes that are taken and given, nodes that come and go.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::lane::{Lane, Scene};
use super::{Fault, Nemesis};
use crate::checker::Violation;
use crate::cluster::membership::Seat;
use crate::cluster::site::Site;
use crate::error::Error;
use crate::process::Server;

/// The membership of a cluster.
#[derive(Debug)]
pub struct Members {
    site: Arc<Site>,
    guest: Option<Server>,
    /// Held while a change waits for the one that takes it back.
    change: Option<OwnedMutexGuard<()>>,
}

impl Members {
    pub fn new(site: Arc<Site>) -> Self {
        Self { site, guest: None, change: None }
    }

    /// Whether any node handed over what it led.
    async fn transfer(&self, first: u32) -> bool {
        let keepers = self.site.keepers();
        let mut is_done = false;
        for node in (0..keepers).map(|step| (first + step) % keepers) {
            is_done |= self.site.ask(node, &["cluster", "transfer-leader"]).await.is_ok();
        }
        is_done
    }

    /// A new node; it may vote from the start.
    async fn invite(&mut self, is_voter: bool) -> Result<(), Error> {
        let guest = self.site.guest();
        self.site.wipe(guest)?;
        let seat = if is_voter { Seat::Voter } else { Seat::Learner };
        self.site.join(guest, seat).await?;
        self.guest = Some(self.site.start(guest, None)?.ready().await?);
        Ok(())
    }

    async fn dismiss(&mut self) -> Result<(), Error> {
        let guest = self.site.guest();
        self.site.remove(guest).await?;
        if let Some(server) = self.guest.take() {
            // It may have seen that it was removed, and ended.
            let _ = server.kill().await;
        }
        self.site.wipe(guest)
    }
}

impl Lane for Members {
    async fn hurt(&mut self, fault: &Fault, scene: &Scene<'_>) -> Result<bool, Error> {
        if fault.nemesis == Nemesis::TransferLeader {
            let is_done = self.transfer(fault.node).await;
            if is_done {
                scene.begin(fault)?;
            }
            return Ok(is_done);
        }
        let Ok(change) = self.site.changes.clone().try_lock_owned() else { return Ok(false) };
        self.change = Some(change);
        let done = match fault.nemesis {
            Nemesis::Demote => self.site.set_role(fault.node, false).await,
            _ => self.invite(fault.dice.is_multiple_of(2)).await,
        };
        if let Err(error) = done {
            eprintln!("{:?} could not be done: {error}", fault.nemesis);
            self.heal(fault).await?;
            return Ok(false);
        }
        scene.begin(fault)?;
        Ok(true)
    }

    async fn heal(&mut self, fault: &Fault) -> Result<(), Error> {
        match fault.nemesis {
            Nemesis::Demote => self.site.set_role(fault.node, true).await?,
            Nemesis::Guest => self.dismiss().await?,
            _ => {}
        }
        self.change = None;
        Ok(())
    }

    fn violations(&mut self) -> Vec<Violation> {
        Vec::new()
    }
}
