//! Who belongs to the cluster, over the admin API. Changes are rows; `workers::membership` carries them out.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use vaultaire_proto::command::members::MemberChange;
use vaultaire_proto::row::{NodePhase, NodeRole, NodeRow};
use vaultaire_proto::state::member;
use vaultaire_proto::wire::admin;
use vaultaire_proto::wire::v1::DescribeResponse;
use vaultaire_proto::{Consistency, GroupId, NodeId, Operation, Rejection, Response};

use crate::ask;
use crate::error::Error;
use crate::grpc::{Parts, changes, info, names, operations};
use crate::peer::token::{self, Token};
use crate::propose::{accepted, rejected, request_id};
use crate::raft::members::Follower;
use crate::raft::purge;

const HOUR_MS: u64 = 60 * 60 * 1000;

/// A token that is valid for longer is a password.
const TOKEN_VALID_MAX_MS: u64 = 7 * 24 * HOUR_MS;

pub async fn list(parts: &Parts) -> Result<admin::ListMembersResponse, Error> {
    // Also where there is no quorum: then most of all.
    let nodes = ask::nodes(parts.proposer.catalog(), Consistency::Stale).await?;
    let seen = Seen::of(parts);
    let members = nodes.iter().map(|row| seen.shown(row)).collect();
    Ok(admin::ListMembersResponse { members })
}

pub fn role_of(row: &NodeRow) -> admin::MemberRole {
    match row.role {
        NodeRole::Voter => admin::MemberRole::Voter,
        NodeRole::Learner => admin::MemberRole::Learner,
        NodeRole::Gateway => admin::MemberRole::Gateway,
    }
}

pub fn phase_of(row: &NodeRow) -> admin::MemberPhase {
    match row.phase {
        NodePhase::Member => admin::MemberPhase::Member,
        NodePhase::Joining => admin::MemberPhase::Joining,
        NodePhase::Changing => admin::MemberPhase::Changing,
        NodePhase::Leaving => admin::MemberPhase::Leaving,
        NodePhase::Removed => admin::MemberPhase::Removed,
    }
}

pub async fn invite(
    parts: &Parts,
    request: admin::CreateJoinTokenRequest,
) -> Result<admin::CreateJoinTokenResponse, Error> {
    let Some(authority) = &parts.authority else {
        return Err(Error::Setting {
            key: "peer.addr".to_owned(),
            why: "is missing, so that no node could reach this one: add a [peer] section and start it again"
                .to_owned(),
        });
    };
    let valid_ms = if request.valid_ms == 0 { HOUR_MS } else { request.valid_ms };
    if valid_ms > TOKEN_VALID_MAX_MS {
        return Err(Error::Usage("a join token is valid for seven days at most".to_owned()));
    }
    let token = Token::generate(authority.hash()?);
    let expires_at = parts.proposer.clock().now().plus_ms(valid_ms);
    let invite = MemberChange::Invite { hash: token::hash(&token.secret), expires_at };
    let operation = Operation::ChangeMembers(invite);
    parts.proposer.commit_accepted("a join token", GroupId::CONTROL, operation).await?;
    Ok(admin::CreateJoinTokenResponse { token: token.text(), expires_at_ms: expires_at.0 })
}

pub async fn set_role(
    parts: &Parts,
    request: admin::SetRoleRequest,
) -> Result<admin::SetRoleResponse, Error> {
    let node = named(&request.name)?;
    let role = match request.role() {
        admin::MemberRole::Voter => NodeRole::Voter,
        admin::MemberRole::Learner => NodeRole::Learner,
        admin::MemberRole::Gateway | admin::MemberRole::Unspecified => {
            return Err(Error::Usage("say whether the node should vote".to_owned()));
        }
    };
    let nodes = ask::nodes(parts.proposer.catalog(), Consistency::Linearizable).await?;
    if nodes.iter().any(|row| row.id == node && row.role == NodeRole::Gateway) {
        return Err(Error::Usage(format!(
            "node {node} is a gateway, which has no log to vote with: remove it, and let it join again without --gateway, with an \
             empty data directory"
        )));
    }
    if role == NodeRole::Learner {
        leaves_a_quorum(parts, node).await?;
    }
    let id = &request.request_id;
    let row = change(parts, "SetRole", node, id, MemberChange::SetRole { node, role }).await?;
    let (member, operation) = (Some(Seen::of(parts).shown(&row)), operations::of_node(node));
    Ok(admin::SetRoleResponse { member, operation })
}

pub async fn remove(
    parts: &Parts,
    request: admin::RemoveMemberRequest,
) -> Result<admin::RemoveMemberResponse, Error> {
    let node = named(&request.name)?;
    leaves_a_quorum(parts, node).await?;
    let id = &request.request_id;
    changes::give_up_disks(parts, node, request.lost, request.validate_only).await?;
    let row = match request.validate_only {
        true => known(parts, node).await?,
        false => change(parts, "RemoveMember", node, id, MemberChange::Remove { node }).await?,
    };
    let (member, operation) = (Some(Seen::of(parts).shown(&row)), operations::of_node(node));
    Ok(admin::RemoveMemberResponse { member, operation })
}

