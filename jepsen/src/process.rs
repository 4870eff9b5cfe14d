//! The server as a process: start, wait until it says it is ready, end it with SIGKILL or in good order.
//! What happens when is decided in `nemesis` and `kill`.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::error::Error;

/// How long a start may take before the server counts as dead. A node of a cluster waits for the others, which may be hurt.
const READY_MAX: Duration = Duration::from_secs(150);

/// How long a graceful end may take. The server itself drains for 30 s at most, but others may have to help it to the end.
const DRAIN_MAX: Duration = Duration::from_secs(90);

/// How much of the log is shown when a start fails.
const LOG_TAIL_BYTES: usize = 2_000;

/// What the server prints on one line when it is ready. `vaultaire server` says no secrets: who configured it knows them.
#[derive(Clone, Debug, Deserialize)]
pub struct Ready {
    pub s3_url: String,
    #[serde(default)]
    pub access_key: String,
    #[serde(default)]
    pub secret_key: String,
    #[serde(default)]
    pub bucket: String,
    pub pid: u32,
}

/// How every life of the server is started.
#[derive(Clone, Debug)]
pub struct Launch {
    pub binary: PathBuf,
    pub data_dir: PathBuf,
    /// The same in every life, so that a client's retry can cross a restart.
    pub s3_addr: String,
    /// Grace periods short enough that collection, too, is under fire.
    pub environment: Vec<(String, String)>,
    pub log: PathBuf,
}

/// A process that has not said that it is ready.
#[derive(Debug)]
pub struct Starting {
    child: Child,
    began: Instant,
    log: PathBuf,
}

/// A process that serves.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub ready: Ready,
    pub took: Duration,
}

/// The server, and the mistake that is planted in it.
#[derive(Clone, Debug)]
pub struct Program {
    pub binary: PathBuf,
    pub planted: Option<String>,
}

/// The server of this workspace, beside this program. Cargo builds this program alone when it is run, so the server is
/// brought up to date here: an old one would be judged in the place of the one that was meant.
/// Where a mistake is to be planted, it is built with those that it has.
pub fn build(with_planted: bool) -> Result<PathBuf, Error> {
    let own = std::env::current_exe().map_err(Error::file("find", Path::new("this program")))?;
    let profile_dir = own.parent().unwrap_or(Path::new("."));
    let target_dir = profile_dir.parent().unwrap_or(Path::new("."));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command.args(["build", "--locked", "--bin", "vaultaire", "--target-dir"]).arg(target_dir);
    if profile_dir.ends_with("release") {
        command.arg("--release");
    }
    if with_planted {
        command.args(["--features", "vaultaire-proto/planted"]);
    }
    eprintln!("building the server; --binary names one that is built already");
    let what = "cargo build --bin vaultaire";
    let built =
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["--package", "vaultaire"]).status();
    match built {
        Ok(status) if status.success() => Ok(profile_dir.join("vaultaire")),
        Ok(status) => Err(Error::Command { what: what.to_owned(), why: status.to_string() }),
        Err(error) => Err(Error::Command { what: what.to_owned(), why: error.to_string() }),
    }
}

impl Launch {
    pub fn spawn(&self) -> Result<Starting, Error> {
        let mut command = Command::new(&self.binary);
        command
            .args(["dev", "--json", "--data-dir"])
            .arg(&self.data_dir)
            .args(["--s3-addr", &self.s3_addr])
            .args(["--admin-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"])
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        spawn(command, &self.binary, &self.log)
    }
}

/// Starts a command line that serves.
pub fn spawn(mut command: Command, binary: &Path, log: &Path) -> Result<Starting, Error> {
    if !binary.is_file() {
        return Err(Error::NoBinary { path: binary.to_owned() });
    }
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(log);
    let stderr = opened.map_err(Error::file("open", log))?;
    let began = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(stderr))
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::file("run", binary))?;
    Ok(Starting { child, began, log: log.to_owned() })
}

