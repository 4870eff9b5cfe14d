//! One transaction: writes kept in memory over a view that does not change. Many entries share one, and it becomes one batch.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;

use bytes::Bytes;
use vaultaire_proto::tables::{Pair, Reader, Tables};

use super::view::crossed;

/// A row written, or (`None`) removed.
pub type Write = (Vec<u8>, Option<Bytes>);

/// Reads see the writes made so far.
pub struct Overlay<'a> {
    base: &'a dyn Reader,
    writes: BTreeMap<Vec<u8>, Option<Bytes>>,
}

impl<'a> Overlay<'a> {
    pub fn new(base: &'a dyn Reader) -> Self {
        Self { base, writes: BTreeMap::new() }
    }

    /// What is to be written, in key order.
    pub fn into_writes(self) -> impl Iterator<Item = Write> {
        self.writes.into_iter()
    }

    fn merged(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        order: Order,
    ) -> Box<dyn Iterator<Item = Pair> + '_> {
        if crossed(from, to) {
            return Box::new(std::iter::empty());
        }
        let base = match order {
            Order::Ascending => self.base.range(from, to),
            Order::Descending => self.base.range_reverse(from, to),
        };
        let mut writes = self.writes.range::<[u8], _>((from, to)).peekable();
        if writes.peek().is_none() {
            return base;
        }
        let base = base.peekable();
        match order {
            Order::Ascending => Box::new(Merged { base, writes, order }),
            Order::Descending => {
                let writes = self.writes.range::<[u8], _>((from, to)).rev().peekable();
                Box::new(Merged { base, writes, order })
            }
        }
    }
}

impl Reader for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        match self.writes.get(key) {
            Some(written) => written.clone(),
            None => self.base.get(key),
        }
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Box<dyn Iterator<Item = Pair> + '_> {
        self.merged(from, to, Order::Ascending)
    }

    fn range_reverse(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Box<dyn Iterator<Item = Pair> + '_> {
        self.merged(from, to, Order::Descending)
    }
}

impl Tables for Overlay<'_> {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.writes.insert(key, Some(Bytes::from(value)));
    }

    fn delete(&mut self, key: &[u8]) {
        self.writes.insert(key.to_vec(), None);
    }
}

#[derive(Clone, Copy)]
enum Order {
    Ascending,
    Descending,
}

/// Two ordered sequences as one; of two rows with the same key the written one counts.
struct Merged<B: Iterator, W: Iterator> {
    base: Peekable<B>,
    writes: Peekable<W>,
    order: Order,
}

impl<'w, B, W> Iterator for Merged<B, W>
where
    B: Iterator<Item = Pair>,
    W: Iterator<Item = (&'w Vec<u8>, &'w Option<Bytes>)>,
{
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        loop {
            let first = match (self.base.peek(), self.writes.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((base, _)), Some((written, _))) => match self.order {
                    Order::Ascending => base.as_ref().cmp(written.as_slice()),
                    Order::Descending => written.as_slice().cmp(base.as_ref()),
                },
            };
            if first == Ordering::Less {
                return self.base.next();
            }
            if first == Ordering::Equal {
                self.base.next();
            }
            if let Some((key, Some(value))) = self.writes.next() {
                return Some((Bytes::copy_from_slice(key), value.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;
    use vaultaire_proto::tables::MemTables;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Put(Vec<u8>, Vec<u8>),
        Delete(Vec<u8>),
        Range(Bound<Vec<u8>>, Bound<Vec<u8>>),
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(1_u8..4, 1..4)
    }

    fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
        prop_oneof![
            key().prop_map(Bound::Included),
            key().prop_map(Bound::Excluded),
            Just(Bound::Unbounded),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (key(), any::<Vec<u8>>()).prop_map(|(key, value)| Step::Put(key, value)),
            key().prop_map(Step::Delete),
            (bound(), bound()).prop_map(|(from, to)| Step::Range(from, to)),
        ]
    }

    fn slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
        bound.as_ref().map(Vec::as_slice)
    }

    proptest! {
        /// Whatever is in the base and whatever is written: the overlay reads like one table.
        #[test]
        fn an_overlay_is_a_table(
            rows in prop::collection::btree_map(key(), any::<Vec<u8>>(), 0..30),
            steps in prop::collection::vec(step(), 0..60),
        ) {
            let mut model = MemTables::default();
            for (key, value) in rows {
                model.put(key, value);
            }
            let mut base = model.clone();
            let frozen = base.clone();
            let mut overlay = Overlay::new(&frozen);
            for step in steps {
                match step {
                    Step::Put(key, value) => {
                        overlay.put(key.clone(), value.clone());
                        model.put(key, value);
                    }
                    Step::Delete(key) => {
                        overlay.delete(&key);
                        model.delete(&key);
                        prop_assert_eq!(overlay.get(&key), None);
                    }
                    Step::Range(from, to) => {
                        let (from, to) = (slice(&from), slice(&to));
                        prop_assert!(overlay.range(from, to).eq(model.range(from, to)));
                        prop_assert!(overlay.range_reverse(from, to).eq(model.range_reverse(from, to)));
                    }
                }
            }
            for (key, value) in overlay.into_writes() {
                match value {
                    Some(value) => base.put(key, value.to_vec()),
                    None => base.delete(&key),
                }
            }
            prop_assert_eq!(base, model);
        }
    }
}
