//! What listings must and must not show: a key whose write had ended before a listing began is in it, a key that was
//! deleted before is not, and nothing is in it that nobody wrote. A set of unique keys is judged by the same rules.

use std::collections::{BTreeMap, BTreeSet};

use super::register::{ABSENT, Register};
use super::registers::full_name;
use super::spans::Spans;
use super::{Kind, Violation};

/// One listing with all of its pages, which may have been read at any time between its start and its end.
#[derive(Clone, Debug)]
pub struct Listing {
    pub start_ns: u64,
    pub end_ns: u64,
    pub bucket: String,
    pub prefix: String,
    pub delimiter: Option<String>,
    /// Keys with their entity tags.
    pub keys: Vec<(String, String)>,
    pub prefixes: Vec<String>,
}

/// What is known of one key.
struct Known<'a> {
    register: &'a Register,
    puts: Spans,
    deletes: Spans,
    /// When the write of each content ended, where it was acknowledged.
    ends: BTreeMap<u32, u64>,
}

impl<'a> Known<'a> {
    fn new(register: &'a Register) -> Self {
        let acknowledged = register.ops.iter().filter(|op| !op.is_unknown());
        let ends = acknowledged.filter_map(|op| Some((op.written()?.0, op.end_ns))).collect();
        Self { register, puts: register.puts(), deletes: register.deletes(), ends }
    }

    /// An acknowledged write, and no delete that may have come after it.
    fn must_be_there(&self, listing: &Listing) -> bool {
        let written_ns = self.puts.latest_start(listing.start_ns);
        written_ns.is_some() && self.deletes.latest_end(listing.end_ns) < written_ns
    }

    /// Some write began, and no delete surely came after all of them.
    fn may_be_there(&self, listing: &Listing) -> bool {
        let written_ns = self.puts.latest_end(listing.end_ns);
        written_ns.is_some() && self.deletes.latest_start(listing.start_ns) <= written_ns
    }

    /// What a tag that is shown says that it must not.
    fn wrong_tag(&self, etag: &str, listing: &Listing) -> Option<&'static str> {
        let content = self.register.known(etag).filter(|content| *content != ABSENT);
        let is_written = |content| self.register.ops.iter().any(|op| op.written() == Some(content));
        let Some(content) = content.filter(|content| is_written(*content)) else {
            return Some("an entity tag that no write can have given it");
        };
        let replaced_ns = self.puts.latest_start(listing.start_ns);
        let end_ns = self.ends.get(&content.0).copied();
        (end_ns.is_some() && end_ns < replaced_ns)
            .then_some("an entity tag that had been replaced before")
    }
}

/// Judges all listings against the keys of their buckets.
pub fn check(listings: &[Listing], registers: &BTreeMap<String, Register>) -> Vec<Violation> {
    if listings.is_empty() {
        return Vec::new();
    }
    let known: BTreeMap<&str, Known<'_>> =
        registers.iter().map(|(name, register)| (name.as_str(), Known::new(register))).collect();
    listings.iter().flat_map(|listing| check_one(listing, &known)).collect()
}

fn check_one(listing: &Listing, known: &BTreeMap<&str, Known<'_>>) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut wrong = |kind, key: &str, why: &str| {
        let (start_ns, prefix) = (listing.start_ns, &listing.prefix);
        let detail = format!("{why}, in the listing of {prefix:?} begun at {start_ns} ns");
        found.push(Violation::new(kind, key, detail));
    };
    let keys = listing.keys.iter().map(|(key, _)| key);
    if !keys.is_sorted_by(|one, next| one < next)
        || !listing.prefixes.is_sorted_by(|one, next| one < next)
    {
        wrong(Kind::Listing, &listing.prefix, "names are not in order, or there twice");
    }
    let shown: BTreeMap<String, &str> = listing
        .keys
        .iter()
        .map(|(key, etag)| (full_name(&listing.bucket, key), etag.as_str()))
        .collect();
    for (name, etag) in &shown {
        match known.get(name.as_str()) {
            Some(key) if key.may_be_there(listing) => {
                if let Some(why) = key.wrong_tag(etag, listing) {
                    wrong(Kind::Listing, name, why);
                }
            }
            Some(key) if key.puts.latest_end(listing.end_ns).is_some() => {
                wrong(Kind::Resurrected, name, "there after it was deleted");
            }
            Some(_) | None => wrong(Kind::Phantom, name, "there, and nobody had written it"),
        }
    }
    let begins = full_name(&listing.bucket, &listing.prefix);
    let bucket_bytes = listing.bucket.len() + 1;
    let mut lawful_prefixes = BTreeSet::new();
    let below = known.range(begins.as_str()..).take_while(|(name, _)| name.starts_with(&begins));
    for (name, key) in below {
        let rolled = rolled_up(&name[bucket_bytes..], listing);
        if let Some(prefix) = rolled.filter(|_| key.may_be_there(listing)) {
            lawful_prefixes.insert(prefix);
        }
        let is_shown = match rolled {
            Some(prefix) => listing.prefixes.iter().any(|shown| shown == prefix),
            None => shown.contains_key(*name),
        };
        if !is_shown && key.must_be_there(listing) {
            wrong(Kind::Lost, name, "not there after it was acknowledged");
        }
        if rolled.is_some() && shown.contains_key(*name) {
            wrong(Kind::Listing, name, "there by itself, not rolled up");
        }
    }
    for prefix in &listing.prefixes {
        if !lawful_prefixes.contains(prefix.as_str()) {
            wrong(Kind::Phantom, prefix, "there as a prefix with nothing below it");
        }
    }
    found
}