pub async fn transfer_leader(
    parts: &Parts,
    request: &admin::TransferLeaderRequest,
) -> Result<admin::TransferLeaderResponse, Error> {
    has_groups(parts)?;
    let nodes = ask::nodes(parts.proposer.catalog(), Consistency::Linearizable).await?;
    let (voters, _) = member::wanted(&nodes);
    let candidates: BTreeSet<u64> = match request.name.is_empty() {
        true => voters.iter().map(|node| node.0).filter(|node| *node != parts.node.0).collect(),
        false => {
            let node = named(&request.name)?;
            if !voters.contains(&node) {
                return Err(Error::Usage(format!("node {node} does not vote, so it cannot lead")));
            }
            BTreeSet::from([node.0])
        }
    };
    if candidates.is_empty() || candidates == BTreeSet::from([parts.node.0]) {
        return Err(Error::Usage("there is no other voter to hand over to".to_owned()));
    }
    let mut groups = Vec::new();
    for replica in parts.groups.replicas().iter().filter(|replica| replica.leads()) {
        replica.hand_over(&candidates).await?;
        groups.push(format!("{}{}", names::GROUPS, replica.id));
    }
    Ok(admin::TransferLeaderResponse { groups })
}

pub async fn take_snapshot(parts: &Parts) -> Result<admin::TakeSnapshotResponse, Error> {
    has_groups(parts)?;
    let mut durable_indexes = Vec::new();
    for replica in parts.groups.replicas() {
        durable_indexes.push(purge::shorten(replica).await?);
    }
    Ok(admin::TakeSnapshotResponse { durable_indexes })
}

/// What is asked of a node's groups is not asked of a gateway.
pub fn has_groups(parts: &Parts) -> Result<(), Error> {
    match parts.gateway {
        false => Ok(()),
        true => Err(Error::Unmet(
            "this node is a gateway, which has no groups: ask another, with --admin or --data-dir"
                .to_owned(),
        )),
    }
}

fn named(name: &str) -> Result<NodeId, Error> {
    let id = names::within(names::NODES, name)?;
    id.parse().map(NodeId).map_err(|_| {
        Error::Usage(format!("{id} is no node id; `vaultaire cluster members` lists them"))
    })
}

async fn known(parts: &Parts, node: NodeId) -> Result<NodeRow, Error> {
    let nodes = ask::nodes(parts.proposer.catalog(), Consistency::Linearizable).await?;
    let row = nodes.into_iter().find(|row| row.id == node && row.phase != NodePhase::Removed);
    row.ok_or_else(|| rejected(&format!("node {node}"), Rejection::NoSuchNode))
}

async fn change(
    parts: &Parts,
    call: &str,
    node: NodeId,
    id: &str,
    change: MemberChange,
) -> Result<NodeRow, Error> {
    let subject = format!("node {node}");
    let request = request_id(call, &subject, id);
    let operation = Operation::ChangeMembers(change);
    let answer = parts.proposer.commit_as(request, GroupId::CONTROL, operation).await?;
    match accepted(&subject, answer)? {
        Response::Node(row) => Ok(row),
        _ => Err(Error::UnexpectedAnswer { question: "change members" }),
    }
}

/// Whether those voters who would be left, and who answer, are a majority of those who would be left.
async fn leaves_a_quorum(parts: &Parts, without: NodeId) -> Result<(), Error> {
    let nodes = ask::nodes(parts.proposer.catalog(), Consistency::Linearizable).await?;
    let left: Vec<NodeId> =
        member::wanted(&nodes).0.into_iter().filter(|node| *node != without).collect();
    // That the last voter stays is decided in `apply`.
    if left.is_empty() {
        return Ok(());
    }
    let told = join_all(left.iter().map(|node| info::ask_one(parts, *node))).await;
    // One that is only just starting answers before it can vote.
    let groups = usize::from(parts.proposer.catalog().cluster().shards) + 1;
    let votes = |told: &&DescribeResponse| told.groups.len() == groups;
    let alive = told.iter().flatten().filter(votes).count();
    match alive * 2 > left.len() {
        true => Ok(()),
        false => Err(Error::Unmet(format!(
            "without node {without} there would be {} voter(s), and only {alive} of them can be reached: \
             no majority, so that nothing could be written; start the others first",
            left.len()
        ))),
    }
}

/// What this node's leaders know of the others.
struct Seen {
    leads: BTreeMap<NodeId, Vec<String>>,
    followers: BTreeMap<u64, Follower>,
}

impl Seen {
    fn of(parts: &Parts) -> Self {
        let mut leads: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
        let mut followers: BTreeMap<u64, Follower> = BTreeMap::new();
        for replica in parts.groups.replicas() {
            if let Some(leader) = replica.metrics().leader {
                leads.entry(leader).or_default().push(format!("{}{}", names::GROUPS, replica.id));
            }
            for (node, follower) in replica.followers() {
                let known = followers.entry(node).or_insert(follower);
                known.behind_entries = known.behind_entries.max(follower.behind_entries);
                known.heard_ms_ago = known.heard_ms_ago.min(follower.heard_ms_ago);
            }
        }
        Self { leads, followers }
    }

    fn shown(&self, row: &NodeRow) -> admin::Member {
        let follower = self.followers.get(&row.id.0);
        admin::Member {
            name: format!("{}{}", names::NODES, row.id),
            node_name: row.name.clone(),
            address: row.address.clone(),
            role: role_of(row).into(),
            phase: phase_of(row).into(),
            incarnation: row.incarnation,
            leads: self.leads.get(&row.id).cloned().unwrap_or_default(),
            behind_entries: follower.map(|follower| follower.behind_entries),
            heard_ms_ago: follower.and_then(|follower| follower.heard_ms_ago),
            zone: row.zone.clone(),
            region: row.region.clone(),
        }
    }
}
