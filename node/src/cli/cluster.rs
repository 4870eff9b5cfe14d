//! `vaultaire cluster`: forming a cluster, and changing who belongs to it. `init` and `join` make a data directory; everything
//! else asks a running node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};
use vaultaire_proto::row::NodeRole;
use vaultaire_proto::wire::admin;
use vaultaire_proto::{ClusterId, NodeId};

use crate::cli::client::{ClusterClient, Target, refused};
use crate::cli::compare;
use crate::cli::operations;
use crate::cli::output::{Output, bare, table};
use crate::config::Config;
use crate::discovery;
use crate::error::Error;
use crate::gateway::roster;
use crate::grpc::names::{GROUPS, NODES};
use crate::identity::DataDir;
use crate::peer::join::{self, Application};
use crate::peer::token::Token;
use crate::secrets::Sealer;
use crate::settings::{Peer, Settings, Work};

/// Form a cluster, and change who belongs to it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an empty data directory that of a new cluster's first node.
    Init {
        /// The configuration file, with a [peer] section.
        #[arg(long)]
        config: PathBuf,
    },
    /// Make an empty data directory that of another node of a running cluster.
    Join {
        /// The configuration file, with a [peer] section.
        #[arg(long)]
        config: PathBuf,
        /// The peer address of any member, as host:port.
        #[arg(long)]
        member: String,
        /// A file with the token that `vaultaire cluster token` printed.
        #[arg(long)]
        token_file: PathBuf,
        /// Follow every group without a vote.
        #[arg(long)]
        learner: bool,
        /// Serve S3 without a log, rows or disks, by asking the other nodes.
        #[arg(long, conflicts_with = "learner")]
        gateway: bool,
    },
    /// Make a token that lets one node join.
    Token {
        /// How long it does.
        #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
        valid: Duration,
    },
    /// List the nodes.
    Members,
    /// Give a node a vote.
    Promote {
        node: u64,
        /// Wait until every group knows.
        #[arg(long)]
        wait: bool,
    },
    /// Take a node's vote; it goes on following.
    Demote {
        node: u64,
        /// Wait until every group knows.
        #[arg(long)]
        wait: bool,
    },
    /// Take a node out of the cluster, for ever.
    Remove {
        node: u64,
        /// It does not come back, and its disks are lost: copy what they held again from other copies.
        #[arg(long)]
        lost: bool,
        /// Check whether it can be done, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Wait until no group has it any more.
        #[arg(long, conflicts_with = "dry_run")]
        wait: bool,
    },
    /// Let another node lead what the asked node leads.
    TransferLeader {
        /// Who is to lead [default: whoever is most caught up].
        #[arg(long)]
        to: Option<u64>,
    },
    /// Make the tables of the asked node durable, and shorten its log.
    Snapshot,
    /// Check that all nodes have the same rows.
    Compare,
}

pub async fn run(args: Args, output: Output) -> Result<(), Error> {
    let Args { command, target } = args;
    match command {
        Command::Init { config } => init(&config, output),
        Command::Join { config, member, token_file, learner, gateway } => {
            let role = match (learner, gateway) {
                (true, _) => NodeRole::Learner,
                (false, true) => NodeRole::Gateway,
                (false, false) => NodeRole::Voter,
            };
            enter(&config, &member, &token_file, role, output).await
        }
        Command::Token { valid } => token(target.cluster().await?, valid, output).await,
        Command::Members => members(target.cluster().await?, output).await,
        Command::Promote { node, wait } => {
            set_role(&target, node, admin::MemberRole::Voter, wait, output).await
        }
        Command::Demote { node, wait } => {
            set_role(&target, node, admin::MemberRole::Learner, wait, output).await
        }
        Command::Remove { node, lost, dry_run, wait } => {
            let name = format!("{NODES}{node}");
            let request = admin::RemoveMemberRequest {
                name,
                request_id: String::new(),
                lost,
                validate_only: dry_run,
            };
            remove(&target, request, wait, output).await
        }
        Command::TransferLeader { to } => transfer(target.cluster().await?, to, output).await,
        Command::Snapshot => snapshot(target.cluster().await?, output).await,
        Command::Compare => compare::run(target.cluster().await?, output).await,
    }
}

