//! `vaultaire server`: the node that a configuration file describes, under a service manager or not.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::output::Output;
use crate::cli::run::{Overrides, Signals, start, until_stopped};
use crate::config::Config;
use crate::error::Error;
use crate::identity::DataDir;
use crate::notify;

/// Run a node as its configuration file says.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file.
    #[arg(long, env = "VAULTAIRE_CONFIG")]
    config: PathBuf,
    /// Where the node keeps its journal and tables, instead of what the file says.
    #[arg(long, env = "VAULTAIRE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// End when the process that started this one does, however it ends.
    #[arg(long, hide = true)]
    ends_with_parent: bool,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Serialize)]
struct Ready<'ready> {
    s3_url: &'ready str,
    admin_url: &'ready str,
    http_url: &'ready str,
    data_dir: &'ready std::path::Path,
    pid: u32,
}

/// Runs until a signal.
pub async fn run(args: Args, output: Output) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    if args.ends_with_parent {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
            .map_err(|error| Error::Engine { what: "signals", why: error.to_string() })?;
    }
    let mut config = Config::read(&args.config)?;
    if let Some(data_dir) = args.data_dir {
        config.data_dir = Some(data_dir);
    }
    let mut settings = config.settle()?;
    args.overrides.apply(&mut settings)?;
    settings.check()?;
    let path = std::path::absolute(&settings.data_dir)
        .map_err(|source| Error::file("resolve", &settings.data_dir, source))?;
    settings.data_dir = path;
    let data_dir = DataDir::lock(&settings.data_dir)?;
    let node = start(data_dir, settings, &mut signals).await?;
    let announcement = node.announcement();
    let ready = Ready {
        s3_url: &announcement.s3_url,
        admin_url: &announcement.admin_url,
        http_url: &announcement.http_url,
        data_dir: node.data_dir(),
        pid: announcement.pid,
    };
    output.print(&ready, || {
        format!("ready: S3 {}, admin {}, http {}", ready.s3_url, ready.admin_url, ready.http_url)
    })?;
    notify::ready();
    until_stopped(node, signals).await
}
