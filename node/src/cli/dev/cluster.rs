//! `vaultaire dev --nodes N`: several nodes on this machine, each a process of its own with a configuration file of its own, so
//! that one can be killed and started again. They are formed as any cluster is: the first founds, the others join.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use vaultaire_proto::row::NodeRole;
use vaultaire_proto::wire::admin;

use super::Args;
use super::node_files::{SECRET_FILE, configure};
use crate::cli::client::{ClusterClient, Target, refused};
use crate::cli::cluster;
use crate::cli::output::{Output, table};
use crate::cli::run::Signals;
use crate::error::Error;
use crate::files::{self, Readers};
use crate::notify;
use crate::secrets::Credentials;
use crate::settings::REGION;

/// More nodes than this on one machine are a mistake.
const NODES_MAX: u16 = 9;

/// How long a node may take to be ready, and a join to be done.
const READY_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// How much of a log's end is looked at for its last line.
const LOG_END_BYTES: u64 = 4096;

/// How long a stop waits for the nodes.
const STOP_MAX: Duration = Duration::from_secs(45);

/// One node and where it lives.
pub struct Member {
    pub number: u16,
    pub role: NodeRole,
    pub data_dir: PathBuf,
    pub config: PathBuf,
    log: PathBuf,
}

/// A node that runs.
struct Running {
    member: Member,
    child: Child,
    ready: Value,
}

/// What `--json` prints when all nodes are ready.
#[derive(Serialize)]
struct Ready<'ready> {
    s3_url: String,
    access_key: &'ready str,
    secret_key: &'ready str,
    bucket: &'ready str,
    region: &'ready str,
    data_dir: &'ready Path,
    nodes: Vec<NodeReady>,
}

#[derive(Serialize)]
struct NodeReady {
    node: u16,
    role: &'static str,
    s3_url: String,
    admin_url: String,
    http_url: String,
    data_dir: PathBuf,
    config: PathBuf,
    log: PathBuf,
    pid: u64,
}

/// Runs until a signal. The directory is held by the caller.
pub async fn run(
    path: &Path,
    args: &Args,
    credentials: &Credentials,
    signals: &mut Signals,
    output: Output,
) -> Result<(), Error> {
    let began = Instant::now();
    let members = members(path, args)?;
    let secret = path.join(SECRET_FILE);
    files::write(&secret, credentials.secret_key.expose().as_bytes(), Readers::Owner)?;
    for member in &members {
        configure(path, member, args, credentials)?;
    }
    let nodes = tokio::select! {
        nodes = start_all(members) => nodes?,
        () = signals.wait() => {
            return Err(Error::Found("stopped by a signal before the nodes were ready".to_owned()));
        }
    };
    print(path, args, credentials, &nodes, began.elapsed(), output)?;
    notify::ready();
    watch(nodes, signals).await;
    Ok(())
}

/// Tells of nodes that end, and ends the others at a signal.
async fn watch(nodes: Vec<Running>, signals: &mut Signals) {
    let pids: Vec<u64> = nodes.iter().map(Running::pid).collect();
    let mut ends = JoinSet::new();
    for Running { member, mut child, .. } in nodes {
        ends.spawn(async move { (member, child.wait().await) });
    }
    loop {
        tokio::select! {
            () = signals.wait() => break,
            ended = ends.join_next() => match ended {
                None => return tracing::warn!("all nodes have ended"),
                Some(Ok((member, Ok(status)))) => tracing::warn!(
                    node = member.number, %status,
                    "a node has ended; start it again with `vaultaire server --config {}`", member.config.display()
                ),
                Some(Ok((member, Err(error)))) => {
                    tracing::error!(node = member.number, %error, "a node cannot be waited for");
                }
                Some(Err(error)) => tracing::error!(%error, "a node is not watched any more"),
            },
        }
    }
    tracing::info!("stopping the nodes");
    pids.into_iter().for_each(terminate);
    let all = async { while ends.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_MAX, all).await.is_err() {
        // Dropping them does.
        tracing::warn!("some nodes did not stop in time and are killed");
    }
}

/// One that has ended already was told of.
fn terminate(pid: u64) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

fn members(path: &Path, args: &Args) -> Result<Vec<Member>, Error> {
    let (voters, with_rows) = (args.nodes, args.nodes.saturating_add(args.learners));
    let all = with_rows.saturating_add(args.gateways);
    if voters == 0 || all > NODES_MAX {
        return Err(Error::Usage(format!(
            "--nodes, --learners and --gateways: from 1 to {NODES_MAX} nodes together, one of them a voter"
        )));
    }
    let member = |number: u16| Member {
        number,
        role: match number {
            _ if number <= voters => NodeRole::Voter,
            _ if number <= with_rows => NodeRole::Learner,
            _ => NodeRole::Gateway,
        },
        data_dir: path.join(format!("node-{number}")),
        config: path.join(format!("node-{number}.toml")),
        log: path.join(format!("node-{number}.log")),
    };
    Ok((1..=all).map(member).collect())
}

/// Those who belong to the cluster already are started together: each may need the others. Then the rest joins, one by one.
async fn start_all(members: Vec<Member>) -> Result<Vec<Running>, Error> {
    let (old, new): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|member| member.data_dir.join("identity.json").exists());
    let started = old.into_iter().map(Member::start);
    let mut nodes = futures::future::try_join_all(started).await?;
    for member in new {
        match nodes.first() {
            None => cluster::found(&member.config).map(|_| ())?,
            Some(first) => member.join(first).await?,
        }
        nodes.push(member.start().await?);
    }
    if let Some(first) = nodes.first() {
        settled(first).await?;
    }
    nodes.sort_by_key(|node| node.member.number);
    Ok(nodes)
}

