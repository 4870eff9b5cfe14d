//! `vaultaire completions`: a script that a shell reads to complete our command line.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Cli, output};
use crate::error::Error;

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For which shell.
    shell: Shell,
}

pub fn run(args: &Args) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vaultaire", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end())
}
