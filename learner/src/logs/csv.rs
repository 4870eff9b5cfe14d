//! A log as a plain table: `timestamp,bucket,key,operation,size,bytes`, in seconds since 1970 and bytes. Lines that are none
//! are counted and skipped.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

use crate::error::Error;
use crate::logs::{Access, Log, Names, Operation, Told};

/// The columns, in this order.
pub const HEADER: &str = "timestamp,bucket,key,operation,size,bytes";

/// A year that no log reaches: what is later is no second since 1970, but a millisecond.
const TIME_MAX_S: u64 = 32_503_680_000;

/// An exabyte is more than any object has.
const SIZE_MAX: u64 = 1 << 60;

/// Some spreadsheets begin a file with it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// How much of a bad line is shown.
const SHOWN_CHARS: usize = 100;

/// Reads a whole file. `progress` hears how many bytes of it were read, now and then.
pub fn read(path: &Path, mut progress: impl FnMut(u64)) -> Result<Log, Error> {
    let shown = path.display().to_string();
    let failed = |source| Error::File { path: shown.clone(), source };
    let file = File::open(path).map_err(failed)?;
    // Keys may begin and end with blanks.
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
    let mut record = StringRecord::new();
    let is_there = read_line(&mut reader, &mut record).map_err(failed)?;
    if is_there == Line::End {
        return Err(Error::Empty { path: shown });
    }
    let columns = record.iter().map(|column| column.trim_start_matches(BYTE_ORDER_MARK).trim());
    if columns.ne(HEADER.split(',')) {
        let found = show(&record);
        return Err(Error::Header { path: shown, found, wanted: HEADER });
    }
    let mut reading = Reading::default();
    loop {
        match read_line(&mut reader, &mut record).map_err(failed)? {
            Line::End => break,
            Line::Text => {
                let line = record.position().map_or(0, csv::Position::line);
                reading.line(&record, line);
            }
            Line::Garbage => reading.garbage("it is not UTF-8".to_owned(), "it is no text"),
        }
        if reading.told.lines.is_multiple_of(PROGRESS_LINES) {
            progress(reader.position().byte());
        }
    }
    reading.finish(shown)
}

/// How often progress is told.
const PROGRESS_LINES: u64 = 65_536;

#[derive(PartialEq, Eq)]
enum Line {
    Text,
    Garbage,
    End,
}

fn read_line(
    reader: &mut csv::Reader<File>,
    record: &mut StringRecord,
) -> Result<Line, std::io::Error> {
    match reader.read_record(record) {
        Ok(true) => Ok(Line::Text),
        Ok(false) => Ok(Line::End),
        Err(error) => match error.into_kind() {
            csv::ErrorKind::Io(source) => Err(source),
            _ => Ok(Line::Garbage),
        },
    }
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    names: Names,
    buckets: HashMap<String, u32>,
    /// Of each bucket.
    objects: Vec<HashMap<String, u32>>,
    accesses: Vec<Access>,
    told: Told,
    last_s: u64,
    why: &'static str,
}

impl Reading {
    fn line(&mut self, record: &StringRecord, line: u64) {
        match self.access(record, line) {
            Ok(access) => {
                self.told.lines += 1;
                self.told.backwards += u64::from(access.at_s < self.last_s);
                self.last_s = access.at_s;
                self.accesses.push(access);
            }
            Err(why) => self.garbage(show(record), why),
        }
    }

    fn garbage(&mut self, text: String, why: &'static str) {
        self.told.lines += 1;
        self.told.garbage += 1;
        if self.told.first_garbage.is_none() {
            self.why = why;
            self.told.first_garbage = Some(text);
        }
    }

    fn access(&mut self, record: &StringRecord, line: u64) -> Result<Access, &'static str> {
        let [at, bucket, key, operation, size, bytes] = fields(record)?;
        let at_s: u64 =
            at.trim().parse().map_err(|_| "its time is no number of seconds since 1970")?;
        if at_s > TIME_MAX_S {
            return Err("its time is too late: seconds since 1970 are meant, not milliseconds");
        }
        let operation = match operation.trim() {
            "PUT" => Operation::Put,
            "GET" => Operation::Get,
            "DELETE" => Operation::Delete,
            _ => return Err("its operation is none of PUT, GET and DELETE"),
        };
        if bucket.is_empty() || key.is_empty() {
            return Err("it names no bucket or no key");
        }
        let size_bytes = number(size).map_err(|()| "its size is no number of bytes")?;
        let sent_bytes = number(bytes).map_err(|()| "its bytes are no number")?;
        let object = self.object(bucket, key);
        Ok(Access { at_s, object, operation, size_bytes, sent_bytes, line })
    }

    fn object(&mut self, bucket: &str, key: &str) -> u32 {
        let bucket = match self.buckets.get(bucket) {
            Some(known) => *known,
            None => {
                let fresh = count(&self.names.buckets);
                self.names.buckets.push(bucket.to_owned());
                self.buckets.insert(bucket.to_owned(), fresh);
                self.objects.push(HashMap::new());
                fresh
            }
        };
        let objects = &mut self.objects[bucket as usize];
        if let Some(known) = objects.get(key) {
            return *known;
        }
        let fresh = count(&self.names.objects);
        self.names.objects.push((bucket, key.to_owned()));
        objects.insert(key.to_owned(), fresh);
        fresh
    }

    fn finish(mut self, path: String) -> Result<Log, Error> {
        let times = self.accesses.iter().map(|access| access.at_s);
        let (Some(first_s), Some(last_s)) = (times.clone().min(), times.max()) else {
            return Err(match self.told.first_garbage {
                Some(found) => {
                    Error::AllGarbage { path, lines: self.told.lines, found, why: self.why }
                }
                None => Error::Empty { path },
            });
        };
        // It is stable, so of one second the order of the file stays.
        self.accesses.sort_by_key(|access| (access.object, access.at_s));
        let Self { names, accesses, told, .. } = self;
        Ok(Log { names, accesses, first_s, last_s, told })
    }
}

fn fields(record: &StringRecord) -> Result<[&str; 6], &'static str> {
    let mut fields = [""; 6];
    if record.len() != fields.len() {
        return Err("it has not six columns");
    }
    for (field, text) in fields.iter_mut().zip(record) {
        *field = text;
    }
    Ok(fields)
}

fn number(text: &str) -> Result<Option<u64>, ()> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().ok().filter(|number| *number <= SIZE_MAX).map(Some).ok_or(()),
    }
}

/// Names are counted in 32 bits: four billion objects are no log that is read at once.
fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

fn show(record: &StringRecord) -> String {
    let text = record.iter().collect::<Vec<_>>().join(",");
    text.chars().take(SHOWN_CHARS).collect()
}
