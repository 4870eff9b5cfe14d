//! What commands print: text for people or one JSON value for programs, on stdout. Logs and errors go to
//! stderr. A reader who went away is no error.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::error::Error;

/// For whom a command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    People,
    Programs,
}

impl Output {
    /// As the flag `--json` says.
    pub fn new(json: bool) -> Self {
        match json {
            true => Self::Programs,
            false => Self::People,
        }
    }

    /// Prints one value: as one line of JSON, or as text.
    pub fn print(self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Error> {
        match self {
            Self::Programs => line(&json(value)?),
            Self::People => line(text().trim_end()),
        }
    }

    /// Whether somebody watches: progress is for terminals only.
    pub fn is_watched(self) -> bool {
        self == Self::People && io::stderr().is_terminal()
    }
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::Engine { what: "the output", why: error.to_string() })
}

/// Writes a line to stdout.
pub fn line(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Error::Engine { what: "stdout", why: error.to_string() }),
        Ok(()) => Ok(()),
    }
}

/// Writes an error to stderr, with all its causes.
pub fn complain(error: &Error) {
    let mut text = format!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        let deeper_text = deeper.to_string();
        // Our messages name their direct cause themselves.
        if !text.contains(&deeper_text) {
            text.push_str(": ");
            text.push_str(&deeper_text);
        }
        cause = deeper.source();
    }
    // Nothing is left to tell it to when stderr is gone.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Rows in columns, without lines: easy to read and to cut.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let padded = table.to_string();
    padded.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Milliseconds since 1970 as people write a time.
pub fn time(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    match chrono::DateTime::from_timestamp_millis(ms) {
        Some(time) => time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        None => "?".to_owned(),
    }
}

/// Bytes as people write them.
pub fn bytes(size_bytes: u64) -> String {
    bytesize::ByteSize(size_bytes).to_string()
}

/// A resource name without its collection, for people.
pub fn bare(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, own)| own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_no_trailing_blanks() {
        let text = table(&["NAME", "SIZE"], [vec!["a".to_owned(), "1".to_owned()]]);
        assert!(text.lines().all(|line| line == line.trim_end()), "{text:?}");
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(bare("buckets/photos"), "photos");
    }
}
