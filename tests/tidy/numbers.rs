//! Numbers that are stored or sent are for ever: protobuf tags, and the discriminants of stored rows.
//!
//! `numbers.txt` beside this file is the memory: a number in it is taken, also when its owner is gone.
//! `VAULTAIRE_TIDY_RECORD=1 cargo test -p vaultaire-tests --test tidy` adds new ones; nothing removes any.

use std::collections::BTreeMap;
use std::fmt;

use crate::files::{Finding, Source};
use crate::mask::mask;

pub const RECORD_PATH: &str = "tests/tidy/numbers.txt";

/// One number with its owner: a field of a message, a value of an enum, a stored discriminant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Numbered {
    /// The message, enum or file the number is unique in.
    pub scope: String,
    pub number: i64,
    pub name: String,
}

impl fmt::Display for Numbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.scope, self.number, self.name)
    }
}

/// The numbers of the tree, and the ranges that protobuf scopes reserve.
#[derive(Debug, Default)]
pub struct Numbers {
    pub used: Vec<(Numbered, String, usize)>,
    pub reserved: BTreeMap<String, Vec<(i64, i64)>>,
}

impl Numbers {
    fn is_reserved(&self, scope: &str, number: i64) -> bool {
        self.reserved.get(scope).is_some_and(|ranges| {
            ranges.iter().any(|(first, last)| (*first..=*last).contains(&number))
        })
    }
}

pub fn collect(sources: &[Source]) -> Numbers {
    let mut numbers = Numbers::default();
    for source in sources {
        if source.has_extension("proto") {
            protobuf(source, &mut numbers);
        } else if source.is_rust() && source.path.contains("/src/") {
            discriminants(source, &mut numbers);
        }
    }
    numbers
}

/// Reads the scopes, fields, enum values and reservations of one protobuf file, statement by statement.
fn protobuf(source: &Source, numbers: &mut Numbers) {
    let text = mask(&source.text);
    let mut package = String::new();
    // `None` marks a block that is no scope of its own: a oneof shares the numbers of its message.
    let mut scopes: Vec<Option<String>> = Vec::new();
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if !matches!(byte, b'{' | b'}' | b';') {
            continue;
        }
        let statement = text[start..at].trim();
        let line = text[..at].matches('\n').count() + 1;
        start = at + 1;
        let scope = scopes.iter().rev().flatten().next().cloned();
        match byte {
            b'{' => scopes.push(opened(statement, scope.as_deref().unwrap_or(&package))),
            b'}' => {
                scopes.pop();
            }
            _ => match (statement.strip_prefix("package "), scope) {
                (Some(name), _) => package = name.trim().to_owned(),
                (None, Some(scope)) => inside(source, statement, &scope, line, numbers),
                (None, None) => {}
            },
        }
    }
}

fn opened(statement: &str, outer: &str) -> Option<String> {
    let mut words = statement.split_whitespace();
    match words.next() {
        Some("message" | "enum") => words.next().map(|name| format!("{outer}.{name}")),
        _ => None,
    }
}

fn inside(source: &Source, statement: &str, scope: &str, line: usize, numbers: &mut Numbers) {
    if let Some(list) = statement.strip_prefix("reserved ") {
        let ranges = list.split(',').filter_map(range);
        numbers.reserved.entry(scope.to_owned()).or_default().extend(ranges);
        return;
    }
    if statement.starts_with("option ") || statement.starts_with("rpc ") {
        return;
    }
    let Some((left, right)) = statement.split_once('=') else {
        return;
    };
    let digits = right.split('[').next().unwrap_or_default().trim();
    let (Some(name), Some(number)) = (left.split_whitespace().last(), literal(digits)) else {
        return;
    };
    let numbered = Numbered { scope: scope.to_owned(), number, name: name.to_owned() };
    numbers.used.push((numbered, source.path.clone(), line));
}

fn range(item: &str) -> Option<(i64, i64)> {
    let mut ends = item.split(" to ").map(str::trim);
    let first = literal(ends.next()?)?;
    let last = match ends.next() {
        Some("max") => i64::MAX,
        Some(last) => literal(last)?,
        None => first,
    };
    Some((first, last))
}

