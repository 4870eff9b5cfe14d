//! How Raft's own words become bytes in journal and tables: payloads, votes, memberships. Each begins with a kind or a version.
//! Commands are not encoded here (proto's `convert`); they pass through as they are.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes};
use openraft::EmptyNode;
use openraft::vote::RaftLeaderIdExt;

use super::log::Position;
use super::types::{LeaderId, LogId, Membership, Payload, Proposal, StoredMembership, Vote};
use crate::tables::meta::Applied;

/// Kinds of payloads. Stored: a number is never given another meaning.
const BLANK: u8 = 1;
const NORMAL: u8 = 2;
const MEMBERSHIP: u8 = 3;

/// Version of votes and memberships.
const VERSION: u8 = 1;

/// Bytes that are not what this release writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be read ({why}); if it was written by a newer release, start that one")]
pub struct Unreadable {
    what: &'static str,
    why: &'static str,
}

/// A proposal as it is stored, from the encoded entry: the only copy that is made of it.
pub fn proposal(entry: &[u8]) -> Proposal {
    let mut bytes = Vec::with_capacity(1 + entry.len());
    bytes.push(NORMAL);
    bytes.extend_from_slice(entry);
    Proposal(Bytes::from(bytes))
}

/// The encoded entry in a proposal.
pub fn entry_of(proposal: &Proposal) -> &[u8] {
    proposal.0.get(1..).unwrap_or_default()
}

pub fn encode_payload(payload: Payload) -> Bytes {
    match payload {
        Payload::Blank => Bytes::from_static(&[BLANK]),
        Payload::Normal(proposal) => proposal.0,
        Payload::Membership(membership) => {
            let mut bytes = vec![MEMBERSHIP];
            put_membership(&mut bytes, &membership);
            Bytes::from(bytes)
        }
    }
}

pub fn decode_payload(bytes: Bytes) -> Result<Payload, Unreadable> {
    match bytes.first() {
        Some(&BLANK) => Ok(Payload::Blank),
        Some(&NORMAL) => Ok(Payload::Normal(Proposal(bytes))),
        Some(&MEMBERSHIP) => Ok(Payload::Membership(get_membership(&mut &bytes[1..])?)),
        Some(_) | None => Err(Unreadable { what: "a log entry", why: "its kind is unknown" }),
    }
}

pub fn encode_vote(vote: &Vote) -> Bytes {
    let mut bytes = vec![VERSION];
    bytes.put_u64(vote.leader_id.term);
    bytes.put_u64(vote.leader_id.voted_for);
    bytes.put_u8(u8::from(vote.committed));
    Bytes::from(bytes)
}

pub fn decode_vote(mut bytes: &[u8]) -> Result<Vote, Unreadable> {
    let what = "a vote";
    version(&mut bytes, what)?;
    let term = number(&mut bytes, what)?;
    let voted_for = number(&mut bytes, what)?;
    let committed = match bytes {
        [0] => false,
        [1] => true,
        _ => return Err(Unreadable { what, why: "it has another length" }),
    };
    Ok(Vote { leader_id: LeaderId { term, voted_for }, committed })
}

/// A membership with the log id that made it.
pub fn encode_stored(stored: &StoredMembership) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    match stored.log_id() {
        Some(id) => {
            bytes.push(1);
            bytes.put_u64(id.committed_leader_id().term);
            bytes.put_u64(id.index());
        }
        None => bytes.push(0),
    }
    put_membership(&mut bytes, stored.membership());
    bytes
}

/// Nothing at all is what a group has that never applied a membership.
pub fn decode_stored(mut bytes: &[u8]) -> Result<StoredMembership, Unreadable> {
    let what = "a membership";
    if bytes.is_empty() {
        return Ok(StoredMembership::default());
    }
    version(&mut bytes, what)?;
    let log_id = match byte(&mut bytes, what)? {
        0 => None,
        _ => {
            let term = number(&mut bytes, what)?;
            Some(log_id(Applied { term, index: number(&mut bytes, what)? }))
        }
    };
    Ok(StoredMembership::new(log_id, get_membership(&mut bytes)?))
}

pub fn log_id(applied: Applied) -> LogId {
    // The node is not part of a committed leader's identity: one leader per term.
    LogId::new(LeaderId::new_committed(applied.term, 0), applied.index)
}

pub fn applied(id: &LogId) -> Applied {
    Applied { term: id.committed_leader_id().term, index: id.index() }
}

pub fn position(id: &LogId) -> Position {
    Position { term: id.committed_leader_id().term, index: id.index() }
}

pub fn log_id_at(position: Position) -> LogId {
    log_id(Applied { term: position.term, index: position.index })
}

