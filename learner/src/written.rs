//! Decisions as files: a table of all of them, and a line of JSON for each one that was planned.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use vaultaire_proto::prices::Book;

use crate::error::Error;
use crate::logs::Log;
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

/// Writes decisions as a table: `timestamp,bucket,key,policy,from,to`.
pub fn write_decisions(
    out: impl Write,
    log: &Log,
    book: &Book,
    outcome: &Outcome,
) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(["timestamp", "bucket", "key", "policy", "from", "to"])?;
    for decision in &outcome.decisions {
        let name = |tier: usize| book.tiers[tier].name.as_str();
        writer.write_record([
            decision.step.at_s.to_string().as_str(),
            log.names.bucket(decision.object),
            log.names.key(decision.object),
            outcome.names[decision.policy],
            decision.from.map_or("", name),
            name(decision.step.tier),
        ])?;
    }
    writer.flush()
}
