//! The one thread that applies entries and writes rows, for all groups: fjall may put a writer to sleep, and a slow disk must
//! never hold up heartbeats. What waits is drained into one batch; answers go out after it is written, never before.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use fjall::{Database, OwnedWriteBatch};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use vaultaire_proto::GroupId;

use super::meta::{META_KEY, Meta};
use super::overlay::{Overlay, Write};
use super::stop_process;
use super::table::Table;

/// How many groups may wait: each has at most one piece of work here at a time, and there are at most 65 groups.
const QUEUE_MAX: usize = 128;

/// How many groups' work one batch takes: beyond it the first would wait for the last.
const WORK_PER_BATCH_MAX: usize = 16;

/// Reads and writes one group's rows; runs on the writing thread.
pub type Work = Box<dyn FnOnce(&mut Overlay<'_>) -> Outcome + Send>;

/// What a piece of work leads to.
pub struct Outcome {
    /// Written in the same batch as the rows.
    pub meta: Meta,
    /// Called once the rows are written and readers can see them.
    pub then: Box<dyn FnOnce() + Send>,
}

/// One group's turn.
pub struct Job {
    pub table: Arc<Table>,
    pub work: Work,
    pub done: oneshot::Sender<()>,
}

pub enum Queued {
    Job(Job),
    Stop,
}

/// The thread, and the way to it.
pub struct Writer {
    queue: mpsc::Sender<Queued>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub fn start(database: Database) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let thread =
            thread::Builder::new().name("tables".to_owned()).spawn(move || run(&database, jobs))?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    pub fn queue(&self) -> mpsc::Sender<Queued> {
        self.queue.clone()
    }

    /// Finishes what was queued before and ends the thread. Blocks.
    pub fn stop(&self) {
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        // A closed queue means that the thread has ended already.
        let _ = self.queue.blocking_send(Queued::Stop);
        if thread.join().is_err() {
            tracing::error!("the writing thread of the tables had panicked");
        }
    }
}

/// A panic in `apply` is a bug in this release, and every replica has it: stopping is better than applying something else.
struct StopOnPanic;

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            stop_process("apply an entry", &"the state machine panicked");
        }
    }
}

fn run(database: &Database, mut jobs: mpsc::Receiver<Queued>) {
    let _guard = StopOnPanic;
    let mut held = None;
    while let Some(queued) = held.take().or_else(|| jobs.blocking_recv()) {
        let Queued::Job(job) = queued else {
            return;
        };
        let mut batch = Batch::new(database);
        batch.add(job);
        while batch.has_room() {
            match jobs.try_recv() {
                Ok(Queued::Job(job)) if !batch.groups.contains(&job.table.group()) => {
                    batch.add(job)
                }
                Ok(queued) => {
                    held = Some(queued);
                    break;
                }
                Err(_) => break,
            }
        }
        batch.commit();
    }
}

/// Several groups' work on its way to the disk.
struct Batch<'a> {
    database: &'a Database,
    rows: OwnedWriteBatch,
    groups: BTreeSet<GroupId>,
    finished: Vec<(Arc<Table>, Outcome, oneshot::Sender<()>)>,
}

impl<'a> Batch<'a> {
    fn new(database: &'a Database) -> Self {
        let rows = database.batch();
        Self { database, rows, groups: BTreeSet::new(), finished: Vec::new() }
    }

    fn has_room(&self) -> bool {
        self.finished.len() < WORK_PER_BATCH_MAX
    }

    /// Only this thread writes, so a view taken now is the newest state for as long as the work runs.
    fn add(&mut self, job: Job) {
        let Job { table, work, done } = job;
        let view = table.view_in(self.database);
        let mut overlay = Overlay::new(&view);
        let outcome = work(&mut overlay);
        let keyspace = table.keyspace();
        for (key, value) in overlay.into_writes() {
            put(&mut self.rows, &keyspace, (key, value));
        }
        self.rows.insert(&keyspace, META_KEY, outcome.meta.encode());
        self.groups.insert(table.group());
        self.finished.push((table, outcome, done));
    }

    fn commit(self) {
        if let Err(error) = self.rows.commit() {
            stop_process("write applied rows", &error);
        }
        for (table, outcome, done) in self.finished {
            table.publish(outcome.meta.applied);
            (outcome.then)();
            // Nobody waits any more when Raft is being stopped; the rows are written all the same.
            let _ = done.send(());
        }
    }
}

fn put(rows: &mut OwnedWriteBatch, keyspace: &fjall::Keyspace, (key, value): Write) {
    assert!(key.as_slice() > META_KEY, "a row of the state machine starts with a letter");
    let key = Bytes::from(key);
    match value {
        Some(value) => rows.insert(keyspace, key, value),
        None => rows.remove(keyspace, key),
    }
}
