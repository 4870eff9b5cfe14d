//! Torn tails and damage: every cut and every flipped bit either leaves everything that was
//! promised, or is refused with a message that says so. Nothing is ever lost silently.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use super::super::record::{BLOCK_BYTES, HEADER_BYTES, MARK_BYTES};
use super::super::segment::file_name;
use super::*;

const SEGMENT_BYTES: u64 = 16 << 10;

fn path(number: u64) -> PathBuf {
    Path::new(DIRECTORY).join(file_name(number))
}

/// An image written by `write`, with everything acknowledged; not closed.
fn written(segment_bytes: u64, write: impl FnOnce(&Journal)) -> Image {
    let disk = Simulated::new(1);
    let (journal, report) = open(&disk, Drive::Manual, segment_bytes).unwrap();
    assert!(report.created);
    write(&journal);
    journal.turn();
    disk.image()
}

fn closed(write: impl FnOnce(&Journal)) -> Image {
    let disk = Simulated::new(1);
    let (journal, _) = open(&disk, Drive::Manual, SEGMENT_BYTES).unwrap();
    write(&journal);
    journal.close();
    disk.image()
}

fn append(journal: &Journal, group: u16, indexes: std::ops::Range<u64>, len: usize) {
    journal.append(group, entries(1, indexes, len), must());
    journal.turn();
}

/// Three groups over three full segments and a bit, with every kind of record but copies.
fn varied(journal: &Journal) {
    for round in 0..5 {
        for group in 0..3 {
            journal.append(
                group,
                entries(1, round * 2..round * 2 + 2, 600 + round as usize),
                must(),
            );
        }
        journal.save_vote(1, Bytes::from(format!("vote {round}")), must());
        journal.save_committed(2, Some(at(1, round * 2)));
        journal.turn();
    }
    journal.truncate_after(0, Some(at(1, 7)), must());
    journal.purge(2, at(1, 1), must());
    journal.turn();
}

fn groups(journal: &Journal) -> Vec<Everything> {
    (0..3).map(|group| everything(journal, group)).collect()
}

#[test]
fn a_cut_at_every_byte_of_the_last_three_records_keeps_the_ones_before() {
    let len = 100;
    let record = HEADER_BYTES + len;
    // Three records in one batch, then one in each of three batches.
    let in_one = written(SEGMENT_BYTES, |journal| append(journal, 0, 0..6, len));
    let first = BLOCK_BYTES as usize + MARK_BYTES;
    let starts = (0..6).map(|index| first + index * record).collect::<Vec<_>>();
    cut_everywhere(&in_one, &starts, record);
    let one_by_one =
        |journal: &Journal| (0..4).for_each(|index| append(journal, 0, index..index + 1, len));
    let in_three = written(2 * SEGMENT_BYTES, one_by_one);
    let starts = (0..4).map(|index| first + index * BLOCK_BYTES as usize).collect::<Vec<_>>();
    cut_everywhere(&in_three, &starts, record);
}

fn cut_everywhere(image: &Image, starts: &[usize], record: usize) {
    let end = starts[starts.len() - 1] + record;
    for filler in [0_u8, 0xff] {
        for cut in starts[starts.len().saturating_sub(3)]..=end {
            let mut torn = image.clone();
            torn.0.get_mut(&path(1)).unwrap()[cut..].fill(filler);
            let whole = starts.iter().filter(|start| **start + record <= cut).count();
            let (journal, report) = open_image(&torn, SEGMENT_BYTES).unwrap();
            let kept = all(&journal, 0);
            assert_eq!(kept, entries(1, 0..whole as u64, record - HEADER_BYTES), "cut at {cut}");
            assert_eq!(
                report.last.get(&0).copied().flatten(),
                kept.last().map(|entry| entry.position.index)
            );
            let torn_record =
                starts.iter().any(|start| (*start..*start + record).contains(&cut) && cut > *start);
            assert!(!torn_record || report.cut.is_some(), "cut at {cut}: {report:?}");
            appends_again(journal, &torn, whole as u64);
        }
    }
}

/// After a cut the journal goes on, and its next start finds both parts.
fn appends_again(journal: Journal, torn: &Image, next: u64) {
    drop(journal);
    let disk = Simulated::from_image(0, torn);
    let (journal, _) = open(&disk, Drive::Inline, SEGMENT_BYTES).unwrap();
    journal.append(0, entries(2, next..next + 1, 5), must());
    let (journal, report) =
        open(&Simulated::from_image(0, &disk.image()), Drive::Inline, SEGMENT_BYTES).unwrap();
    assert_eq!(report.cut, None);
    assert_eq!(journal.state(0).last, Some(at(2, next)));
}

/// Flips every bit of some bytes of a segment. Records may be missing only where the last batch is
/// `lossy`: unmarked.
fn flip_every_bit(
    image: &Image,
    number: u64,
    bytes: std::ops::Range<usize>,
    lossy: bool,
) -> (u64, u64) {
    let (journal, _) = open_image(image, SEGMENT_BYTES).unwrap();
    let expected = groups(&journal);
    let (mut recovered, mut refused) = (0, 0);
    let mut flipped = image.clone();
    for bit in bytes.start * 8..bytes.end * 8 {
        flipped.0.get_mut(&path(number)).unwrap()[bit / 8] ^= 1 << (bit % 8);
        match open_image(&flipped, SEGMENT_BYTES) {
            Ok((journal, _)) => {
                recovered += 1;
                assert!(lossy || groups(&journal) == expected, "bit {bit} was lost silently");
            }
            Err(error) => {
                refused += 1;
                let message = error.to_string();
                assert!(message.contains("log is damaged at segment"), "bit {bit}: {message}");
                assert!(message.contains("do not delete anything"), "bit {bit}: {message}");
            }
        }
        flipped.0.get_mut(&path(number)).unwrap()[bit / 8] ^= 1 << (bit % 8);
    }
    (recovered, refused)
}

