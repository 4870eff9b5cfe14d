//! The command line of the fault harness: it starts the real binary, hurts it, and judges what clients saw.
//! It knows S3 and the command line, and nothing of the server's code.

mod audit;
mod check;
mod checker;
mod client;
mod cluster;
mod cluster_run;
mod error;
mod faults;
mod history;
mod html;
mod kill;
mod model;
mod nemesis;
mod network;
mod operation;
mod plant;
mod process;
mod replay;
mod report;
mod s3;
mod sandbox;
mod simulate;
mod verified;
mod workload;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::check::Checked;
use crate::checker::judge::{Judgement, Verdict};
use crate::error::Error;

/// The exit code of a run that found nothing wrong and did too little to be a pass.
const UNKNOWN: u8 = 3;

/// Faults on real `vaultaire` processes, and a checker of what clients saw.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    /// Print the report as one line of JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command: those of `run`.
    #[command(flatten)]
    run: cluster_run::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Kill one node again and again under load, and look for anything acknowledged that did not last.
    Kill(kill::Args),
    /// Hurt a cluster of several nodes under load, and judge what its clients saw. Links and disks are hurt where `unshare`,
    /// `ip`, `nsenter`, `mount` and `nft` may be used, clocks where libfaketime is installed; what is not tried is said, and the
    /// verdict is UNKNOWN then.
    Run(cluster_run::Args),
    /// Run the workloads against a model of a store, with a bug if asked, and judge what its clients saw.
    Simulate(simulate::Args),
    /// Judge the history of an earlier run again.
    Check(check::Args),
}

fn main() -> ExitCode {
    let Cli { json, command, run } = Cli::parse();
    let command = command.unwrap_or(Command::Run(run));
    // Before there are threads: this program may start again in another place.
    let binary = match &command {
        Command::Run(args) => cluster_run::begin(args),
        Command::Kill(_) | Command::Simulate(_) | Command::Check(_) => Ok(PathBuf::new()),
    };
    // Virtual time needs a single thread.
    let runtime = match command {
        Command::Simulate(_) => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        Command::Kill(_) | Command::Run(_) | Command::Check(_) => {
            tokio::runtime::Builder::new_multi_thread().enable_all().build()
        }
    };
    let outcome = match (runtime, command) {
        (Ok(runtime), Command::Kill(args)) => {
            runtime.block_on(kill::run(args)).and_then(|report| Said::new(&report, report.passed()))
        }
        (_, Command::Check(args)) => check::run(&args).and_then(|checked| match checked {
            Checked::Kill(report) => Said::new(&report, report.passed()),
            Checked::Cluster(judgement) => judged(&judgement),
        }),
        (Ok(runtime), Command::Run(args)) => binary
            .and_then(|binary| runtime.block_on(cluster_run::run(&args, binary)))
            .and_then(|judgement| match &args.planted {
                Some(planted) => found(&judgement, planted),
                None => judged(&judgement),
            }),
        (Ok(runtime), Command::Simulate(args)) => {
            runtime.block_on(simulate::run(&args)).and_then(|judgement| judged(&judgement))
        }
        (Err(source), Command::Kill(_) | Command::Run(_) | Command::Simulate(_)) => {
            Err(Error::Command { what: "starting the runtime".to_owned(), why: source.to_string() })
        }
    };
    match outcome.and_then(|said| said.print(json).map(|()| said.code)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn judged(judgement: &Judgement) -> Result<Said, Error> {
    let said = Said::new(judgement, judgement.verdict == Verdict::Pass)?;
    Ok(match judgement.verdict {
        Verdict::Unknown(_) => Said { code: ExitCode::from(UNKNOWN), ..said },
        Verdict::Pass | Verdict::Fail => said,
    })
}

/// A run in which something is planted succeeds where it says that something is wrong.
fn found(judgement: &Judgement, planted: &str) -> Result<Said, Error> {
    let found = judgement.verdict == Verdict::Fail;
    let said = Said::new(judgement, found)?;
    let first = if found { "found" } else { "NOT found" };
    Ok(Said { text: format!("{planted} was {first}: {}", said.text), ..said })
}

/// What a command has to say.
struct Said {
    text: String,
    json: String,
    code: ExitCode,
}

impl Said {
    fn new(report: &(impl Serialize + ToString), passed: bool) -> Result<Self, Error> {
        let json = serde_json::to_string(report)
            .map_err(|source| Error::Json { what: "the report".to_owned(), source })?;
        let code = if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        Ok(Self { text: report.to_string(), json, code })
    }

    fn print(&self, json: bool) -> Result<(), Error> {
        let text = if json { &self.json } else { &self.text };
        writeln!(std::io::stdout().lock(), "{text}")
            .map_err(|error| Error::Command { what: "printing".to_owned(), why: error.to_string() })
    }
}
