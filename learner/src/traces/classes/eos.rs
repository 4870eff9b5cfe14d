//! How often files are read, and how large they are, at a real store: CERN's EOS, over eleven months of 2016 and 2017.
//!
//! Counted from `readmany.csv` (files by the number of their reads, with the bytes of a read on average, which is the nearest
//! that it has to a file's size) of the data published with Purandare, Bittman and Miller, "Analysis and workload characterization of the CERN EOS storage
//! system", CHEOPS 2022 (doi:10.1145/3503646.3524293), as "cheops-cern-trace-data". Its licence is Creative Commons Zero 1.0.
//! It knows only files that were read at all.

use crate::traces::random::Stream;

/// Files with about as many reads.
struct Row {
    /// The fewest of them. The most are one less than the next row's.
    reads: u64,
    /// Files with so many reads, or less.
    files_until: u64,
    /// Of a read, on average.
    mean_bytes: u64,
}

/// What was read more often is counted, and read here, so many times: one file in 1,850. Objects that are asked for thousands
/// of times a year are hot under every policy.
pub const READS_MAX: u64 = 4_096;

/// Each number of its own until 15, and then so many to each factor of two.
const ROWS: [Row; 32] = [
    Row { reads: 1, files_until: 85_076_752, mean_bytes: 154_498_119 },
    Row { reads: 2, files_until: 120_714_928, mean_bytes: 380_160_053 },
    Row { reads: 3, files_until: 131_413_104, mean_bytes: 338_938_415 },
    Row { reads: 4, files_until: 137_968_001, mean_bytes: 449_921_342 },
    Row { reads: 5, files_until: 141_081_289, mean_bytes: 455_389_383 },
    Row { reads: 6, files_until: 143_001_269, mean_bytes: 494_994_374 },
    Row { reads: 7, files_until: 144_076_457, mean_bytes: 514_899_972 },
    Row { reads: 8, files_until: 144_900_950, mean_bytes: 502_855_519 },
    Row { reads: 9, files_until: 145_425_501, mean_bytes: 540_126_821 },
    Row { reads: 10, files_until: 145_900_860, mean_bytes: 465_879_801 },
    Row { reads: 11, files_until: 146_304_804, mean_bytes: 404_459_861 },
    Row { reads: 12, files_until: 146_703_955, mean_bytes: 364_795_269 },
    Row { reads: 13, files_until: 146_992_179, mean_bytes: 383_406_936 },
    Row { reads: 14, files_until: 147_242_112, mean_bytes: 432_668_563 },
    Row { reads: 15, files_until: 147_440_909, mean_bytes: 435_133_787 },
    Row { reads: 16, files_until: 148_449_967, mean_bytes: 372_122_330 },
    Row { reads: 23, files_until: 149_022_709, mean_bytes: 353_814_662 },
    Row { reads: 33, files_until: 149_542_642, mean_bytes: 240_531_266 },
    Row { reads: 47, files_until: 149_941_069, mean_bytes: 207_852_618 },
    Row { reads: 66, files_until: 150_168_549, mean_bytes: 226_415_220 },
    Row { reads: 93, files_until: 150_385_605, mean_bytes: 228_115_202 },
    Row { reads: 132, files_until: 150_649_935, mean_bytes: 268_008_434 },
    Row { reads: 187, files_until: 150_774_962, mean_bytes: 455_428_865 },
    Row { reads: 264, files_until: 150_924_687, mean_bytes: 304_901_517 },
    Row { reads: 373, files_until: 151_039_993, mean_bytes: 504_541_006 },
    Row { reads: 528, files_until: 151_116_722, mean_bytes: 261_059_226 },
    Row { reads: 747, files_until: 151_193_687, mean_bytes: 119_922_126 },
    Row { reads: 1_056, files_until: 151_300_486, mean_bytes: 153_137_833 },
    Row { reads: 1_493, files_until: 151_335_766, mean_bytes: 239_837_504 },
    Row { reads: 2_111, files_until: 151_358_717, mean_bytes: 47_134_934 },
    Row { reads: 2_985, files_until: 151_383_546, mean_bytes: 186_562_678 },
    Row { reads: 4_096, files_until: 151_465_417, mean_bytes: 48_214_161 },
];

/// A file's reads, and the mean size of files like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub reads: u64,
    pub mean_bytes: u64,
}

/// Every file that was read.
pub fn files() -> u64 {
    ROWS[ROWS.len() - 1].files_until
}

/// The file that stands at a share, from 0 to 1, of all of them, in the order of their reads.
pub fn usage(share: f64, stream: &mut Stream) -> Usage {
    let wanted = (share * files() as f64) as u64;
    let place = ROWS.partition_point(|row| row.files_until <= wanted).min(ROWS.len() - 1);
    let row = &ROWS[place];
    let reads = match ROWS.get(place + 1) {
        // Fewer files have more reads, within a row too: about as a power of 2.
        Some(next) if next.reads > row.reads + 1 => {
            let (from, to) = (row.reads as f64, next.reads as f64);
            let part = stream.unit();
            (1.0 / (1.0 / from + part * (1.0 / to - 1.0 / from))) as u64
        }
        _ => row.reads,
    };
    Usage { reads, mean_bytes: row.mean_bytes }
}
