//! What must become of the copies of a blob that is there: more of them, fewer, or elsewhere. Pure, like the rest of placing.

use vaultaire_proto::BackendId;
use vaultaire_proto::row::{Copies, Spread};

use super::{Candidate, Health, domains, is_apart, wanted};

/// The next step towards what the bucket wants. One at a time: after it everything is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// All is well.
    Keep,
    /// One more is needed.
    Add(BackendId),
    /// Two are in one failure domain, and another one has none: this one goes there.
    Move(BackendId, BackendId),
    /// One more than is needed.
    Drop(BackendId),
    /// Something should be done, and there is no place for it.
    Wait,
}

/// What to do about the copies on `kept`, which can be read and stay. There is one at least: the pool is that of the first.
pub fn next(
    candidates: &[Candidate],
    kept: &[BackendId],
    copies: Copies,
    health: impl Fn(BackendId) -> Health,
    seed: usize,
) -> Step {
    let of = |id: &BackendId| candidates.iter().copied().find(|known| known.backend == *id);
    let held: Vec<Candidate> = kept.iter().filter_map(of).collect();
    let Some(pool) = held.first().map(|first| first.pool) else {
        // Of backends that nobody knows nothing is known.
        return Step::Keep;
    };
    // Those that are drained count: a pool does not want less because one of it is to be emptied.
    let members: Vec<Candidate> =
        candidates.iter().copied().filter(|candidate| candidate.pool == pool).collect();
    let wanted = wanted(&members, copies);
    let place = |others: &[Candidate]| {
        let fits = |member: &&Candidate| {
            member.takes
                && !kept.contains(&member.backend)
                && health(member.backend) != Health::Absent
                && is_apart(member, others, Spread::Node)
        };
        let mut fitting: Vec<Candidate> = members.iter().filter(fits).copied().collect();
        if !fitting.is_empty() {
            let turn = seed % fitting.len();
            fitting.rotate_left(turn);
        }
        let rank =
            |member: &Candidate| (health(member.backend), !is_apart(member, others, copies.spread));
        fitting.into_iter().min_by_key(rank)
    };
    if held.len() < wanted {
        return place(&held).map_or(Step::Wait, |found| Step::Add(found.backend));
    }
    let reachable = domains(&members, copies.spread).min(wanted);
    let apart = domains(&held, copies.spread);
    if held.len() > wanted {
        return drop_one(&held, copies.spread, reachable);
    }
    if apart >= reachable {
        return Step::Keep;
    }
    let Some(crowded) = crowded(&held, copies.spread) else {
        return Step::Keep;
    };
    let rest: Vec<Candidate> =
        held.iter().copied().filter(|one| one.backend != crowded.backend).collect();
    match place(&rest).filter(|found| is_apart(found, &rest, copies.spread)) {
        Some(found) if health(found.backend) == Health::Well => {
            Step::Move(crowded.backend, found.backend)
        }
        Some(_) | None => Step::Wait,
    }
}

/// The last one that shares its failure domain with another.
fn crowded(held: &[Candidate], spread: Spread) -> Option<Candidate> {
    held.iter().rev().copied().find(|one| {
        let others: Vec<Candidate> =
            held.iter().copied().filter(|other| other.backend != one.backend).collect();
        !is_apart(one, &others, spread)
    })
}

/// The last one without which no failure domain is lost that is needed.
fn drop_one(held: &[Candidate], spread: Spread, reachable: usize) -> Step {
    let spare = held.iter().rev().find(|one| {
        let rest: Vec<Candidate> =
            held.iter().copied().filter(|other| other.backend != one.backend).collect();
        domains(&rest, spread) >= reachable.min(domains(held, spread))
    });
    spare.map_or(Step::Keep, |spare| Step::Drop(spare.backend))
}

/// The backend for bytes that must leave `leaving` and are nowhere else: of the same pool, or of the first where nothing in that
/// pool takes anything new.
pub fn refuge(
    candidates: &[Candidate],
    leaving: BackendId,
    health: impl Fn(BackendId) -> Health,
    seed: usize,
) -> Option<BackendId> {
    let takes = || candidates.iter().filter(|candidate| candidate.takes);
    let own = candidates.iter().find(|candidate| candidate.backend == leaving);
    let own = own.map(|candidate| candidate.pool);
    let own = own.filter(|pool| takes().any(|candidate| candidate.pool == *pool));
    let pool = own.or_else(|| takes().map(|candidate| candidate.pool).min())?;
    let fits = |candidate: &&Candidate| {
        candidate.pool == pool
            && candidate.backend != leaving
            && health(candidate.backend) != Health::Absent
    };
    let mut fitting: Vec<BackendId> =
        takes().filter(fits).map(|candidate| candidate.backend).collect();
    if !fitting.is_empty() {
        let turn = seed % fitting.len();
        fitting.rotate_left(turn);
    }
    fitting.into_iter().min_by_key(|id| health(*id))
}
