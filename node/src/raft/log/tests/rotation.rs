//! Segments come and go: old ones are removed, stragglers move forward, and a power failure at any
//! step of that loses nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::super::disk::simulated::Faults;
use super::super::segment::SPARE_NAME;
use super::*;

const SEGMENT_BYTES: u64 = 16 << 10;

fn reopen(disk: &Simulated) -> Journal {
    open(disk, Drive::Inline, SEGMENT_BYTES).unwrap().0
}

/// A busy group: `rounds` calls of four entries, all but the last few purged as it goes.
fn busy(journal: &Journal, group: u16, rounds: u64) {
    for round in 0..rounds {
        journal.append(group, entries(1, round * 4..round * 4 + 4, 400), must());
        if round > 2 {
            journal.purge(group, at(1, round * 4 - 8), must());
        }
    }
}

#[test]
fn purged_segments_are_removed() {
    let disk = Simulated::new(1);
    let journal = reopen(&disk);
    busy(&journal, 0, 200);
    assert!(journal.stats().segments <= 5, "{:?}", journal.stats());
    assert_eq!(disk.image().0.len() as u64, journal.stats().segments);
    let before = everything(&journal, 0);
    assert_eq!(before.entries.len(), 11);
    drop(journal);
    assert_eq!(everything(&reopen(&disk), 0), before);
}

#[test]
fn a_straggling_group_moves_forward_and_keeps_its_vote() {
    let disk = Simulated::new(1);
    let journal = reopen(&disk);
    journal.save_vote(7, Bytes::from_static(b"idle vote"), must());
    journal.append(7, entries(1, 3..9, 700), must());
    journal.save_committed(7, Some(at(1, 6)));
    journal.save_vote(8, Bytes::from_static(b"only a vote"), must());
    let before = everything(&journal, 7);
    busy(&journal, 0, 300);
    let stats = journal.stats();
    assert!(stats.copied >= 6, "{stats:?}");
    assert!(stats.segments <= 7, "{stats:?}");
    assert_eq!(everything(&journal, 7), before, "before a restart, from where it was copied to");
    journal.close();
    let journal = reopen(&disk);
    assert_eq!(everything(&journal, 7), before);
    assert_eq!(journal.state(7).committed, Some(at(1, 6)));
    assert_eq!(journal.state(8).vote.as_deref(), Some(&b"only a vote"[..]));
    // The straggler goes on: truncation and new entries over copied ones.
    journal.truncate_after(7, Some(at(1, 5)), must());
    journal.append(7, entries(2, 6..8, 50), must());
    busy(&journal, 1, 300);
    let after = everything(&journal, 7);
    assert_eq!(after.last, Some(at(2, 7)));
    drop(journal);
    assert_eq!(everything(&reopen(&disk), 7), after);
}

/// One call's entries may need several segments; the call is completed once, at the end.
#[test]
fn a_call_larger_than_a_segment_is_written_over_several() {
    let disk = Simulated::new(1);
    let journal = reopen(&disk);
    let many = entries(1, 0..100, 1000);
    journal.append(0, many.clone(), must());
    assert!(journal.stats().segments > 8);
    drop(journal);
    let journal = reopen(&disk);
    assert_eq!(all(&journal, 0), many);
    assert_eq!(journal.read(0, 10..90, 5500).unwrap(), many[10..15]);
    assert_eq!(journal.read(0, 10..12, 1).unwrap(), many[10..11]);
    assert_eq!(journal.read(0, 99..200, u64::MAX).unwrap(), many[99..]);
    assert_eq!(journal.read(0, 100..200, u64::MAX).unwrap(), []);
    assert_eq!(journal.position(0, 42), Some(at(1, 42)));
}

fn scenario(journal: &Journal, outcomes: &Outcomes) {
    let mut id = 0;
    let mut done = || {
        id += 1;
        outcomes.completion(id)
    };
    journal.save_vote(7, Bytes::from_static(b"idle vote"), done());
    journal.append(7, entries(1, 0..3, 300), done());
    for round in 0..30 {
        journal.append(0, entries(1, round * 4..round * 4 + 4, 400), done());
        if round > 2 {
            journal.purge(0, at(1, round * 4 - 8), done());
        }
    }
}

