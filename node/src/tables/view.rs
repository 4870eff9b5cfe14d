//! One group's rows as of one moment. Taking one costs no IO; it stays true while newer entries are applied.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use vaultaire_proto::tables::{Pair, Reader};

use super::engine::Snapshot;
use super::meta::META_KEY;

type Rows = Box<dyn DoubleEndedIterator<Item = Pair> + Send>;

/// A consistent view. The reserved row is not in it.
#[derive(Clone)]
pub struct View(Arc<dyn Snapshot>);

impl std::fmt::Debug for View {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("View").finish_non_exhaustive()
    }
}

impl View {
    pub fn new(snapshot: Arc<dyn Snapshot>) -> Self {
        Self(snapshot)
    }

    /// The reserved row, if anything was ever written.
    pub fn meta(&self) -> Option<Bytes> {
        self.0.get(META_KEY)
    }

    /// Every row but the reserved one, ascending, independent of this borrow.
    pub fn rows(&self) -> impl Iterator<Item = Pair> + Send + 'static {
        self.0.range(Bound::Excluded(META_KEY), Bound::Unbounded)
    }

    /// The rows behind this one.
    pub fn rows_after(&self, key: &[u8]) -> impl Iterator<Item = Pair> + Send + 'static {
        self.0.range(Bound::Excluded(key.max(META_KEY)), Bound::Unbounded)
    }

    fn iter(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Option<Rows> {
        let from = after_meta(from);
        if crossed(from, to) {
            return None;
        }
        Some(self.0.range(from, to))
    }
}

impl Reader for View {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        if key <= META_KEY { None } else { self.0.get(key) }
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Box<dyn Iterator<Item = Pair> + '_> {
        match self.iter(from, to) {
            Some(rows) => rows,
            None => Box::new(std::iter::empty()),
        }
    }

    fn range_reverse(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Box<dyn Iterator<Item = Pair> + '_> {
        match self.iter(from, to) {
            Some(rows) => Box::new(rows.rev()),
            None => Box::new(std::iter::empty()),
        }
    }
}

/// Ranges begin behind the reserved row, whatever they ask for.
fn after_meta(from: Bound<&[u8]>) -> Bound<&[u8]> {
    match from {
        Bound::Included(key) if key > META_KEY => from,
        Bound::Excluded(key) if key >= META_KEY => from,
        Bound::Included(_) | Bound::Excluded(_) | Bound::Unbounded => Bound::Excluded(META_KEY),
    }
}

/// An empty range is meant; the library beneath need not be asked whether it agrees.
pub fn crossed(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from >= to,
        (Bound::Unbounded, Bound::Included(_) | Bound::Excluded(_) | Bound::Unbounded)
        | (Bound::Included(_) | Bound::Excluded(_), Bound::Unbounded) => false,
    }
}