/// The common prefix that stands for a key.
fn rolled_up<'a>(key: &'a str, listing: &Listing) -> Option<&'a str> {
    let delimiter = listing.delimiter.as_deref()?;
    let rest = key.get(listing.prefix.len()..)?;
    let at = rest.find(delimiter)?;
    key.get(..listing.prefix.len() + at + delimiter.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::register::{Kind as Did, NEVER_NS, Op};

    /// A key with its writes: start, end, entity tag; no tag is a delete.
    type Written<'a> = (&'a str, &'a [(u64, u64, &'a str)]);

    fn registers(keys: &[Written<'_>]) -> BTreeMap<String, Register> {
        let mut registers = BTreeMap::new();
        for (key, writes) in keys {
            let register: &mut Register = registers.entry(full_name("b", key)).or_default();
            for (start_ns, end_ns, etag) in *writes {
                let content = if etag.is_empty() { ABSENT } else { register.content(etag) };
                let kind = Did::Write { content, needs: None };
                let (start_ns, end_ns) = (*start_ns, *end_ns);
                register.ops.push(Op { process: 0, start_ns, end_ns, kind, position: None });
            }
        }
        registers
    }

    fn judge(
        keys: &[Written<'_>],
        delimiter: Option<&str>,
        shown: &[(&str, &str)],
        prefixes: &[&str],
    ) -> Vec<Kind> {
        let listing = Listing {
            start_ns: 100,
            end_ns: 110,
            bucket: "b".to_owned(),
            prefix: "p/".to_owned(),
            delimiter: delimiter.map(str::to_owned),
            keys: shown.iter().map(|(key, tag)| ((*key).to_owned(), (*tag).to_owned())).collect(),
            prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
        };
        let found = check(&[listing], &registers(keys));
        found.into_iter().map(|violation| violation.kind).collect()
    }

    #[test]
    fn acknowledged_keys_must_be_there_and_unknown_ones_may() {
        let keys: [(&str, &[_]); 3] =
            [("p/a", &[(1, 2, "x")]), ("p/b", &[(3, NEVER_NS, "y")]), ("q", &[(1, 2, "z")])];
        assert_eq!(judge(&keys, None, &[("p/a", "x")], &[]), []);
        assert_eq!(judge(&keys, None, &[("p/a", "x"), ("p/b", "y")], &[]), []);
        assert_eq!(judge(&keys, None, &[], &[]), [Kind::Lost]);
        assert_eq!(judge(&keys, None, &[("p/a", "x"), ("p/c", "y")], &[]), [Kind::Phantom]);
        assert_eq!(judge(&keys, None, &[("p/b", "y"), ("p/a", "x")], &[]), [Kind::Listing]);
        assert_eq!(judge(&keys, None, &[("p/a", "x"), ("p/a", "x")], &[]), [Kind::Listing]);
        assert_eq!(judge(&keys, None, &[("p/a", "y")], &[]), [Kind::Listing]);
    }

    #[test]
    fn deleted_keys_are_gone() {
        let gone: [(&str, &[_]); 1] = [("p/a", &[(1, 2, "x"), (3, 4, "")])];
        assert_eq!(judge(&gone, None, &[], &[]), []);
        assert_eq!(judge(&gone, None, &[("p/a", "x")], &[]), [Kind::Resurrected]);
        let going: [(&str, &[_]); 1] = [("p/a", &[(1, 2, "x"), (99, 105, "")])];
        assert_eq!(judge(&going, None, &[], &[]), []);
        assert_eq!(judge(&going, None, &[("p/a", "x")], &[]), []);
        let again: [(&str, &[_]); 1] = [("p/a", &[(1, 2, "x"), (3, 4, ""), (5, 6, "y")])];
        assert_eq!(judge(&again, None, &[], &[]), [Kind::Lost]);
        assert_eq!(judge(&again, None, &[("p/a", "x")], &[]), [Kind::Listing]);
        let future: [(&str, &[_]); 1] = [("p/a", &[(200, 210, "x")])];
        assert_eq!(judge(&future, None, &[("p/a", "x")], &[]), [Kind::Phantom]);
    }

    #[test]
    fn keys_below_a_delimiter_are_rolled_up() {
        let keys: [(&str, &[_]); 2] = [("p/a/1", &[(1, 2, "x")]), ("p/b", &[(1, 2, "y")])];
        assert_eq!(judge(&keys, Some("/"), &[("p/b", "y")], &["p/a/"]), []);
        assert_eq!(judge(&keys, Some("/"), &[("p/b", "y")], &[]), [Kind::Lost]);
        let empty = judge(&keys, Some("/"), &[("p/b", "y")], &["p/a/", "p/c/"]);
        assert_eq!(empty, [Kind::Phantom]);
        let loose = judge(&keys, Some("/"), &[("p/a/1", "x"), ("p/b", "y")], &["p/a/"]);
        assert_eq!(loose, [Kind::Listing]);
    }
}