#[test]
fn a_flip_of_every_bit_of_a_full_segment_is_found() {
    let image = closed(varied);
    assert!(image.0.contains_key(&path(1)) && image.0.len() >= 3, "{} segments", image.0.len());
    let (recovered, refused) = flip_every_bit(&image, 2, 0..SEGMENT_BYTES as usize, false);
    assert!(
        recovered > 0 && refused > SEGMENT_BYTES * 2,
        "{recovered} recovered, {refused} refused"
    );
}

#[test]
fn a_flip_of_every_bit_of_the_last_segment_loses_at_most_its_last_unmarked_batch() {
    let small = |journal: &Journal| {
        append(journal, 0, 0..8, 300);
        append(journal, 1, 0..2, 300);
    };
    let block = BLOCK_BYTES as usize;
    flip_every_bit(&closed(small), 1, 0..SEGMENT_BYTES as usize, false);
    flip_every_bit(&written(SEGMENT_BYTES, small), 1, block..2 * block, false);
    let (recovered, refused) =
        flip_every_bit(&written(SEGMENT_BYTES, small), 1, 2 * block..3 * block, true);
    assert!(recovered > 0 && refused == 0, "a torn tail is cut, not refused");
}

#[test]
fn a_missing_or_resized_segment_is_damage() {
    let image = closed(varied);
    let count = image.0.len() as u64;
    assert!(count >= 3);
    for number in 1..=count {
        let mut missing = image.clone();
        missing.0.remove(&path(number));
        let error = open_image(&missing, SEGMENT_BYTES).err().unwrap().to_string();
        assert!(error.contains("damaged") && error.contains("missing"), "{error}");
        for len in [0, 10, 4096, SEGMENT_BYTES as usize - 1, SEGMENT_BYTES as usize + 4096] {
            let mut resized = image.clone();
            resized.0.get_mut(&path(number)).unwrap().resize(len, 0);
            let error = open_image(&resized, SEGMENT_BYTES).err().unwrap();
            assert!(
                matches!(error, Error::Damaged { segment, .. } if segment == number),
                "{len}: {error}"
            );
        }
    }
}

#[test]
fn a_segment_in_the_place_of_another_is_damage() {
    let mut image = closed(varied);
    let second = image.0[&path(2)].clone();
    image.0.insert(path(3), second);
    let error = open_image(&image, SEGMENT_BYTES).err().unwrap();
    assert!(matches!(error, Error::Damaged { segment: 3, .. }), "{error}");
}

#[test]
fn a_wrong_length_hides_no_mark() {
    let image = closed(|journal| {
        append(journal, 0, 0..5, 50);
        append(journal, 0, 5..6, 50);
    });
    let third = BLOCK_BYTES as usize + MARK_BYTES + 2 * (HEADER_BYTES + 50);
    for len in [0, 1, 27, 28, 77, 79, 4096, SEGMENT_BYTES as u32, u32::MAX] {
        let mut wrong = image.clone();
        wrong.0.get_mut(&path(1)).unwrap()[third..third + 4].copy_from_slice(&len.to_le_bytes());
        let error = open_image(&wrong, SEGMENT_BYTES).err().unwrap();
        assert!(
            matches!(error, Error::Damaged { offset, .. } if offset == third as u64),
            "{len}: {error}"
        );
    }
}

#[test]
fn the_journal_of_another_or_of_a_newer_build_is_left_alone() {
    let image = closed(varied);
    let disk = Simulated::from_image(0, &image);
    let mut stranger = options(Drive::Inline, SEGMENT_BYTES, &Outcomes::default());
    stranger.identity.node = 4;
    let error = open_with(&disk, stranger).err().unwrap();
    assert!(error.to_string().contains("belongs to another cluster or node"), "{error}");

    let mut newer = image.clone();
    let bytes = newer.0.get_mut(&path(2)).unwrap();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    let error = open_image(&newer, SEGMENT_BYTES).err().unwrap();
    assert!(matches!(error, Error::Newer { found: 2, .. }), "{error}");
    assert!(error.to_string().contains("newer build"), "{error}");
    assert_eq!(disk.image(), image, "a refusal writes nothing");
}

#[test]
fn a_hole_between_purged_and_last_refuses() {
    let mut image = closed(varied);
    image.0.remove(&path(1));
    let error = open_image(&image, SEGMENT_BYTES).err().unwrap();
    assert!(matches!(error, Error::Hole { group: 0, index: 0, .. }), "{error}");
}

#[test]
fn a_refusal_changes_nothing_on_disk() {
    let mut image = closed(varied);
    image.0.get_mut(&path(2)).unwrap()[5000] ^= 1;
    let disk = Simulated::from_image(0, &image);
    assert!(open(&disk, Drive::Inline, SEGMENT_BYTES).is_err());
    assert_eq!(disk.image(), image);
}
