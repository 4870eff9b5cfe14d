//! One group's rows as of one moment. Taking one costs no IO; it stays true while newer entries are applied.

use std::ops::Bound;

use bytes::Bytes;
use fjall::{Keyspace, Readable, Snapshot};
use vaultaire_proto::tables::{Pair, Reader};

use super::meta::META_KEY;
use super::stop_process;

/// A consistent view. The reserved row is not in it.
#[derive(Clone)]
pub struct View {
    keyspace: Keyspace,
    snapshot: Snapshot,
}

impl std::fmt::Debug for View {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("View")
            .field("keyspace", self.keyspace.name())
            .finish_non_exhaustive()
    }
}

impl View {
    /// `snapshot` must have been taken after `keyspace` was looked up: then an install in between is seen whole or not at all.
    pub fn new(keyspace: Keyspace, snapshot: Snapshot) -> Self {
        Self { keyspace, snapshot }
    }

    /// The reserved row, if anything was ever written.
    pub fn meta(&self) -> Option<Bytes> {
        self.fetch(META_KEY)
    }

    /// Every row but the reserved one, ascending, independent of this borrow.
    pub fn rows(&self) -> impl Iterator<Item = Pair> + Send + 'static {
        let all = (Bound::Excluded(META_KEY), Bound::Unbounded);
        self.snapshot.range::<&[u8], _>(&self.keyspace, all).map(pair)
    }

    fn fetch(&self, key: &[u8]) -> Option<Bytes> {
        match self.snapshot.get(&self.keyspace, key) {
            Ok(value) => value.map(Bytes::from),
            Err(error) => stop_process("read a row", &error),
        }
    }

    fn iter(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Option<fjall::Iter> {
        let from = after_meta(from);
        if crossed(from, to) {
            return None;
        }
        Some(self.snapshot.range::<&[u8], _>(&self.keyspace, (from, to)))
    }
}

impl Reader for View {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        if key <= META_KEY { None } else { self.fetch(key) }
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Box<dyn Iterator<Item = Pair> + '_> {
        match self.iter(from, to) {
            Some(rows) => Box::new(rows.map(pair)),
            None => Box::new(std::iter::empty()),
        }
    }

    fn range_reverse(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Box<dyn Iterator<Item = Pair> + '_> {
        match self.iter(from, to) {
            Some(rows) => Box::new(rows.rev().map(pair)),
            None => Box::new(std::iter::empty()),
        }
    }
}

fn pair(row: fjall::Guard) -> Pair {
    match row.into_inner() {
        Ok((key, value)) => (Bytes::from(key), Bytes::from(value)),
        Err(error) => stop_process("read a row of a range", &error),
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