fn put_membership(bytes: &mut Vec<u8>, membership: &Membership) {
    let configs = membership.get_joint_config();
    put_len(bytes, configs.len());
    for voters in configs {
        put_len(bytes, voters.len());
        voters.iter().for_each(|voter| bytes.put_u64(*voter));
    }
    let nodes: Vec<u64> = membership.nodes().map(|(node, _)| *node).collect();
    put_len(bytes, nodes.len());
    nodes.iter().for_each(|node| bytes.put_u64(*node));
}

fn get_membership(bytes: &mut &[u8]) -> Result<Membership, Unreadable> {
    let what = "a membership";
    let mut configs = Vec::new();
    for _ in 0..get_len(bytes, what)? {
        let mut voters = BTreeSet::new();
        for _ in 0..get_len(bytes, what)? {
            voters.insert(number(bytes, what)?);
        }
        configs.push(voters);
    }
    let mut nodes = BTreeMap::new();
    for _ in 0..get_len(bytes, what)? {
        nodes.insert(number(bytes, what)?, EmptyNode::default());
    }
    if !bytes.is_empty() {
        return Err(Unreadable { what, why: "it is longer than it says" });
    }
    Membership::new(configs, nodes)
        .map_err(|_| Unreadable { what, why: "a voter is no node of it" })
}

/// Far more voters than there can be: a larger number is not one that was written.
const MEMBERS_MAX: usize = 4096;

fn put_len(bytes: &mut Vec<u8>, length: usize) {
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

fn get_len(bytes: &mut &[u8], what: &'static str) -> Result<usize, Unreadable> {
    if bytes.len() < 4 {
        return Err(Unreadable { what, why: "it is cut short" });
    }
    match usize::try_from(bytes.get_u32()) {
        Ok(length) if length <= MEMBERS_MAX => Ok(length),
        Ok(_) | Err(_) => Err(Unreadable { what, why: "it has too many members" }),
    }
}

fn version(bytes: &mut &[u8], what: &'static str) -> Result<(), Unreadable> {
    match byte(bytes, what)? {
        VERSION => Ok(()),
        _ => Err(Unreadable { what, why: "its version is unknown" }),
    }
}

fn byte(bytes: &mut &[u8], what: &'static str) -> Result<u8, Unreadable> {
    if bytes.is_empty() {
        return Err(Unreadable { what, why: "it is cut short" });
    }
    Ok(bytes.get_u8())
}

fn number(bytes: &mut &[u8], what: &'static str) -> Result<u64, Unreadable> {
    if bytes.len() < 8 {
        return Err(Unreadable { what, why: "it is cut short" });
    }
    Ok(bytes.get_u64())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn voters() -> impl Strategy<Value = BTreeSet<u64>> {
        prop::collection::btree_set(0_u64..9, 1..5)
    }

    proptest! {
        #[test]
        fn votes_and_memberships_round_trip(
            term: u64, node: u64, committed: bool, at in any::<Option<(u64, u64)>>(),
            configs in prop::collection::vec(voters(), 1..3), learners in voters(),
        ) {
            let vote = Vote { leader_id: LeaderId { term, voted_for: node }, committed };
            prop_assert_eq!(decode_vote(&encode_vote(&vote)).unwrap(), vote);
            let nodes: BTreeMap<u64, EmptyNode> = configs
                .iter()
                .flatten()
                .chain(&learners)
                .map(|node| (*node, EmptyNode::default()))
                .collect();
            let membership = Membership::new(configs, nodes).unwrap();
            let log_id = at.map(|(term, index)| log_id(Applied { term, index }));
            let stored = StoredMembership::new(log_id, membership.clone());
            let bytes = encode_stored(&stored);
            prop_assert_eq!(decode_stored(&bytes).unwrap(), stored);
            for cut in 1..bytes.len() {
                prop_assert!(decode_stored(&bytes[..cut]).is_err());
            }
            let payload = Payload::Membership(membership);
            prop_assert_eq!(decode_payload(encode_payload(payload.clone())).unwrap(), payload);
        }

        #[test]
        fn proposals_pass_through(entry: Vec<u8>) {
            let proposal = proposal(&entry);
            prop_assert_eq!(entry_of(&proposal), entry.as_slice());
            let payload = Payload::Normal(proposal);
            prop_assert_eq!(decode_payload(encode_payload(payload.clone())).unwrap(), payload);
        }
    }

    #[test]
    fn what_was_never_written_is_refused() {
        assert_eq!(decode_payload(encode_payload(Payload::Blank)).unwrap(), Payload::Blank);
        assert!(decode_payload(Bytes::new()).is_err());
        assert!(decode_payload(Bytes::from_static(&[9])).is_err());
        assert!(decode_vote(&[]).is_err());
        assert!(decode_vote(&[2; 18]).is_err());
    }
}