async fn client(node: &Running) -> Result<ClusterClient, Error> {
    Target::local(&node.member.data_dir).cluster().await
}

/// Waits until no change of the membership is under way.
async fn settled(node: &Running) -> Result<(), Error> {
    let mut client = client(node).await?;
    let deadline = Instant::now() + READY_MAX;
    loop {
        let request = admin::ListMembersRequest {};
        let members = client.list_members(request).await.map_err(refused)?.into_inner().members;
        let done = |member: &admin::Member| {
            matches!(member.phase(), admin::MemberPhase::Member | admin::MemberPhase::Removed)
        };
        if members.iter().all(done) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::Found(
                "a node did not become a member in time; `vaultaire cluster members` shows which"
                    .to_owned(),
            ));
        }
        tokio::time::sleep(POLL).await;
    }
}

impl Member {
    async fn join(&self, first: &Running) -> Result<(), Error> {
        settled(first).await?;
        let mut client = client(first).await?;
        let request = admin::CreateJoinTokenRequest { valid_ms: 0 };
        let token = client.create_join_token(request).await.map_err(refused)?.into_inner().token;
        let request = admin::ListMembersRequest {};
        let members = client.list_members(request).await.map_err(refused)?.into_inner().members;
        let address = members.first().map(|member| member.address.clone()).unwrap_or_default();
        cluster::admit(&self.config, &address, &token, self.role).await.map(|_| ())
    }

    async fn start(self) -> Result<Running, Error> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(|source| Error::file("open", &self.log, source))?;
        let program = std::env::current_exe()
            .map_err(|source| Error::file("find", Path::new("this program"), source))?;
        let spawned = Command::new(program)
            .args(["--json", "server", "--ends-with-parent", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        let mut child = spawned.map_err(|source| Error::file("start", &self.config, source))?;
        let failed = || {
            Error::Found(format!(
                "node {} did not become ready; its log, {}, ends with: {}",
                self.number,
                self.log.display(),
                last_line(&self.log)
            ))
        };
        let stdout = child.stdout.take().ok_or_else(failed)?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(READY_MAX, lines.next_line()).await;
        let line = line.ok().and_then(Result::ok).flatten().ok_or_else(failed)?;
        let ready = serde_json::from_str(&line).map_err(|_| failed())?;
        Ok(Running { member: self, child, ready })
    }
}

/// What a node said last; its whole log may be long.
fn last_line(log: &Path) -> String {
    let read = || {
        let mut file = std::fs::File::open(log)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(end.saturating_sub(LOG_END_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().last().unwrap_or("nothing").to_owned()
}

impl Running {
    fn text(&self, name: &str) -> &str {
        self.ready.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn pid(&self) -> u64 {
        self.ready.get("pid").and_then(Value::as_u64).unwrap_or_default()
    }
}

fn print(
    path: &Path,
    args: &Args,
    credentials: &Credentials,
    nodes: &[Running],
    took: Duration,
    output: Output,
) -> Result<(), Error> {
    let shown = |node: &'_ Running| NodeReady {
        node: node.member.number,
        role: match node.member.role {
            NodeRole::Voter => "voter",
            NodeRole::Learner => "learner",
            NodeRole::Gateway => "gateway",
        },
        s3_url: node.text("s3_url").to_owned(),
        admin_url: node.text("admin_url").to_owned(),
        http_url: node.text("http_url").to_owned(),
        data_dir: node.member.data_dir.clone(),
        config: node.member.config.clone(),
        log: node.member.log.clone(),
        pid: node.pid(),
    };
    let ready = Ready {
        s3_url: nodes.first().map(|node| node.text("s3_url").to_owned()).unwrap_or_default(),
        access_key: &credentials.access_key,
        secret_key: credentials.secret_key.expose(),
        bucket: &args.bucket,
        region: REGION,
        data_dir: path,
        nodes: nodes.iter().map(shown).collect(),
    };
    output.print(&ready, || text(&ready, took))
}

fn text(ready: &Ready<'_>, took: Duration) -> String {
    let rows = ready.nodes.iter().map(|node| {
        vec![
            node.node.to_string(),
            node.role.to_owned(),
            node.s3_url.clone(),
            node.http_url.clone(),
            node.pid.to_string(),
            node.log.display().to_string(),
        ]
    });
    let nodes = table(&["NODE", "ROLE", "S3", "WEB PAGE", "PID", "LOG"], rows);
    let first = ready.nodes.first().map(|node| node.data_dir.display().to_string());
    format!(
        "Vaultaire is ready after {took:.2} s: {count} nodes, one cluster

{nodes}

Paste this into a shell to use it; any node serves everything:

  export AWS_ACCESS_KEY_ID={access_key}
  export AWS_SECRET_ACCESS_KEY={secret_key}
  export AWS_REGION={region}
  export AWS_ENDPOINT_URL_S3={s3_url}
  echo hello | aws s3 cp - s3://{bucket}/hello.txt
  vaultaire cluster members --data-dir {first}

Kill one (kill -9 PID) and go on with another. Ctrl-C stops all; what was stored stays.
",
        took = took.as_secs_f64(),
        count = ready.nodes.len(),
        access_key = ready.access_key,
        secret_key = ready.secret_key,
        region = ready.region,
        s3_url = ready.s3_url,
        bucket = ready.bucket,
        first = first.unwrap_or_default(),
    )
}
