//! The command line: what can be typed, and the exit codes. One subcommand per file; what a node does is
//! not told here.

pub mod backend;
pub mod bucket;
pub mod check;
pub mod client;
pub mod cluster;
pub mod compare;
pub mod completions;
pub mod dev;
pub mod explain;
pub mod generate_trace;
pub mod info;
pub mod key;
pub mod operations;
pub mod output;
pub mod prices;
pub mod run;
pub mod server;
pub mod simulate;
pub mod status;
pub mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use vaultaire_proto::planted::{self, NotBuilt};

use crate::cli::output::Output;
use crate::error::{Error, Exit};
use crate::telemetry::{self, Style};
use crate::tls;

/// Names a fault to be planted.
const PLANT: &str = "VAULTAIRE_PLANT";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed, or found something wrong
  2  the command line makes no sense
  3  no node is running there";

/// A storage router: one S3 endpoint in front of many backends.
#[derive(Debug, Parser)]
#[command(name = "vaultaire", version, after_help = EXIT_CODES)]
struct Cli {
    /// Print JSON for programs instead of text for people.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node for development: everything embedded, credentials made once.
    Dev(dev::Args),
    /// Run a node as its configuration file says.
    Server(server::Args),
    /// Show how every node of the cluster is doing.
    Info(info::Args),
    /// Show how the node and its groups are doing.
    Status(status::Args),
    /// Create, list and delete buckets.
    Bucket(bucket::Args),
    /// Create, list and delete access keys.
    Key(key::Args),
    /// List backends, check what they can do, and let held deletions go.
    Backend(backend::Args),
    /// Form a cluster, and change who belongs to it.
    Cluster(cluster::Args),
    /// Show changes of members and of backends that are under way, and wait for their end.
    Operations(operations::Args),
    /// Compare the catalog with the bytes on every backend.
    Verify(verify::Args),
    /// Show what an access log would have cost under each policy, and at best.
    Simulate(simulate::Args),
    /// Make planned decisions again from their records, and tell why they were made.
    Explain(explain::Args),
    /// Make up an access log of known kinds of workload.
    GenerateTrace(generate_trace::Args),
    /// Show, check and compare price books.
    Prices(prices::Args),
    /// Check a configuration file.
    Config(check::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
}

/// The whole process.
pub fn main() -> ExitCode {
    tls::install_provider();
    let cli = Cli::parse();
    let outcome = plant().and_then(|()| carry_out(cli));
    let exit = match outcome {
        Ok(()) => Exit::Ok,
        Err(error) => {
            output::complain(&error);
            error.exit()
        }
    };
    ExitCode::from(exit as u8)
}

/// Plants a mistake in this process, for tests that must find it. Builds for users have none, and do not run where one is asked
/// for.
fn plant() -> Result<(), Error> {
    let Ok(name) = std::env::var(PLANT) else {
        return Ok(());
    };
    let planted = name.parse().map_err(Error::Usage)?;
    planted::plant(planted).map_err(|NotBuilt| {
        Error::Usage(format!("{PLANT} is set, and this build has no faults to plant; unset it"))
    })
}

fn carry_out(cli: Cli) -> Result<(), Error> {
    let output = Output::new(cli.json);
    match cli.command {
        Command::Dev(args) => long_lived(|| dev::run(args, output)),
        Command::Server(args) => long_lived(|| server::run(args, output)),
        Command::Info(args) => brief(info::run(args, output)),
        Command::Status(args) => brief(status::run(args, output)),
        Command::Bucket(args) => brief(bucket::run(args, output)),
        Command::Key(args) => brief(key::run(args, output)),
        Command::Backend(args) => brief(backend::run(args, output)),
        Command::Cluster(args) => brief(cluster::run(args, output)),
        Command::Operations(args) => brief(operations::run(args, output)),
        Command::Verify(args) => brief(verify::run(args, output)),
        Command::Simulate(args) => simulate::run(&args, output),
        Command::Explain(args) => explain::run(&args, output),
        Command::GenerateTrace(args) => generate_trace::run(&args, output),
        Command::Prices(args) => prices::run(args, output),
        Command::Config(args) => check::run(args, output),
        Command::Completions(args) => completions::run(&args),
    }
}

/// A node: logs, and every core of the machine.
fn long_lived<F: Future<Output = Result<(), Error>>>(
    task: impl FnOnce() -> F,
) -> Result<(), Error> {
    telemetry::start(Style::for_stderr());
    block_on(tokio::runtime::Builder::new_multi_thread(), task())
}

/// A command that asks a node and ends.
fn brief(task: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    block_on(tokio::runtime::Builder::new_current_thread(), task)
}

fn block_on(
    mut builder: tokio::runtime::Builder,
    task: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| Error::Engine { what: "the async runtime", why: error.to_string() })?;
    runtime.block_on(task)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_is_well_formed_and_takes_json() {
        let command = Cli::command();
        command.clone().debug_assert();
        for line in [
            "vaultaire dev --json --s3-addr 127.0.0.1:0 --tls",
            "vaultaire server --config f.toml",
            "vaultaire status --json",
            "vaultaire bucket create photos --owner alice --json",
            "vaultaire key create --name alice --json --data-dir d",
            "vaultaire key delete VTA --admin http://127.0.0.1:9001 --token-file t",
            "vaultaire backend check hot",
            "vaultaire backend release hot --json",
            "vaultaire cluster init --config f.toml",
            "vaultaire cluster join --config f.toml --member host:9003 --token-file t --learner",
            "vaultaire cluster token --json --data-dir d",
            "vaultaire cluster remove 3 --wait",
            "vaultaire operations --json",
            "vaultaire operations wait nodes/4",
            "vaultaire verify --json --no-checksums",
            "vaultaire simulate --log f.csv --policies stay,break-even --json",
            "vaultaire simulate --log logs --inventory lists --seed 7",
            "vaultaire generate-trace --class web,iot --objects 9 --output f.csv --json",
            "vaultaire explain --records f.jsonl --key photos/a --json",
            "vaultaire prices diff builtin f.toml",
            "vaultaire config check f.toml",
            "vaultaire completions bash",
        ] {
            let parsed = command.clone().try_get_matches_from(line.split(' '));
            assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
        }
    }
}
