//! `kill`: one node under load is killed with SIGKILL at seeded moments and started again on what it left,
//! as often as asked. Then everything is audited.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::audit;
use crate::checker::{Kind, Violation};
use crate::client;
use crate::error::Error;
use crate::history::{Fault, Line, Recorder};
use crate::nemesis::{self, Kill};
use crate::plant;
use crate::process::{self, Launch, Server};
use crate::report::Report;
use crate::workload::puts::{Life, Shared, Worker};

/// How many kills between two lines of progress.
const PROGRESS_EVERY: usize = 10;

/// How long the load runs on what is damaged afterwards.
const DAMAGE_AFTER: Duration = Duration::from_secs(2);

/// Short enough that collection and sweeps, too, are interrupted.
const GRACE_UNDER_FIRE: [(&str, &str); 3] = [
    ("VAULTAIRE_GC_UPLOAD_GRACE", "2s"),
    ("VAULTAIRE_GC_DRAIN", "2s"),
    ("VAULTAIRE_GC_RESWEEP", "4s"),
];

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How often the node is killed.
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// Everything random follows from it [default: random, and printed].
    #[arg(long)]
    seed: Option<u64>,
    /// How many clients work at the same time.
    #[arg(long, default_value_t = 16)]
    clients: u32,
    /// The average time under load before a kill.
    #[arg(long, default_value = "700ms", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// No further kill after so long, even if fewer were done than asked.
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    time: Duration,
    /// The server [default: the one of this workspace, built beside this program].
    #[arg(long, env = "VAULTAIRE_BINARY")]
    binary: Option<PathBuf>,
    /// Where the history, the server's log and its data go [default: a new temporary directory].
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Keep the server's data even if all went well.
    #[arg(long)]
    keep: bool,
    /// Damage the data once, halfway: a harness that then finds nothing proves nothing.
    #[arg(long)]
    plant: Option<Plant>,
}

/// What a faulty server or disk would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Plant {
    /// Everything is as it was one kill earlier: acknowledged writes are gone.
    Rollback,
    /// Files with objects' bytes are gone.
    LostFiles,
    /// One byte of each of some objects has changed.
    FlippedBytes,
}

/// A run between its first start and its audit.
struct Run {
    launch: Launch,
    shared: Arc<Shared>,
    lives: watch::Sender<Option<Life>>,
    report: Report,
    violations: Vec<Violation>,
}

pub async fn run(args: Args) -> Result<Report, Error> {
    let seed = args.seed.unwrap_or_else(|| rand::rng().random());
    let dir = directory(args.dir.as_deref())?;
    eprintln!(
        "seed {seed}, {} kills, {} clients, history in {}",
        args.kills,
        args.clients,
        dir.display()
    );
    let mut run = Run::new(&args, seed, &dir)?;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut server = run.start().await?;
    let mut workers = JoinSet::new();
    for number in 0..args.clients {
        workers.spawn(Worker::new(number, run.shared.clone()).run());
    }
    let plan = nemesis::plan(&mut rng, args.kills, args.interval);
    let halfway = plan.len().div_ceil(2);
    let began = Instant::now();
    for (done, kill) in (1..).zip(plan) {
        if began.elapsed() > args.time {
            eprintln!("stopping after {:?}", args.time);
            break;
        }
        let plant = args.plant.filter(|_| done == halfway);
        server = run.carry_out(server, kill, plant).await?;
        if done % PROGRESS_EVERY == 0 {
            run.progress(began);
        }
    }
    run.shared.stop.store(true, Ordering::Relaxed);
    let mut done = Vec::new();
    while let Some(worker) = workers.join_next().await {
        done.push(worker??);
    }
    done.sort_by_key(|worker| worker.number);
    let report = run.finish(server, done).await?;
    if report.passed() && !args.keep {
        let data = dir.join("data");
        std::fs::remove_dir_all(&data).map_err(Error::file("remove", &data))?;
    }
    Ok(report)
}

/// The directory of a run, made if need be.
pub fn directory(asked: Option<&Path>) -> Result<PathBuf, Error> {
    match asked {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
            std::path::absolute(dir).map_err(Error::file("find", dir))
        }
        None => {
            let parent = std::env::temp_dir();
            let made = tempfile::Builder::new().prefix("vaultaire-kill-").tempdir();
            Ok(made.map_err(Error::file("create a directory in", &parent))?.keep())
        }
    }
}

impl Run {
    fn new(args: &Args, seed: u64, dir: &Path) -> Result<Self, Error> {
        let (lives, life) = watch::channel(None);
        let port = process::free_port(u16::try_from(seed % 8_000).unwrap_or(0));
        let port = port.ok_or_else(|| Error::Command {
            what: "looking for a free port".to_owned(),
            why: "all of them are taken".to_owned(),
        })?;
        let binary = match args.binary.clone() {
            Some(binary) => binary,
            None => process::build(false)?,
        };
        let recorder = Recorder::create(dir)?;
        let (clients, kills) = (args.clients, args.kills);
        recorder.write(&Line::Run { seed, clients, kills })?;
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(Self {
            launch: Launch {
                binary,
                data_dir: dir.join("data"),
                s3_addr: format!("127.0.0.1:{port}"),
                environment: GRACE_UNDER_FIRE.into_iter().map(owned).collect(),
                log: dir.join("server.log"),
            },
            shared: Arc::new(Shared {
                seed,
                recorder,
                life,
                newest_life: AtomicU32::new(0),
                stop: AtomicBool::new(false),
                values: AtomicU64::new(0),
                race_tickets: AtomicU64::new(0),
                connections: client::connections(),
            }),
            lives,
            report: Report::new(seed, dir),
            violations: Vec::new(),
        })
    }

