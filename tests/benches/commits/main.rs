//! `vaultaire-commits`: durable metadata writes as fast as they are acknowledged, at a cluster of Vaultaire or of etcd.
//! It measures one of them a call and prints one JSON line; that they take turns is up to `run`.

mod cluster;
mod drive;
mod etcd;
mod follower;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use vaultaire_tests::bench::{Error, printed};

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Server {
    /// PutVersion without bytes, sent to the shards' leaders as a follower sends it on.
    Vaultaire {
        #[command(flatten)]
        args: cluster::Args,
        #[command(flatten)]
        pace: drive::Pace,
    },
    /// Put, sent to the members that are named.
    Etcd {
        #[command(flatten)]
        args: etcd::Args,
        #[command(flatten)]
        pace: drive::Pace,
    },
}

fn main() -> ExitCode {
    printed(measure(Cli::parse().server))
}

/// One thread for either: what it takes from the servers is the same kind of work.
fn measure(server: Server) -> Result<serde_json::Value, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match server {
            Server::Vaultaire { args, pace } => {
                drive::run(cluster::Cluster::open(&args).await?, &pace).await
            }
            Server::Etcd { args, pace } => drive::run(etcd::Etcd::open(&args).await?, &pace).await,
        }
    })
}
