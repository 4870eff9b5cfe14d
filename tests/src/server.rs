//! A `vaultaire dev` process of a test's own: started on free ports, killed or stopped, restarted.
//!
//! It speaks to the process through its command line, its ready line and signals, never through its insides.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{self, Endpoint};
use crate::process::Process;

/// How a server is started. The default is plain http on a data directory that goes with the server.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A directory that outlives the server; without one a temporary directory is made.
    pub data_dir: Option<PathBuf>,
    pub tls: bool,
    /// Appended to the command line.
    pub extra_args: Vec<String>,
    /// The most files that the process may open, by a hard limit.
    pub files_max: Option<u64>,
}

/// A running server. Dropping it kills the process, as a test that failed half-way would.
#[derive(Debug)]
pub struct Server {
    process: Process,
    options: Options,
    data_dir: PathBuf,
    // Held for its lifetime: the directory goes when the last server on it goes.
    owned_dir: Option<TempDir>,
}

impl Server {
    /// Starts the binary and waits until it says that it is ready.
    ///
    /// # Panics
    /// When it does not become ready, with the end of its log.
    pub fn start(options: Options) -> Self {
        let (data_dir, owned_dir) = match &options.data_dir {
            Some(path) => (path.clone(), None),
            None => {
                let made = tempfile::tempdir().expect("a temporary directory can be made");
                (made.path().join("data"), Some(made))
            }
        };
        Self::start_on(data_dir, owned_dir, options)
    }

    fn start_on(data_dir: PathBuf, owned_dir: Option<TempDir>, options: Options) -> Self {
        let log_path = data_dir.with_extension("log");
        let process = Process::start(command(&data_dir, &options), &log_path);
        Self { process, options, data_dir, owned_dir }
    }

    /// One value of the ready line, for example `s3_url`.
    ///
    /// # Panics
    /// When the ready line has no such text.
    pub fn ready(&self, name: &str) -> &str {
        self.process.ready(name)
    }

    pub fn s3_url(&self) -> &str {
        self.ready("s3_url")
    }

    /// The bucket that `dev` made.
    pub fn bucket(&self) -> &str {
        self.ready("bucket")
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn endpoint(&self) -> Endpoint {
        let ca_file = self.process.ready_line().get("ca_file").and_then(Value::as_str);
        Endpoint {
            url: self.s3_url().to_owned(),
            access_key: self.ready("access_key").to_owned(),
            secret_key: self.ready("secret_key").to_owned(),
            ca_pem: ca_file
                .map(|path| std::fs::read(path).expect("the CA file that dev named is readable")),
        }
    }

    /// An S3 client with the credentials that `dev` made.
    pub fn client(&self) -> aws_sdk_s3::Client {
        client::connect(&self.endpoint())
    }

    /// SIGKILL: nothing is flushed, no farewell is said.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM, then waits for the drained end; kills what does not end in time.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.stop()
    }

    /// Kills the process if it still runs and starts another on the same data directory and new ports.
    pub fn restart(mut self) -> Self {
        if self.process.is_running() {
            self.kill();
        }
        let owned_dir = self.owned_dir.take();
        Self::start_on(self.data_dir.clone(), owned_dir, self.options.clone())
    }

    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

fn command(data_dir: &Path, options: &Options) -> Command {
    let mut command = match options.files_max {
        None => Command::new(binary()),
        Some(files) => {
            let mut limited = Command::new("prlimit");
            limited.arg(format!("--nofile={files}:{files}")).arg(binary());
            limited
        }
    };
    command.arg("dev").arg("--json").arg("--data-dir").arg(data_dir);
    for surface in ["--s3-addr", "--admin-addr", "--http-addr"] {
        command.args([surface, "127.0.0.1:0"]);
    }
    if options.tls {
        command.arg("--tls");
    }
    command.args(&options.extra_args);
    command
}

/// The binary under test: `VAULTAIRE_BIN`, else the one of this build, brought up to date once.
///
/// # Panics
/// When there is none and none can be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("VAULTAIRE_BIN") {
        Some(path) => PathBuf::from(path),
        None => build(),
    })
}

/// One in which faults can be planted, whatever binary is tested: what users get has none.
///
/// # Panics
/// When none can be built.
pub fn binary_with_faults() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

/// Cargo builds the binary of another crate only when asked; an up-to-date one costs a second.
/// `--tests` keeps the features of `cargo test`: without it half the libraries would be built again.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a running test knows its own path");
    let profile_dir =
        test.parent().and_then(Path::parent).expect("tests lie in <target>/<profile>/deps");
    let target_dir = profile_dir.parent().expect("a profile folder lies in the target folder");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--locked", "--workspace", "--bins", "--tests", "--quiet", "--target-dir"])
        .arg(target_dir);
    if profile_dir.ends_with("release") {
        command.arg("--release");
    }
    // What cargo tells a test of its crate is not what it tells build scripts: one of them would see its environment change, and
    // everything above it would be built again.
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    let manifest_dir =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let status = command.current_dir(manifest_dir).status().expect("cargo runs");
    assert!(status.success(), "cargo could not build the binary: build it and set VAULTAIRE_BIN");
    profile_dir.join("vaultaire")
}
