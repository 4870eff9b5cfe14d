//! All events of a log, small enough to be sorted in memory, and the table that they become.

use std::fmt::Write as _;
use std::io::Write;
use std::num::NonZeroU64;

use crate::error::Error;
use crate::logs::Operation;
use crate::logs::csv::HEADER;
use crate::traces::classes::Workload;
use crate::traces::draft::{Draft, Life};
use crate::traces::prefixes::Prefix;
use crate::traces::{ClassSummary, Progress};

/// How often progress is told.
const PROGRESS_LINES: u64 = 65_536;

/// One line of the log: 32 bytes of memory.
#[derive(Clone, Copy)]
struct Event {
    /// Since the log's start.
    at_s: u32,
    object: u32,
    /// None: the line does not tell.
    size_bytes: Option<NonZeroU64>,
    /// None: all.
    sent_bytes: Option<NonZeroU64>,
    operation: Operation,
}

const _: () = assert!(size_of::<Event>() <= 32, "ten million of them have to fit into memory");

impl Event {
    /// Of one second, the order is that of the objects; of one object, a PUT is first and a DELETE last. What is left can only
    /// be reads of one version, which differ in what was sent.
    fn order(&self) -> (u32, u32, u8, Option<NonZeroU64>) {
        let operation = match self.operation {
            Operation::Put | Operation::Seen => 0,
            Operation::Get => 1,
            Operation::Delete => 2,
        };
        (self.at_s, self.object, operation, self.sent_bytes)
    }
}

/// An object of the log: its prefix, and what its key is made from.
#[derive(Clone, Copy)]
struct Object {
    prefix: u32,
    name: u64,
}

/// Everything that the log will say.
#[derive(Default)]
pub struct Events {
    prefixes: Vec<(Prefix, Box<dyn Workload>)>,
    objects: Vec<Object>,
    events: Vec<Event>,
    /// By prefix.
    counted: Vec<ClassSummary>,
}

impl Events {
    /// Adds what the log says about a prefix: nothing about what was before its start.
    pub fn add(&mut self, prefix: Prefix, workload: Box<dyn Workload>, draft: &Draft) {
        let length_s = draft.calendar.length_s();
        let mut counted = ClassSummary::default();
        // Largest sizes of those objects that are in the log.
        let mut largest = vec![0_u64; draft.names.len()];
        let mut has_lines = vec![false; draft.names.len()];
        for read in &draft.reads {
            has_lines[draft.lives[read.life as usize].object as usize] = true;
        }
        let first = u32::try_from(self.objects.len()).expect("`OBJECTS_MAX` is far from 2^32");
        let object = |life: &Life| first + life.object;
        for life in &draft.lives {
            let mut tell = |at_s: i64, operation, size_bytes| {
                let at_s = at_s as u32;
                largest[life.object as usize] = largest[life.object as usize].max(life.size_bytes);
                self.events.push(Event {
                    at_s,
                    object: object(life),
                    size_bytes,
                    sent_bytes: None,
                    operation,
                });
            };
            let size_bytes = NonZeroU64::new(life.size_bytes);
            if (0..length_s).contains(&life.born_s) {
                tell(life.born_s, Operation::Put, size_bytes);
                counted.puts += 1;
                has_lines[life.object as usize] = true;
            }
            if life.is_deleted && life.end_s < length_s && life.end_s >= 0 {
                // A log knows the size of what it never saw otherwise from an inventory.
                let size_bytes = size_bytes.filter(|_| !has_lines[life.object as usize]);
                tell(life.end_s, Operation::Delete, size_bytes);
                counted.deletes += 1;
            }
        }
        for read in &draft.reads {
            let life = &draft.lives[read.life as usize];
            largest[life.object as usize] = largest[life.object as usize].max(life.size_bytes);
            self.events.push(Event {
                at_s: read.at_s as u32,
                object: object(life),
                size_bytes: NonZeroU64::new(life.size_bytes),
                sent_bytes: read.sent_bytes,
                operation: Operation::Get,
            });
        }
        counted.gets = draft.reads.len() as u64;
        counted.events = counted.puts + counted.gets + counted.deletes;
        counted.objects = largest.iter().filter(|bytes| **bytes > 0).count() as u64;
        counted.bytes = largest.iter().sum();
        let place = self.prefixes.len() as u32;
        self.objects.extend(draft.names.iter().map(|name| Object { prefix: place, name: *name }));
        self.prefixes.push((prefix, workload));
        self.counted.push(counted);
    }

    /// Writes all of it as a table, and tells what it is by prefixes.
    pub fn write(
        mut self,
        start_s: u64,
        out: impl Write,
        mut progress: impl FnMut(Progress),
    ) -> Result<Vec<ClassSummary>, Error> {
        self.events.sort_unstable_by_key(Event::order);
        let of = self.events.len() as u64;
        let mut table = csv::Writer::from_writer(out);
        table.write_record(HEADER.split(',')).map_err(unwritten)?;
        let (mut key, mut numbers) = (String::new(), [String::new(), String::new(), String::new()]);
        for (done, event) in (0_u64..).zip(&self.events) {
            if done.is_multiple_of(PROGRESS_LINES) {
                progress(Progress::Lines { done, of });
            }
            let object = self.objects[event.object as usize];
            let (prefix, workload) = &self.prefixes[object.prefix as usize];
            key.clear();
            // Writing into a string does not fail.
            let _ = write!(key, "{}-{}/", prefix.class.prefix(), prefix.number);
            workload.key(object.name, &mut key);
            let size_bytes = event.size_bytes.map(NonZeroU64::get);
            let sent_bytes = event.sent_bytes.map(NonZeroU64::get);
            let told = [Some(start_s + u64::from(event.at_s)), size_bytes, sent_bytes];
            for (text, number) in numbers.iter_mut().zip(told) {
                text.clear();
                if let Some(number) = number {
                    let _ = write!(text, "{number}");
                }
            }
            let [at, size, sent] = &numbers;
            let bucket = prefix.class.name();
            let line = [at.as_str(), bucket, &key, event.operation.name(), size, sent];
            table.write_record(line).map_err(unwritten)?;
        }
        table.flush().map_err(|source| Error::Unwritten { source })?;
        progress(Progress::Lines { done: of, of });
        Ok(self.counted)
    }
}

fn unwritten(error: csv::Error) -> Error {
    Error::Unwritten { source: error.into() }
}
