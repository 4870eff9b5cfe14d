//! What is sorted is the same however much fits into memory.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{self, Read};

use proptest::prelude::*;

use crate::spill::sorter::{RUNS_MAX, Sorted, Sorter};
use crate::spill::{Record, take};

/// A key, and which one it was. As long as its key says, so that records are not all of one length.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbered {
    key: u8,
    number: u32,
}

impl Record for Numbered {
    type Key = u8;

    fn key(&self) -> u8 {
        self.key
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.key);
        out.extend(self.number.to_le_bytes());
        out.extend(vec![self.key; usize::from(self.key)]);
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        let [key] = take(from)?;
        let number = u32::from_le_bytes(take(from)?);
        let mut filling = vec![0; usize::from(key)];
        from.read_exact(&mut filling)?;
        assert!(filling.iter().all(|byte| *byte == key));
        Ok(Self { key, number })
    }
}

fn numbered(keys: &[u8]) -> Vec<Numbered> {
    (0..).zip(keys).map(|(number, key)| Numbered { key: *key, number }).collect()
}

fn sorted(records: &[Numbered], in_memory_max: usize) -> Sorted<Numbered> {
    let mut sorter = Sorter::new(in_memory_max);
    records.iter().for_each(|record| sorter.push(record.clone()).unwrap());
    sorter.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_much_fits_the_order_is_that_of_a_stable_sort(
        keys in prop::collection::vec(any::<u8>(), 0..400),
        in_memory_max in 0_usize..50,
    ) {
        let mut records = numbered(&keys);
        let found: Vec<Numbered> = sorted(&records, in_memory_max).map(Result::unwrap).collect();
        records.sort_by_key(|record| record.key);
        prop_assert_eq!(found, records);
    }
}

#[test]
fn what_fits_is_written_nowhere() {
    let records = numbered(&[3, 1, 2]);
    assert!(matches!(sorted(&records, 3), Sorted::Memory(_)));
    assert!(matches!(sorted(&records, 2), Sorted::Spilled(_)));
}

#[test]
fn runs_are_made_one_as_often_as_there_are_too_many() {
    let keys: Vec<u8> = (0..RUNS_MAX * 5 + 7).map(|number| (number * 89 % 251) as u8).collect();
    let mut records = numbered(&keys);
    let found: Vec<Numbered> = sorted(&records, 2).map(Result::unwrap).collect();
    assert_eq!(found.len(), records.len());
    records.sort_by_key(|record| record.key);
    assert_eq!(found, records);
}
