//! The journal's own threads and real files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::mpsc;
use std::time::Duration;

use super::super::disk::Real;
use super::super::disk::simulated::Faults;
use super::super::supply::Supply;
use super::*;

const SEGMENT_BYTES: u64 = 256 << 10;

fn open_real(directory: &Path) -> Result<(Journal, Report), Error> {
    let options = options(Drive::Thread, SEGMENT_BYTES, &Outcomes::default());
    Journal::open(Arc::new(Real), directory, options)
}

fn append_and_wait(journal: &Journal, group: u16, entries: Vec<Entry>) {
    let (tx, rx) = mpsc::channel();
    journal.append(group, entries, Box::new(move |result| tx.send(result).unwrap()));
    rx.recv().unwrap().unwrap();
}

fn vote_and_wait(journal: &Journal, group: u16) {
    let (tx, rx) = mpsc::channel();
    let done = Box::new(move |result| tx.send(result).unwrap());
    journal.save_vote(group, Bytes::from_static(b"vote"), done);
    rx.recv().unwrap().unwrap();
}

/// With a pace at which it would not be over today.
#[test]
fn a_writer_that_waits_for_the_next_segment_and_a_stop_are_not_held_up_by_the_pace() {
    const PACE: Duration = Duration::from_secs(24 * 60 * 60);
    let begin = || {
        let told = Arc::new(|reason: &str| panic!("{reason}"));
        let (disk, directory) = (Arc::new(Simulated::new(1)), Path::new(DIRECTORY).to_owned());
        Supply::start(disk, directory, 8 << 20, PACE, Drive::Thread, told).unwrap()
    };
    begin().stop();
    let mut supply = begin();
    for _ in 0..2 {
        supply.take().unwrap();
        supply.taken();
    }
    supply.stop();
}

#[test]
fn concurrent_groups_share_syncs_and_all_comes_back() {
    const GROUPS: u16 = 16;
    const CALLS: u64 = 40;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/journal");
    let (journal, report) = open_real(&path).unwrap();
    assert!(report.created);
    std::thread::scope(|scope| {
        for group in 0..GROUPS {
            let journal = &journal;
            scope.spawn(move || {
                for index in 0..CALLS {
                    append_and_wait(journal, group, entries(1, index..index + 1, 1000));
                    assert_eq!(
                        journal.read(group, index..index + 1, 1).unwrap(),
                        entries(1, index..index + 1, 1000)
                    );
                }
            });
        }
    });
    let stats = journal.stats();
    assert_eq!(stats.records, u64::from(GROUPS) * CALLS);
    assert!(stats.segments > 2 && stats.bytes > stats.records * 1000, "{stats:?}");
    assert!(stats.syncs < stats.records, "calls do not share syncs: {stats:?}");
    journal.close();
    let (journal, report) = open_real(&path).unwrap();
    assert!(report.clean && report.cut.is_none(), "{report:?}");
    for group in 0..GROUPS {
        assert_eq!(all(&journal, group), entries(1, 0..CALLS, 1000));
    }
    for group in 0..GROUPS {
        journal.purge(group, at(1, CALLS - 1), must());
    }
    // Nothing is live any more, and votes add nothing live. Segments are let go after the completions of
    // a batch, so a call comes after that of the one before; and a segment may begin with one of
    // them, but not with two.
    let is_alone = (0..3).any(|_| {
        vote_and_wait(&journal, 0);
        journal.stats().segments == 1
    });
    assert!(is_alone, "{:?}", journal.stats());
}

#[test]
fn calls_that_wait_together_share_one_sync() {
    let disk = Simulated::new(1);
    let (journal, _) = open(&disk, Drive::Manual, SEGMENT_BYTES).unwrap();
    let outcomes = Outcomes::default();
    for group in 0..50 {
        journal.append(group, entries(1, 0..1, 100), outcomes.completion(usize::from(group)));
    }
    assert!(outcomes.done.lock().is_empty(), "nothing is acknowledged before the sync");
    assert_eq!(all(&journal, 49), entries(1, 0..1, 100), "but all can be read");
    journal.turn();
    assert_eq!(journal.stats().syncs, 1);
    assert_eq!(*outcomes.done.lock(), (0..50).map(|id| (id, true)).collect::<Vec<_>>());
}

#[test]
fn one_journal_per_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open_real(directory.path()).unwrap();
    let error = open_real(directory.path()).err().unwrap().to_string();
    assert!(error.contains("another process has this journal open"), "{error}");
    journal.close();
    open_real(directory.path()).unwrap();
}

