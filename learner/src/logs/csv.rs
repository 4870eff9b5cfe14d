//! A log as a plain table: `timestamp,bucket,key,operation,size,bytes`, in seconds since 1970 and bytes. Lines that are none
//! are counted and skipped.

use std::io;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

use crate::error::Error;
use crate::logs::accesses::IN_MEMORY_MAX;
use crate::logs::builder::{Builder, Found, Rules, shown};
use crate::logs::files::{Input, PROGRESS_LINES, Reading};
use crate::logs::{Log, Operation, SIZE_MAX};

/// The columns, in this order.
pub const HEADER: &str = "timestamp,bucket,key,operation,size,bytes";

/// Some spreadsheets begin a file with it.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads one file, plain or compressed. `progress` hears how many bytes of it were read, now and then.
pub fn read(path: &Path, progress: impl FnMut(u64)) -> Result<Log, Error> {
    let mut builder = Builder::new(Rules::Contract, IN_MEMORY_MAX);
    let mut reading = Reading::new(progress);
    let input = reading.open(path)?;
    let path = input.origin.path.clone();
    read_into(input, &mut builder, &mut || reading.tell())?;
    builder.finish(path)
}

/// Whether a line is the first one of such a table.
pub fn is_header(line: &str) -> bool {
    let columns = line.trim_start_matches(BYTE_ORDER_MARK).split(',');
    columns.map(|column| column.trim().trim_matches('"')).eq(HEADER.split(','))
}

/// Reads one file. `tell` is called now and then.
pub fn read_into(input: Input, builder: &mut Builder, tell: &mut dyn FnMut()) -> Result<(), Error> {
    let Input { origin, reader } = input;
    builder.file(&origin.path);
    // Keys may begin and end with blanks.
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(reader);
    let mut record = StringRecord::new();
    let first = next(&mut reader, &mut record).map_err(|source| origin.failed(source))?;
    if first == Line::End {
        return Err(Error::Empty { path: origin.path });
    }
    let columns = record.iter().map(|column| column.trim_start_matches(BYTE_ORDER_MARK).trim());
    if columns.ne(HEADER.split(',')) {
        return Err(Error::Header { found: text(&record), path: origin.path, wanted: HEADER });
    }
    loop {
        match next(&mut reader, &mut record).map_err(|source| origin.failed(source))? {
            Line::End => return Ok(()),
            Line::Text => {
                let line = record.position().map_or(0, csv::Position::line);
                let taken = found(&record, line).and_then(|found| builder.access(found));
                if let Err(why) = taken {
                    builder.garbage(&text(&record), why);
                }
            }
            Line::Garbage => builder.garbage("it is not UTF-8", "it is no text"),
        }
        if builder.lines().is_multiple_of(PROGRESS_LINES) {
            builder.kept()?;
            tell();
        }
    }
}

#[derive(PartialEq, Eq)]
enum Line {
    Text,
    Garbage,
    End,
}

fn next<R: io::Read>(
    reader: &mut csv::Reader<R>,
    record: &mut StringRecord,
) -> Result<Line, io::Error> {
    match reader.read_record(record) {
        Ok(true) => Ok(Line::Text),
        Ok(false) => Ok(Line::End),
        Err(error) => match error.into_kind() {
            csv::ErrorKind::Io(source) => Err(source),
            _ => Ok(Line::Garbage),
        },
    }
}

fn found(record: &StringRecord, line: u64) -> Result<Found<'_>, &'static str> {
    let [at, bucket, key, operation, size, bytes] = fields(record)?;
    let at_s: u64 = at.trim().parse().map_err(|_| "its time is no number of seconds since 1970")?;
    let operation = match operation.trim() {
        "PUT" => Operation::Put,
        "GET" => Operation::Get,
        "DELETE" => Operation::Delete,
        _ => return Err("its operation is none of PUT, GET and DELETE"),
    };
    let size_bytes = number(size).map_err(|()| "its size is no number of bytes")?;
    let sent_bytes = number(bytes).map_err(|()| "its bytes are no number")?;
    Ok(Found { at_s, bucket, key, operation, size_bytes, sent_bytes, is_part: false, line })
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

fn text(record: &StringRecord) -> String {
    shown(&record.iter().collect::<Vec<_>>().join(","))
}
