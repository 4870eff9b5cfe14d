//! A cluster of `vaultaire server` processes, formed as an operator forms one, each with a configuration file of its own.
//! What is done to it, and when, is decided elsewhere.

use std::fmt::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tokio::process::Command;

use crate::error::Error;
use crate::process::{self, Ready, Server};
use crate::workload::script::PLAIN_BUCKET;

const ACCESS_KEY: &str = "VTJEPSEN";
const SECRET_KEY: &str = "a-secret-of-the-fault-harness";

/// How long a change of the membership may take.
const SETTLE_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// Nodes by number, from 0.
#[derive(Debug)]
pub struct Cluster {
    binary: PathBuf,
    dir: PathBuf,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    config: PathBuf,
    data_dir: PathBuf,
    log: PathBuf,
    peer: String,
    ready: Ready,
    server: Option<Server>,
}

impl Cluster {
    /// So many voters, all of them members when this returns.
    pub async fn start(binary: PathBuf, dir: &Path, voters: u32) -> Result<Self, Error> {
        std::fs::write(dir.join("secret"), SECRET_KEY).map_err(Error::file("write", dir))?;
        let mut cluster = Self { binary, dir: dir.to_owned(), nodes: Vec::new() };
        for number in 0..voters {
            cluster.configure(number)?;
            if number == 0 {
                cluster.command(&["cluster", "init", "--config"], 0).await?;
            } else {
                cluster.settled().await?;
                cluster.join(number).await?;
            }
            cluster.begin(number).await?;
        }
        cluster.settled().await?;
        Ok(cluster)
    }

    /// Where clients reach each node, running or not.
    pub fn ready(&self) -> Vec<Ready> {
        self.nodes.iter().map(|node| node.ready.clone()).collect()
    }

    /// Starts a node that does not run, and waits until it serves.
    pub async fn begin(&mut self, number: u32) -> Result<(), Error> {
        let mut command = Command::new(&self.binary);
        let node = &mut self.nodes[index(number)];
        command.args(["--json", "server", "--config"]).arg(&node.config);
        let starting = process::spawn(without_settings(command), &self.binary, &node.log)?;
        node.server = Some(starting.ready().await?);
        Ok(())
    }

    /// SIGKILL. Says so if the node had ended by itself.
    pub async fn kill(&mut self, number: u32) -> Result<(), String> {
        match self.nodes[index(number)].server.take() {
            Some(server) => server.kill().await,
            None => Err("it did not run".to_owned()),
        }
    }

    /// SIGTERM, and the wait for a clean end.
    pub async fn stop(&mut self, number: u32) -> Result<(), String> {
        match self.nodes[index(number)].server.take() {
            Some(server) => server.stop().await,
            None => Err("it did not run".to_owned()),
        }
    }

    /// Stops a node in the middle of whatever it does.
    pub fn pause(&self, number: u32) -> Result<(), String> {
        self.signal(number, Signal::STOP)
    }

    pub fn resume(&self, number: u32) -> Result<(), String> {
        self.signal(number, Signal::CONT)
    }

    fn signal(&self, number: u32, signal: Signal) -> Result<(), String> {
        let server = self.nodes[index(number)].server.as_ref();
        server.ok_or_else(|| "it did not run".to_owned())?.signal(signal)
    }

