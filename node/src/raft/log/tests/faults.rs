//! A disk that is full or fails: the journal stops for good, acknowledges nothing more, and the
//! next start has all that it did.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::super::disk::Disk;
use super::super::disk::simulated::Faults;
use super::super::segment::file_name;
use super::*;

const SEGMENT_BYTES: u64 = 16 << 10;

/// Appends one entry per call until the journal fails; returns how many calls were acknowledged.
fn append_until_failure(journal: &Journal, outcomes: &Outcomes) -> u64 {
    for index in 0..1000 {
        journal.append(0, entries(1, index..index + 1, 500), outcomes.completion(index as usize));
        if !outcomes.fatal.lock().is_empty() {
            break;
        }
    }
    outcomes.acknowledged() as u64
}

fn assert_stopped(journal: &Journal, outcomes: &Outcomes) {
    let before = outcomes.acknowledged();
    let calls = outcomes.done.lock().len();
    journal.save_vote(0, Bytes::from_static(b"vote"), outcomes.completion(0));
    journal.append(9, entries(1, 0..1, 1), outcomes.completion(0));
    journal.idle();
    assert_eq!(outcomes.acknowledged(), before, "nothing is acknowledged after a failure");
    assert_eq!(outcomes.done.lock().len(), calls + 2, "but every call is completed");
    assert_eq!(outcomes.fatal.lock().len(), 1, "the failure is told once");
    assert!(journal.read(0, 0..1, 1).is_err());
}

fn assert_kept(disk: &Simulated, acknowledged: u64) {
    let image = disk.image_after_power_failure();
    disk.restart(&image);
    let (journal, _) = open(disk, Drive::Inline, SEGMENT_BYTES).unwrap();
    let kept = all(&journal, 0);
    assert!(kept.len() as u64 >= acknowledged, "{} of {acknowledged}", kept.len());
    assert_eq!(kept, entries(1, 0..kept.len() as u64, 500));
}

fn run(drive: Drive, faults: Faults) -> String {
    let disk = Simulated::new(7);
    let outcomes = Outcomes::default();
    let (journal, _) = open_with(&disk, options(drive, SEGMENT_BYTES, &outcomes)).unwrap();
    disk.set_faults(faults);
    let acknowledged = append_until_failure(&journal, &outcomes);
    assert!(acknowledged > 0);
    assert_stopped(&journal, &outcomes);
    let reason = outcomes.fatal.lock()[0].clone();
    drop(journal);
    assert_kept(&disk, acknowledged);
    reason
}

#[test]
fn a_full_disk_stops_the_journal_at_the_end_of_its_last_segment() {
    let faults = Faults { space_bytes: Some(3 * SEGMENT_BYTES), ..Faults::default() };
    let reason = run(Drive::Inline, faults);
    assert!(
        reason.contains("prepare the next segment") && reason.contains("No space left"),
        "{reason}"
    );
}

#[test]
fn a_failed_sync_stops_the_journal() {
    for syncs in 4..12 {
        let faults = Faults { syncs_before_error: Some(syncs), ..Faults::default() };
        let reason = run(Drive::Inline, faults);
        assert!(reason.contains("os error 5"), "{reason}");
    }
}

#[test]
fn a_full_disk_at_the_first_start_is_an_error_and_the_next_start_is_whole() {
    let disk = Simulated::new(3);
    disk.set_faults(Faults { space_bytes: Some(100), ..Faults::default() });
    let error = open(&disk, Drive::Inline, SEGMENT_BYTES).err().unwrap().to_string();
    assert!(error.contains("create the first segment"), "{error}");
    disk.set_faults(Faults::default());
    let (_, report) = open(&disk, Drive::Inline, SEGMENT_BYTES).unwrap();
    assert!(report.created);
}

#[test]
fn a_failed_read_is_fatal() {
    let disk = Simulated::new(3);
    open(&disk, Drive::Inline, SEGMENT_BYTES).unwrap().0.append(0, entries(1, 0..3, 10), must());
    let outcomes = Outcomes::default();
    let (journal, _) = open_with(&disk, options(Drive::Inline, SEGMENT_BYTES, &outcomes)).unwrap();
    disk.set_faults(Faults { reads_before_error: Some(1), ..Faults::default() });
    let error = journal.read(0, 0..3, 1000).unwrap_err().to_string();
    assert!(error.contains("entry 1 of group 0") && error.contains("os error 5"), "{error}");
    assert_stopped(&journal, &outcomes);
}

#[test]
fn a_failed_read_at_the_start_refuses() {
    let disk = Simulated::new(3);
    drop(open(&disk, Drive::Inline, SEGMENT_BYTES).unwrap());
    disk.set_faults(Faults { reads_before_error: Some(0), ..Faults::default() });
    let error = open(&disk, Drive::Inline, SEGMENT_BYTES).err().unwrap();
    assert!(matches!(error, Error::Io { action: "read", .. }), "{error}");
}

#[test]
fn bytes_that_rot_while_the_journal_is_open_are_found_by_the_read() {
    let disk = Simulated::new(3);
    open(&disk, Drive::Inline, SEGMENT_BYTES).unwrap().0.append(0, entries(1, 0..3, 10), must());
    let outcomes = Outcomes::default();
    let (journal, _) = open_with(&disk, options(Drive::Inline, SEGMENT_BYTES, &outcomes)).unwrap();
    let file = disk.open(&Path::new(DIRECTORY).join(file_name(1))).unwrap();
    let mut byte = [0];
    file.read_at(&mut byte, 4096 + 40 + 28).unwrap();
    file.write_at(&[byte[0] ^ 4], 4096 + 40 + 28).unwrap();
    let error = journal.read(0, 0..1, 1000).unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
    assert_stopped(&journal, &outcomes);
}

#[test]
fn a_change_that_contradicts_the_log_is_refused_and_changes_nothing() {
    let disk = Simulated::new(3);
    let outcomes = Outcomes::default();
    let (journal, _) = open_with(&disk, options(Drive::Inline, SEGMENT_BYTES, &outcomes)).unwrap();
    journal.append(0, entries(2, 5..9, 10), must());
    journal.purge(0, at(2, 6), must());
    journal.purge(0, at(2, 5), must());
    journal.truncate_after(0, Some(at(2, 9)), must());
    journal.truncate_after(1, None, must());
    let before = everything(&journal, 0);
    let done = || outcomes.completion(0);
    journal.append(0, entries(2, 10..11, 10), done());
    journal.append(0, vec![entry(2, 9, 10), entry(2, 11, 10)], done());
    journal.append(0, entries(1, 9..10, 10), done());
    journal.append(0, entries(2, 9..10, SEGMENT_BYTES as usize), done());
    journal.truncate_after(0, Some(at(1, 8)), done());
    journal.truncate_after(0, Some(at(1, 7)), done());
    journal.truncate_after(0, Some(at(2, 5)), done());
    journal.truncate_after(0, None, done());
    journal.save_vote(0, vec![1; 1000].into(), done());
    assert_eq!(*outcomes.done.lock(), vec![(0, false); 9]);
    assert_eq!(everything(&journal, 0), before);
    assert!(outcomes.fatal.lock().is_empty());
    journal.close();
    let (journal, _) = open(&disk, Drive::Inline, SEGMENT_BYTES).unwrap();
    assert_eq!(everything(&journal, 0), before);
}
