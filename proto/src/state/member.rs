//! Who belongs to the cluster. The rows say what is wanted; leaders bring the Raft memberships of their groups there, and
//! `Settle` records that all of them arrived. One change at a time: what is under way is a row that is not settled.

use crate::command::members::MemberChange;
use crate::id::NodeId;
use crate::response::{Rejection, Response};
use crate::row::{JoinToken, NodePhase, NodeRole, NodeRow};
use crate::state::key::Prefix;
use crate::state::{Context, key, rows};
use crate::tables::{Reader, scan};
use crate::time::TimeMs;

/// Every node that ever was, in the order of ids.
pub fn all(reader: &dyn Reader) -> Vec<NodeRow> {
    scan(reader, &key::all(Prefix::Node))
        .map(|(row_key, value)| rows::decode(&row_key, &value))
        .collect()
}

/// The nodes that every group should have as members, those that should vote first.
pub fn wanted(nodes: &[NodeRow]) -> (Vec<NodeId>, Vec<NodeId>) {
    let belongs = |row: &&NodeRow| match row.phase {
        NodePhase::Member | NodePhase::Joining | NodePhase::Changing => true,
        NodePhase::Leaving | NodePhase::Removed => false,
    };
    let of = |role: NodeRole| {
        nodes.iter().filter(belongs).filter(move |row| row.role == role).map(|row| row.id)
    };
    (of(NodeRole::Voter).collect(), of(NodeRole::Learner).collect())
}

/// What a node says of itself at each start.
pub(crate) struct Whereabouts<'a> {
    pub name: &'a str,
    pub address: &'a str,
    pub zone: &'a str,
    pub region: &'a str,
}

/// Records a start of a node. An older life that reports late changes nothing. The first node of a cluster makes its own row;
/// every other has one since it joined.
pub(crate) fn register(
    context: &mut Context<'_>,
    id: NodeId,
    incarnation: u64,
    at: Whereabouts<'_>,
) -> Response {
    let row_key = key::node(id);
    let Whereabouts { name, address, zone, region } = at;
    let row = match rows::get::<NodeRow>(context.tables, &row_key) {
        Some(row) if row.phase == NodePhase::Removed => {
            return Response::Rejected(Rejection::NodeRemoved);
        }
        Some(row) if row.incarnation > incarnation => return Response::Done,
        Some(row) => {
            let (name, address) = (name.to_owned(), address.to_owned());
            let (zone, region) = (zone.to_owned(), region.to_owned());
            NodeRow { incarnation, name, address, zone, region, ..row }
        }
        None if all(context.tables).is_empty() => NodeRow {
            id,
            name: name.to_owned(),
            incarnation,
            address: address.to_owned(),
            role: NodeRole::Voter,
            phase: NodePhase::Member,
            zone: zone.to_owned(),
            region: region.to_owned(),
        },
        None => return Response::Rejected(Rejection::NoSuchNode),
    };
    rows::put(context.tables, row_key, &row);
    Response::Done
}

/// The one place where changes of members meet their code.
pub(crate) fn change(context: &mut Context<'_>, change: &MemberChange) -> Response {
    let outcome = match change {
        MemberChange::Invite { hash, expires_at } => {
            invite(context, *hash, *expires_at);
            return Response::Done;
        }
        MemberChange::Join { hash, name, address, role } => {
            join(context, *hash, name, address, *role)
        }
        MemberChange::SetRole { node, role } => set_role(context, *node, *role),
        MemberChange::Remove { node } => remove(context, *node),
        MemberChange::Settle { node, phase } => settle(context, *node, *phase),
    };
    outcome.map_or_else(Response::Rejected, Response::Node)
}

/// Tokens that have expired are forgotten here: there are as many rows as invitations of the last hours.
fn invite(context: &mut Context<'_>, hash: [u8; 16], expires_at: TimeMs) {
    let now = context.now;
    let expired: Vec<Vec<u8>> = scan(&*context.tables, &key::all(Prefix::JoinToken))
        .filter(|(row_key, value)| rows::decode::<JoinToken>(row_key, value).expires_at < now)
        .map(|(row_key, _)| row_key.to_vec())
        .collect();
    for row_key in expired {
        context.tables.delete(&row_key);
    }
    rows::put(context.tables, key::join_token(hash), &JoinToken { expires_at, used: false });
}