    /// Begins a new life and tells the clients of it.
    async fn start(&mut self) -> Result<Server, Error> {
        let life = self.begin()?;
        let server = self.launch.spawn()?.ready().await?;
        self.announce(life, &server)?;
        Ok(server)
    }

    fn begin(&mut self) -> Result<u32, Error> {
        let life = self.shared.newest_life.fetch_add(1, Ordering::SeqCst) + 1;
        self.shared.recorder.fault(Fault::Started { life })?;
        Ok(life)
    }

    fn announce(&mut self, life: u32, server: &Server) -> Result<(), Error> {
        let took_ms = u64::try_from(server.took.as_millis()).unwrap_or(u64::MAX);
        self.report.ready_ms.push(took_ms);
        self.shared.recorder.fault(Fault::Ready { life, took_ms })?;
        self.lives.send_replace(Some(Life { number: life, ready: server.ready.clone() }));
        Ok(())
    }

    /// One kill and the start after it.
    async fn carry_out(
        &mut self,
        server: Server,
        kill: Kill,
        plant: Option<Plant>,
    ) -> Result<Server, Error> {
        if let Some(plant) = plant {
            return self.damaged(server, plant).await;
        }
        match kill {
            Kill::UnderLoad(after) => {
                tokio::time::sleep(after).await;
                let killed = server.kill().await;
                self.killed(killed)?;
            }
            Kill::WhileStarting(after) => {
                // The life before has to end first; that end is not one of the kills that were asked for.
                if let Err(why) = server.kill().await {
                    self.violations.push(Violation::new(Kind::Server, "", why));
                }
                self.lives.send_replace(None);
                self.begin()?;
                let starting = self.launch.spawn()?;
                tokio::time::sleep(after).await;
                let killed = starting.kill().await;
                self.report.kills_while_starting += 1;
                self.killed(killed)?;
            }
        }
        self.start().await
    }

    /// A kill, damage, and the start after it.
    async fn damaged(&mut self, server: Server, plant: Plant) -> Result<Server, Error> {
        let saved = self.launch.data_dir.with_extension("saved");
        let killed = server.kill().await;
        self.killed(killed)?;
        if plant == Plant::Rollback {
            plant::copy(&self.launch.data_dir, &saved)?;
        }
        let server = self.start().await?;
        tokio::time::sleep(DAMAGE_AFTER).await;
        let killed = server.kill().await;
        self.killed(killed)?;
        match plant {
            Plant::Rollback => plant::roll_back(&self.launch.data_dir, &saved)?,
            Plant::LostFiles => plant::lose_files(&self.launch.data_dir)?,
            Plant::FlippedBytes => plant::flip_bytes(&self.launch.data_dir)?,
        }
        eprintln!("planted {plant:?}");
        self.start().await
    }

    fn killed(&mut self, killed: Result<(), String>) -> Result<(), Error> {
        self.lives.send_replace(None);
        self.report.kills += 1;
        if let Err(why) = killed {
            self.violations.push(Violation::new(Kind::Server, "", why));
        }
        let life = self.shared.newest_life.load(Ordering::SeqCst);
        self.shared.recorder.fault(Fault::Killed { life })
    }

    fn progress(&self, began: Instant) {
        let values = self.shared.values.load(Ordering::Relaxed);
        let elapsed = began.elapsed().as_secs();
        let last_ms = self.report.ready_ms.last().copied().unwrap_or_default();
        eprintln!(
            "{} kills after {elapsed} s, {values} bodies sent, last start took {last_ms} ms",
            self.report.kills
        );
    }

    async fn finish(mut self, server: Server, mut workers: Vec<Worker>) -> Result<Report, Error> {
        for worker in &mut workers {
            self.violations.append(&mut worker.violations);
        }
        eprintln!("kills done; reading every key");
        let audited = audit::run(&self.launch, &self.shared, server, &mut workers).await?;
        self.violations.extend(audited.violations);
        self.shared.recorder.flush()?;
        let dir = self.report.directory.clone();
        crate::replay::count(&dir, &mut self.report)?;
        self.report.keys_audited = audited.keys;
        self.report.verified = audited.verified;
        self.report.judge(&self.violations);
        for violation in self.violations.iter().take(crate::report::SHOWN_MAX) {
            eprintln!("VIOLATION {violation}");
        }
        Ok(self.report)
    }
}

/// Counts by kind, for the report.
pub fn by_kind(violations: &[Violation]) -> BTreeMap<Kind, usize> {
    let mut counts = BTreeMap::new();
    for violation in violations {
        *counts.entry(violation.kind).or_default() += 1;
    }
    counts
}
