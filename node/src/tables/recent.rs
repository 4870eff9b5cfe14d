//! What the one who writes read or wrote a moment ago. Each command looks at the same few rows (the bucket, the settings, the
//! clock, ...), which change seldom and so lie deep in the tables, where a look at one costs more than all else that `apply` does.
//!
//! It never says anything else than the tables: nobody but the writer changes rows, one batch after the other, and what a batch
//! writes it writes here too. All rows at once are replaced by an install, which empties it.

use std::cell::RefCell;
use std::ops::Bound;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use vaultaire_proto::tables::{Pair, Reader};

use super::overlay::Write;

/// What is kept per group. There are 65 groups at most.
const BYTES_MAX: u64 = 256 << 10;

/// For each row beside its key and value: two allocations and a place in the list.
const BYTES_PER_ROW: u64 = 96;

/// How many rows are expected to fit.
const ROWS: usize = 1024;

#[derive(Clone)]
struct Sizes;

impl Weighter<Vec<u8>, Option<Bytes>> for Sizes {
    fn weight(&self, key: &Vec<u8>, value: &Option<Bytes>) -> u64 {
        let bytes = key.len().saturating_add(value.as_ref().map_or(0, Bytes::len));
        u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(BYTES_PER_ROW)
    }
}

/// One group's rows that were looked at, and keys that were found to have none.
pub struct Recent(Cache<Vec<u8>, Option<Bytes>, Sizes>);

impl Default for Recent {
    fn default() -> Self {
        Self(Cache::with_weighter(ROWS, BYTES_MAX, Sizes))
    }
}

impl Recent {
    /// Takes over what a batch writes. What was never looked at is not worth its place.
    pub fn wrote(&mut self, writes: &[Write]) {
        for (key, value) in writes {
            if let Some(mut known) = self.0.peek_mut(key) {
                known.clone_from(value);
            }
        }
    }

    /// Other rows are in the place of these.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// The rows of `base`, of which the recent ones are at hand.
pub struct Remembering<'a> {
    base: &'a dyn Reader,
    recent: RefCell<&'a mut Recent>,
}

impl<'a> Remembering<'a> {
    pub fn new(base: &'a dyn Reader, recent: &'a mut Recent) -> Self {
        Self { base, recent: RefCell::new(recent) }
    }
}

impl Reader for Remembering<'_> {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        let mut recent = self.recent.borrow_mut();
        if let Some(known) = recent.0.get(key) {
            return known.clone();
        }
        let found = self.base.get(key);
        recent.0.insert(key.to_vec(), found.clone());
        found
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Box<dyn Iterator<Item = Pair> + '_> {
        self.base.range(from, to)
    }

    fn range_reverse(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Box<dyn Iterator<Item = Pair> + '_> {
        self.base.range_reverse(from, to)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;
    use vaultaire_proto::tables::{MemTables, Tables};

    use super::super::overlay::Overlay;
    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Get(u8),
        Put(u8, u16),
        Delete(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<u8>().prop_map(Step::Get),
            (any::<u8>(), 0_u16..9000).prop_map(|(key, bytes)| Step::Put(key, bytes)),
            any::<u8>().prop_map(Step::Delete),
        ]
    }

    proptest! {
        /// Batch after batch, with values that push each other out: it reads like the tables alone.
        #[test]
        fn what_is_recent_is_what_the_tables_have(
            batches in prop::collection::vec(prop::collection::vec(step(), 0..40), 0..12),
        ) {
            let (mut tables, mut model) = (MemTables::default(), MemTables::default());
            let mut recent = Recent::default();
            for batch in batches {
                let frozen = tables.clone();
                let base = Remembering::new(&frozen, &mut recent);
                let mut overlay = Overlay::new(&base);
                for step in batch {
                    match step {
                        Step::Get(key) => prop_assert_eq!(overlay.get(&[key]), model.get(&[key])),
                        Step::Put(key, bytes) => {
                            let value = vec![key; usize::from(bytes)];
                            overlay.put(vec![key], value.clone());
                            model.put(vec![key], value);
                        }
                        Step::Delete(key) => {
                            overlay.delete(&[key]);
                            model.delete(&[key]);
                        }
                    }
                }
                let writes: Vec<Write> = overlay.into_writes().collect();
                recent.wrote(&writes);
                for (key, value) in writes {
                    match value {
                        Some(value) => tables.put(key, value.to_vec()),
                        None => tables.delete(&key),
                    }
                }
            }
            prop_assert_eq!(tables, model);
        }
    }
}
