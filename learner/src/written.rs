//! Decisions as files: a table of all of them, and a line of JSON for each one that was planned, which are read again.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use vaultaire_proto::prices::Book;

use crate::decisions::Decision;
use crate::error::Error;
use crate::logs::Log;
use crate::logs::lines::{self, Line};
use crate::planner::record::Record;
use crate::simulate::Outcome;

/// Writes a line of JSON for each.
pub fn write_records(out: &Mutex<dyn Write + Send>, records: &[Record]) -> Result<(), Error> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record)
            .map_err(|error| Error::Unwritten { source: error.into() })?;
        lines.push(b'\n');
    }
    let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
    out.write_all(&lines).map_err(|source| Error::Unwritten { source })
}

/// Makes every decision of a file again, and tells of each. It ends at the first that is another one then.
pub fn made_again(path: &Path, book: &Book, mut same: impl FnMut(Record)) -> Result<(), Error> {
    let shown = || path.display().to_string();
    let failed = |source| Error::File { path: shown(), source };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let mut text = Vec::new();
    for line in 1.. {
        let bad = |why: String| Error::NoRecord { path: shown(), line, why };
        match lines::next(&mut file, &mut text).map_err(failed)? {
            Line::End => break,
            Line::TooLong => return Err(bad("it is too long".to_owned())),
            Line::Text => {}
        }
        let record: Record =
            serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        match record.made_again(book)? {
            Some(_) => same(record),
            None => return Err(Error::OtherDecision { path: shown(), line }),
        }
    }
    Ok(())
}

/// Writes decisions as a table: `timestamp,bucket,key,policy,from,to`.
pub fn write_decisions(
    out: impl Write,
    log: &Log,
    book: &Book,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let unwritten = |source: csv::Error| Error::Unwritten { source: source.into() };
    let mut writer = csv::Writer::from_writer(out);
    let header = ["timestamp", "bucket", "key", "policy", "from", "to"];
    writer.write_record(header).map_err(unwritten)?;
    for decision in &mut outcome.decisions {
        let Decision { object, policy, from, step } = decision?;
        let name = |tier: usize| book.tiers[tier].name.as_str();
        let at_s = step.at_s.to_string();
        let columns = [
            at_s.as_str(),
            log.names.bucket(object),
            log.names.key(object),
            outcome.names[policy],
            from.map_or("", name),
            name(step.tier),
        ];
        writer.write_record(columns).map_err(unwritten)?;
    }
    writer.flush().map_err(|source| Error::Unwritten { source })
}
