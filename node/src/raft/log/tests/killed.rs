//! A process that dies leaves what it wrote in the kernel's memory, where the next one reads it, synced or not. What the next
//! one accepts must survive the power failure after that.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use super::super::disk::simulated::Faults;
use super::super::supply::Supply;
use super::*;

const SEGMENT_BYTES: u64 = 16 << 10;

fn reopen(disk: &Simulated, context: &str) -> Journal {
    let opened = open(disk, Drive::Inline, SEGMENT_BYTES);
    opened.unwrap_or_else(|error| panic!("{context}: {error}")).0
}

/// Appends and purges until the journal fails; enough for several rotations and removals.
fn run(journal: &Journal, outcomes: &Outcomes) {
    for round in 0..24 {
        let id = round as usize;
        journal.append(0, entries(1, round * 4..round * 4 + 4, 400), outcomes.completion(id));
        if round > 2 {
            journal.purge(0, at(1, round * 4 - 8), outcomes.completion(id));
        }
    }
}

/// A run that ends with the process; the next one appends, then the power fails.
fn killed_then_power_failure(seed: u64, faults: Faults) {
    let context = format!("seed {seed}, {faults:?}");
    let disk = Simulated::new(seed);
    let outcomes = Outcomes::default();
    let (journal, _) = open_with(&disk, options(Drive::Inline, SEGMENT_BYTES, &outcomes)).unwrap();
    disk.set_faults(faults);
    run(&journal, &outcomes);
    drop(journal);
    disk.kill();

    let journal = reopen(&disk, &context);
    let next = journal.state(0).last.map_or(0, |last| last.index + 1);
    journal.append(0, entries(1, next..next + 1, 400), must());
    let accepted = everything(&journal, 0);
    let image = disk.image_after_power_failure();
    disk.restart(&image);
    assert_eq!(everything(&reopen(&disk, &context), 0), accepted, "{context}");
}

#[test]
fn what_a_start_after_a_kill_accepted_survives_a_power_failure() {
    let disk = Simulated::new(0);
    let journal = reopen(&disk, "counting");
    let before = disk.writing_operations();
    run(&journal, &Outcomes::default());
    let steps = disk.writing_operations() - before;
    assert!(steps > 100, "{steps} steps");
    for step in 0..steps {
        for seed in 0..8 {
            let faults = Faults { power_off_after: Some(step), ..Faults::default() };
            killed_then_power_failure(seed, faults);
        }
    }
}

/// A sync that failed leaves pages that can be read and that no later sync writes.
#[test]
fn what_a_failed_sync_left_readable_is_written_again_before_it_is_accepted() {
    for syncs in 0..40 {
        for seed in 0..8 {
            let faults = Faults { syncs_before_error: Some(syncs), ..Faults::default() };
            killed_then_power_failure(seed, faults);
        }
    }
}

#[test]
fn a_failed_sync_of_the_directory_stops_the_journal() {
    let mut reasons = Vec::new();
    for syncs in 0..12 {
        let disk = Simulated::new(1);
        let outcomes = Outcomes::default();
        let (journal, _) =
            open_with(&disk, options(Drive::Inline, SEGMENT_BYTES, &outcomes)).unwrap();
        let directory_syncs_before_error = Some(syncs);
        disk.set_faults(Faults { directory_syncs_before_error, ..Faults::default() });
        run(&journal, &outcomes);
        let fatal = outcomes.fatal.lock().clone();
        assert_eq!(fatal.len(), 1, "after {syncs} syncs: {fatal:?}");
        reasons.extend(fatal);
    }
    for step in ["prepare the next segment", "begin segment", "sync the removal"] {
        assert!(reasons.iter().any(|reason| reason.contains(step)), "{step}: {reasons:?}");
    }
}

#[test]
fn the_file_thread_gives_up_at_a_failed_sync_of_the_directory() {
    for syncs in 0..2 {
        let disk = Simulated::new(1);
        let directory_syncs_before_error = Some(syncs);
        disk.set_faults(Faults { directory_syncs_before_error, ..Faults::default() });
        let (tx, rx) = std::sync::mpsc::channel();
        let tx = Mutex::new(tx);
        let told = Arc::new(move |reason: &str| tx.lock().send(reason.to_owned()).unwrap());
        let directory = Path::new(DIRECTORY).to_owned();
        let (disk, drive) = (Arc::new(disk), Drive::Thread);
        let supply =
            Supply::start(disk, directory, SEGMENT_BYTES, Duration::ZERO, drive, told).unwrap();
        if syncs > 0 {
            supply.take().unwrap();
            supply.remove(1).unwrap();
        }
        let reason = rx.recv().unwrap();
        assert!(
            reason.contains("cannot sync /journal") && reason.contains("os error 5"),
            "{reason}"
        );
        supply.taken();
        assert!(supply.take().is_err(), "nobody waits for a spare that never comes");
    }
}