/// The settings of a node that is to have peers.
fn with_peers(config: &Path) -> Result<(Settings, Peer), Error> {
    let mut settings = Config::read(config)?.settle()?;
    settings.data_dir = std::path::absolute(&settings.data_dir)
        .map_err(|source| Error::file("resolve", &settings.data_dir, source))?;
    match settings.peer.clone() {
        Some(peer) => Ok((settings, peer)),
        None => Err(Error::Config {
            path: config.to_owned(),
            message: "has no [peer] section: say with `addr` where the other nodes reach this one"
                .to_owned(),
        }),
    }
}

/// Allows the node that a file describes to found a cluster.
pub fn found(config: &Path) -> Result<Settings, Error> {
    let (settings, _) = with_peers(config)?;
    let data_dir = DataDir::lock(&settings.data_dir)?;
    data_dir.allow_founding()?;
    Ok(settings)
}

fn init(config: &Path, output: Output) -> Result<(), Error> {
    let settings = found(config)?;
    let value = json!({ "data_dir": settings.data_dir });
    output.print(&value, || {
        format!(
            "{} may found a cluster: start it with\n\n  vaultaire server --config {}\n\nand invite the other nodes with `vaultaire cluster token --data-dir {}`",
            settings.data_dir.display(),
            config.display(),
            settings.data_dir.display(),
        )
    })
}

async fn enter(
    config: &Path,
    member: &str,
    token_file: &Path,
    role: NodeRole,
    output: Output,
) -> Result<(), Error> {
    let token = discovery::read_token(token_file)?
        .ok_or_else(|| Error::Usage(format!("{} holds no token", token_file.display())))?;
    let (node, cluster) = admit(config, member, token.expose(), role).await?;
    let value = json!({ "node": node.0, "cluster_id": cluster.to_string() });
    output.print(&value, || {
        format!(
            "this is node {node} of cluster {cluster}: start it with\n\n  vaultaire server --config {}",
            config.display()
        )
    })
}

/// Makes the data directory that a file names one of a node of the cluster that `member` belongs to.
pub async fn admit(
    config: &Path,
    member: &str,
    token: &str,
    role: NodeRole,
) -> Result<(NodeId, ClusterId), Error> {
    let (settings, peer) = with_peers(config)?;
    let token = Token::parse(token)?;
    settings.check_backends(match role {
        NodeRole::Voter | NodeRole::Learner => Work::Rows,
        NodeRole::Gateway => Work::Gateway,
    })?;
    let data_dir = DataDir::lock(&settings.data_dir)?;
    data_dir.refuse_used()?;
    let application = Application { name: settings.node_name, address: peer.advertise, role };
    let admission = join::ask(member, &token, application).await?;
    admission.authority.save(data_dir.path())?;
    Sealer::save(data_dir.path(), &admission.sealing_key)?;
    let gateway = role == NodeRole::Gateway;
    if gateway {
        roster::save(data_dir.path(), &admission.members)?;
    }
    // Last: it says that everything else is there.
    data_dir.join(admission.cluster, admission.node, gateway)?;
    Ok((admission.node, admission.cluster))
}

async fn token(mut client: ClusterClient, valid: Duration, output: Output) -> Result<(), Error> {
    let valid_ms = u64::try_from(valid.as_millis()).unwrap_or(u64::MAX);
    let request = admin::CreateJoinTokenRequest { valid_ms };
    let made = client.create_join_token(request).await.map_err(refused)?.into_inner();
    let value = json!({ "token": made.token, "expires_at_ms": made.expires_at_ms });
    // Alone on its line, so that it can be written to a file.
    output.print(&value, || made.token.clone())
}

async fn members(mut client: ClusterClient, output: Output) -> Result<(), Error> {
    let request = admin::ListMembersRequest {};
    let members = client.list_members(request).await.map_err(refused)?.into_inner().members;
    let value = json!({ "members": members.iter().map(shown).collect::<Vec<_>>() });
    output.print(&value, || {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let rows = members.iter().map(|member| {
            vec![
                bare(&member.name).to_owned(),
                member.node_name.clone(),
                role(member).to_owned(),
                phase(member).to_owned(),
                member.address.clone(),
                leads(member).join(" "),
                number(member.behind_entries),
                number(member.heard_ms_ago),
            ]
        });
        let header =
            ["NODE", "NAME", "ROLE", "STATE", "ADDRESS", "LEADS", "BEHIND", "HEARD MS AGO"];
        table(&header, rows)
    })
}

