//! Who runs the writer: a thread, whoever calls, or a task. What is written is not decided here.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::Drive;
use super::queue::{Shared, State, Wake};
use super::writer::{Finish, Writer};
use crate::place::Latency;

/// Nothing for this long, and the last batch gets a mark of its own.
const IDLE_MARK_AFTER: Duration = Duration::from_millis(100);

pub enum Driver {
    Thread(JoinHandle<()>),
    Caller { drive: Drive, writer: Arc<Mutex<Writer>> },
    Task { writer: Arc<Mutex<Writer>>, work: Arc<Notify>, task: AbortHandle },
}

impl Driver {
    pub fn start(
        writer: Writer,
        shared: Arc<Shared>,
        drive: Drive,
        latency: Latency,
    ) -> io::Result<Driver> {
        match drive {
            Drive::Thread => {
                let builder = std::thread::Builder::new().name("journal".into());
                Ok(Driver::Thread(builder.spawn(move || run(writer, &shared))?))
            }
            Drive::Inline | Drive::Manual => {
                Ok(Driver::Caller { drive, writer: Arc::new(Mutex::new(writer)) })
            }
            Drive::Task => {
                let (writer, work) = (Arc::new(Mutex::new(writer)), Arc::new(Notify::new()));
                let task = tokio::spawn(run_task(writer.clone(), work.clone(), latency));
                Ok(Driver::Task { writer, work, task: task.abort_handle() })
            }
        }
    }

    /// Writes everything queued, where the caller is the one to do so.
    pub fn turn(&self) {
        if let Driver::Caller { writer, .. } | Driver::Task { writer, .. } = self {
            turn(writer);
        }
    }

    /// What a thread does after a while of nothing.
    pub fn idle(&self) {
        if let Driver::Caller { writer, .. } = self {
            with(writer, |writer, finish| writer.idle(finish));
        }
    }

    /// A full queue is waited for, but where there is no thread to empty it.
    pub fn make_room(&self, shared: &Shared) {
        match self {
            Driver::Thread(_) => {}
            Driver::Caller { .. } | Driver::Task { .. } => {
                if shared.is_full() {
                    self.turn();
                }
            }
        }
    }

    /// Something was queued; the queue is still locked.
    pub fn wake(&self, shared: &Shared, state: &State) {
        match self {
            Driver::Thread(_) => shared.wake_writer(state),
            Driver::Task { work, .. } => work.notify_one(),
            Driver::Caller { .. } => {}
        }
    }

    /// Something was queued, and the queue is free again.
    pub fn submitted(&self) {
        if let Driver::Caller { drive: Drive::Inline, .. } = self {
            self.turn();
        }
    }

    /// Writes the rest and ends. Whoever shares the queue has said that it is closing.
    pub fn close(self, shared: &Shared) {
        match self {
            Driver::Caller { writer, .. } => close(&writer),
            Driver::Task { writer, task, .. } => {
                task.abort();
                close(&writer);
            }
            // The last owner may be a completion on the journal's own thread, which ends by itself.
            Driver::Thread(thread) => {
                if !shared.is_writer_thread() && thread.join().is_err() {
                    tracing::error!("the journal's thread panicked");
                }
            }
        }
    }
}

fn run(mut writer: Writer, shared: &Shared) {
    shared.this_thread_writes();
    let finish: Finish<'_> = &mut |done, result| done(result);
    loop {
        let idle_after = writer.wants_mark().then_some(IDLE_MARK_AFTER);
        match shared.wait_for_work(idle_after) {
            Wake::Work(drained) => writer.turn(drained, finish),
            Wake::Idle => writer.idle(finish),
            Wake::Close(drained) => return writer.close(drained, finish),
        }
    }
}

async fn run_task(writer: Arc<Mutex<Writer>>, work: Arc<Notify>, latency: Latency) {
    loop {
        if !writer.lock().wants_mark() {
            work.notified().await;
        } else if timeout(IDLE_MARK_AFTER, work.notified()).await.is_err() {
            with(&writer, |writer, finish| writer.idle(finish));
            continue;
        }
        tokio::time::sleep(latency()).await;
        turn(&writer);
    }
}

fn turn(writer: &Mutex<Writer>) {
    with(writer, |writer, finish| {
        let drained = writer.drain();
        writer.turn(drained, finish);
    });
}

fn close(writer: &Mutex<Writer>) {
    with(writer, |writer, finish| {
        let drained = writer.drain();
        writer.close(drained, finish);
    });
}

/// Runs the writer on this stack, and the completions after its lock is free, so that they may
/// call the journal.
fn with(writer: &Mutex<Writer>, run: impl FnOnce(&mut Writer, Finish<'_>)) {
    let mut finished = Vec::new();
    run(&mut writer.lock(), &mut |done, result| finished.push((done, result)));
    for (done, result) in finished {
        done(result);
    }
}
