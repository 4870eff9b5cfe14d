//! A cluster of `vaultaire server` processes, formed as an operator forms one: the first founds, the others join with a token
//! each. A node can be killed, stopped and started again, and another one added.
//!
//! It speaks to the processes through command line, configuration files and signals, never through their insides.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{self, Endpoint};
use crate::process::Process;
use crate::server::{binary, binary_with_faults};

const ACCESS_KEY: &str = "VTCLUSTERTEST";
const SECRET_KEY: &str = "a-secret-for-tests-of-clusters";

/// The bucket that the first node makes.
pub const BUCKET: &str = "data";

/// Below what Linux hands out by itself (32768 and up), above what services use.
const FIRST_FREE_PORT: u16 = 20_000;
const FREE_PORTS: u32 = 12_000;

/// How long a change of the membership may take.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Nodes by number, from 1.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    /// By number, as far as they are said.
    zones: Vec<&'static str>,
    /// More lines of every node's [peer] section.
    peer_settings: &'static str,
    folder: TempDir,
}

/// One node, running or not.
#[derive(Debug)]
pub struct Node {
    pub config: PathBuf,
    pub data_dir: PathBuf,
    /// `host:port` for its peers.
    pub peer: String,
    /// `host:port` for health and metrics.
    pub http: String,
    log: PathBuf,
    process: Option<Process>,
}

/// What a node is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Voter,
    Learner,
    Gateway,
}

impl Cluster {
    /// So many voters, all of them members when this returns.
    pub fn start(voters: usize) -> Self {
        Self::start_in(voters, Vec::new(), "")
    }

    /// The same with more lines in every node's [peer] section.
    pub fn with_peer_settings(voters: usize, lines: &'static str) -> Self {
        Self::start_in(voters, Vec::new(), lines)
    }

    /// A voter in each of these zones.
    pub fn in_zones(zones: Vec<&'static str>) -> Self {
        Self::start_in(zones.len(), zones, "")
    }

    fn start_in(voters: usize, zones: Vec<&'static str>, peer_settings: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::write(folder.path().join("secret"), SECRET_KEY).expect("a file can be written");
        let mut cluster = Self { nodes: Vec::new(), zones, peer_settings, folder };
        let first = cluster.configure();
        let config = cluster.nodes[first - 1].config.clone();
        run(&["cluster", "init", "--config", text(&config)]);
        cluster.start_node(first);
        while cluster.nodes.len() < voters {
            cluster.add(Role::Voter);
        }
        cluster.settled();
        cluster
    }

    /// Adds a node that joins through node 1, starts it, and answers its number.
    pub fn add(&mut self, role: Role) -> usize {
        let number = self.configure_as(role);
        self.settled();
        let token = self.token();
        let joined = self.try_join(number, &token, role);
        assert!(joined.status.success(), "{}", String::from_utf8_lossy(&joined.stderr));
        self.start_node(number);
        number
    }

    /// Writes the files of one more node; it is not started. Answers its number.
    pub fn configure(&mut self) -> usize {
        self.configure_as(Role::Voter)
    }

    /// The same of a node that may be a gateway.
    pub fn configure_as(&mut self, role: Role) -> usize {
        let number = self.nodes.len() + 1;
        let folder = self.folder.path();
        let at = |name: &str| folder.join(format!("node-{number}{name}"));
        let (peer, http) = (free_address(), free_address());
        let config = at(".toml");
        let zone = self.zones.get(number - 1).copied().unwrap_or_default();
        let more = self.peer_settings;
        let toml = format!(
            "data_dir = \"node-{number}\"\nnode_name = \"node-{number}\"\nzone = \"{zone}\"\n\
             [s3]\naddr = \"127.0.0.1:0\"\n[admin]\naddr = \"127.0.0.1:0\"\n[http]\naddr = \"{http}\"\n\
             [peer]\naddr = \"{peer}\"\n{more}[gc]\ndrain = \"1s\"\n\
             [first]\naccess_key = \"{ACCESS_KEY}\"\nsecret_key_file = \"secret\"\nbucket = \"{BUCKET}\"\n"
        );
        let disk = format!("[backends.hot]\nkind = \"disk\"\npath = \"disk-{number}\"\n");
        let disk = if role == Role::Gateway { "" } else { &disk };
        std::fs::write(&config, format!("{toml}{disk}")).expect("a file can be written");
        let (data_dir, log) = (at(""), at(".log"));
        self.nodes.push(Node { config, data_dir, peer, http, log, process: None });
        number
    }

    /// A token that lets one node in, made on node 1.
    pub fn token(&self) -> String {
        self.ask(1, &["cluster", "token"])["token"].as_str().expect("a token").to_owned()
    }

    /// Tries to let a configured node join through node 1.
    pub fn try_join(&self, number: usize, token: &str, role: Role) -> Output {
        let line = self.join_line(number, token);
        let mut line: Vec<&str> = line.iter().map(String::as_str).collect();
        match role {
            Role::Voter => {}
            Role::Learner => line.push("--learner"),
            Role::Gateway => line.push("--gateway"),
        }
        output(&line)
    }

