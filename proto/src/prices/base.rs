//! From the text of a book to one whole table: prices that are told per 10,000 become prices per 1,000, and a book that says
//! `base = "aws-us-east-1"` becomes that one with its changes.
//!
//! ```toml
//! base = "aws-us-east-1"
//! name = "ours"
//! remove = ["DEEP_ARCHIVE"]
//!
//! [[tier]]
//! name = "STANDARD"
//! storage_gb_month = "0.0207"
//! ```
//!
//! A tier is changed by its name and field by field; one that the base has not says `new = true` and all of its prices. Ways out
//! are changed by where they go. Everything else is replaced as a whole.

use toml::{Table, Value};

use crate::money::NanoUsd;
use crate::prices::books;
use crate::prices::read::BookError;

/// Requests are priced in so many by some providers.
const PER_10000: &str = "_10000";
const PER_1000: &str = "_1000";

/// Where a problem is that is in no tier.
const TOP: &str = "the book";

/// Lists whose entries have names, and the field that is the name.
const NAMED: [(&str, &str); 2] = [("tier", "name"), ("egress", "to")];

/// The whole table of a book, as if it had been written out.
pub fn resolved(text: &str) -> Result<Table, BookError> {
    let mut own = read(text)?;
    let Some(base) = own.remove("base") else { return Ok(own) };
    let base = base.as_str().ok_or_else(|| form("base is the name of a book, in quotes"))?;
    let known = books::text(base).ok_or_else(|| BookError::Unknown {
        place: "base".to_owned(),
        found: base.to_owned(),
        wanted: "it names one of the books that come along",
        known: books::names().collect::<Vec<_>>().join(", "),
    })?;
    let whole = read(known)?;
    if own.get("name").is_none_or(|name| Some(name) == whole.get("name")) {
        return Err(form("a book over another one has a `name` of its own: bills tell it"));
    }
    changed(whole, own)
}

fn read(text: &str) -> Result<Table, BookError> {
    let table: Table = toml::from_str(text).map_err(|error| form(&error.to_string()))?;
    per_1000(TOP, table)
}

fn form(problem: &str) -> BookError {
    BookError::Form(problem.trim().to_owned())
}

/// Every price per 10,000 as one per 1,000. `place` is where the table stands.
fn per_1000(place: &str, table: Table) -> Result<Table, BookError> {
    let mut converted = Table::new();
    for (key, value) in table {
        let value = match value {
            Value::Table(below) => Value::Table(per_1000(&within(place, &below), below)?),
            Value::Array(items) => {
                let each = items.into_iter().map(|item| match item {
                    Value::Table(below) => {
                        per_1000(&within(place, &below), below).map(Value::Table)
                    }
                    other => Ok(other),
                });
                Value::Array(each.collect::<Result<_, _>>()?)
            }
            other => other,
        };
        let (key, value) = match key.contains(PER_10000) {
            true => (key.replace(PER_10000, PER_1000), tenth(place, &key, &value)?),
            false => (key, value),
        };
        if converted.insert(key.clone(), value).is_some() {
            return Err(BookError::Sense {
                place: format!("{place}: {key}"),
                why: "it is told per 1,000 and per 10,000; one of them is enough",
            });
        }
    }
    Ok(converted)
}

/// Where a table stands that is in another one.
fn within(place: &str, table: &Table) -> String {
    match name_of(table) {
        None => place.to_owned(),
        Some(name) if place == TOP => name.to_owned(),
        Some(name) => format!("{place}: {name}"),
    }
}

fn name_of(table: &Table) -> Option<&str> {
    ["name", "to"].iter().find_map(|field| table.get(*field)).and_then(Value::as_str)
}

fn tenth(place: &str, key: &str, value: &Value) -> Result<Value, BookError> {
    let wrong = |wanted| BookError::Value {
        place: format!("{place}: {key}"),
        found: value.as_str().map_or(value.to_string(), str::to_owned),
        wanted,
    };
    let text = value.as_str().ok_or_else(|| wrong("a price is dollars in quotes"))?;
    let price = NanoUsd::from_dollars(text).ok_or_else(|| {
        wrong("a price is dollars, such as \"0.0125\": not negative, nine places at most")
    })?;
    match price.0 % 10 {
        0 => Ok(Value::String(NanoUsd(price.0 / 10).to_string())),
        _ => Err(wrong("one request has to cost a whole number of nano-dollars")),
    }
}

