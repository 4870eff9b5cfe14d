//! The command line of the fault harness: it starts the real binary, hurts it, and judges what clients saw.
//! It knows S3 and the command line, and nothing of the server's code.

mod audit;
mod checker;
mod client;
mod error;
mod history;
mod kill;
mod nemesis;
mod plant;
mod process;
mod replay;
mod report;
mod workload;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::report::Report;

/// Faults on real `vaultaire` processes, and a checker of what clients saw.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Print the report as one line of JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Kill one node again and again under load, and look for anything acknowledged that did not last.
    Kill(kill::Args),
    /// Judge the history of an earlier run again.
    Check {
        /// The directory that the run named.
        history: PathBuf,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match (runtime, cli.command) {
        (Ok(runtime), Command::Kill(args)) => runtime.block_on(kill::run(args)),
        (_, Command::Check { history }) => replay::run(&history),
        (Err(source), Command::Kill(_)) => {
            Err(Error::Command { what: "starting the runtime".to_owned(), why: source.to_string() })
        }
    };
    match outcome.and_then(|report| say(&report, cli.json).map(|()| report)) {
        Ok(report) if report.passed() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn say(report: &Report, json: bool) -> Result<(), Error> {
    let text = match json {
        true => serde_json::to_string(report)
            .map_err(|source| Error::Json { what: "the report".to_owned(), source })?,
        false => report.to_string(),
    };
    writeln!(std::io::stdout().lock(), "{text}")
        .map_err(|error| Error::Command { what: "printing".to_owned(), why: error.to_string() })
}