#[test]
fn dropping_writes_what_is_queued_and_closes() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open_real(directory.path()).unwrap();
    for index in 0..100 {
        journal.append(0, entries(1, index..index + 1, 100), must());
    }
    journal.save_committed(0, Some(at(1, 98)));
    drop(journal);
    let (journal, report) = open_real(directory.path()).unwrap();
    assert!(report.clean);
    assert_eq!(all(&journal, 0), entries(1, 0..100, 100));
    assert_eq!(journal.state(0).committed, Some(at(1, 98)));
}

#[test]
fn a_completion_may_call_the_journal() {
    for drive in [Drive::Inline, Drive::Thread] {
        let disk = Simulated::new(1);
        let (journal, _) = open(&disk, drive, SEGMENT_BYTES).unwrap();
        let journal = Arc::new(journal);
        let (tx, rx) = mpsc::channel();
        let again = journal.clone();
        let first: Completion = Box::new(move |result| {
            result.unwrap();
            again.append(0, entries(1, 1..2, 10), Box::new(move |result| tx.send(result).unwrap()));
        });
        journal.append(0, entries(1, 0..1, 10), first);
        rx.recv().unwrap().unwrap();
        assert_eq!(all(&journal, 0), entries(1, 0..2, 10));
    }
}

#[test]
fn the_last_owner_may_be_a_completion() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open_real(directory.path()).unwrap();
    let journal = Arc::new(journal);
    let owner = journal.clone();
    let (tx, rx) = mpsc::channel::<()>();
    let (ended_tx, ended_rx) = mpsc::channel();
    let drop_last: Completion = Box::new(move |result| {
        rx.recv().unwrap();
        drop(owner);
        ended_tx.send(result).unwrap();
    });
    journal.append(0, entries(1, 0..1, 10), drop_last);
    drop(journal);
    tx.send(()).unwrap();
    ended_rx.recv().unwrap().unwrap();
    // The thread writes its last mark and gives the directory back when it is done.
    let began = std::time::Instant::now();
    let report = loop {
        match open_real(directory.path()) {
            Ok((_, report)) => break report,
            Err(error) => assert!(began.elapsed().as_secs() < 20, "still locked: {error}"),
        }
        std::thread::yield_now();
    };
    assert!(report.clean, "{report:?}");
}

#[test]
fn the_thread_marks_an_idle_journal() {
    let disk = Simulated::new(1);
    let (journal, _) = open(&disk, Drive::Thread, SEGMENT_BYTES).unwrap();
    append_and_wait(&journal, 0, entries(1, 0..1, 10));
    let began = std::time::Instant::now();
    // One sync for the batch, one for the mark.
    while journal.stats().syncs < 2 {
        assert!(began.elapsed().as_secs() < 20, "no idle mark: {:?}", journal.stats());
        std::thread::yield_now();
    }
    let batches = journal.stats().batches;
    assert_eq!(batches, 1, "a mark is no batch");
}

#[test]
fn a_failed_sync_on_the_thread_fails_every_waiting_call() {
    let disk = Simulated::new(1);
    let outcomes = Outcomes::default();
    let (journal, _) = open_with(&disk, options(Drive::Thread, SEGMENT_BYTES, &outcomes)).unwrap();
    append_and_wait(&journal, 0, entries(1, 0..1, 10));
    disk.set_faults(Faults { syncs_before_error: Some(0), ..Faults::default() });
    for index in 1..20 {
        journal.append(0, entries(1, index..index + 1, 10), outcomes.completion(index as usize));
    }
    drop(journal);
    assert_eq!(outcomes.fatal.lock().len(), 1);
    assert_eq!(outcomes.acknowledged(), 0);
    assert_eq!(outcomes.done.lock().len(), 19);
}

#[test]
fn the_cache_is_bounded_and_reads_go_to_the_disk() {
    let disk = Simulated::new(1);
    let small = Options {
        cache_bytes: 10_000,
        ..options(Drive::Inline, SEGMENT_BYTES, &Outcomes::default())
    };
    let (journal, _) = open_with(&disk, small).unwrap();
    for index in 0..100 {
        journal.append(index as u16 % 3, entries(1, index / 3..index / 3 + 1, 1000), must());
    }
    for group in 0..3 {
        let kept = all(&journal, group);
        assert_eq!(kept, entries(1, 0..kept.len() as u64, 1000));
    }
    // Reads of what was evicted fail when the disk does; what is cached needs no disk.
    disk.set_faults(Faults { reads_before_error: Some(0), ..Faults::default() });
    assert_eq!(journal.read(0, 33..34, 1).unwrap(), entries(1, 33..34, 1000));
    assert!(journal.read(0, 0..1, 1).is_err());
}
