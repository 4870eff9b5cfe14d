//! `vaultaire backend`: what the backends hold, what they can really do, letting held deletions go, and taking one away.

mod life;

use clap::Subcommand;
use serde_json::{Value, json};
use vaultaire_proto::wire::admin;

use crate::cli::backend::life::How;
use crate::cli::client::{Client, Target, refused};
use crate::cli::output::{Output, bare, bytes, table, time};
use crate::error::Error;
use crate::grpc::names::BACKENDS;

/// List backends, check what they can do, empty them and take them away.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List backends with what they hold.
    List,
    /// Try every operation on a backend with real bytes, and remove them.
    Check { name: String },
    /// Lift the safety brake of the node on a backend for an hour: deletions that it holds go on.
    Release { name: String },
    /// Let a backend take nothing new, and move what it holds elsewhere.
    Drain {
        name: String,
        #[command(flatten)]
        how: How,
    },
    /// Let a backend that is drained take new objects again.
    Activate {
        name: String,
        /// Check whether it can be done, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Forget a backend that holds nothing any more.
    Remove {
        name: String,
        /// Its bytes are gone for ever: copy what it held again from other copies.
        #[arg(long)]
        lost: bool,
        #[command(flatten)]
        how: How,
    },
    /// List what has no copy outside a backend.
    Losses { name: String },
}

pub async fn run(args: Args, output: Output) -> Result<(), Error> {
    match args.command {
        Command::List => list(args.target.connect().await?, output).await,
        Command::Check { name } => check(args.target.connect().await?, output, &name).await,
        Command::Release { name } => release(args.target.connect().await?, output, &name).await,
        Command::Drain { name, how } => {
            life::change(&args.target, output, &name, admin::BackendChange::Drain, how).await
        }
        Command::Activate { name, dry_run } => {
            let how = How { dry_run, wait: false };
            life::change(&args.target, output, &name, admin::BackendChange::Activate, how).await
        }
        Command::Remove { name, lost, how } => {
            let to = match lost {
                true => admin::BackendChange::Lose,
                false => admin::BackendChange::Remove,
            };
            life::change(&args.target, output, &name, to, how).await
        }
        Command::Losses { name } => life::losses(args.target.connect().await?, output, &name).await,
    }
}

async fn list(mut client: Client, output: Output) -> Result<(), Error> {
    let request = admin::ListBackendsRequest::default();
    let backends = client.list_backends(request).await.map_err(refused)?.into_inner().backends;
    let value = json!({ "backends": backends.iter().map(shown).collect::<Vec<_>>() });
    output.print(&value, || rows(&backends))
}

/// Backends as a table.
pub fn rows(backends: &[admin::Backend]) -> String {
    let rows = backends.iter().map(|backend| {
        vec![
            bare(&backend.name).to_owned(),
            backend.kind.clone(),
            backend.node.map(|node| node.to_string()).unwrap_or_default(),
            state(backend).to_owned(),
            backend.live_blobs.to_string(),
            bytes(backend.live_bytes),
            match backend.configured {
                true => "yes".to_owned(),
                false => "no".to_owned(),
            },
            notes(backend),
        ]
    });
    table(&["NAME", "KIND", "NODE", "STATE", "BLOBS", "SIZE", "OPEN HERE", "NOTES"], rows)
}

/// What an operator should know of it, and what to do.
fn notes(backend: &admin::Backend) -> String {
    let mut notes = Vec::new();
    if !backend.problem.is_empty() {
        notes.push(backend.problem.clone());
    }
    if let Some(held) = &backend.held_deletions {
        notes.push(format!(
            "deletions are held in {} shard(s) until {}: {} of the {} are gone that the safety brake allows in an hour; if that is as it should be, `vaultaire backend release {}`",
            held.shards,
            time(held.until_ms),
            bytes(held.deleted_bytes),
            bytes(held.allowed_bytes),
            bare(&backend.name),
        ));
    }
    if let Some(until_ms) = backend.released_until_ms {
        notes.push(format!("the safety brake is lifted until {}", time(until_ms)));
    }
    notes.join("; ")
}

async fn check(mut client: Client, output: Output, name: &str) -> Result<(), Error> {
    let request = admin::CheckBackendRequest { name: format!("{BACKENDS}{name}") };
    let probes = client.check_backend(request).await.map_err(refused)?.into_inner().probes;
    let broken =
        probes.iter().filter(|probe| probe.outcome() == admin::ProbeOutcome::Failed).count();
    let value = json!({
        "backend": name,
        "ok": broken == 0,
        "probes": probes.iter().map(probe_shown).collect::<Vec<_>>(),
    });
    output.print(&value, || {
        let rows = probes.iter().map(|probe| {
            vec![
                probe.operation.clone(),
                outcome(probe).to_owned(),
                format!(
                    "{:.2} ms",
                    f64::from(u32::try_from(probe.duration_us).unwrap_or(u32::MAX)) / 1000.0
                ),
                probe.detail.clone(),
            ]
        });
        table(&["OPERATION", "OUTCOME", "TOOK", "DETAIL"], rows)
    })?;
    match broken {
        0 => Ok(()),
        broken => Err(Error::Found(format!(
            "backend {name} failed {broken} of {} operations",
            probes.len()
        ))),
    }
}

async fn release(mut client: Client, output: Output, name: &str) -> Result<(), Error> {
    let request = admin::ReleaseBackendRequest {
        name: format!("{BACKENDS}{name}"),
        validate_only: false,
        request_id: String::new(),
    };
    let released = client.release_backend(request).await.map_err(refused)?.into_inner();
    let until_ms = released.released_until_ms;
    let value = json!({ "name": name, "released_until_ms": until_ms });
    output.print(&value, || {
        format!("the safety brake is lifted on backend {name} until {}", time(until_ms))
    })
}

/// A backend for programs.
pub fn shown(backend: &admin::Backend) -> Value {
    json!({
        "name": bare(&backend.name),
        "backend_id": backend.backend_id,
        "kind": backend.kind,
        "node": backend.node,
        "state": state(backend),
        "live_blobs": backend.live_blobs,
        "live_bytes": backend.live_bytes,
        "configured": backend.configured,
        "problem": backend.problem,
        "held_deletions": backend.held_deletions.as_ref().map(held_shown),
        "released_until_ms": backend.released_until_ms,
    })
}

fn held_shown(held: &admin::HeldDeletions) -> Value {
    json!({
        "shards": held.shards,
        "live_bytes": held.live_bytes,
        "allowed_bytes": held.allowed_bytes,
        "deleted_bytes": held.deleted_bytes,
        "until_ms": held.until_ms,
    })
}

fn state(backend: &admin::Backend) -> &'static str {
    match backend.state() {
        admin::BackendState::Active => "active",
        admin::BackendState::Draining => "draining",
        admin::BackendState::Lost => "lost",
        admin::BackendState::Unspecified => "unknown",
    }
}

fn probe_shown(probe: &admin::Probe) -> Value {
    json!({
        "operation": probe.operation,
        "outcome": outcome(probe),
        "duration_us": probe.duration_us,
        "detail": probe.detail,
    })
}

fn outcome(probe: &admin::Probe) -> &'static str {
    match probe.outcome() {
        admin::ProbeOutcome::Ok => "ok",
        admin::ProbeOutcome::Failed => "failed",
        admin::ProbeOutcome::Unsupported => "unsupported",
        admin::ProbeOutcome::Unspecified => "unknown",
    }
}
