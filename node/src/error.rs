//! Every way in which a node or one of its commands can fail, each with what to do next.
//! gRPC codes are not born here (`grpc/status.rs`); S3 errors are the router's.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use vaultaire_proto::{CatalogError, GroupId, Rejection};

/// The cause beneath an error, whatever library it came from.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong, with what, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was asked for must wait, or something else must be done first.
    #[error("{0}")]
    Unmet(String),

    /// The command line is well-formed for clap and still makes no sense.
    #[error("{0}")]
    Usage(String),

    /// A configuration file that cannot be read or means nothing.
    #[error("{path}: {message}")]
    Config { path: PathBuf, message: String },

    /// A setting whose value cannot work, wherever it came from.
    #[error("{key}: {why}")]
    Setting { key: String, why: String },

    /// The data directory refuses files.
    #[error(
        "cannot write in the data directory {path}: {source}; choose another with --data-dir, or make it writable"
    )]
    DataDirUnwritable { path: PathBuf, source: io::Error },

    /// Another process runs on the data directory.
    #[error(
        "the data directory {path} is in use by {holder}; stop that node, or choose another with --data-dir"
    )]
    DataDirInUse { path: PathBuf, holder: String },

    /// The directory holds somebody else's files.
    #[error(
        "{path} is not empty and is no data directory of a node ({found} is in it); choose an empty one with --data-dir"
    )]
    DataDirForeign { path: PathBuf, found: String },

    /// The directory was written by a later release.
    #[error(
        "the data directory {path} has format version {found}, this release reads up to {supported}; start the newer release on it"
    )]
    DataDirNewer { path: PathBuf, found: u32, supported: u32 },

    /// The directory belongs to another cluster than what it is combined with.
    #[error(
        "the data directory {path} belongs to cluster {found}, and not to {expected} as {expected_by} says; choose the right directory with --data-dir"
    )]
    OtherCluster { path: PathBuf, found: String, expected: String, expected_by: &'static str },

    /// A file that must be there, or must be readable, is not.
    #[error("{path} is {problem}; {advice}")]
    Damaged { path: PathBuf, problem: String, advice: &'static str },

    /// A file operation failed.
    #[error("cannot {action} {path}: {source}")]
    File { action: &'static str, path: PathBuf, source: io::Error },

    /// A listening address cannot be had.
    #[error("cannot listen for {surface} on {addr}: {source}; {advice}")]
    Bind { surface: &'static str, addr: SocketAddr, source: io::Error, advice: String },

    /// Credentials that everybody knows, on an address that others can reach.
    #[error(
        "the access key {access_key} is a well-known default, and {addr} can be reached from other machines; choose other credentials, or listen on 127.0.0.1"
    )]
    DefaultCredentials { access_key: String, addr: SocketAddr },

    /// Certificates or keys that cannot be used.
    #[error("TLS: {why}")]
    Tls { why: String },

    /// A secret that this node's key does not open.
    #[error(
        "the secret of {subject} cannot be opened with {path}; restore the key file that belongs to this data directory"
    )]
    Sealed { subject: String, path: PathBuf },

    /// The journal, the tables or Raft did not start, or stopped.
    #[error("{what}: {why}")]
    Engine { what: &'static str, why: String },

    /// A what-if.
    #[error(transparent)]
    Simulation(#[from] vaultaire_learner::error::Error),

    /// A backend.
    #[error(transparent)]
    Storage(#[from] vaultaire_storage::error::Error),

    /// A backend that is configured and could not be opened.
    #[error("backend {name} cannot be reached from this node: {why}")]
    BackendAbsent { name: String, why: String },

    /// The safety brake.
    #[error(
        "deletions of shard {shard} on backend {backend} are held by the safety brake; they go on within the hour, or at once with `vaultaire backend release {backend}`"
    )]
    DeletionsHeld { shard: GroupId, backend: String },

    /// The replicated state gave no answer.
    #[error(transparent)]
    Catalog(#[from] CatalogError),

    /// The replicated state said no.
    #[error("{subject}: {rejection}")]
    Rejected { subject: String, rejection: Rejection },

    /// An answer of another type than was asked for.
    #[error("the catalog answered {question} with something else; this is a bug, please report it")]
    UnexpectedAnswer { question: &'static str },

    /// A member of the cluster did not let this node in.
    #[error("{address} did not let this node join: {why}")]
    Join { address: String, why: String },

    /// A command found no node.
    #[error("no node is running on {place}; start one with `{start}`")]
    NoNode { place: String, start: String },

    /// A command found a process on the data directory, and nobody who answers.
    #[error(
        "the node on {place} is starting or stopping and does not answer: `/readyz` of its HTTP port and its log say what it waits for; \
         in a cluster more than half of the voters have to run and reach each other"
    )]
    NodeStarts { place: String },

    /// The node that a command asked said no.
    #[error("{0}")]
    Admin(String),

    /// The command was carried out and found something wrong; it has been printed.
    #[error("{0}")]
    Found(String),
}

/// What a process of ours returns to the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    NoNode = 3,
}

impl Error {
    /// A failed file operation.
    pub fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }

    /// The exit code that belongs to this error.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::NoNode { .. } | Self::NodeStarts { .. } => Exit::NoNode,
            Self::Unmet(_)
            | Self::Config { .. }
            | Self::Setting { .. }
            | Self::DataDirUnwritable { .. }
            | Self::DataDirInUse { .. }
            | Self::DataDirForeign { .. }
            | Self::DataDirNewer { .. }
            | Self::OtherCluster { .. }
            | Self::Damaged { .. }
            | Self::File { .. }
            | Self::Bind { .. }
            | Self::DefaultCredentials { .. }
            | Self::Tls { .. }
            | Self::Sealed { .. }
            | Self::Engine { .. }
            | Self::Simulation(_)
            | Self::Storage(_)
            | Self::BackendAbsent { .. }
            | Self::DeletionsHeld { .. }
            | Self::Catalog(_)
            | Self::Rejected { .. }
            | Self::UnexpectedAnswer { .. }
            | Self::Join { .. }
            | Self::Admin(_)
            | Self::Found(_) => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_node_has_its_own_code() {
        let none = Error::NoNode { place: "x".to_owned(), start: "vaultaire dev".to_owned() };
        assert_eq!(none.exit() as u8, 3);
        assert_eq!(Error::Usage(String::new()).exit() as u8, 2);
        assert_eq!(Error::Admin(String::new()).exit() as u8, 1);
    }
}
