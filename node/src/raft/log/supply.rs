//! Files ahead of the writer and behind it: the next segment is zeroed and synced before it is
//! needed, old ones are removed, both on a thread of its own, so that neither stalls a batch.
//! Without the thread the caller does the work. It decides nothing.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::disk::{Disk, File};
use super::segment::{Header, SPARE_NAME, file_name};
use super::{Drive, OnFatal};

/// Zeros written between two syncs: small, so that the journal's own sync never waits behind a
/// whole segment.
const ZERO_BYTES: usize = 1 << 20;

/// Pause behind each of them while nobody waits for the file: the disk is others' too, and a segment lasts longer than this takes
/// (64 MiB in under two seconds).
pub const PACE: Duration = Duration::from_millis(20);

/// Pause after a failure, a full disk for example, before it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub struct Supply {
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

struct Inner {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    segment_bytes: u64,
    pace: Duration,
    on_fatal: OnFatal,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    spare: Spare,
    /// The writer waits for it.
    hurried: bool,
    remove: VecDeque<u64>,
    closing: bool,
    /// The thread has given up: nothing is prepared or removed any more.
    failed: Option<String>,
}

/// Why a step failed.
enum Failure {
    /// A full disk, for example: it can be tried again.
    Passing(io::Error),
    /// A failed sync of the directory: a second one may succeed for nothing, and the names that the
    /// first one lost would be missing after a power failure.
    Fatal(io::Error),
}

/// What lies under the spare's name.
enum Spare {
    /// Nothing, or something half done.
    Wanted,
    Ready(Arc<dyn File>),
    /// The writer took the file and has not renamed it yet.
    Lent,
    Failed(io::Error),
}

/// What the thread does next.
enum Job {
    Prepare,
    Remove,
    Wait,
    Retry,
    Stop,
}

impl Supply {
    /// `on_fatal` is called on the thread when a sync failed there.
    pub fn start(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        segment_bytes: u64,
        pace: Duration,
        drive: Drive,
        on_fatal: OnFatal,
    ) -> io::Result<Supply> {
        let inner = Arc::new(Inner {
            disk,
            directory,
            segment_bytes,
            pace,
            on_fatal,
            state: Mutex::new(State {
                spare: Spare::Wanted,
                hurried: false,
                remove: VecDeque::new(),
                closing: false,
                failed: None,
            }),
            changed: Condvar::new(),
        });
        let thread = match drive {
            Drive::Thread => {
                let inner = Arc::clone(&inner);
                let builder = std::thread::Builder::new().name("journal-files".into());
                Some(builder.spawn(move || inner.run())?)
            }
            Drive::Inline | Drive::Manual | Drive::Task => None,
        };
        Ok(Supply { inner, thread })
    }

    /// The spare segment: zeroed, synced and still under the spare's name. Waits when it is not
    /// ready, fails when it cannot be made.
    pub fn take(&self) -> io::Result<Arc<dyn File>> {
        if self.thread.is_none() {
            return prepare(&*self.inner.disk, &self.inner.directory, self.inner.segment_bytes);
        }
        let mut state = self.inner.state.lock();
        if matches!(state.spare, Spare::Failed(_)) {
            // What failed before may work by now, for example since space was freed.
            state.spare = Spare::Wanted;
            self.inner.changed.notify_all();
        }
        loop {
            if let Some(reason) = &state.failed {
                return Err(io::Error::other(reason.clone()));
            }
            match std::mem::replace(&mut state.spare, Spare::Lent) {
                Spare::Ready(file) => return Ok(file),
                Spare::Failed(error) => return Err(error),
                Spare::Lent => return Err(io::Error::other("the spare segment was taken twice")),
                Spare::Wanted => state.spare = Spare::Wanted,
            }
            state.hurried = true;
            self.inner.changed.notify_all();
            self.inner.changed.wait(&mut state);
        }
    }

    /// The spare has its segment's name: the next one may be prepared.
    pub fn taken(&self) {
        self.inner.state.lock().spare = Spare::Wanted;
        self.inner.changed.notify_all();
    }

    /// Removes a segment file, oldest first as called. A failed removal is tried again; until then
    /// the file does no harm. A failed sync is an error, or goes to `on_fatal`.
    pub fn remove(&self, number: u64) -> io::Result<()> {
        self.inner.state.lock().remove.push_back(number);
        if self.thread.is_some() {
            self.inner.changed.notify_all();
            return Ok(());
        }
        loop {
            match self.inner.remove_one() {
                Ok(true) => {}
                Ok(false) | Err(Failure::Passing(_)) => return Ok(()),
                Err(Failure::Fatal(error)) => return Err(error),
            }
        }
    }

    /// Stops the thread; what is left to remove is found again at the next start.
    pub fn stop(&mut self) {
        self.inner.state.lock().closing = true;
        self.inner.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's file thread panicked");
        }
    }
}

