//! Raft's messages as they travel between nodes. Payloads are the bytes of the log, unread. What comes in is checked for what
//! openraft takes for granted.

use openraft::entry::RaftEntry;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use vaultaire_proto::GroupId;
use vaultaire_proto::wire::v1 as wire;

use super::codec;
use super::types::{Entry, LeaderId, LogId, SnapshotMeta, TypeConfig, Vote};
use crate::tables::meta::Applied;
use crate::tables::stream::Start;

/// A message that no node of this release sends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a peer sent a message that makes no sense: {0}")]
pub struct Nonsense(pub String);

impl Nonsense {
    fn missing(what: &str) -> Self {
        Self(format!("{what} is missing"))
    }
}

pub fn vote(vote: &Vote) -> wire::Vote {
    wire::Vote {
        term: vote.leader_id.term,
        node: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

pub fn read_vote(vote: Option<wire::Vote>) -> Result<Vote, Nonsense> {
    let wire::Vote { term, node, committed } = vote.ok_or_else(|| Nonsense::missing("a vote"))?;
    Ok(Vote { leader_id: LeaderId { term, voted_for: node }, committed })
}

pub fn log_id(id: &LogId) -> wire::LogId {
    let Applied { term, index } = codec::applied(id);
    wire::LogId { term, index }
}

pub fn read_log_id(id: wire::LogId) -> LogId {
    codec::log_id(Applied { term: id.term, index: id.index })
}

fn maybe(id: Option<&LogId>) -> Option<wire::LogId> {
    id.map(log_id)
}

pub fn append_request(request: AppendEntriesRequest<TypeConfig>) -> wire::AppendRequest {
    let entry = |entry: Entry| wire::LogEntry {
        id: Some(log_id(&entry.log_id)),
        payload: codec::encode_payload(entry.payload),
    };
    wire::AppendRequest {
        vote: Some(vote(&request.vote)),
        prev: maybe(request.prev_log_id.as_ref()),
        entries: request.entries.into_iter().map(entry).collect(),
        committed: maybe(request.leader_commit.as_ref()),
    }
}

/// Entries that do not follow each other would make openraft stop the group.
pub fn read_append_request(
    request: wire::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, Nonsense> {
    let prev_log_id = request.prev.map(read_log_id);
    let mut next = prev_log_id.as_ref().map(|id| id.index().saturating_add(1));
    let mut entries = Vec::with_capacity(request.entries.len());
    for wire::LogEntry { id, payload } in request.entries {
        let id = read_log_id(id.ok_or_else(|| Nonsense::missing("a log id"))?);
        if next.is_some_and(|next| next != id.index()) {
            return Err(Nonsense("its entries do not follow each other".to_owned()));
        }
        next = Some(id.index().saturating_add(1));
        let payload =
            codec::decode_payload(payload).map_err(|error| Nonsense(error.to_string()))?;
        entries.push(Entry::new(id, payload));
    }
    Ok(AppendEntriesRequest {
        vote: read_vote(request.vote)?,
        prev_log_id,
        entries,
        leader_commit: request.committed.map(read_log_id),
    })
}

pub fn append_response(result: StreamAppendResult<TypeConfig>) -> wire::AppendResponse {
    use wire::append_response::{Matching, Outcome};
    let outcome = match result {
        Ok(last) => Outcome::Matching(Matching { last: maybe(last.as_ref()) }),
        Err(StreamAppendError::Conflict(id)) => Outcome::Conflict(log_id(&id)),
        Err(StreamAppendError::HigherVote(higher)) => Outcome::HigherVote(vote(&higher)),
    };
    wire::AppendResponse { outcome: Some(outcome) }
}

pub fn read_append_response(
    response: wire::AppendResponse,
) -> Result<StreamAppendResult<TypeConfig>, Nonsense> {
    use wire::append_response::Outcome;
    Ok(match response.outcome.ok_or_else(|| Nonsense::missing("an outcome"))? {
        Outcome::Matching(matching) => Ok(matching.last.map(read_log_id)),
        Outcome::Conflict(id) => Err(StreamAppendError::Conflict(read_log_id(id))),
        Outcome::HigherVote(vote) => Err(StreamAppendError::HigherVote(read_vote(Some(vote))?)),
    })
}

/// Whether a vote is asked for, or only what the answer would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ballot {
    Vote,
    PreVote,
}

pub fn vote_request(
    group: GroupId,
    request: &VoteRequest<TypeConfig>,
    ballot: Ballot,
) -> wire::VoteRequest {
    wire::VoteRequest {
        group: u32::from(group.0),
        vote: Some(vote(&request.vote)),
        last: maybe(request.last_log_id.as_ref()),
        leadership_transfer: request.leadership_transfer,
        pre_vote: ballot == Ballot::PreVote,
    }
}

pub fn read_vote_request(
    request: wire::VoteRequest,
) -> Result<(VoteRequest<TypeConfig>, Ballot), Nonsense> {
    let mut read = VoteRequest::new(read_vote(request.vote)?, request.last.map(read_log_id));
    read.leadership_transfer = request.leadership_transfer;
    Ok((read, if request.pre_vote { Ballot::PreVote } else { Ballot::Vote }))
}

pub fn vote_response(response: &VoteResponse<TypeConfig>) -> wire::VoteResponse {
    wire::VoteResponse {
        vote: Some(vote(&response.vote)),
        granted: response.vote_granted,
        last: maybe(response.last_log_id.as_ref()),
    }
}

pub fn read_vote_response(
    response: wire::VoteResponse,
) -> Result<VoteResponse<TypeConfig>, Nonsense> {
    let last = response.last.map(read_log_id);
    Ok(VoteResponse::new(read_vote(response.vote)?, last, response.granted))
}

pub fn transfer_request(
    group: GroupId,
    request: &TransferLeaderRequest<TypeConfig>,
) -> wire::TransferLeaderRequest {
    wire::TransferLeaderRequest {
        group: u32::from(group.0),
        from: Some(vote(request.from_leader())),
        to: *request.to_node_id(),
        last: maybe(request.last_log_id()),
    }
}

pub fn read_transfer_request(
    request: wire::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, Nonsense> {
    let from = read_vote(request.from)?;
    Ok(TransferLeaderRequest::new(from, request.to, request.last.map(read_log_id)))
}

pub fn transfer_response(
    response: TransferLeaderResponse<TypeConfig>,
) -> wire::TransferLeaderResponse {
    use wire::transfer_leader_response::{LogNotFlushed, Refused, VoteChanged};
    let refused = match response {
        Ok(()) => None,
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            let (expected, actual) = (Some(vote(&expected)), Some(vote(&actual)));
            Some(Refused::VoteChanged(VoteChanged { expected, actual }))
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            let (expected, actual) = (maybe(expected.as_ref()), maybe(actual.as_ref()));
            Some(Refused::LogNotFlushed(LogNotFlushed { expected, actual }))
        }
    };
    wire::TransferLeaderResponse { refused }
}

pub fn read_transfer_response(
    response: wire::TransferLeaderResponse,
) -> Result<TransferLeaderResponse<TypeConfig>, Nonsense> {
    use wire::transfer_leader_response::Refused;
    Ok(match response.refused {
        None => Ok(()),
        Some(Refused::VoteChanged(changed)) => Err(TransferLeaderError::VoteChanged {
            expected: read_vote(changed.expected)?,
            actual: read_vote(changed.actual)?,
        }),
        Some(Refused::LogNotFlushed(behind)) => Err(TransferLeaderError::LogNotFlushed {
            expected: behind.expected.map(read_log_id),
            actual: behind.actual.map(read_log_id),
        }),
    })
}

pub fn snapshot_head(group: GroupId, of: &Vote, meta: &SnapshotMeta) -> wire::snapshot_part::Head {
    wire::snapshot_part::Head {
        group: u32::from(group.0),
        vote: Some(vote(of)),
        last: maybe(meta.last_log_id.as_ref()),
        membership: codec::encode_stored(&meta.last_membership),
        first_chunk: 0,
    }
}

pub fn snapshot_progress(start: Start) -> wire::SnapshotProgressResponse {
    let Start { chunks, rows, after } = start;
    wire::SnapshotProgressResponse { chunks, rows, after }
}

pub fn read_snapshot_progress(come: wire::SnapshotProgressResponse) -> Start {
    let wire::SnapshotProgressResponse { chunks, rows, after } = come;
    Start { chunks, rows, after }
}

pub fn read_snapshot_head(
    head: wire::snapshot_part::Head,
) -> Result<(Vote, SnapshotMeta), Nonsense> {
    let last_membership =
        codec::decode_stored(&head.membership).map_err(|error| Nonsense(error.to_string()))?;
    let meta = SnapshotMeta { last_log_id: head.last.map(read_log_id), last_membership };
    Ok((read_vote(head.vote)?, meta))
}
