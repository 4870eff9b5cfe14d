//! Where bytes go and in which order copies are read. Pure: what is open and what is preferred come in.

use vaultaire_proto::BackendId;
use vaultaire_proto::object::{Blob, Location};

/// The backend for a new blob: the first preferred one that is open on this node.
pub fn choose(preferred: &[BackendId], is_open: impl Fn(BackendId) -> bool) -> Option<BackendId> {
    preferred.iter().copied().find(|id| is_open(*id))
}

/// The copies of a blob in the order in which they are tried: as recorded, those at hand first.
pub fn read_order(blob: &Blob, is_open: impl Fn(BackendId) -> bool) -> Vec<Location> {
    let (open, closed): (Vec<_>, Vec<_>) =
        blob.copies.iter().copied().partition(|copy| is_open(copy.backend));
    open.into_iter().chain(closed).collect()
}

#[cfg(test)]
mod tests {
    use vaultaire_proto::{BlobKey, EpochId, GroupId, NodeId};

    use super::*;

    fn copy(backend: u32) -> Location {
        let key = BlobKey {
            generation: 1,
            shard: GroupId(1),
            node: NodeId(1),
            epoch: EpochId(1),
            seq: 1,
        };
        Location { backend: BackendId(backend), key }
    }

    #[test]
    fn the_first_open_one_is_taken() {
        let preferred = [BackendId(3), BackendId(1)];
        assert_eq!(choose(&preferred, |_| true), Some(BackendId(3)));
        assert_eq!(choose(&preferred, |id| id == BackendId(1)), Some(BackendId(1)));
        assert_eq!(choose(&preferred, |_| false), None);
    }

    #[test]
    fn copies_at_hand_come_first() {
        let blob = Blob { size_bytes: 1, crc64nvme: 0, copies: vec![copy(1), copy(2), copy(3)] };
        let order = read_order(&blob, |id| id != BackendId(1));
        assert_eq!(order, vec![copy(2), copy(3), copy(1)]);
    }
}
