//! `vaultaire-load`: an HTTP load tool for S3 that is cheap enough not to be the bottleneck on one core.
//! It measures one thing a call and prints one JSON line; which servers are compared is up to `run`.

mod connection;
mod drive;
mod probe;
mod request;
mod sign;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use vaultaire_tests::bench::{Error, printed};

use crate::drive::Measured;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Closed loop: every connection sends its next request when it has the last answer.
    Closed(drive::Args),
    /// Open loop: requests start at a fixed rate, and waiting for a connection counts.
    Open {
        #[command(flatten)]
        args: drive::Args,
        /// Requests a second.
        #[arg(long)]
        rate: f64,
    },
    /// Appends 4 KiB and calls fdatasync, again and again.
    ProbeSync {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
    /// Writes a file with fdatasync, and reads it from the disk and from the page cache.
    ProbeFile {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        size: usize,
        #[arg(long, default_value_t = 5)]
        times: u32,
    },
    /// One core's MD5.
    ProbeMd5 {
        #[arg(long, default_value_t = 64 * 1024 * 1024)]
        size: usize,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Closed(args) => measure(args, None),
        Command::Open { args, rate } => measure(args, Some(rate)),
        Command::ProbeSync { dir, seconds } => probe::sync(&dir, seconds),
        Command::ProbeFile { dir, size, times } => probe::file(&dir, size, times),
        Command::ProbeMd5 { size } => Ok(probe::md5(size)),
    };
    printed(outcome)
}

/// One thread: with the tool on one core, more would only switch.
fn measure(args: drive::Args, rate: Option<f64>) -> Result<serde_json::Value, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured: Measured = runtime.block_on(drive::run(args, rate))?;
    Ok(measured.into_json())
}
