//! `run`: a cluster of real processes under load and under faults; then everything is healed, read once more, and judged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use rand::RngExt;

use crate::check;
use crate::checker::judge::{Judgement, Verdict};
use crate::checker::linearizable::CONFIGURATIONS_MAX;
use crate::checker::{Kind, Violation};
use crate::client::{self, Retries};
use crate::cluster::Cluster;
use crate::cluster::site::Clock;
use crate::error::Error;
use crate::faults::lane::{self, Scene};
use crate::faults::{NEMESES, Nemesis};
use crate::history::{Line, Recorder, Wanted};
use crate::html;
use crate::kill;
use crate::process::{self, Program, Ready};
use crate::s3::S3;
use crate::sandbox;
use crate::simulate::{chosen, wanted};
use crate::verified;
use crate::workload::run::{self, Acknowledged, Shared};
use crate::workload::script::{VERSIONED_BUCKET, Workload};

/// How long clients go on after the last fault, until every operation was acknowledged often enough.
const OVERTIME_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How long clients work and faults happen.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    time: Duration,
    /// Everything random follows from it [default: random, and printed].
    #[arg(long)]
    seed: Option<u64>,
    /// How many nodes there are, all of them voters.
    #[arg(long, default_value_t = 3)]
    nodes: u32,
    /// How many more serve clients, and keep nothing.
    #[arg(long, default_value_t = 1)]
    gateways: u32,
    /// How many clients work at the same time; three of them share keys.
    #[arg(long, default_value_t = 21)]
    clients: u32,
    /// The kinds of work [default: all].
    #[arg(long = "workload")]
    workloads: Vec<Workload>,
    /// The kinds of faults [default: all].
    #[arg(long = "nemesis")]
    nemeses: Vec<Nemesis>,
    /// No faults: a cluster at peace must be right as well.
    #[arg(long, conflicts_with = "nemeses")]
    peace: bool,
    /// The server [default: the one of this workspace, built beside this program].
    #[arg(long, env = "VAULTAIRE_BINARY")]
    binary: Option<PathBuf>,
    /// A mistake that is planted in the server (`VAULTAIRE_PLANT`): the run succeeds where it is found. The server must be built
    /// with them.
    #[arg(long)]
    pub planted: Option<String>,
    /// Where the history, its report, logs and data go [default: a new temporary directory].
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// The server, brought up to date where none is named. Where the machine allows, the run goes on in namespaces of its own.
pub fn begin(args: &Args) -> Result<PathBuf, Error> {
    let binary = args.binary.clone().map_or_else(|| process::build(args.planted.is_some()), Ok)?;
    let binary = std::path::absolute(&binary).map_err(Error::file("find", &binary))?;
    if !sandbox::is_inside() {
        let why = sandbox::enter(&binary);
        eprintln!("no links and no disks are hurt, for want of namespaces: {why}");
    }
    Ok(binary)
}

pub async fn run(args: &Args, binary: PathBuf) -> Result<Judgement, Error> {
    sandbox::end_when_told();
    let seed = args.seed.unwrap_or_else(|| rand::rng().random());
    let dir = kill::directory(args.dir.as_deref())?;
    let dir = std::path::absolute(&dir).map_err(Error::file("find", &dir))?;
    eprintln!("seed {seed}, history in {}", dir.display());
    let program = Program { binary, planted: args.planted.clone() };
    let mut cluster =
        Cluster::start(program, &dir, (args.nodes, args.gateways), sandbox::is_inside()).await?;
    let ready = cluster.site.ready();
    let connections = client::connections();
    prepare(&ready[0], &connections).await?;
    eprintln!("{} nodes serve, and {} gateway(s)", args.nodes, args.gateways);
    let workloads = chosen(&args.workloads);
    let nemeses = nemeses(args);
    let recorder = Recorder::create(&dir)?;
    let names = nemeses.iter().map(|nemesis| nemesis.name().to_owned()).collect();
    let wanted = wanted(seed, workloads, args.clients, names);
    recorder.write(&Line::Wanted(wanted.clone()))?;
    let shared = Arc::new(Shared {
        store: S3::new(seed, &ready, &connections),
        recorder,
        seed,
        clients: args.clients,
        stop: AtomicBool::new(false),
        calls_max: u64::MAX,
        acknowledged: Acknowledged::default(),
    });
    let work = {
        let (shared, workloads) = (shared.clone(), workloads.to_vec());
        tokio::spawn(async move { run::work(&shared, &workloads).await })
    };
    let violations = if nemeses.is_empty() {
        tokio::time::sleep(args.time).await;
        Vec::new()
    } else {
        let scene = Scene { recorder: &shared.recorder, time: args.time, stop: &shared.stop };
        lane::run(&mut cluster, seed, &possible(&nemeses, args.gateways), scene).await
    };
    covered(&shared, &wanted).await;
    shared.stop.store(true, Ordering::Relaxed);
    let scripts = work.await??;
    eprintln!("faults are over; reading everything once more");
    let unanswered = run::close(&shared, scripts).await?;
    shared.recorder.flush()?;
    finish(&mut cluster, args.nodes, &dir, violations, unanswered).await
}

