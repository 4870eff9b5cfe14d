//! The seam under the state machine: an ordered key-value transaction. `MemTables` serves every
//! unit test; the durable one lives in node.
//!
//! It is infallible by contract: a store that cannot read or write any more must stop the process,
//! since applying half an entry would make this replica another state than its peers.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

/// One row.
pub type Pair = (Bytes, Bytes);

/// Ordered reads over one consistent view.
pub trait Reader {
    /// The value under a key.
    fn get(&self, key: &[u8]) -> Option<Bytes>;

    /// Rows in ascending key order between the bounds.
    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Box<dyn Iterator<Item = Pair> + '_>;

    /// The same rows in descending key order.
    fn range_reverse(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Box<dyn Iterator<Item = Pair> + '_>;
}

/// A transaction that sees its own writes.
pub trait Tables: Reader {
    /// Writes or replaces a row.
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>);

    /// Removes a row, if there is one.
    fn delete(&mut self, key: &[u8]);
}

/// Tables in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemTables(BTreeMap<Vec<u8>, Bytes>);

impl MemTables {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no row at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `BTreeMap::range` panics on bounds that cross; an empty range is meant.
fn crossed(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
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

impl Reader for MemTables {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key).cloned()
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Box<dyn Iterator<Item = Pair> + '_> {
        if crossed(from, to) {
            return Box::new(std::iter::empty());
        }
        let rows = self.0.range::<[u8], _>((from, to));
        Box::new(rows.map(|(key, value)| (Bytes::copy_from_slice(key), value.clone())))
    }

    fn range_reverse(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Box<dyn Iterator<Item = Pair> + '_> {
        if crossed(from, to) {
            return Box::new(std::iter::empty());
        }
        let rows = self.0.range::<[u8], _>((from, to)).rev();
        Box::new(rows.map(|(key, value)| (Bytes::copy_from_slice(key), value.clone())))
    }
}

impl Tables for MemTables {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.insert(key, Bytes::from(value));
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.remove(key);
    }
}

/// The smallest key greater than every key that starts with `prefix`; none if there is no such key.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// Rows whose key starts with `prefix`, ascending.
pub fn scan<'a>(reader: &'a dyn Reader, prefix: &[u8]) -> Box<dyn Iterator<Item = Pair> + 'a> {
    match prefix_end(prefix) {
        Some(end) => reader.range(Bound::Included(prefix), Bound::Excluded(&end)),
        None => reader.range(Bound::Included(prefix), Bound::Unbounded),
    }
}