    /// The same with a fault that a variable of its environment plants.
    pub fn try_join_faulty(
        &self,
        number: usize,
        token: &str,
        (name, value): (&str, &str),
    ) -> Output {
        let mut command = plain(binary_with_faults());
        command.args(self.join_line(number, token)).env(name, value);
        command.output().expect("the binary that was built can be started")
    }

    /// What lets a configured node join through node 1.
    fn join_line(&self, number: usize, token: &str) -> Vec<String> {
        let token_file = self.folder.path().join("token");
        std::fs::write(&token_file, token).expect("a file can be written");
        let (node, first) = (self.node(number), self.node(1));
        let line = ["cluster", "join", "--config", text(&node.config), "--member", &first.peer];
        let line = line.into_iter().chain(["--token-file", text(&token_file)]);
        line.map(str::to_owned).collect()
    }

    /// Starts a node that does not run.
    pub fn start_node(&mut self, number: usize) {
        self.start_process(number, vaultaire(&[]));
    }

    /// The same, with a fault that a variable of its environment plants.
    pub fn start_faulty(&mut self, number: usize, (name, value): (&str, &str)) {
        let mut command = plain(binary_with_faults());
        command.env(name, value);
        self.start_process(number, command);
    }

    /// What starts a node, for who does not wait until it serves.
    pub fn command(&self, number: usize) -> Command {
        let mut command = vaultaire(&["--json", "server", "--config"]);
        command.arg(&self.node(number).config);
        command
    }

    fn start_process(&mut self, number: usize, mut command: Command) {
        let node = &mut self.nodes[number - 1];
        assert!(node.process.is_none(), "node {number} runs already");
        command.args(["--json", "server", "--config"]).arg(&node.config);
        node.process = Some(Process::start(command, &node.log));
    }

    /// SIGKILL.
    pub fn kill(&mut self, number: usize) {
        self.running(number).kill();
        self.nodes[number - 1].process = None;
    }

    /// SIGTERM, and waits for the drained end.
    pub fn stop(&mut self, number: usize) {
        let status = self.running(number).stop();
        assert!(status.success(), "node {number} ended with {status}");
        self.nodes[number - 1].process = None;
    }

    /// All that a node has logged.
    pub fn log(&self, number: usize) -> String {
        std::fs::read_to_string(&self.node(number).log).expect("a log")
    }

    fn running(&mut self, number: usize) -> &mut Process {
        self.nodes[number - 1].process.as_mut().expect("the node runs")
    }

    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number - 1]
    }

    /// The S3 endpoint of a node that runs.
    pub fn endpoint(&self, number: usize) -> Endpoint {
        let process = self.node(number).process.as_ref().expect("the node runs");
        Endpoint {
            url: process.ready("s3_url").to_owned(),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            ca_pem: None,
        }
    }

    /// An S3 client of one node.
    pub fn client(&self, number: usize) -> aws_sdk_s3::Client {
        client::connect(&self.endpoint(number))
    }

    /// What a command on a node's data directory prints.
    pub fn ask(&self, number: usize, line: &[&str]) -> Value {
        let asked = self.try_ask(number, line);
        assert!(asked.status.success(), "{line:?}: {}", String::from_utf8_lossy(&asked.stderr));
        serde_json::from_slice(&asked.stdout).expect("JSON")
    }

    /// The same, whatever comes of it.
    pub fn try_ask(&self, number: usize, line: &[&str]) -> Output {
        let mut line = line.to_vec();
        line.extend(["--json", "--data-dir", text(&self.node(number).data_dir)]);
        output(&line)
    }

    /// The members as a node knows them, in the order of their ids.
    pub fn members(&self, number: usize) -> Vec<Value> {
        let answer = self.ask(number, &["cluster", "members"]);
        answer["members"].as_array().expect("a list").clone()
    }

    /// Waits until no change of the membership is under way, as node 1 sees it.
    pub fn settled(&self) {
        let done = |member: &Value| {
            ["member", "removed"].contains(&member["state"].as_str().unwrap_or_default())
        };
        self.until("the membership is settled", |cluster| cluster.members(1).iter().all(done));
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what}: not in time\n{}", self.logs());
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// The ends of all logs.
    pub fn logs(&self) -> String {
        let logs = self.nodes.iter().filter_map(|node| node.process.as_ref());
        logs.map(Process::log_tail).collect::<Vec<_>>().join("\n----\n")
    }
}

fn vaultaire(line: &[&str]) -> Command {
    let mut command = plain(binary());
    command.args(line);
    command
}

/// A command that no environment variable of the caller's changes.
fn plain(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("VAULTAIRE_") {
            command.env_remove(name);
        }
    }
    command
}

fn output(line: &[&str]) -> Output {
    vaultaire(line).output().expect("the binary that was found can be started")
}

fn run(line: &[&str]) {
    let ended = output(line);
    assert!(ended.status.success(), "{line:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary directories have plain names")
}

/// A port that nobody uses at the moment. Peers have to know it before the node listens, and find it there after a restart: so
/// it is none of those that the system hands out, which another test may have by then. Each process of tests looks in its own
/// place first.
fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..FREE_PORTS {
        let place =
            std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST_FREE_PORT + u16::try_from(place % FREE_PORTS).expect("few ports");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return format!("127.0.0.1:{port}");
        }
    }
    panic!("no port is free");
}