/// A whole book with some changes.
fn changed(mut whole: Table, mut own: Table) -> Result<Table, BookError> {
    let base = name_of(&whole).unwrap_or_default().to_owned();
    if let Some(names) = own.remove("remove") {
        let names = names.as_array().cloned().unwrap_or_else(|| vec![names]);
        remove(&base, &mut whole, &names)?;
    }
    for (key, value) in own {
        let Some((_, named_by)) = NAMED.iter().find(|(list, _)| *list == key) else {
            whole.insert(key, value);
            continue;
        };
        let list = whole.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new()));
        let (Value::Array(list), Value::Array(changes)) = (list, value) else {
            return Err(BookError::Sense {
                place: key,
                why: "it is a list: its entries are in double brackets, as [[tier]]",
            });
        };
        for change in changes {
            entry(&base, &key, named_by, list, change)?;
        }
    }
    Ok(whole)
}

fn remove(base: &str, whole: &mut Table, names: &[Value]) -> Result<(), BookError> {
    let Some(Value::Array(tiers)) = whole.get_mut("tier") else { return Ok(()) };
    for name in names {
        let place = tiers.iter().position(|tier| tier.get("name") == Some(name));
        let place = place.ok_or_else(|| unknown("remove", base, "name", name, tiers))?;
        tiers.remove(place);
    }
    Ok(())
}

/// Changes what a list has of this name, or adds it.
fn entry(
    base: &str,
    list_name: &str,
    named_by: &str,
    list: &mut Vec<Value>,
    mut change: Value,
) -> Result<(), BookError> {
    let name = change.get(named_by).cloned().unwrap_or(Value::String(String::new()));
    let is_new = change.as_table_mut().and_then(|change| change.remove("new"));
    let known = list.iter_mut().find(|entry| entry.get(named_by) == Some(&name));
    match (known, is_new == Some(Value::Boolean(true))) {
        (Some(known), false) => merge(known, change),
        (Some(_), true) => {
            let why = "the base has it already; without `new` it is changed";
            return Err(BookError::Sense { place: shown(&name), why });
        }
        // Where objects are sent is for users to name: there is no list that they could have mistyped from.
        (None, is_new) if is_new || list_name == "egress" => list.push(change),
        (None, _) => return Err(unknown(list_name, base, named_by, &name, list)),
    }
    Ok(())
}

fn unknown(place: &str, base: &str, named_by: &str, name: &Value, list: &[Value]) -> BookError {
    let known = list.iter().filter_map(|entry| entry.get(named_by)).map(shown);
    BookError::Unknown {
        place: place.to_owned(),
        found: shown(name),
        wanted: "it names a tier of the base (one of your own says `new = true`)",
        known: format!("{base} has {}", known.collect::<Vec<_>>().join(", ")),
    }
}

fn shown(name: &Value) -> String {
    name.as_str().map_or(name.to_string(), str::to_owned)
}