/// The power fails at every single writing operation of a run that rotates, copies and removes.
#[test]
fn a_power_failure_at_every_step_loses_nothing_that_was_acknowledged() {
    let disk = Simulated::new(0);
    let journal = reopen(&disk);
    let before = disk.writing_operations();
    scenario(&journal, &Outcomes::default());
    let steps = disk.writing_operations() - before;
    assert!(journal.stats().copied > 0 && steps > 150, "{steps} steps, {:?}", journal.stats());
    for step in 0..steps {
        for seed in 0..4 {
            power_failure_at(step, seed);
        }
    }
}

fn power_failure_at(step: u64, seed: u64) {
    let disk = Simulated::new(seed);
    let outcomes = Outcomes::default();
    let (journal, _) = open_with(&disk, options(Drive::Inline, SEGMENT_BYTES, &outcomes)).unwrap();
    disk.set_faults(Faults { power_off_after: Some(step), ..Faults::default() });
    scenario(&journal, &outcomes);
    let acknowledged = outcomes.acknowledged() as u64;
    let image = disk.image_after_power_failure();
    disk.restart(&image);
    let opened = open(&disk, Drive::Inline, SEGMENT_BYTES);
    let (journal, _) = opened.unwrap_or_else(|error| panic!("step {step} seed {seed}: {error}"));
    let context = format!("step {step} seed {seed}, {acknowledged} acknowledged");
    assert!(acknowledged < 1 || journal.state(7).vote.is_some(), "{context}");
    assert!(acknowledged < 2 || all(&journal, 7) == entries(1, 0..3, 300), "{context}");
    // Calls 3, 4, 5 append; from call 6 on, appends (even) and purges (odd) alternate.
    let appends =
        acknowledged.saturating_sub(2).min(3) + acknowledged.saturating_sub(5).div_ceil(2);
    let purges = acknowledged.saturating_sub(5) / 2;
    let state = journal.state(0);
    let next = state.last.map_or(0, |last| last.index + 1);
    assert!(next >= appends * 4, "{context}: {state:?}");
    let purged = state.purged.map_or(0, |purged| purged.index);
    assert!(purges == 0 || purged >= (purges + 2) * 4 - 8, "{context}: {state:?}");
    let first = state.purged.map_or(0, |purged| purged.index + 1);
    assert_eq!(all(&journal, 0), entries(1, first..next, 400), "{context}");
}

#[test]
fn a_spare_left_by_a_crash_is_removed() {
    let disk = Simulated::new(1);
    drop(reopen(&disk));
    let mut image = disk.image();
    image.0.insert(Path::new(DIRECTORY).join(SPARE_NAME), vec![1; 100]);
    let disk = Simulated::from_image(1, &image);
    drop(reopen(&disk));
    assert_eq!(disk.image().0.len(), 1);
}

#[test]
fn segments_may_become_larger_and_never_smaller() {
    let disk = Simulated::new(1);
    let journal = reopen(&disk);
    journal.append(0, entries(1, 0..20, 1000), must());
    drop(journal);
    let (journal, _) = open(&disk, Drive::Inline, 4 * SEGMENT_BYTES).unwrap();
    journal.append(0, entries(1, 20..22, 20_000), must());
    journal.append(0, entries(1, 22..60, 1000), must());
    let before = everything(&journal, 0);
    journal.close();
    let (journal, _) = open(&disk, Drive::Inline, SEGMENT_BYTES).unwrap();
    assert_eq!(everything(&journal, 0), before);
    journal.append(0, entries(1, 60..61, 20_000), must());
    assert_eq!(journal.state(0).last, Some(at(1, 60)));
}

#[test]
fn an_idle_mark_turns_a_torn_tail_into_damage() {
    let disk = Simulated::new(1);
    let journal = reopen(&disk);
    journal.append(0, entries(1, 0..1, 100), must());
    journal.idle();
    let mut image = disk.image();
    let bytes = image.0.values_mut().next().unwrap();
    bytes[4096 + 60] ^= 1;
    assert!(matches!(open_image(&image, SEGMENT_BYTES), Err(Error::Damaged { .. })));
}

#[test]
fn options_that_cannot_work_are_refused() {
    for bytes in [0, 4096, 12 << 10, (16 << 10) + 1] {
        let error = open(&Simulated::new(1), Drive::Inline, bytes).err().unwrap();
        assert!(matches!(error, Error::Options(_)), "{error}");
    }
}
