//! The one who applies entries and writes rows, for all groups: a thread, since fjall may put a writer to sleep and a slow disk
//! must never hold up heartbeats; in simulations a task. What waits is drained into one batch; answers go out after it is written,
//! never before.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use vaultaire_proto::GroupId;
use vaultaire_proto::planted::{self, Planted};
use vaultaire_proto::steps::{self, Step};

use super::engine::{Change, Engine};
use super::meta::{META_KEY, Meta};
use super::overlay::Overlay;
use super::recent::Remembering;
use super::stop_process;
use super::table::Table;
use crate::place::{Latency, Place};

/// How many groups may wait: each has at most one piece of work here at a time, and there are at most 65 groups.
const QUEUE_MAX: usize = 128;

/// How many groups' work one batch takes: beyond it the first would wait for the last.
const WORK_PER_BATCH_MAX: usize = 16;

/// Reads and writes one group's rows; run by the one who writes.
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

/// Who writes, and the way there.
pub struct Writer {
    queue: mpsc::Sender<Queued>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub fn start(engine: Arc<dyn Engine>, place: &Place) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let thread = match place {
            Place::Threads => {
                let builder = thread::Builder::new().name("tables".to_owned());
                Some(builder.spawn(move || run(&*engine, jobs))?)
            }
            Place::Here(latency) => {
                tokio::spawn(run_here(engine, jobs, Arc::clone(latency)));
                None
            }
        };
        Ok(Self { queue, thread: Mutex::new(thread) })
    }

    pub fn queue(&self) -> mpsc::Sender<Queued> {
        self.queue.clone()
    }

    /// Finishes what was queued before and ends the thread. Blocks. A task ends when it comes to that.
    pub fn stop(&self) {
        let Some(thread) = self.thread.lock().take() else {
            let _ = self.queue.try_send(Queued::Stop);
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

fn run(engine: &dyn Engine, mut jobs: mpsc::Receiver<Queued>) {
    let _guard = StopOnPanic;
    let mut held = None;
    while let Some(queued) = held.take().or_else(|| jobs.blocking_recv()) {
        let Queued::Job(job) = queued else {
            return;
        };
        held = turn(engine, job, &mut jobs);
    }
}

/// A panic here ends the task, and with it every group of the node: the simulation sees them end.
async fn run_here(engine: Arc<dyn Engine>, mut jobs: mpsc::Receiver<Queued>, latency: Latency) {
    let mut held = None;
    loop {
        let queued = match held.take() {
            Some(queued) => Some(queued),
            None => jobs.recv().await,
        };
        let Some(Queued::Job(job)) = queued else {
            return;
        };
        tokio::time::sleep(latency()).await;
        held = turn(&*engine, job, &mut jobs);
    }
}

/// One batch: a job, and those that wait with it. Answers what comes after them.
fn turn(engine: &dyn Engine, first: Job, jobs: &mut mpsc::Receiver<Queued>) -> Option<Queued> {
    let mut batch = Batch::default();
    batch.add(first);
    while batch.has_room() {
        match jobs.try_recv() {
            Ok(Queued::Job(job)) if !batch.groups.contains(&job.table.group()) => batch.add(job),
            Ok(queued) => {
                batch.commit(engine);
                return Some(queued);
            }
            Err(_) => break,
        }
    }
    batch.commit(engine);
    None
}

fn write(engine: &dyn Engine, batch: Vec<Change>) {
    if !planted::is(Planted::ApplyTorn) {
        return engine.write(batch);
    }
    for (group, mut writes) in batch {
        let meta = writes.split_off(writes.len() - 1);
        engine.write(vec![(group, meta)]);
        engine.write(vec![(group, writes)]);
    }
}

/// Several groups' work on its way to the disk.
#[derive(Default)]
struct Batch {
    rows: Vec<Change>,
    groups: BTreeSet<GroupId>,
    finished: Vec<(Arc<Table>, Outcome, oneshot::Sender<()>)>,
}

impl Batch {
    fn has_room(&self) -> bool {
        self.finished.len() < WORK_PER_BATCH_MAX
    }

    /// Nobody else writes, so a view taken now is the newest state for as long as the work runs.
    fn add(&mut self, job: Job) {
        let Job { table, work, done } = job;
        let view = table.view();
        let mut recent = table.recent.lock();
        let base = Remembering::new(&view, &mut recent);
        let mut overlay = Overlay::new(&base);
        let outcome = work(&mut overlay);
        let mut writes: Vec<_> = overlay.into_writes().collect();
        let ours = writes.first().is_none_or(|(key, _)| key.as_slice() > META_KEY);
        assert!(ours, "a row of the state machine starts with a letter");
        recent.wrote(&writes);
        drop(recent);
        writes.push((META_KEY.to_vec(), Some(Bytes::from(outcome.meta.encode()))));
        self.rows.push((table.group(), writes));
        self.groups.insert(table.group());
        self.finished.push((table, outcome, done));
    }

    fn commit(self, engine: &dyn Engine) {
        write(engine, self.rows);
        steps::reach(Step::RowsWritten);
        for (table, outcome, done) in self.finished {
            table.publish(outcome.meta.applied);
            (outcome.then)();
            steps::reach(Step::Answered);
            // Nobody waits any more when Raft is being stopped; the rows are written all the same.
            let _ = done.send(());
        }
    }
}
