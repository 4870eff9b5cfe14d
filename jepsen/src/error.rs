//! Why a run could not be made. What a run found wrong with the server is a `checker::Violation` instead.

use std::io;
use std::path::{Path, PathBuf};

/// One sentence that says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not {what} {path}: {source}", path = path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{what} is not the JSON that was expected: {source}")]
    Json { what: String, source: serde_json::Error },
    #[error("{path} is no history: {why}", path = path.display())]
    History { path: PathBuf, why: &'static str },
    #[error(
        "there is no binary at {path}: build it with `cargo build --release -p vaultaire`, \
         or name it with --binary",
        path = path.display()
    )]
    NoBinary { path: PathBuf },
    #[error("the server did not start: {why}; its log is {log}", log = log.display())]
    Start { why: String, log: PathBuf },
    #[error("{what} failed: {why}")]
    Command { what: String, why: String },
    #[error("a client task ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    /// For `map_err`: names the file and what was wanted of it.
    pub fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }
}
