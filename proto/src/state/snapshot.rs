//! A group's whole state as a sequence of rows, and back. The order is the key order, so two equal
//! states give equal sequences; how rows are framed, checked and sent, and
//! in which format, is the node's business.

use std::ops::Bound;

use crate::tables::{Pair, Reader, Tables};

/// Row keys below this belong to the tables themselves, not to the state.
const FIRST_KEY: [u8; 1] = [0x01];

/// Every row of the state, in key order, from one consistent view.
pub fn rows(reader: &dyn Reader) -> Box<dyn Iterator<Item = Pair> + '_> {
    reader.range(Bound::Included(&FIRST_KEY), Bound::Unbounded)
}

/// Takes over a row of a snapshot.
pub fn install(tables: &mut dyn Tables, row: &Pair) {
    tables.put(row.0.to_vec(), row.1.to_vec());
}

/// One number for a whole state: equal at equal index on every replica (I8). Order-free, so that it
/// can also be kept incrementally: the sum of the rows' hashes.
pub fn state_hash(reader: &dyn Reader) -> u128 {
    counted_hash(reader).1
}

/// The same, and of how many rows it is.
pub fn counted_hash(reader: &dyn Reader) -> (u64, u128) {
    rows(reader).fold((0, 0), |(count, sum): (u64, u128), row| {
        (count.saturating_add(1), sum.wrapping_add(row_hash(&row)))
    })
}

fn row_hash((key, value): &Pair) -> u128 {
    let seed = xxhash_rust::xxh3::xxh3_64(key);
    xxhash_rust::xxh3::xxh3_128_with_seed(value, seed)
}
