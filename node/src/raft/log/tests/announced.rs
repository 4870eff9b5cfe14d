//! The writer's wait for entries that were announced, so that one sync serves them all.

use std::collections::BTreeMap;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::super::index::Index;
use super::super::queue::{Change, Queued, Shared, Wake};
use super::*;

/// Never comes in a test.
const FOREVER: Duration = Duration::from_secs(3600);

fn shared(announced_wait_max: Duration) -> Arc<Shared> {
    let mut shared = Shared::new(Index::new(0), BTreeMap::new());
    shared.announced_wait_max = announced_wait_max;
    Arc::new(shared)
}

fn push(shared: &Shared, change: Change) {
    let mut state = shared.lock();
    state.push(Queued::new(change, must()));
    shared.wake_writer(&state);
}

fn push_entries(shared: &Shared, group: u16, count: u64) {
    push(shared, Change::Entries { group, entries: entries(1, 0..count, 8), ticket: 0 });
}

/// How many changes the writer takes at once.
fn writer(shared: &Arc<Shared>) -> JoinHandle<usize> {
    let shared = Arc::clone(shared);
    thread::spawn(move || match shared.wait_for_work(None) {
        Wake::Work(drained) | Wake::Close(drained) => drained.changes.len(),
        Wake::Idle => 0,
    })
}

#[test]
fn all_that_was_announced_is_taken_at_once() {
    let shared = shared(FOREVER);
    shared.announce(3);
    let writer = writer(&shared);
    for group in 1..=3 {
        push_entries(&shared, group, 1);
    }
    assert_eq!(writer.join().unwrap(), 3);
}

#[test]
fn two_entries_of_one_change_are_both_there() {
    let shared = shared(FOREVER);
    shared.announce(3);
    let writer = writer(&shared);
    push_entries(&shared, 1, 2);
    push_entries(&shared, 2, 1);
    assert_eq!(writer.join().unwrap(), 2);
}

#[test]
fn what_is_no_entry_was_not_announced() {
    let shared = shared(FOREVER);
    shared.announce(1);
    let writer = writer(&shared);
    push(&shared, Change::Vote { group: 1, vote: Bytes::from_static(b"vote") });
    push(&shared, Change::Nothing);
    push_entries(&shared, 2, 1);
    assert_eq!(writer.join().unwrap(), 3);
}

#[test]
fn what_never_comes_is_not_waited_for_twice() {
    let shared = shared(Duration::ZERO);
    shared.announce(2);
    push_entries(&shared, 1, 1);
    assert_eq!(writer(&shared).join().unwrap(), 1);
    let mut patient = Arc::into_inner(shared).unwrap();
    patient.announced_wait_max = FOREVER;
    push_entries(&patient, 1, 1);
    assert_eq!(writer(&Arc::new(patient)).join().unwrap(), 1);
}

#[test]
fn the_end_is_not_held_up() {
    let shared = shared(FOREVER);
    shared.announce(2);
    push_entries(&shared, 1, 1);
    let writer = writer(&shared);
    shared.start_closing();
    assert_eq!(writer.join().unwrap(), 1);
}
