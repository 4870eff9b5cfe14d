//! `vaultaire config check`: whether a file would start a node, without starting one.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use vaultaire_storage::config::BackendConfig;

use crate::cli::output::Output;
use crate::config::Config;
use crate::error::Error;
use crate::settings::NamedBackend;
use crate::tls;

/// Check a configuration file.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read a file as `server` would, and say what is wrong with it.
    Check { file: PathBuf },
}

pub fn run(args: Args, output: Output) -> Result<(), Error> {
    let Command::Check { file } = args.command;
    let settings = Config::read(&file)?.settle()?;
    tls::serve(&settings)?;
    for named in &settings.backends {
        read_secret(named)?;
    }
    let backends: Vec<&str> = settings.backends.iter().map(|named| named.name.as_str()).collect();
    let value =
        json!({ "file": file, "ok": true, "data_dir": settings.data_dir, "backends": backends });
    output.print(&value, || format!("{}: a node would start with it", file.display()))
}

/// A secret that is not where the file says is found out here, and not by the first start.
fn read_secret(named: &NamedBackend) -> Result<(), Error> {
    match &named.config {
        BackendConfig::Disk(_) | BackendConfig::Memory(_) => Ok(()),
        BackendConfig::S3(s3) => match s3.secret_key.read(&named.name) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::Setting {
                key: format!("backends.{}.secret_key", named.name),
                why: error.to_string(),
            }),
        },
    }
}
