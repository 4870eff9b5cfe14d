//! A `vaultaire dev` process of a test's own: started on free ports, killed or stopped, restarted.
//!
//! It speaks to the process through its command line, its ready line and signals, never through its insides.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{self, Endpoint};

const READY_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

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
    child: Child,
    ready: Value,
    options: Options,
    data_dir: PathBuf,
    // Held for its lifetime: the directory goes when the last server on it goes.
    owned_dir: Option<TempDir>,
    log_path: PathBuf,
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
        let log = File::options().create(true).append(true).open(&log_path).expect("the log opens");
        let mut child = command(&data_dir, &options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary that was found can be started");
        match wait_until_ready(&mut child) {
            Ok(ready) => Self { child, ready, options, data_dir, owned_dir, log_path },
            Err(problem) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("vaultaire did not become ready: {problem}\n{}", tail(&log_path));
            }
        }
    }

    /// One value of the ready line, for example `s3_url`.
    ///
    /// # Panics
    /// When the ready line has no such text.
    pub fn ready(&self, name: &str) -> &str {
        match self.ready.get(name).and_then(Value::as_str) {
            Some(value) => value,
            None => panic!("the ready line has no `{name}`: {}", self.ready),
        }
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
        self.child.id()
    }

    pub fn endpoint(&self) -> Endpoint {
        let ca_file = self.ready.get("ca_file").and_then(Value::as_str);
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
        self.child.kill().expect("a child of ours can be killed");
        self.child.wait().expect("a killed child can be waited for");
    }

    /// SIGTERM, then waits for the drained end; kills what does not end in time.
    pub fn stop(&mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .expect("a child of ours can be signalled");
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child of ours can be waited for")
            {
                return status;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        self.kill();
        panic!("vaultaire did not stop within {STOP_TIMEOUT:?} of SIGTERM\n{}", self.log_tail());
    }

    /// Kills the process if it still runs and starts another on the same data directory and new ports.
    pub fn restart(mut self) -> Self {
        if self.child.try_wait().expect("a child of ours can be waited for").is_none() {
            self.kill();
        }
        let owned_dir = self.owned_dir.take();
        Self::start_on(self.data_dir.clone(), owned_dir, self.options.clone())
    }

    pub fn log_tail(&self) -> String {
        tail(&self.log_path)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a child that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
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

/// Reads the one line of JSON that says ready; a thread reads, so that silence can time out.
fn wait_until_ready(child: &mut Child) -> Result<Value, String> {
    let stdout = child.stdout.take().expect("the child was spawned with a pipe");
    let (tx, rx) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        let _ = tx.send(lines.next());
        // Later lines are drained, or a full pipe would stop the server.
        for _ in lines {}
    });
    match rx.recv_timeout(READY_TIMEOUT) {
        Ok(Some(Ok(line))) => {
            serde_json::from_str(&line).map_err(|error| format!("`{line}`: {error}"))
        }
        Ok(Some(Err(error))) => Err(error.to_string()),
        Ok(None) => Err("it ended without a ready line".to_owned()),
        Err(_) => Err(format!("no ready line within {READY_TIMEOUT:?}")),
    }
}

fn tail(path: &Path) -> String {
    const LINES: usize = 40;
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
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
    let manifest_dir =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let status = command.current_dir(manifest_dir).status().expect("cargo runs");
    assert!(status.success(), "cargo could not build the binary: build it and set VAULTAIRE_BIN");
    profile_dir.join("vaultaire")
}