fn join(
    context: &mut Context<'_>,
    hash: [u8; 16],
    name: &str,
    address: &str,
    role: NodeRole,
) -> Result<NodeRow, Rejection> {
    if name.is_empty() || address.is_empty() {
        return Err(Rejection::Malformed);
    }
    let token_key = key::join_token(hash);
    let token: JoinToken = rows::get(context.tables, &token_key).ok_or(Rejection::InvalidToken)?;
    if token.used {
        return Err(Rejection::TokenUsed);
    }
    if token.expires_at < context.now {
        return Err(Rejection::InvalidToken);
    }
    let nodes = settled_nodes(context)?;
    let taken = |row: &NodeRow| row.phase != NodePhase::Removed && row.name == name;
    if nodes.iter().any(taken) {
        return Err(Rejection::AlreadyExists);
    }
    rows::put(context.tables, token_key, &JoinToken { used: true, ..token });
    let row = NodeRow {
        // Rows are never removed, so ids are never given twice.
        id: NodeId(nodes.last().map_or(0, |row| row.id.0).saturating_add(1)),
        name: name.to_owned(),
        incarnation: 0,
        address: address.to_owned(),
        role,
        phase: NodePhase::Joining,
        // It says so itself when it starts.
        zone: String::new(),
        region: String::new(),
    };
    Ok(put(context, row))
}

fn set_role(context: &mut Context<'_>, node: NodeId, role: NodeRole) -> Result<NodeRow, Rejection> {
    let row = present(context, node)?;
    if row.role == role {
        return Ok(row);
    }
    // A gateway's directory has no log, and a member's log has promised something.
    if [row.role, role].contains(&NodeRole::Gateway) {
        return Err(Rejection::Malformed);
    }
    let nodes = settled_nodes(context)?;
    if role != NodeRole::Voter {
        keeps_a_voter(&nodes, node)?;
    }
    Ok(put(context, NodeRow { role, phase: NodePhase::Changing, ..row }))
}

/// A node whose join does not come to its end can be removed meanwhile: that ends the join.
fn remove(context: &mut Context<'_>, node: NodeId) -> Result<NodeRow, Rejection> {
    let row = present(context, node)?;
    match row.phase {
        NodePhase::Leaving => return Ok(row),
        NodePhase::Joining | NodePhase::Changing => {}
        NodePhase::Member | NodePhase::Removed => {
            settled_nodes(context)?;
        }
    }
    keeps_a_voter(&all(context.tables), node)?;
    Ok(put(context, NodeRow { phase: NodePhase::Leaving, ..row }))
}

fn settle(context: &mut Context<'_>, node: NodeId, phase: NodePhase) -> Result<NodeRow, Rejection> {
    let row: NodeRow = rows::get(context.tables, &key::node(node)).ok_or(Rejection::NoSuchNode)?;
    // Another change came in between: what was seen to be done was the former one.
    if row.phase != phase {
        return Ok(row);
    }
    let phase = match row.phase {
        NodePhase::Joining | NodePhase::Changing | NodePhase::Member => NodePhase::Member,
        NodePhase::Leaving | NodePhase::Removed => NodePhase::Removed,
    };
    Ok(put(context, NodeRow { phase, ..row }))
}

fn put(context: &mut Context<'_>, row: NodeRow) -> NodeRow {
    rows::put(context.tables, key::node(row.id), &row);
    row
}

fn present(context: &Context<'_>, node: NodeId) -> Result<NodeRow, Rejection> {
    let row: NodeRow = rows::get(context.tables, &key::node(node)).ok_or(Rejection::NoSuchNode)?;
    match row.phase {
        NodePhase::Removed => Err(Rejection::NodeRemoved),
        NodePhase::Member | NodePhase::Joining | NodePhase::Changing | NodePhase::Leaving => {
            Ok(row)
        }
    }
}

/// Every node, if no change is under way.
fn settled_nodes(context: &Context<'_>) -> Result<Vec<NodeRow>, Rejection> {
    let nodes = all(context.tables);
    let settled = |row: &NodeRow| match row.phase {
        NodePhase::Member | NodePhase::Removed => true,
        NodePhase::Joining | NodePhase::Changing | NodePhase::Leaving => false,
    };
    match nodes.iter().all(settled) {
        true => Ok(nodes),
        false => Err(Rejection::MembershipChanging),
    }
}

fn keeps_a_voter(nodes: &[NodeRow], without: NodeId) -> Result<(), Rejection> {
    let stays = |row: &NodeRow| {
        row.id != without && row.role == NodeRole::Voter && row.phase == NodePhase::Member
    };
    match nodes.iter().any(stays) {
        true => Ok(()),
        false => Err(Rejection::LastVoter),
    }
}

#[cfg(test)]
mod tests;