/// Rust enums with `#[repr(u8)]` and written-out values are what goes to disk as one byte: key prefixes,
/// kinds of records. Their scope is the enum's name, so that a file may be split.
fn discriminants(source: &Source, numbers: &mut Numbers) {
    let mut awaited = false;
    let mut scope: Option<String> = None;
    for (index, line) in source.text.lines().enumerate() {
        // Byte literals are values here, so only comments are dropped.
        let code = line.split("//").next().unwrap_or_default().trim();
        awaited |= code == "#[repr(u8)]";
        if let Some((_, declared)) = code.split_once("enum ").filter(|_| awaited) {
            let name = declared.trim_end_matches('{').trim();
            scope = Some(format!("repr(u8).{name}"));
            awaited = false;
        } else if code == "}" {
            scope = None;
        }
        let (Some(scope), Some((left, right))) = (&scope, code.split_once('=')) else {
            continue;
        };
        if let Some(number) = literal(right.trim().trim_end_matches(',')) {
            let name = left.trim().to_owned();
            let numbered = Numbered { scope: scope.clone(), number, name };
            numbers.used.push((numbered, source.path.clone(), index + 1));
        }
    }
}

fn literal(text: &str) -> Option<i64> {
    let text = text.trim().replace('_', "");
    if let Some(byte) = text.strip_prefix("b'").and_then(|rest| rest.strip_suffix('\'')) {
        return match byte.as_bytes() {
            [byte] => Some(i64::from(*byte)),
            _ => None,
        };
    }
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Within one scope a number has one owner, and a reserved number has none.
pub fn unique(numbers: &Numbers) -> Vec<Finding> {
    let mut owners: BTreeMap<(&str, i64), &str> = BTreeMap::new();
    let mut findings = Vec::new();
    for (numbered, path, line) in &numbers.used {
        let Numbered { scope, number, name } = numbered;
        if let Some(owner) = owners.insert((scope, *number), name) {
            let message = format!(
                "{number} of {scope} belongs to `{owner}`: give `{name}` a number of its own"
            );
            findings.push(Finding::new(path, *line, message));
        }
        if numbers.is_reserved(scope, *number) {
            let message = format!("{number} of {scope} is reserved: give `{name}` a new number");
            findings.push(Finding::new(path, *line, message));
        }
    }
    findings
}

/// Reads the record: `scope number name`, and `retired ` before the line of a discriminant that is gone.
fn recorded(record: &str) -> Vec<(Numbered, bool)> {
    let mut found = Vec::new();
    for line in record.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let retired = line.starts_with("retired ");
        let words: Vec<&str> = line.trim_start_matches("retired ").split_whitespace().collect();
        let [scope, number, name] = words[..] else {
            panic!("{RECORD_PATH}: `{line}` is not `scope number name`")
        };
        let number = literal(number).expect("the second word of a recorded line is a number");
        found.push((Numbered { scope: scope.to_owned(), number, name: name.to_owned() }, retired));
    }
    found
}

/// A number that was ever recorded keeps its owner, or is reserved (protobuf) or retired (stored rows).
pub fn never_reused(numbers: &Numbers, record: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (old, retired) in recorded(record) {
        let now = numbers
            .used
            .iter()
            .find(|(used, _, _)| used.scope == old.scope && used.number == old.number);
        let Numbered { scope, number, name } = &old;
        match now {
            Some((used, _, _)) if used.name == old.name && !retired => {}
            Some((used, path, line)) => {
                let message = format!(
                    "{number} of {scope} was `{name}`, now `{}`: take a new number",
                    used.name
                );
                findings.push(Finding::new(path, *line, message));
            }
            None if retired || numbers.is_reserved(scope, *number) => {}
            None => {
                let message = format!(
                    "{number} of {scope} (`{name}`) is gone: write `reserved {number};` in its message, \
                     or `retired ` before its line for a stored row"
                );
                findings.push(Finding::new(RECORD_PATH, 1, message));
            }
        }
    }
    findings
}

/// The numbers that the record does not know yet.
pub fn unrecorded(numbers: &Numbers, record: &str) -> Vec<Numbered> {
    let known = recorded(record);
    let mut new: Vec<Numbered> = numbers
        .used
        .iter()
        .map(|(used, _, _)| used.clone())
        .filter(|used| {
            !known.iter().any(|(old, _)| old.scope == used.scope && old.number == used.number)
        })
        .collect();
    new.sort();
    new
}
