//! `simulate`: the workloads against the model of a store, right or with a bug, in virtual time. The history that it
//! writes is judged as that of a cluster is.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::check;
use crate::checker::judge::Judgement;
use crate::checker::linearizable::CONFIGURATIONS_MAX;
use crate::error::Error;
use crate::history::{Line, Recorder, Wanted};
use crate::model::{Bug, Model};
use crate::workload::run::{self, Acknowledged, Shared};
use crate::workload::script::{WORKLOADS, Workload};

/// How often each operation must have been acknowledged.
pub const ACKNOWLEDGED_MIN: u64 = 20;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Everything follows from it.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What the store does wrong now and then [default: nothing].
    #[arg(long)]
    pub bug: Option<Bug>,
    /// How many clients work at the same time; three of them share keys.
    #[arg(long, default_value_t = 21)]
    pub clients: u32,
    /// How many calls each client makes.
    #[arg(long, default_value_t = 1_000)]
    pub calls: u64,
    /// The kinds of work [default: all].
    #[arg(long = "workload")]
    pub workloads: Vec<Workload>,
    /// Where the history goes.
    #[arg(long)]
    pub out: PathBuf,
}

/// Writes a history and judges it.
pub async fn run(args: &Args) -> Result<Judgement, Error> {
    tokio::time::pause();
    record(args).await?;
    check::judge(&args.out, CONFIGURATIONS_MAX)
}

/// Writes a history.
pub async fn record(args: &Args) -> Result<(), Error> {
    let recorder = Recorder::create(&args.out)?;
    let workloads = chosen(&args.workloads);
    recorder.write(&Line::Wanted(wanted(args.seed, workloads, args.clients, Vec::new())))?;
    let shared = Arc::new(Shared {
        store: Model::new(args.seed, args.bug),
        recorder,
        seed: args.seed,
        clients: args.clients,
        stop: AtomicBool::new(false),
        calls_max: args.calls,
        acknowledged: Acknowledged::default(),
    });
    let scripts = run::work(&shared, workloads).await?;
    run::close(&shared, scripts).await?;
    shared.recorder.flush()
}

/// All of them if none was asked for.
pub fn chosen(asked: &[Workload]) -> &[Workload] {
    if asked.is_empty() { &WORKLOADS } else { asked }
}

/// What a run with so many clients must cover.
pub fn wanted(seed: u64, workloads: &[Workload], clients: u32, nemeses: Vec<String>) -> Wanted {
    let groups = usize::try_from(clients.div_ceil(3)).unwrap_or(usize::MAX);
    let mut operations: Vec<_> =
        workloads.iter().take(groups).flat_map(|workload| workload.kinds()).copied().collect();
    operations.sort_unstable();
    operations.dedup();
    let workload = format!("{workloads:?}").to_lowercase();
    Wanted { seed, workload, acknowledged_min: ACKNOWLEDGED_MIN, operations, nemeses }
}
