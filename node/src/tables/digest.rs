//! What all rows of a group come to, so that replicas can be compared: two that have applied the same entries have the same rows,
//! byte for byte (I8), and whoever has others is wrong.

use parking_lot::Mutex;
use vaultaire_proto::RequestId;
use vaultaire_proto::state::snapshot;

use super::view::View;

/// A replica's rows as they were after one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The command that asked for it.
    pub request: RequestId,
    /// Its entry.
    pub index: u64,
    /// `state_hash`.
    pub hash: u128,
    pub rows: u64,
}

impl Digest {
    /// Reads every row.
    pub fn of(view: &View, request: RequestId, index: u64) -> Self {
        let (rows, hash) = snapshot::counted_hash(view);
        Self { request, index, hash, rows }
    }
}

/// The last one of a group; a second is not begun while one is made.
#[derive(Debug, Default)]
pub struct Digests(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    under_way: bool,
    last: Option<Digest>,
}

impl Digests {
    /// Whether one may be begun now; whoever is told so calls `made`. A command that was proposed twice counts the first time.
    pub fn begin(&self, request: RequestId) -> bool {
        let mut state = self.0.lock();
        let is_repeat = state.last.as_ref().is_some_and(|last| last.request == request);
        !is_repeat && !std::mem::replace(&mut state.under_way, true)
    }

    /// None: it could not be made.
    pub fn made(&self, digest: Option<Digest>) {
        let mut state = self.0.lock();
        state.under_way = false;
        if let Some(digest) = digest {
            state.last = Some(digest);
        }
    }

    pub fn find(&self, request: RequestId) -> Option<Digest> {
        self.0.lock().last.clone().filter(|last| last.request == request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_made_at_a_time_and_the_last_is_kept() {
        let digests = Digests::default();
        let (one, two) = (RequestId([1; 16]), RequestId([2; 16]));
        assert!(digests.begin(one));
        assert!(!digests.begin(two), "one is under way");
        let digest = Digest { request: one, index: 7, hash: 3, rows: 5 };
        digests.made(Some(digest.clone()));
        assert_eq!(digests.find(one), Some(digest.clone()));
        assert_eq!(digests.find(two), None);
        assert!(!digests.begin(one), "what was asked twice has its answer");
        assert!(digests.begin(two));
        digests.made(None);
        assert_eq!(digests.find(one), Some(digest), "one that failed takes nothing away");
        assert!(digests.begin(two));
    }
}