impl Starting {
    /// Waits for the line that says where the server listens.
    pub async fn ready(mut self) -> Result<Server, Error> {
        let log = self.log.clone();
        let fail =
            |why: String| Error::Start { why: format!("{why}{}", tail(&log)), log: log.clone() };
        let Some(stdout) = self.child.stdout.take() else {
            return Err(fail("its output is not connected".to_owned()));
        };
        let mut lines = BufReader::new(stdout);
        let line = match tokio::time::timeout(READY_MAX, first_object(&mut lines)).await {
            Ok(Some(line)) => line,
            Ok(None) => {
                let ended = self.child.wait().await;
                return Err(fail(format!("it ended with {ended:?}")));
            }
            Err(_) => return Err(fail(format!("it was not ready after {READY_MAX:?}"))),
        };
        let took = self.began.elapsed();
        let ready: Ready = serde_json::from_str(&line).map_err(|source| Error::Json {
            what: format!("what the server printed ({line})"),
            source,
        })?;
        if self.child.id() != Some(ready.pid) {
            return Err(fail(format!("it says that its pid is {}", ready.pid)));
        }
        // A full pipe would stop the server, so the rest of its output is read and dropped.
        tokio::spawn(async move {
            let mut rest = String::new();
            while lines.read_line(&mut rest).await.is_ok_and(|read| read > 0) {
                rest.clear();
            }
        });
        Ok(Server { child: self.child, ready, took })
    }

    /// Ends it in the middle of its start. Says so if it had already ended by itself.
    pub async fn kill(self) -> Result<(), String> {
        kill(self.child).await
    }
}

async fn first_object(lines: &mut BufReader<ChildStdout>) -> Option<String> {
    let mut line = String::new();
    while lines.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        if line.trim_start().starts_with('{') {
            return Some(line);
        }
        line.clear();
    }
    None
}

impl Server {
    /// SIGKILL. Says so if the server had already ended by itself.
    pub async fn kill(self) -> Result<(), String> {
        kill(self.child).await
    }

    /// Stops it in the middle of whatever it does (SIGSTOP), or lets it go on (SIGCONT).
    pub fn signal(&self, signal: Signal) -> Result<(), String> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.ok_or_else(|| "it had ended by itself".to_owned())?;
        rustix::process::kill_process(pid, signal)
            .map_err(|error| format!("could not be sent {signal:?}: {error}"))
    }

    /// Whether it has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGTERM, and the wait for a clean end.
    pub async fn stop(mut self) -> Result<(), String> {
        if self.child.id().is_none() {
            return Err(format!("it had ended by itself: {}", status(self.child.wait().await)));
        }
        self.signal(Signal::TERM)?;
        match tokio::time::timeout(DRAIN_MAX, self.child.wait()).await {
            Ok(Ok(ended)) if ended.success() => Ok(()),
            Ok(ended) => Err(format!("after SIGTERM it ended with {}", status(ended))),
            Err(_) => Err(format!("it still ran {DRAIN_MAX:?} after SIGTERM")),
        }
    }
}

async fn kill(mut child: Child) -> Result<(), String> {
    match child.try_wait() {
        Ok(None) => {}
        Ok(Some(ended)) => return Err(format!("it had ended by itself: {ended}")),
        Err(error) => return Err(format!("its state is not known: {error}")),
    }
    child.kill().await.map_err(|error| format!("could not be killed: {error}"))
}

fn status(ended: std::io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let from = text.len().saturating_sub(LOG_TAIL_BYTES);
    format!("; its last words:\n{}\n", String::from_utf8_lossy(&text[from..]))
}

/// A free port below those that the kernel gives to outgoing connections, so that none of the clients' own
/// connections can take it while the server is down.
pub fn free_port(first: u16) -> Option<u16> {
    const PORTS: u16 = 8_000;
    const LOWEST: u16 = 20_000;
    (0..PORTS)
        .map(|step| LOWEST + first.wrapping_add(step) % PORTS)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
}