    fn configure(&mut self, number: u32) -> Result<(), Error> {
        let at = |name: &str| self.dir.join(format!("node-{number}{name}"));
        let (s3, peer) = (address()?, address()?);
        let mut toml = format!("data_dir = \"node-{number}\"\nnode_name = \"node-{number}\"\n");
        // Writing to a string cannot fail.
        let _ = write!(
            toml,
            "[s3]\naddr = \"{s3}\"\n[admin]\naddr = \"127.0.0.1:0\"\n[http]\naddr = \"127.0.0.1:0\"\n\
             [peer]\naddr = \"{peer}\"\n\
             [first]\naccess_key = \"{ACCESS_KEY}\"\nsecret_key_file = \"secret\"\nbucket = \"{PLAIN_BUCKET}\"\n\
             [backends.hot]\nkind = \"disk\"\npath = \"disk-{number}\"\n"
        );
        let config = at(".toml");
        std::fs::write(&config, toml).map_err(Error::file("write", &config))?;
        let ready = Ready {
            s3_url: format!("http://{s3}"),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            bucket: PLAIN_BUCKET.to_owned(),
            pid: 0,
        };
        let (data_dir, log) = (at(""), at(".log"));
        self.nodes.push(Node { config, data_dir, log, peer, ready, server: None });
        Ok(())
    }

    async fn join(&self, number: u32) -> Result<(), Error> {
        let told = self.ask(&["cluster", "token"]).await?;
        let token = told["token"].as_str().unwrap_or_default();
        let token_file = self.dir.join("token");
        std::fs::write(&token_file, token).map_err(Error::file("write", &token_file))?;
        let (member, token_file) = (&self.nodes[0].peer, token_file.to_string_lossy());
        let line = ["cluster", "join", "--member", member, "--token-file", &token_file, "--config"];
        self.command(&line, number).await.map(|_| ())
    }

    /// Waits until no change of the membership is under way, as the first node sees it.
    async fn settled(&self) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            let told = self.ask(&["cluster", "members"]).await?;
            let members = told["members"].as_array().map_or(&[][..], Vec::as_slice);
            let is_done = |member: &Value| {
                ["member", "removed"].contains(&member["state"].as_str().unwrap_or_default())
            };
            if !members.is_empty() && members.iter().all(is_done) {
                return Ok(());
            }
            if began.elapsed() > SETTLE_MAX {
                let (what, why) = ("forming the cluster".to_owned(), told.to_string());
                return Err(Error::Command { what, why });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What a command on the first node's data directory prints.
    async fn ask(&self, line: &[&str]) -> Result<Value, Error> {
        let data_dir = self.nodes[0].data_dir.to_string_lossy();
        let line: Vec<&str> =
            line.iter().copied().chain(["--json", "--data-dir", &data_dir]).collect();
        let printed = self.output(&line).await?;
        serde_json::from_slice(&printed)
            .map_err(|source| Error::Json { what: format!("what {line:?} printed"), source })
    }

    /// A command line that ends with a node's configuration file.
    async fn command(&self, line: &[&str], number: u32) -> Result<Vec<u8>, Error> {
        let config = self.nodes[index(number)].config.to_string_lossy();
        let line: Vec<&str> = line.iter().copied().chain([config.as_ref()]).collect();
        self.output(&line).await
    }

    async fn output(&self, line: &[&str]) -> Result<Vec<u8>, Error> {
        let mut command = Command::new(&self.binary);
        command.args(line).stdin(std::process::Stdio::null());
        let ran = without_settings(command).output().await;
        let ran = ran.map_err(Error::file("run", &self.binary))?;
        if ran.status.success() {
            return Ok(ran.stdout);
        }
        let why = String::from_utf8_lossy(&ran.stderr).into_owned();
        Err(Error::Command { what: format!("vaultaire {}", line.join(" ")), why })
    }
}

/// The environment of whoever runs this must change nothing.
fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("VAULTAIRE_") {
            command.env_remove(name);
        }
    }
    command
}

/// A free address that stays the node's own while it is down.
fn address() -> Result<String, Error> {
    let fail = |why: &str| Error::Command {
        what: "looking for a free port".to_owned(),
        why: why.to_owned(),
    };
    // The kernel's choice only scatters the search: its own range is used by the clients' connections.
    let scattered = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let first = scattered.map_err(|error| fail(&error.to_string()))?.port();
    let port = process::free_port(first).ok_or_else(|| fail("all of them are taken"))?;
    Ok(format!("127.0.0.1:{port}"))
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