/// Lets clients work on where faults have left them little time: what was seldom asked proves nothing.
async fn covered(shared: &Shared<S3>, wanted: &Wanted) {
    let began = Instant::now();
    while !shared.acknowledged.have(&wanted.operations, wanted.acknowledged_min)
        && !shared.stop.load(Ordering::Relaxed)
        && began.elapsed() < OVERTIME_MAX
    {
        tokio::time::sleep(POLL).await;
    }
}

/// What this machine can do of what is wanted. What it cannot do is lacking in the end, and the verdict says so.
fn possible(nemeses: &[Nemesis], gateways: u32) -> Vec<Nemesis> {
    let has_clock = Clock::find(String::new()).is_some();
    let is_possible = |nemesis: &Nemesis| {
        let lacks = match nemesis {
            _ if nemesis.needs_sandbox() && !sandbox::is_inside() => Some("namespaces"),
            Nemesis::ClockSkew if !has_clock => Some("libfaketime"),
            Nemesis::KillGateway if gateways == 0 => Some("--gateways"),
            _ => None,
        };
        if let Some(lacks) = lacks {
            eprintln!("{} is not tried, for want of {lacks}", nemesis.name());
        }
        lacks.is_none()
    };
    nemeses.iter().copied().filter(is_possible).collect()
}

fn nemeses(args: &Args) -> Vec<Nemesis> {
    match (args.peace, args.nemeses.as_slice()) {
        (true, _) => Vec::new(),
        (false, []) => {
            NEMESES.into_iter().filter(|nemesis| nemesis.fits(args.nodes, args.gateways)).collect()
        }
        (false, asked) => asked.to_vec(),
    }
}

/// Compares catalog and bytes, ends the cluster in good order, and judges.
async fn finish(
    cluster: &mut Cluster,
    nodes: u32,
    dir: &Path,
    mut violations: Vec<Violation>,
    unanswered: usize,
) -> Result<Judgement, Error> {
    let verified = verified::verify(&cluster.site).await?;
    violations.extend(verified.violations());
    if let Err(why) = cluster.stop_gateways().await {
        violations.push(Violation::new(Kind::Server, "", format!("a gateway: {why}")));
    }
    for node in 0..nodes {
        if let Err(why) = cluster.stop(node).await {
            violations.push(Violation::new(Kind::Server, "", format!("node {node}: {why}")));
        }
    }
    if unanswered > 0 {
        let detail = format!("{unanswered} last reads were never answered by a healed cluster");
        violations.push(Violation::new(Kind::Unreadable, "", detail));
    }
    let mut judgement = check::judge(dir, CONFIGURATIONS_MAX)?;
    judgement.verified = Some(verified);
    if !violations.is_empty() {
        judgement.violations.extend(violations);
        judgement.verdict = Verdict::Fail;
    }
    if judgement.verdict == Verdict::Fail {
        cluster.site.keep()?;
    }
    html::write(dir, &judgement, &dir.join("report.html"))?;
    Ok(judgement)
}

/// Makes the bucket that keeps versions; the other one is the first that the cluster makes.
async fn prepare(
    ready: &Ready,
    connections: &aws_smithy_runtime_api::client::http::SharedHttpClient,
) -> Result<(), Error> {
    let s3 = client::connect(ready, Retries::On, connections.clone());
    let fail =
        |why: String| Error::Command { what: "making a bucket with versions".to_owned(), why };
    let made = s3.create_bucket().bucket(VERSIONED_BUCKET).send().await;
    made.map_err(|error| fail(DisplayErrorContext(error).to_string()))?;
    let enabled =
        VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let request = s3.put_bucket_versioning().bucket(VERSIONED_BUCKET);
    let set = request.versioning_configuration(enabled).send().await;
    set.map(|_| ()).map_err(|error| fail(DisplayErrorContext(error).to_string()))
}
