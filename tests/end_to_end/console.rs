//! One command line, run to its end: what it printed and how it ended. It judges nothing.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use vaultaire_tests::server::{Server, binary};

/// A command that ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The one JSON value that it printed.
    pub fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "one line of JSON: {self:?}");
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("{error}: {self:?}"),
        }
    }

    /// Asserts that it did what it should.
    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Asserts that it failed with this code, and that its error says all of this.
    pub fn refused(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stdout.is_empty(), "errors go to stderr: {self:?}");
        for words in says {
            assert!(self.stderr.contains(words), "`{words}` is not said: {}", self.stderr);
        }
        self
    }
}

/// A command line that no environment variable of the caller's changes.
pub fn vaultaire(line: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(line).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("VAULTAIRE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it to its end.
pub fn run(mut command: Command) -> Ended {
    let Output { status, stdout, stderr } =
        command.output().expect("the binary that was found can be started");
    Ended {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).expect("text"),
        stderr: String::from_utf8(stderr).expect("text"),
    }
}

/// Runs `vaultaire ... --data-dir` of a running server.
pub fn on(server: &Server, line: &[&str]) -> Ended {
    let mut command = vaultaire(line);
    command.arg("--data-dir").arg(server.data_dir());
    run(command)
}

/// Tries to start `dev` on a directory, on free ports.
pub fn try_dev(data_dir: &Path, extra: &[&str]) -> Ended {
    let mut command = vaultaire(&["dev", "--json"]);
    command.arg("--data-dir").arg(data_dir);
    for surface in ["--s3-addr", "--admin-addr", "--http-addr"] {
        if !extra.contains(&surface) {
            command.args([surface, "127.0.0.1:0"]);
        }
    }
    command.args(extra);
    run(command)
}
