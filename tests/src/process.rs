//! One `vaultaire` process that serves: started, and known to be ready by the line of JSON that it prints; killed or stopped.
//! What it was started with is its owner's business.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(45);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A running process. Dropping it kills it, as a test that failed half-way would.
#[derive(Debug)]
pub struct Process {
    child: Child,
    ready: Value,
    log_path: PathBuf,
}

impl Process {
    /// Starts a command line and waits until it says that it is ready.
    ///
    /// # Panics
    /// When it does not become ready, with the end of its log.
    pub fn start(mut command: Command, log_path: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log_path).expect("the log opens");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary that was found can be started");
        match wait_until_ready(&mut child) {
            Ok(ready) => Self { child, ready, log_path: log_path.to_owned() },
            Err(problem) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("vaultaire did not become ready: {problem}\n{}", tail(log_path));
            }
        }
    }

    /// The whole ready line.
    pub fn ready_line(&self) -> &Value {
        &self.ready
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

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    ///
    /// # Panics
    /// When the operating system does not tell.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours can be waited for").is_none()
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

    pub fn log_tail(&self) -> String {
        tail(&self.log_path)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a child that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
