//! Simulates clusters by the thousand, or one seed again with its trace.

#![allow(clippy::print_stdout, reason = "a command talks to people")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use vaultaire_proto::planted::Planted;
use vaultaire_tests::simulation::run::{Outcome, Plan, run};
use vaultaire_tests::simulation::trace::Keep;

#[derive(Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Virtual seconds of chaos in each run.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    #[arg(long, default_value_t = 5)]
    clients: u64,
    /// How many of a thousand values are written in parts.
    #[arg(long, default_value_t = Plan::default().in_parts_permille)]
    in_parts: u64,
    /// Plants a mistake in the server (`planted.rs` of proto) that a run must find, and stops at the first seed that does.
    #[arg(long)]
    planted: Option<Planted>,
    /// Writes the trace of the first seed there.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Runs every seed twice and compares.
    #[arg(long)]
    twice: bool,
    /// What the node itself logs; `VAULTAIRE_LOG` says how much.
    #[arg(long)]
    log: bool,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// What many runs add up to.
#[derive(Default)]
struct Total {
    runs: u64,
    failed: Vec<u64>,
    simulated: Duration,
    slowest_convergence: Duration,
    operations: u64,
    unknown: u64,
    undecided: u64,
    lines: u64,
    leader_changes: u64,
    faults: BTreeMap<&'static str, u64>,
}

impl Total {
    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.simulated += outcome.simulated;
        self.slowest_convergence =
            self.slowest_convergence.max(outcome.converged.unwrap_or_default());
        self.operations += outcome.operations;
        self.unknown += outcome.unknown;
        self.undecided += outcome.undecided;
        self.lines += outcome.lines;
        self.leader_changes += outcome.leader_changes;
        for (fault, count) in &outcome.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        if !outcome.failures.is_empty() {
            self.failed.push(outcome.seed);
            println!("seed {} failed:", outcome.seed);
            outcome.failures.iter().for_each(|failure| println!("  {failure}"));
        }
    }

    fn print(&self, took: Duration) {
        let runs = self.runs.max(1);
        println!(
            "{} seeds, {} failed {:?}; {} simulated seconds, {} operations ({} unknown, {} keys undecided), {} events, \
             {} leader changes",
            self.runs,
            self.failed.len(),
            self.failed,
            self.simulated.as_secs(),
            self.operations,
            self.unknown,
            self.undecided,
            self.lines,
            self.leader_changes
        );
        println!(
            "{:.1} s in all, {:.0} ms a seed; slowest convergence {:.1} s",
            took.as_secs_f64(),
            took.as_secs_f64() * 1000.0 / runs as f64,
            self.slowest_convergence.as_secs_f64()
        );
        self.faults.iter().for_each(|(fault, count)| println!("{count:8} {fault}"));
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.log {
        vaultaire::telemetry::start(vaultaire::telemetry::Style::Lines);
    }
    let keep = if arguments.trace.is_some() { Keep::Lines } else { Keep::Sum };
    let plan = Plan {
        chaos: Duration::from_secs(arguments.seconds),
        clients: arguments.clients,
        in_parts_permille: arguments.in_parts,
        planted: arguments.planted,
        crash: None,
        keep,
    };
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let total = Mutex::new(Total::default());
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::SeqCst);
            if at >= arguments.seeds {
                return;
            }
            let seed = arguments.seed + at;
            let mut outcome = run(seed, plan);
            if arguments.twice && run(seed, plan).sum != outcome.sum {
                outcome.failures.push("a second run took another course".to_owned());
            }
            if let Some(path) = arguments.trace.as_ref().filter(|_| at == 0)
                && let Err(error) = std::fs::write(path, &outcome.trace)
            {
                outcome.failures.push(format!("{}: {error}", path.display()));
            }
            if arguments.planted.is_some() && !outcome.failures.is_empty() {
                next.store(arguments.seeds, Ordering::SeqCst);
            }
            total.lock().expect("no run panics").add(&outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(work);
        }
    });
    let total = total.into_inner().expect("no run panics");
    total.print(began.elapsed());
    let found = !total.failed.is_empty();
    match found == arguments.planted.is_some() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