async fn set_role(
    target: &Target,
    node: u64,
    role: admin::MemberRole,
    wait: bool,
    output: Output,
) -> Result<(), Error> {
    let name = format!("{NODES}{node}");
    let request = admin::SetRoleRequest { name, role: role.into(), request_id: String::new() };
    let mut client = target.cluster().await?;
    let changed = client.set_role(request).await.map_err(refused)?.into_inner();
    begun(target, changed.member.unwrap_or_default(), &changed.operation, wait, output).await
}

async fn remove(
    target: &Target,
    request: admin::RemoveMemberRequest,
    wait: bool,
    output: Output,
) -> Result<(), Error> {
    let dry_run = request.validate_only;
    let mut client = target.cluster().await?;
    let changed = client.remove_member(request).await.map_err(refused)?.into_inner();
    let member = changed.member.unwrap_or_default();
    match dry_run {
        true => output.print(&shown(&member), || {
            format!("node {} ({}) can be removed", bare(&member.name), member.node_name)
        }),
        false => begun(target, member, &changed.operation, wait, output).await,
    }
}

/// Tells what was begun, or what came of it.
async fn begun(
    target: &Target,
    mut member: admin::Member,
    operation: &str,
    wait: bool,
    output: Output,
) -> Result<(), Error> {
    if wait {
        operations::wait(target.operations().await?, output, operation).await?;
        let request = admin::ListMembersRequest {};
        let mut client = target.cluster().await?;
        let members = client.list_members(request).await.map_err(refused)?.into_inner().members;
        let name = member.name.clone();
        member = members.into_iter().find(|one| one.name == name).unwrap_or(member);
    }
    output.print(&shown(&member), || {
        let said = format!(
            "node {} ({}) is {} now, {}",
            bare(&member.name),
            member.node_name,
            phase(&member),
            role(&member)
        );
        match wait {
            true => said,
            false => format!("{said}; `vaultaire operations` shows when that is done"),
        }
    })
}

async fn transfer(mut client: ClusterClient, to: Option<u64>, output: Output) -> Result<(), Error> {
    let name = to.map(|node| format!("{NODES}{node}")).unwrap_or_default();
    let request = admin::TransferLeaderRequest { name };
    let groups = client.transfer_leader(request).await.map_err(refused)?.into_inner().groups;
    let groups: Vec<&str> = groups.iter().map(|name| bare(name)).collect();
    output.print(&json!({ "groups": groups }), || match groups.is_empty() {
        true => "the node leads nothing".to_owned(),
        false => format!("handing over group(s) {}", groups.join(" ")),
    })
}

async fn snapshot(mut client: ClusterClient, output: Output) -> Result<(), Error> {
    let request = admin::TakeSnapshotRequest {};
    let taken = client.take_snapshot(request).await.map_err(refused)?.into_inner();
    let indexes = taken.durable_indexes;
    output.print(&json!({ "durable_indexes": indexes }), || {
        let rows = (0_u16..)
            .zip(&indexes)
            .map(|(group, index)| vec![group.to_string(), index.to_string()]);
        table(&["GROUP", "DURABLE UP TO"], rows)
    })
}

fn leads(member: &admin::Member) -> Vec<&str> {
    member.leads.iter().map(|name| name.strip_prefix(GROUPS).unwrap_or(name)).collect()
}

fn shown(member: &admin::Member) -> Value {
    json!({
        "node": bare(&member.name),
        "node_name": member.node_name,
        "address": member.address,
        "role": role(member),
        "state": phase(member),
        "incarnation": member.incarnation,
        "leads": leads(member),
        "behind_entries": member.behind_entries,
        "heard_ms_ago": member.heard_ms_ago,
        "zone": member.zone,
        "region": member.region,
    })
}

fn role(member: &admin::Member) -> &'static str {
    role_name(member.role())
}

fn phase(member: &admin::Member) -> &'static str {
    phase_name(member.phase())
}

/// The word for it in output.
pub fn role_name(role: admin::MemberRole) -> &'static str {
    match role {
        admin::MemberRole::Voter => "voter",
        admin::MemberRole::Learner => "learner",
        admin::MemberRole::Gateway => "gateway",
        admin::MemberRole::Unspecified => "unknown",
    }
}

/// The same of how far a change of it is.
pub fn phase_name(phase: admin::MemberPhase) -> &'static str {
    match phase {
        admin::MemberPhase::Member => "member",
        admin::MemberPhase::Joining => "joining",
        admin::MemberPhase::Changing => "changing",
        admin::MemberPhase::Leaving => "leaving",
        admin::MemberPhase::Removed => "removed",
        admin::MemberPhase::Unspecified => "unknown",
    }
}