impl Inner {
    fn run(&self) {
        let mut removal_failed = false;
        loop {
            let done = match self.next_job(removal_failed) {
                Job::Prepare => self.prepare_spare(),
                Job::Remove => {
                    let removed = self.remove_one();
                    removal_failed = removed.is_err();
                    removed.map(|_| ())
                }
                Job::Retry => {
                    removal_failed = false;
                    Ok(())
                }
                Job::Wait => Ok(()),
                Job::Stop => return,
            };
            if let Err(Failure::Fatal(error)) = done {
                return self.give_up(&error);
            }
        }
    }

    fn give_up(&self, error: &io::Error) {
        let reason = format!("journal cannot sync {}: {error}", self.directory.display());
        self.state.lock().failed = Some(reason.clone());
        self.changed.notify_all();
        (self.on_fatal)(&reason);
    }

    /// Waits when there is nothing to do, so the answer may be to look again.
    fn next_job(&self, removal_failed: bool) -> Job {
        let mut state = self.state.lock();
        if state.closing {
            return Job::Stop;
        }
        if matches!(state.spare, Spare::Wanted) {
            return Job::Prepare;
        }
        if !state.remove.is_empty() && !removal_failed {
            return Job::Remove;
        }
        if !removal_failed && !matches!(state.spare, Spare::Failed(_)) {
            self.changed.wait(&mut state);
            return Job::Wait;
        }
        if self.changed.wait_for(&mut state, RETRY_AFTER).timed_out() {
            if matches!(state.spare, Spare::Failed(_)) {
                state.spare = Spare::Wanted;
            }
            return Job::Retry;
        }
        Job::Wait
    }

    fn prepare_spare(&self) -> Result<(), Failure> {
        let pause = || self.pause();
        let file = prepare_file(&*self.disk, &self.directory, self.segment_bytes, pause);
        let prepared = match file.map(|file| self.sync_directory().map(|()| file)) {
            Ok(Err(Failure::Fatal(error))) => return Err(Failure::Fatal(error)),
            Ok(Err(Failure::Passing(error))) | Err(error) => Err(error),
            Ok(Ok(file)) => Ok(file),
        };
        if let Err(error) = &prepared {
            let directory = self.directory.display();
            tracing::warn!(
                %error, %directory,
                "cannot prepare the next journal segment; free space before this one is full"
            );
        }
        let mut state = self.state.lock();
        state.spare = prepared.map_or_else(Spare::Failed, Spare::Ready);
        state.hurried = false;
        self.changed.notify_all();
        Ok(())
    }

    fn pause(&self) {
        let mut state = self.state.lock();
        let until = Instant::now() + self.pace;
        while !state.hurried && !state.closing {
            if self.changed.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }

    /// Removes the first waiting file durably, before the next may go: a gap between segments reads
    /// as damage. Says whether there was one.
    fn remove_one(&self) -> Result<bool, Failure> {
        let Some(number) = self.state.lock().remove.front().copied() else {
            return Ok(false);
        };
        let removed = match self.disk.remove(&self.directory.join(file_name(number))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::Passing(error)),
            Ok(()) | Err(_) => self.sync_directory(),
        };
        if let Err(Failure::Passing(error)) = &removed {
            tracing::warn!(
                %error, segment = number,
                "cannot remove an old journal segment; it is tried again"
            );
        }
        removed?;
        self.state.lock().remove.pop_front();
        Ok(true)
    }

    /// A directory that is gone was not synced, but nothing was lost by a sync either.
    fn sync_directory(&self) -> Result<(), Failure> {
        self.disk.sync_directory(&self.directory).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::Passing(error),
            _ => Failure::Fatal(error),
        })
    }
}

/// A file of zeros under the spare's name, durable.
pub fn prepare(disk: &dyn Disk, directory: &Path, segment_bytes: u64) -> io::Result<Arc<dyn File>> {
    let file = prepare_file(disk, directory, segment_bytes, || ())?;
    disk.sync_directory(directory)?;
    Ok(file)
}

/// All but its name is durable. After a failure it is made anew, so that every byte is written again
/// before the next sync is believed.
fn prepare_file(
    disk: &dyn Disk,
    directory: &Path,
    segment_bytes: u64,
    pause: impl Fn(),
) -> io::Result<Arc<dyn File>> {
    let file = disk.create(&directory.join(SPARE_NAME))?;
    file.allocate(segment_bytes)?;
    let zeros = vec![0; ZERO_BYTES.min(segment_bytes as usize)];
    let mut at = 0;
    while at < segment_bytes {
        let len = (segment_bytes - at).min(zeros.len() as u64);
        file.write_at(&zeros[..len as usize], at)?;
        file.sync()?;
        at += len;
        pause();
    }
    Ok(file)
}

/// Turns the spare into the segment of the header. A file under a segment's name has a synced
/// header, so a bad one is damage.
pub fn publish(
    disk: &dyn Disk,
    directory: &Path,
    spare: &dyn File,
    header: &Header,
) -> io::Result<()> {
    spare.write_at(&header.encode(), 0)?;
    spare.sync()?;
    disk.rename(&directory.join(SPARE_NAME), &directory.join(file_name(header.number)))?;
    disk.sync_directory(directory)
}
