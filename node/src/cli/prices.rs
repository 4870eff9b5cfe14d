//! `vaultaire prices`: the price books that come with Vaultaire, and checks of one's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::Datelike;
use clap::Subcommand;
use serde_json::json;
use vaultaire_proto::prices::calendar::Date;
use vaultaire_proto::prices::{Book, base, books};

use crate::cli::output::{Output, line, table};
use crate::error::Error;

/// Prices change: what is older than this is told of.
const FRESH_DAYS: u64 = 365;

/// Show, check and compare price books.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a book as a file, to change and to use with --prices.
    Show {
        /// A book that comes along, by its name or as `builtin`, or a file. Without one: the names of all.
        book: Option<String>,
    },
    /// Say whether a book makes sense, and how old it is.
    Check {
        /// A book that comes along, or a file.
        book: String,
    },
    /// Show which prices of two books differ, each of them a file or one that comes along.
    Diff { from: String, to: String },
}

pub fn run(args: Args, output: Output) -> Result<(), Error> {
    match args.command {
        Command::Show { book: None } => list(output),
        Command::Show { book: Some(name) } => {
            let (text, _) = read(&name)?;
            match output {
                Output::People => line(text.trim_end()),
                Output::Programs => output.print(&values(&text)?, String::new),
            }
        }
        Command::Check { book } => check(&book, output),
        Command::Diff { from, to } => diff(&from, &to, output),
    }
}

/// A book by its name, or as a file.
pub fn book(name: &str) -> Result<Book, Error> {
    read(name).map(|(_, book)| book)
}

/// What is to be said of a book that is old, or of a day that has not come. It may be used all the same.
pub fn warning(book: &Book) -> Option<String> {
    if book.date > today() {
        return Some(format!(
            "the prices of {} are of {}, which has not come yet: tell the day on which they were read",
            book.name, book.date
        ));
    }
    let days = today().day_number().saturating_sub(book.date.day_number());
    (days > FRESH_DAYS).then(|| {
        format!(
            "the prices of {} are of {}, {days} days ago: compare them with {}",
            book.name,
            book.date,
            book.sources.join(", ")
        )
    })
}

fn read(name: &str) -> Result<(String, Book), Error> {
    let text = match books::text(name) {
        Some(text) => text.to_owned(),
        None => file(Path::new(name))?,
    };
    let fail = |message| Error::Config { path: PathBuf::from(name), message };
    let book = Book::parse(&text).map_err(|error| fail(error.to_string()))?;
    Ok((text, book))
}

fn file(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| {
        let known: Vec<&str> = books::names().collect();
        let message = format!("{source}; give a file, or one of {}", known.join(", "));
        Error::Config { path: path.to_owned(), message }
    })
}

fn list(output: Output) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for (name, text) in books::ALL {
        let book = Book::parse(text).map_err(|error| Error::Found(format!("{name}: {error}")))?;
        let (date, tiers) = (book.date.to_string(), book.tiers.len());
        values
            .push(json!({ "name": name, "provider": book.provider, "date": date, "tiers": tiers }));
        rows.push(vec![(*name).to_owned(), book.provider, date, tiers.to_string()]);
    }
    output
        .print(&json!({ "books": values }), || table(&["NAME", "PROVIDER", "DATE", "TIERS"], rows))
}

fn check(name: &str, output: Output) -> Result<(), Error> {
    let book = book(name)?;
    let warning = warning(&book);
    let tiers: Vec<&str> = book.tiers.iter().map(|tier| tier.name.as_str()).collect();
    let value = json!({ "name": book.name, "date": book.date.to_string(), "tiers": tiers, "warning": warning });
    output.print(&value, || {
        let well =
            format!("{} of {}: {} tiers, all prices make sense", book.name, book.date, tiers.len());
        warning.map_or(well.clone(), |warning| format!("{well}\nwarning: {warning}"))
    })
}

fn diff(from: &str, to: &str, output: Output) -> Result<(), Error> {
    let ((from_text, _), (to_text, _)) = (read(from)?, read(to)?);
    let (former, latter) = (flat(&from_text)?, flat(&to_text)?);
    let mut rows = Vec::new();
    for key in former.keys().chain(latter.keys().filter(|key| !former.contains_key(*key))) {
        let of = |values: &BTreeMap<String, String>| values.get(key).cloned().unwrap_or_default();
        if former.get(key) != latter.get(key) {
            rows.push(vec![key.clone(), of(&former), of(&latter)]);
        }
    }
    let value = |row: &Vec<String>| json!({ "what": row[0], "from": row[1], "to": row[2] });
    let values: Vec<_> = rows.iter().map(value).collect();
    output.print(&json!({ "differences": values }), || match rows.is_empty() {
        true => "no differences".to_owned(),
        false => table(&["WHAT", "FROM", "TO"], rows),
    })
}

/// Every value of a book by where it stands, tiers and ways out by their names.
fn flat(text: &str) -> Result<BTreeMap<String, String>, Error> {
    let mut values = BTreeMap::new();
    flatten("", &parsed(text)?, &mut values);
    Ok(values)
}

/// The whole book, with that one that it may be written over.
fn parsed(text: &str) -> Result<toml::Value, Error> {
    let table = base::resolved(text).map_err(|error| Error::Found(error.to_string()))?;
    Ok(toml::Value::Table(table))
}

fn flatten(place: &str, value: &toml::Value, values: &mut BTreeMap<String, String>) {
    let below =
        |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match value {
        toml::Value::Table(fields) => {
            fields.iter().for_each(|(name, value)| flatten(&below(name), value, values));
        }
        toml::Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                let name =
                    ["name", "to", "idle_days", "what"].iter().find_map(|field| item.get(field));
                let shown = name.map_or(number.to_string(), |name| match name {
                    toml::Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                flatten(&below(&shown), item, values);
            }
        }
        toml::Value::String(text) => {
            values.insert(place.to_owned(), text.clone());
        }
        other => {
            values.insert(place.to_owned(), other.to_string());
        }
    }
}

fn values(text: &str) -> Result<serde_json::Value, Error> {
    serde_json::to_value(parsed(text)?).map_err(|error| Error::Found(error.to_string()))
}

fn today() -> Date {
    let now = chrono::Utc::now().date_naive();
    Date {
        year: u32::try_from(now.year()).unwrap_or(0),
        month: u8::try_from(now.month()).unwrap_or(1),
        day: u8::try_from(now.day()).unwrap_or(1),
    }
}