/// Tables field by field, everything else as a whole.
fn merge(whole: &mut Value, change: Value) {
    match (whole, change) {
        (Value::Table(whole), Value::Table(change)) => {
            for (key, value) in change {
                match whole.get_mut(&key) {
                    Some(known) => merge(known, value),
                    None => drop(whole.insert(key, value)),
                }
            }
        }
        (whole, change) => *whole = change,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::prices::Book;

    const OURS: &str = "base = \"builtin\"\nname = \"ours\"\n";

    fn ours(changes: &str) -> Result<Book, BookError> {
        Book::parse(&format!("{OURS}{changes}"))
    }

    #[test]
    fn a_book_over_another_one_differs_in_what_it_says_alone() {
        let mut expected = books::builtin();
        expected.name = "ours".to_owned();
        assert_eq!(ours("").unwrap(), expected);
        let discount = ours(
            "[[tier]]\nname = \"STANDARD_IA\"\nstorage_gb_month = \"0.011\"\nput_10000 = \"0.09\"\n",
        );
        let tier = &mut expected.tiers[1];
        (tier.storage, tier.requests.put) = (NanoUsd(11_000_000), NanoUsd(9_000));
        let requests = &mut tier.requests;
        (requests.copy, requests.part, requests.list) = (requests.put, requests.put, requests.put);
        assert_eq!(discount.unwrap(), expected);
    }

    #[test]
    fn tiers_are_removed_and_added_and_speeds_are_chosen() {
        let less = ours("remove = [\"DEEP_ARCHIVE\", \"GLACIER_IR\"]\n").unwrap();
        let names: Vec<&str> = less.tiers.iter().map(|tier| tier.name.as_str()).collect();
        assert_eq!(names, ["STANDARD", "STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER"]);
        let bulk = ours("[[tier]]\nname = \"GLACIER\"\n[tier.restore]\nuse = \"bulk\"\n").unwrap();
        let glacier = &bulk.tiers[bulk.tier("GLACIER").unwrap()];
        let used = glacier.restore.unwrap();
        assert_eq!((used.request, used.retrieval, used.hours), (NanoUsd(0), NanoUsd(0), 12));
        let names: Vec<&str> = glacier.speeds.iter().map(|speed| speed.name.as_str()).collect();
        assert_eq!(names, ["bulk", "standard", "expedited"]);
        let more = ours(
            "[[tier]]\nnew = true\nname = \"DISK\"\nstorage_gb_month = \"0.005\"\nput_1000 = \"0\"\nget_1000 = \"0\"\n\
             retrieval_gb = \"0\"\ntransition_1000 = \"0\"\nstay_days_min = 0\nbilled_bytes_min = 0\n\
             [[egress]]\nto = \"internet\"\ngb = \"0.05\"\n[[egress]]\nto = \"paris\"\ngb = \"0.01\"\n",
        );
        let more = more.unwrap();
        assert_eq!(more.tiers.len(), 7);
        let price =
            |to: &str| more.egress.iter().find(|(name, _)| name == to).map(|(_, price)| price.0);
        assert_eq!(
            (price("internet"), price("paris"), more.egress.len()),
            (Some(50_000_000), Some(10_000_000), 4)
        );
    }

    #[test]
    fn what_is_mistyped_is_told_with_what_is_known() {
        let tier = |text: &str| format!("[[tier]]\nname = \"GLACIER\"\n{text}");
        for (changes, told) in [
            (
                "[[tier]]\nname = \"STANDRD\"\n".to_owned(),
                "tier is \"STANDRD\"; it names a tier of the base",
            ),
            (
                "remove = [\"COLD\"]\n".to_owned(),
                "aws-us-east-1 has STANDARD, STANDARD_IA, GLACIER_IR",
            ),
            (
                "remove = [\"STANDARD\"]\n".to_owned(),
                "hot is \"STANDARD\"; it names one of the tiers: STANDARD_IA",
            ),
            (tier("storage_gb = \"1\"\n"), "GLACIER: unknown field `storage_gb`"),
            (tier("new = true\n"), "GLACIER: the base has it already"),
            (
                tier("put_10000 = \"0.0000001\"\nput_1000 = \"1\"\n"),
                "GLACIER: put_1000: it is told per 1,000 and per 10,000",
            ),
            (
                tier("put_10000 = \"0.000000001\"\n"),
                "GLACIER: put_10000 is \"0.000000001\"; one request",
            ),
            (tier("put_10000 = 1\n"), "GLACIER: put_10000 is \"1\"; a price is dollars in quotes"),
            (
                tier("[tier.restore]\nuse = \"slow\"\n"),
                "GLACIER: restore.use is \"slow\"; it names one of the speeds: standard, expedited, bulk",
            ),
            ("free_gb = 5\n".to_owned(), "unknown field `free_gb`"),
            (
                "[tier]\nname = \"GLACIER\"\n".to_owned(),
                "tier: it is a list: its entries are in double brackets",
            ),
            (
                tier(
                    "[tier.restore]\n[[tier.restore.other]]\nname = \"bulk\"\nrequest_10000 = \"-1\"\n",
                ),
                "GLACIER: bulk: request_10000 is \"-1\"; a price is dollars",
            ),
        ] {
            let error = ours(&changes).unwrap_err().to_string();
            assert!(error.contains(told), "{changes}{error}");
        }
        let unnamed = Book::parse("base = \"builtin\"\n").unwrap_err().to_string();
        assert!(unnamed.contains("a `name` of its own"), "{unnamed}");
        let nowhere = Book::parse("base = \"gcs\"\nname = \"a\"\n").unwrap_err().to_string();
        assert!(
            nowhere.contains("books that come along: aws-us-east-1, aws-eu-west-1"),
            "{nowhere}"
        );
    }
}
